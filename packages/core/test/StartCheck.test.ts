import { assert, describe, it } from "@effect/vitest"
import * as StartCheck from "../src/peer/internal/StartCheck.ts"
import * as Cluster from "./support/cluster.ts"

const [b, c] = [Cluster.id("b"), Cluster.id("c")]

const start = (peers = [b, c]) => {
  let done = 0
  const check = StartCheck.make({ peers, patienceMillis: 1000, startedMonotonicMillis: 500, onDone: () => done++ })
  return { check, done: () => done }
}

describe("the check before the first append", () => {
  it("is done from the start without peers", () => {
    assert.isTrue(start([]).check.isDone())
  })

  it("is done when the last peer was asked, and says so once", () => {
    const { check, done } = start()
    check.tried(b)
    check.tried(b)
    assert.isFalse(check.isDone())
    check.tried(c)
    check.tried(c)
    check.failed(c, 9999)
    assert.isTrue(check.isDone())
    assert.strictEqual(done(), 1)
  })

  it("waits for a peer that cannot be reached as long as it has patience, and no longer", () => {
    const { check } = start()
    check.tried(b)
    check.failed(c, 1499)
    assert.isFalse(check.isDone())
    check.failed(c, 1500)
    assert.isTrue(check.isDone())
  })
})
