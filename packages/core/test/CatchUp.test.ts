import { assert, describe, it } from "@effect/vitest"
import { Entry, HybridLogicalClock, LogId } from "../src/index.ts"
import { type Chain, EntryBatch, type PeerProtocol, Watermark } from "../src/adapter.ts"
import { faultOf, isStalled } from "../src/peer/internal/CatchUp.ts"
import { comparable, stillAhead } from "../src/peer/internal/Comparing.ts"
import { judge } from "../src/peer/internal/PushAnswers.ts"
import * as Cluster from "./support/cluster.ts"

const [a, b] = [Cluster.id("a"), Cluster.id("b")]
const incarnation = "00000000000000aa" as LogId.Incarnation
const log = LogId.make(a, incarnation)
const at = (seq: number): Watermark.Watermark => ({
  log,
  seq,
  chain: `00000000000000${seq}0`.slice(-16) as Chain.Chain
})

const batchOf = (count: number) =>
  EntryBatch.encode(
    Watermark.none(log),
    Array.from({ length: count }, (_, i) => Entry.put("n", `k${i}`, "v")),
    HybridLogicalClock.zero,
    1
  ).batch

describe("comparing with a peer", () => {
  it("compares what it says when that is held here, up to the very end", () => {
    assert.strictEqual(comparable(at(5), undefined, 5, 0)?.seq, 5)
    assert.strictEqual(comparable(at(4), undefined, 5, 0)?.seq, 4)
    assert.isUndefined(comparable(at(6), undefined, 5, 0))
  })

  it("compares nothing that is known already, and the first entry beyond", () => {
    assert.isUndefined(comparable(at(3), undefined, 5, 3))
    assert.strictEqual(comparable(at(4), undefined, 5, 3)?.seq, 4)
  })

  it("compares what a peer that is ahead said before, once that is held here", () => {
    assert.strictEqual(comparable(at(9), at(5), 5, 0)?.seq, 5)
    assert.isUndefined(comparable(at(9), at(6), 5, 0))
    assert.isUndefined(comparable(at(9), at(5), 5, 5))
    // What it says now is more.
    assert.strictEqual(comparable(at(5), at(3), 5, 0)?.seq, 5)
  })

  it("keeps the oldest that is ahead, until it is held here", () => {
    assert.strictEqual(stillAhead(at(6), undefined, 5)?.seq, 6)
    assert.strictEqual(stillAhead(at(9), at(6), 5)?.seq, 6)
    assert.strictEqual(stillAhead(at(9), at(6), 6)?.seq, 9)
    assert.isUndefined(stillAhead(at(5), at(3), 5))
  })
})

describe("a log that its owner pushes", () => {
  const welcome = (seq: number) => ({ vector: [at(seq)] }) as Partial<PeerProtocol.Welcome> as PeerProtocol.Welcome
  it("is pulled when it made no progress since the heartbeat before", () => {
    assert.isFalse(isStalled(undefined, log, 0))
    assert.isTrue(isStalled(welcome(5), log, 4))
    assert.isFalse(isStalled(welcome(5), log, 5))
    assert.isFalse(isStalled(welcome(5), LogId.make(b, incarnation), 0))
  })
})

describe("the answer to a pull", () => {
  const batch = batchOf(3)
  it("may begin at or before the place that was asked for, and has to go beyond it", () => {
    for (const after of [0, 1, 2]) assert.isUndefined(faultOf(batch, log, after))
    assert.isDefined(faultOf(batch, log, 3))
  })

  it("may leave no gap", () => {
    const second = EntryBatch.after(batch, 1)
    assert.isUndefined(faultOf(second, log, 1))
    assert.isDefined(faultOf(second, log, 0))
  })

  it("is of the log that was asked for, and undamaged", () => {
    assert.isDefined(faultOf(batch, LogId.make(b, incarnation), 0))
    const bytes = batch.bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte))
    assert.isDefined(faultOf({ ...batch, bytes }, log, 0))
  })
})

describe("the answer to a push", () => {
  const batch = batchOf(3)
  const ack: PeerProtocol.Ack = {
    ...EntryBatch.watermark(batch),
    replica: b,
    incarnation,
    members: 7,
    clock: { wallTime: 1, logical: 0 },
    voting: true
  }

  it("L11 counts when it names the replica, the log, the last place and the chain there", () => {
    assert.strictEqual(judge(b, batch, ack), "ack")
  })

  it("L11 counts for nothing when it names another replica, another log, or a place before or after", () => {
    assert.strictEqual(judge(b, batch, { ...ack, replica: a }), "invalid")
    assert.strictEqual(judge(b, batch, { ...ack, log: LogId.make(b, incarnation) }), "invalid")
    assert.strictEqual(judge(b, batch, { ...ack, seq: 2 }), "invalid")
    assert.strictEqual(judge(b, batch, { ...ack, seq: 4 }), "invalid")
  })

  it("L12 is a drift when the chain at the place is another", () => {
    assert.strictEqual(judge(b, batch, { ...ack, chain: "00000000000000ff" as Chain.Chain }), "drift")
  })
})
