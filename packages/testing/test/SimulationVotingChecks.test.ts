/** Who may vote: what breaks this promise in a run, and what does not. */
import { assert, describe, it } from "@effect/vitest"
import { LogId, QuorumPolicy } from "@quorum/core"
import { Result } from "effect"
import * as watching from "../src/internal/simulation/checks/watching.ts"
import * as Disk from "../src/internal/simulation/Disk.ts"
import * as Machines from "../src/internal/simulation/Machines.ts"
import { epochMillis } from "../src/internal/simulation/MachineClock.ts"
import { ackOf, running, says, stampless } from "./support/scene.ts"

describe("the promise about who votes", () => {
  it("RecoveringDoesNotVote is broken by a receipt that counts who said nothing while it voted", () => {
    const scene = running()
    const policy = Result.getOrThrow(QuorumPolicy.majority(3))
    const acked = [{ replica: scene.world.members[1]!, afterMillis: 1, how: "push" as const }]
    const { first: writeId, one } = scene
    const receipt = {
      writeId,
      clock: { wallTime: 1000, logical: 0 },
      tie: stampless().tie,
      policy,
      acked,
      missing: {},
      durationMillis: 1
    }
    watching.onReceipt(scene.world, receipt, one.askedAt)
    assert.deepStrictEqual(
      scene.world.violations.map(({ law }) => law),
      ["RecoveringDoesNotVote"]
    )
  })

  it("RecoveringDoesNotVote is broken by who votes and has found what it was counted for damaged", () => {
    const scene = running()
    const { a, first: writeId, logOf, one, world } = scene
    const policy = Result.getOrThrow(QuorumPolicy.majority(3))
    const acked = [{ replica: world.members[0]!, afterMillis: 0, how: "self" as const }]
    const { clock, tie } = stampless()
    watching.onReceipt(world, { writeId, clock, tie, policy, acked, missing: {}, durationMillis: 1 }, one.askedAt)
    a.flipped.set(logOf(0), new Set([1]))
    says(scene, "push", ackOf(scene, {}))
    assert.deepStrictEqual(world.violations, [])
    world.machines[0]!.disk.found = [{ log: logOf(0), from: 1, to: 1, at: -100 }]
    says(scene, "push", ackOf(scene, {}))
    assert.deepStrictEqual(
      world.violations.map(({ law }) => law),
      ["RecoveringDoesNotVote"]
    )
  })

  it("RecoveringDoesNotVote is broken by who was put back, votes, and has heard who counted it for what it lacks", () => {
    const scene = running()
    const { a, logOf, one, second: writeId, world } = scene
    const [first, other] = world.machines as [Machines.Machine, Machines.Machine]
    Machines.start(world.setting, other)
    says(scene, "push", ackOf(scene, {}))
    const policy = Result.getOrThrow(QuorumPolicy.majority(3))
    const acked = [{ replica: first.id, afterMillis: 1, how: "push" as const }]
    const { clock, tie } = stampless()
    const receipt = { writeId, clock, tie, policy, acked, missing: {}, durationMillis: 1 }
    watching.onReceipt(world, receipt, one.askedAt, other.process!.owner)
    const content = Disk.copyOf(a)
    content.logs.delete(logOf(1))
    Object.assign(first.disk, { content, putBack: content.incarnation, openedAt: 0 })
    const heardOf = (incarnation: LogId.Incarnation) => {
      const { id: from } = first
      const { id: to } = other
      const said = { voting: true, vector: [], clock: { wallTime: epochMillis, logical: 0 } }
      const request = { ...said, incarnation: logOf(1), members: { [from]: { incarnation } } }
      watching.onPassing(world, { by: other.process!.owner, from: to, to: from, name: "hello", request })
      const answer = { ...said, incarnation: content.incarnation, members: {}, session: "s" }
      watching.onPassing(world, { by: first.process!.owner, from, to, name: "hello", request, answer })
    }
    // One that does not know this life of it can tell it nothing.
    heardOf(LogId.incarnationAfterBoot(content.incarnation, 0))
    assert.deepStrictEqual(world.violations, [])
    heardOf(content.incarnation)
    assert.deepStrictEqual(
      world.violations.map(({ law }) => law),
      ["RecoveringDoesNotVote"]
    )
  })

  it("RecoveringDoesNotVote is kept by who was put back and has heard nobody, for however long, and broken once it has", () => {
    const scene = running()
    const { a, logOf, one, second: writeId, world } = scene
    const [first, other] = world.machines as [Machines.Machine, Machines.Machine]
    Machines.start(world.setting, other)
    says(scene, "push", ackOf(scene, {}))
    const policy = Result.getOrThrow(QuorumPolicy.majority(3))
    const acked = [{ replica: first.id, afterMillis: 0, how: "self" as const }]
    const { clock, tie } = stampless()
    watching.onReceipt(world, { writeId, clock, tie, policy, acked, missing: {}, durationMillis: 1 }, one.askedAt)
    const content = Disk.copyOf(a)
    content.logs.delete(logOf(1))
    Object.assign(first.disk, { content, putBack: content.incarnation, openedAt: -60_000 })
    const { id: from } = first
    const { id: to } = other
    const said = { voting: true, vector: [], clock: { wallTime: epochMillis, logical: 0 } }
    const own = { ...said, incarnation: content.incarnation, members: {} }
    watching.onPassing(world, { by: first.process!.owner, from, to, name: "hello", request: own })
    assert.deepStrictEqual(world.violations, [])
    const theirs = { ...said, incarnation: logOf(1), members: { [from]: { incarnation: content.incarnation } } }
    watching.onPassing(world, { by: other.process!.owner, from: to, to: from, name: "hello", request: theirs })
    const answer = { ...own, session: "s" }
    watching.onPassing(world, { by: first.process!.owner, from, to, name: "hello", request: theirs, answer })
    Object.assign(world.timeline, { now: () => 1 })
    watching.onPassing(world, { by: first.process!.owner, from, to, name: "hello", request: own })
    assert.deepStrictEqual(
      world.violations.map(({ law }) => law),
      ["RecoveringDoesNotVote"]
    )
  })
})
