/** What is erased, and what is stable: what breaks these promises in a run, and what does not. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, LogId, type ReplicaId } from "@quorum/core"
import * as StableTimeIsStable from "../src/internal/simulation/checks/StableTimeIsStable.ts"
import * as watching from "../src/internal/simulation/checks/watching.ts"
import * as Disk from "../src/internal/simulation/Disk.ts"
import { epochMillis } from "../src/internal/simulation/MachineClock.ts"
import { empty, erases, newerThan, put, type Scene, sound } from "./support/scene.ts"

describe("the promises about what is erased and stable", () => {
  it("ErasedIsSuperseded is kept where all have what goes and something newer, or had, and broken where one never had", () => {
    for (const lacking of [0, 1]) {
      const scene = empty()
      const { a, all, append, b, world } = scene
      const first = append(0, put("k0", "v0"), 1000, lacking === 0 ? [a, b] : all)
      append(1, put("k0", "v1"), 2000, lacking === 1 ? [a, b] : all)
      erases(scene, first)
      assert.lengthOf(world.violations, 1)
    }
    const scene = sound()
    // It was lost, or given up, and nobody has kept it.
    scene.b.logs.clear()
    erases(scene, scene.first)
    assert.deepStrictEqual(scene.world.violations, [])
  })

  it("ErasedIsSuperseded is kept by a delete of which nobody holds what it deleted, and broken while one does", () => {
    const scene = empty()
    const { all, append, c, logOf, world } = scene
    append(2, put("k0", "v0"), 1000, all)
    const deleted = append(0, Entry.remove("n", "k0"), 2000, all)
    for (const { logs } of all) if (logs !== c.logs) logs.delete(logOf(2))
    erases(scene, deleted)
    assert.deepStrictEqual(
      world.violations.map(({ detail }) => detail.includes("c holds what it deletes")),
      [true]
    )
    c.logs.delete(logOf(2))
    erases(scene, deleted)
    assert.lengthOf(world.violations, 1)
  })

  it("ErasedIsSuperseded is kept by a delete of which only an older life of a replica holds what it deleted", () => {
    const scene = empty()
    const { all, append, c, logOf, world } = scene
    append(2, put("k0", "v0"), 1000, all)
    const deleted = append(0, Entry.remove("n", "k0"), 2000, all)
    for (const { logs } of all) if (logs !== c.logs) logs.delete(logOf(2))
    // It is off, and a copy of it lives in its place.
    const content = newerThan(c)
    content.logs.delete(logOf(2))
    const [off] = world.machines.slice(2)
    world.clones.push({ ...off!, disk: Disk.holding(content, content.place) })
    erases(scene, deleted)
    assert.deepStrictEqual(world.violations, [])
    world.clones.length = 0
    erases(scene, deleted)
    assert.lengthOf(world.violations, 1)
  })

  it("ErasedIsSuperseded is broken by what a delete deleted that is forgotten, when it comes back or its holder votes", () => {
    const scene = empty()
    const { a, all, append, b, logOf, world } = scene
    append(2, put("k0", "v0"), 1000, all)
    const deleted = append(0, Entry.remove("n", "k0"), 2000, all)
    const [batch] = b.logs.get(logOf(2))!
    for (const { logs } of all) logs.delete(logOf(2))
    erases(scene, deleted)
    for (const { logs } of all) logs.delete(logOf(0))
    assert.deepStrictEqual(world.violations, [])
    Disk.hold(a, batch!)
    a.notes.set(Disk.blank, "lost")
    watching.onHeld(world, world.machines[0]!, batch!)
    assert.deepStrictEqual(world.violations, [], "nobody gets it of one that recovers")
    a.notes.set(Disk.blank, "")
    watching.onNoted(world, world.machines[0]!, { [Disk.blank]: "" })
    assert.lengthOf(world.violations, 1)
    Disk.hold(b, batch!)
    watching.onHeld(world, world.machines[1]!, batch!)
    assert.lengthOf(world.violations, 2)
    append(1, put("k0", "v1"), 3000, [b])
    watching.onNoted(world, world.machines[1]!, { [Disk.blank]: "" })
    assert.lengthOf(world.violations, 2, "something newer is held beside it")
  })

  it("StableTimeIsStable is broken by a write that appears, whoever has it by the next look, and kept by one that was there", () => {
    const stable = { wallTime: epochMillis + 3_600_000, logical: 0 }
    const scene = sound()
    const { all, append, b, c, world } = scene
    StableTimeIsStable.onStable(world, stable)
    // Committed again, and brought to who had it before.
    append(1, put("k0", "v0"), 1000, all)
    assert.deepStrictEqual(world.violations, [])
    append(2, put("k1", "v2"), 3000, [c])
    assert.lengthOf(world.violations, 1)
    world.leftOut.set("a", {
      machine: world.machines[1]!,
      content: Disk.copyOf(b),
      at: 0,
      without: LogId.incarnationWithout(b.incarnation)
    })
    append(1, put("k1", "v3"), 4000, [b])
    assert.lengthOf(world.violations, 1, "who is left out may not have heard of it")
  })

  it("StableTimeIsStable is kept by what only a disk holds that is out of service, or of one that recovers", () => {
    const stable = { wallTime: epochMillis + 3_600_000, logical: 0 }
    const after: Readonly<Record<string, (scene: Scene) => void>> = {
      "nothing happened": () => {},
      "a former life of it was started": ({ c, world }) =>
        world.retired.push({ machine: world.machines[2]!, content: newerThan(c), at: 0 }),
      "it recovers": ({ c }) => c.notes.set(Disk.blank, "lost")
    }
    const violated = Object.entries(after).map(([what, happens]) => {
      const scene = sound()
      scene.append(2, put("k1", "v2"), 3000, [scene.c])
      happens(scene)
      StableTimeIsStable.onStable(scene.world, stable)
      return [what, scene.world.violations.length]
    })
    assert.deepStrictEqual(violated, [
      ["nothing happened", 1],
      ["a former life of it was started", 0],
      ["it recovers", 0]
    ])
  })

  it("StableTimeIsStable is kept by a replica that decides about what its former life took alone, and by nobody else who has it", () => {
    for (const [by, blank, violations] of [
      [2, "lost", 0],
      [1, "lost", 1],
      // It votes, and has it where it was: the others fetch it.
      [1, "", 0]
    ] as const) {
      const { all, append, c, world } = sound()
      world.retired.push({ machine: world.machines[2]!, content: newerThan(c), at: 0 })
      StableTimeIsStable.onStable(world, { wallTime: epochMillis + 3_600_000, logical: 0 })
      append(2, put("k1", "v2"), 3000, [c])
      assert.deepStrictEqual(world.violations, [])
      // It begins anew, and commits it again before it votes.
      world.retired.length = 0
      c.notes.set(Disk.blank, blank)
      append(by, put("k1", "v2"), 3000, [all[by]!])
      assert.lengthOf(world.violations, violations)
    }
  })

  it("StableTimeIsStable is kept by who has not met a member that is back with what only it held, and by nobody else", () => {
    const met: ReadonlySet<ReplicaId.ReplicaId> = new Set()
    const said = ({ world }: Scene, without: ReadonlySet<ReplicaId.ReplicaId>): number => {
      StableTimeIsStable.onStable(world, { wallTime: epochMillis + 3_600_000, logical: 0 }, without)
      return world.violations.length
    }
    const back = (): Scene => {
      const scene = sound()
      scene.append(2, put("k1", "v2"), 3000, [scene.c])
      scene.c.incarnation = newerThan(scene.c).incarnation
      return scene
    }
    const c = new Set([back().world.members[2]!])
    assert.strictEqual(said(back(), met), 1)
    const kept = back()
    assert.strictEqual(said(kept, c), 0)
    kept.append(1, put("k1", "v2"), 3000, [kept.b])
    assert.lengthOf(kept.world.violations, 0, "the others get it")
    // What it has written since then is above the floors of all.
    const wrote = back()
    wrote.append(2, put("k1", "v3"), 3001, [wrote.c])
    assert.strictEqual(said(wrote, c), 1)
  })
})
