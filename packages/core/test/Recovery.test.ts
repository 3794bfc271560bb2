import { assert, describe, it } from "@effect/vitest"
import * as Recovery from "../src/peer/internal/Recovery.ts"
import * as Cluster from "./support/cluster.ts"

const [b, c] = [Cluster.id("b"), Cluster.id("c")]

const start = (peers = [b, c]) => {
  let end = 0
  let done = 0
  const recovery = Recovery.make({
    peers,
    patienceMillis: 1000,
    startedMonotonicMillis: 500,
    ownEnd: () => end,
    onDone: () => done++
  })
  return { recovery, done: () => done, appendedUpTo: (seq: number) => (end = seq) }
}

describe("Recovery", () => {
  it("a replica without peers has nothing to ask", () => {
    const { done, recovery } = start([])
    assert.isTrue(recovery.isDone())
    assert.strictEqual(done(), 1)
  })

  it("is done when the last peer was tried, and says so once", () => {
    const { done, recovery } = start()
    recovery.heard(b, 0)
    recovery.tried(b)
    assert.isFalse(recovery.isDone())
    recovery.tried(c)
    assert.isTrue(recovery.isDone())
    recovery.tried(c)
    assert.strictEqual(done(), 1)
  })

  it("is not done before what any peer holds of the own log is held here, to the last entry", () => {
    const { appendedUpTo, recovery } = start()
    recovery.heard(b, 5)
    recovery.heard(c, 3)
    appendedUpTo(4)
    recovery.tried(b)
    recovery.tried(c)
    assert.isFalse(recovery.isDone())
    appendedUpTo(5)
    recovery.tried(b)
    assert.isTrue(recovery.isDone())
  })

  it("waits for a peer that cannot be reached as long as it has patience, and no longer", () => {
    const { recovery } = start()
    recovery.tried(b)
    recovery.failed(c, 1499)
    assert.isFalse(recovery.isDone())
    recovery.failed(c, 1500)
    assert.isTrue(recovery.isDone())
  })

  it("never gives up on what a peer said that it holds", () => {
    const { recovery } = start()
    recovery.tried(b)
    recovery.heard(c, 7)
    recovery.failed(c, 1_000_000)
    assert.isFalse(recovery.isDone())
  })

  it("expects nothing of a copy that differs", () => {
    const { recovery } = start()
    recovery.tried(b)
    recovery.heard(c, 7)
    recovery.differs(c)
    recovery.tried(c)
    assert.isTrue(recovery.isDone())
  })
})
