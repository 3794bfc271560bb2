import { assert, describe, it } from "@effect/vitest"
import { PeerProtocol, ReplicaStore } from "../src/adapter.ts"
import * as LinkState from "../src/peer/internal/LinkState.ts"
import * as Cluster from "./support/cluster.ts"

const peer = Cluster.id("b")
const { maxBatchBytes } = PeerProtocol
const unreachable = (reason: PeerProtocol.PeerUnreachable["reason"]) =>
  new PeerProtocol.PeerUnreachable({ peer, reason, detail: "" })
const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "" })
const fails = (error: LinkState.LinkFailure, times: number, state = LinkState.make(peer)): LinkState.LinkState =>
  times === 0 ? state : fails(error, times - 1, LinkState.failed(state, error))

describe("LinkState", () => {
  it("pauses 50 ms after the first failure, and longer after each, up to a second", () => {
    const pauses = [1, 2, 3, 9, 100].map((n) => LinkState.pauseMillis(fails(unreachable("refused"), n), 0.5))
    assert.deepStrictEqual(pauses, [50, 75, 112.5, 1000, 1000])
  })

  it("L22 spreads the pause by a fifth to both sides", () => {
    const state = fails(unreachable("refused"), 1)
    assert.strictEqual(LinkState.pauseMillis(state, 0), 40)
    assert.isBelow(LinkState.pauseMillis(state, 0.999), 60)
    assert.isAbove(LinkState.pauseMillis(state, 0.999), 59.9)
  })

  it("sends less after a time-out only, and never less than the least", () => {
    assert.strictEqual(fails(unreachable("refused"), 3).batchBytes, maxBatchBytes)
    assert.strictEqual(fails(unreachable("timed_out"), 1).batchBytes, maxBatchBytes / 4)
    assert.strictEqual(fails(unreachable("timed_out"), 100).batchBytes, LinkState.minBatchBytes)
  })

  it("is cautious until it carries the most again", () => {
    let state = fails(unreachable("timed_out"), 1)
    assert.isTrue(LinkState.isCautious(state))
    state = LinkState.grown(state)
    assert.isTrue(LinkState.isCautious(state))
    state = LinkState.grown(state)
    assert.isFalse(LinkState.isCautious(state))
    assert.strictEqual(state.batchBytes, maxBatchBytes)
    assert.strictEqual(LinkState.grown(state), state)
  })

  it("remembers a failing store through other failures, until the peer does what it is for", () => {
    const state = LinkState.failed(fails(full, 1), unreachable("refused"))
    assert.isTrue(state.failsToStore)
    assert.deepInclude(LinkState.works(state), { failsToStore: false, failures: 0 })
    assert.isFalse(fails(unreachable("refused"), 2).failsToStore)
  })

  it("works without a new value when nothing had failed", () => {
    const state = LinkState.make(peer)
    assert.strictEqual(LinkState.works(state), state)
  })

  it("L9 says timed out of a silent peer, and refused of one that turned us away", () => {
    assert.deepStrictEqual(LinkState.verdictOf(unreachable("timed_out")), { _tag: "timed_out" })
    for (const error of [unreachable("refused"), unreachable("invalid_answer"), full]) {
      assert.deepStrictEqual(LinkState.verdictOf(error), { _tag: "refused", detail: error.message })
    }
    const rejected = new PeerProtocol.PushRejected({ detail: "no" })
    assert.deepStrictEqual(LinkState.verdictOf(rejected), { _tag: "rejected", detail: "no" })
  })
})
