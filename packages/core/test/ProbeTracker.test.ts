/** Which calls are covered by what peers have answered. */
import { assert, describe, it } from "@effect/vitest"
import * as ProbeTracker from "../src/quorum/ProbeTracker.ts"
import * as Cluster from "./support/cluster.ts"

const answers = (n: number, marks: Readonly<Record<string, number>>): ProbeTracker.ProbeTracker =>
  Object.entries(marks).reduce(
    (tracker, [peer, mark]) => ProbeTracker.answer(tracker, Cluster.id(peer), mark),
    ProbeTracker.make(n)
  )

describe("ProbeTracker", () => {
  it("covers what as many peers answered as are a majority with this replica", () => {
    assert.strictEqual(ProbeTracker.coveredBefore(answers(3, {})), 0)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(3, { b: 4 })), 4)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(3, { b: 4, c: 9 })), 9)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(5, { b: 4 })), 0)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(5, { b: 4, c: 9 })), 4)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(5, { b: 9, c: 4, d: 7, e: 1 })), 7)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(7, { b: 5, c: 5, d: 5, e: 2 })), 5)
  })

  it("L1 covers nothing of an even number before more than half have answered, this replica among them", () => {
    assert.strictEqual(ProbeTracker.coveredBefore(answers(2, {})), 0)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(2, { b: 4 })), 4)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(4, { b: 4 })), 0)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(4, { b: 4, c: 9 })), 4)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(6, { b: 4, c: 9 })), 0)
    assert.strictEqual(ProbeTracker.coveredBefore(answers(6, { b: 4, c: 9, d: 5 })), 4)
  })

  it("covers everything where this replica is alone", () => {
    assert.strictEqual(ProbeTracker.coveredBefore(ProbeTracker.make(1)), Number.POSITIVE_INFINITY)
  })
})
