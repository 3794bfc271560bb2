/** The promises that a run is looked at for: each is kept by a run that is in order, and broken by one that is not. */
import { assert, describe, it } from "@effect/vitest"
import { ClientSession, Entry, type Receipt, type ReplicaId } from "@quorum/core"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync } from "node:fs"
import { checks } from "../src/internal/simulation/checks/index.ts"
import * as NoPhantomAck from "../src/internal/simulation/checks/NoPhantomAck.ts"
import * as PagesInOrder from "../src/internal/simulation/checks/PagesInOrder.ts"
import * as watching from "../src/internal/simulation/checks/watching.ts"
import * as Disk from "../src/internal/simulation/Disk.ts"
import * as History from "../src/internal/simulation/History.ts"
import * as Scenario from "../src/internal/simulation/Scenario.ts"
import * as Steps from "../src/internal/simulation/Steps.ts"
import { ackOf, broken, empty, found, put, running, said, says, type Scene, sound, stampless } from "./support/scene.ts"

describe("the promises that a run is looked at for", () => {
  for (const law of Object.keys(checks)) {
    it(`${law} is kept by a run that is in order, and broken by one that is not`, () => {
      assert.deepStrictEqual(found(law, sound()), [])
      const scene = sound()
      broken[law]!(scene)
      assert.isNotEmpty(found(law, scene))
    })
  }

  for (const [law, say] of Object.entries(said)) {
    it(`${law} is broken by what is said while a run goes on, and by nothing else`, () => {
      const before = running()
      says(before, "push", ackOf(before, {}))
      watching.onSample(before.world, true)
      assert.deepStrictEqual(before.world.violations, [])
      const scene = running()
      say(scene)
      assert.include(
        scene.world.violations.map((each) => each.law),
        law
      )
    })
  }

  it("SessionOrder is broken by a read or a write that is no newer than what its session has in it", () => {
    const session = { name: "0.0", value: ClientSession.empty }
    const seen = (scene: Scene): void => void Object.assign(scene.two, { session, isSeen: true })
    const after = (more: (scene: Scene) => void): ReadonlyArray<string> => {
      const scene = sound()
      seen(scene)
      more(scene)
      return found("SessionOrder", scene)
    }
    const asked = { session, consistency: "local" } as const
    assert.deepStrictEqual(
      after(({ read, second }) => read("k0", "v1", second, asked)),
      []
    )
    assert.lengthOf(
      after(({ first, read }) => read("k0", "v0", first, asked)),
      1
    )
    assert.lengthOf(
      after(({ read }) => read("k0", undefined, undefined, asked)),
      1
    )
    assert.deepStrictEqual(
      after(({ read }) => read("k1", undefined, undefined, asked)),
      []
    )
    assert.deepStrictEqual(
      after(({ all, append, read }) => {
        append(2, Entry.remove("n", "k0"), 3000, all)
        read("k0", undefined, undefined, asked)
      }),
      []
    )
    assert.lengthOf(
      after(({ all, append, committed }) =>
        committed("k0", "v9", append(2, put("k0", "v9"), 1500, all), { session, isSeen: false })
      ),
      1
    )
  })

  it("PagesInOrder is broken by a key twice, of another part or more than were asked for, in either direction", () => {
    const isBroken = (after: string | undefined, next: string | undefined, reverse: boolean, keys: string): boolean => {
      const { world } = empty()
      const asked = { namespace: "n", after, reverse, limit: 3 }
      PagesInOrder.onPage(world, world.members[0]!, asked, next, Array.from(keys))
      return world.violations.length > 0
    }
    for (const [after, next, reverse, keys] of [
      [undefined, undefined, false, "abc"],
      ["a", "d", false, "bd"],
      ["d", "a", true, "ca"],
      ["d", undefined, true, ""]
    ] as const) {
      assert.isFalse(isBroken(after, next, reverse, keys), `${after} ${next} ${keys}`)
    }
    for (const [after, next, reverse, keys] of [
      [undefined, undefined, false, "abcd"],
      [undefined, undefined, false, "abb"],
      [undefined, undefined, true, "ab"],
      ["b", undefined, false, "b"],
      ["b", undefined, true, "c"],
      [undefined, "b", false, "abc"],
      [undefined, "b", true, "a"]
    ] as const) {
      assert.isTrue(isBroken(after, next, reverse, keys), `${after} ${next} ${keys}`)
    }
  })

  it("OnceByKey is broken by two versions under one key of a client, unless one was acknowledged by nobody and is lost", () => {
    const repeated = (holders: (scene: Scene) => ReadonlyArray<Disk.Content>): ReadonlyArray<string> => {
      const scene = sound()
      Object.assign(scene.two, { idempotencyKey: "key" })
      scene.append(2, put("k0", "v1"), 2100, holders(scene))
      return found("OnceByKey", scene)
    }
    assert.lengthOf(
      repeated(({ c }) => [c]),
      1
    )
    assert.deepStrictEqual(
      repeated(() => []),
      []
    )
    const scene = sound()
    scene.history.answer(scene.two, "IdempotencyKeyReused")
    assert.lengthOf(found("OnceByKey", scene), 1)
  })

  it("OnceByKey is broken by a key that stands for two writes, unless its mark was deleted, and by one that was refused and is written", () => {
    const shared = (...more: ReadonlyArray<(scene: Scene) => unknown>): number => {
      const scene = sound()
      const mark = Entry.put(History.marksOf("n"), "key", "1")
      const others = [put("k0", "v2"), put("k0", "v3")] as const
      const [one, two] = others.map((write, i) => {
        const id = scene.append(i, [write, mark], 2100 + i, scene.all)
        return scene.committed("k0", History.textOf(write.value), id, { idempotencyKey: "key" })
      })
      Object.assign(one!, { batch: 10 })
      if (more.length === 0) return found("OnceByKey", scene).length
      scene.b.logs.clear()
      scene.a.logs.clear()
      scene.c.logs.clear()
      scene.append(0, [others[0], mark], 2100, scene.all)
      scene.history.answer(two!, "IdempotencyKeyReused")
      for (const each of more) each(scene)
      return found("OnceByKey", scene).length
    }
    assert.strictEqual(shared(), 2)
    assert.strictEqual(
      shared(() => undefined),
      0
    )
    assert.strictEqual(
      shared(({ all, append }) => append(1, put("k0", "v3"), 2101, all)),
      1
    )
    const again = ({ all, append }: Scene) =>
      append(1, [put("k0", "v2"), Entry.put(History.marksOf("n"), "key", "1")], 2101, all)
    assert.isAtLeast(shared(again), 1)
    assert.strictEqual(
      shared(again, ({ all, append }) => append(2, Entry.remove(History.marksOf("n"), "key"), 2000, all)),
      0
    )
  })

  it.effect("DecisionIsFinal is broken by the steps of a write in another order", () =>
    Effect.gen(function* () {
      const durable = { _tag: "Durable", writeId: sound().first, ...stampless() } as const
      const receipt = { acked: [{ replica: "a", afterMillis: 0, how: "self" }] } as unknown as Receipt.Receipt
      const committed = { _tag: "Committed", receipt } as const
      const held = (replica: string) => ({ _tag: "Held", replica, late: false }) as unknown as Receipt.Progress
      for (const [steps, wrong] of [
        [[durable, committed, held("b")], 0],
        [[committed, held("b"), held("c")], 0],
        [[committed, durable], 1],
        [[durable, committed, committed], 1],
        [[durable, committed, held("a")], 1],
        [[durable, held("b"), committed], 1]
      ] as const) {
        const { world } = sound()
        assert.strictEqual(yield* Steps.outcomeOf(world, Stream.fromIterable<Receipt.Progress>(steps)), receipt)
        yield* TestClock.adjust(1)
        assert.lengthOf(world.violations, wrong)
      }
    })
  )

  it("OneEntryPerPlace is not broken where the place was that of a write which only a disk held that was put back", () => {
    const scene = sound()
    const { a, all, append, committed, logOf, world } = scene
    const machine = world.machines[0]!
    const before = Disk.copyOf(a)
    committed("k1", "v2", append(0, put("k1", "v2"), 3000, [a]), { w: 1 })
    const retired = { machine, content: Disk.copyOf(a), at: 0 }
    a.logs.set(logOf(0), [...before.logs.get(logOf(0))!])
    committed("k1", "v3", append(0, put("k1", "v3"), 4000, all))
    world.retired.push({ ...retired, isForgotten: true })
    assert.deepStrictEqual(found("OneEntryPerPlace", scene), [])
    world.retired.push(retired)
    assert.lengthOf(found("OneEntryPerPlace", scene), 1)
  })

  it("AtomicRegister is not taken for kept where there are more orders than are tried", () => {
    const scene = sound()
    const { first, history, read, world } = scene
    const [at] = world.members as [ReplicaId.ReplicaId]
    // Written and read at once, and then read in no order at all.
    const values = Array.from({ length: 20 }, (_, i) => `w${i}`)
    for (const value of values) history.ask({ client: 0, kind: "write", at, key: "k0", w: 2, value }, 0)
    const asked = { client: 0, kind: "read", at, key: "k0", w: 0, consistency: "linearizable" } as const
    const reads = values.map(() => history.ask(asked, 0))
    for (const [i, value] of values.entries()) history.answer(reads[i]!, "read", { value, writeId: first })
    for (const value of [values[0]!, values[1]!, values[0]!]) read("k0", value, first)
    assert.deepStrictEqual(found("AtomicRegister", scene), [
      "what was read and written of k0 fits no order, of as many as are tried"
    ])
  })

  it("Overlap is kept by a copy of the write, by a newer one and by nothing where it was deleted, and broken by an older one", () => {
    const seen: Readonly<Record<string, (scene: Scene) => void>> = {
      "a copy in another log": ({ all, append, read }) =>
        read("k0", "v1", append(0, put("k0", "v1"), 2000, all), { consistency: "quorum" }),
      "what nobody acknowledged": ({ append, b, read }) =>
        read("k0", "v2", append(2, put("k0", "v2"), 3000, [b]), { consistency: "quorum" }),
      "a delete that nobody acknowledged": ({ append, b, read }) => {
        append(2, Entry.remove("n", "k0"), 3000, [b])
        read("k0", undefined, undefined, { consistency: "quorum" })
      },
      "a delete that was asked for later": ({ append, b, committed, read }) => {
        read("k0", undefined, undefined, { consistency: "quorum" })
        committed("k0", undefined, append(2, Entry.remove("n", "k0"), 3000, [b]))
      },
      "an older delete": ({ append, b, read }) => {
        append(2, Entry.remove("n", "k0"), 1500, [b])
        read("k0", undefined, undefined, { consistency: "quorum" })
      },
      "the one before": ({ first, read }) => read("k0", "v0", first, { consistency: "quorum" }),
      "the one before, of this replica alone": ({ first, read }) => read("k0", "v0", first, { consistency: "local" }),
      "the one before, where fewer than a majority hold the newer one": ({ first, history, read, two }) => {
        Object.assign(history.operations[two.id]!, { w: 1 })
        read("k0", "v0", first, { consistency: "quorum" })
      }
    }
    const violated = Object.entries(seen).map(([what, happens]) => {
      const scene = sound()
      happens(scene)
      return [what, found("Overlap", scene).length]
    })
    assert.deepStrictEqual(violated, [
      ["a copy in another log", 0],
      ["what nobody acknowledged", 0],
      ["a delete that nobody acknowledged", 0],
      ["a delete that was asked for later", 1],
      ["an older delete", 1],
      ["the one before", 1],
      ["the one before, of this replica alone", 0],
      ["the one before, where fewer than a majority hold the newer one", 0]
    ])
  })

  it("NoPhantomAck is broken by a verification that finds a copy where there is none", () => {
    const { append, b, world } = sound()
    const writeId = append(0, put("k1", "v"), 3000, [b])
    NoPhantomAck.onVerification(world, { writeId, copies: { [world.members[2]!]: "held" }, held: 1, committed: false })
    assert.deepStrictEqual(
      world.violations.map(({ law }) => law),
      ["NoPhantomAck"]
    )
  })

  it("Liveness is broken by a replica set of which too many disks are lost at once", () => {
    const nemesis = { kinds: ["wipe"] as const, everyMillis: 200, isReckless: true }
    const laws = new Set<string>()
    for (let seed = 1; seed <= 60 && !laws.has("Liveness"); seed++) {
      const drawn = Scenario.draw(seed, 3)
      // Of runs as short as these, one of three ends while all recover; of longer ones hardly any.
      const workload = { ...drawn.workload, clients: 4, operations: 5 }
      for (const { law } of Scenario.run({ ...drawn, workload, nemesis }).violations) laws.add(law)
    }
    assert.include(Array.from(laws), "Liveness")
    // Whoever stands still is waited for for two virtual minutes.
  }, 120_000)

  it("have each a set-up here that breaks them", () => {
    const folder = new URL("../src/internal/simulation/checks", import.meta.url)
    const laws = readdirSync(folder)
      .map((file) => file.replace(".ts", ""))
      .filter((name) => name !== "index" && name !== "watching")
    const shown = new Set([...Object.keys(broken), ...Object.keys(said), "Liveness"])
    assert.deepStrictEqual(
      laws.filter((law) => !shown.has(law)),
      []
    )
  })
})
