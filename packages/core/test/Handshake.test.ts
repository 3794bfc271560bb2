import { assert, describe, it } from "@effect/vitest"
import { type PeerProtocol } from "../src/adapter.ts"
import { Limits } from "../src/index.ts"
import { clockOf, refusalOf } from "../src/peer/internal/Handshake.ts"
import * as Cluster from "./support/cluster.ts"
import { says } from "./support/greeting.ts"

const [a, b, c] = [Cluster.id("a"), Cluster.id("b"), Cluster.id("c")]
const members = { cluster: "test", self: a, peers: [b, c] }
const ours = { versions: [2, 3], features: [], limits: Limits.defaults }
const welcome: PeerProtocol.Welcome = {
  version: 3,
  cluster: "test",
  replica: b,
  ...says("00000000000000bb"),
  vector: [],
  session: "s",
  receivedAt: 0,
  sentAt: 0
}
const reasonOf = (change: Partial<PeerProtocol.Welcome>) =>
  refusalOf({ ...welcome, ...change }, b, members, ours)?.reason

describe("the answer to a handshake", () => {
  it("L14 is taken from the member that was called, of this replica set, in a common version", () => {
    assert.isUndefined(reasonOf({}))
    assert.strictEqual(reasonOf({ replica: c }), "wrong_replica")
    assert.strictEqual(reasonOf({ cluster: "other" }), "wrong_replica")
    assert.strictEqual(reasonOf({ version: 4 }), "version")
  })

  it("tells the other's clock with half of what the way took, whatever that clock is set to meanwhile", () => {
    const clock = (receivedAt: number, sentAt: number, roundTrip: number) => clockOf({ receivedAt, sentAt }, roundTrip)
    assert.strictEqual(clock(1010, 1010, 20), 1020)
    assert.strictEqual(clock(6010, 6015, 25), 6025)
    assert.strictEqual(clock(1010, 9_001_010, 20), 9_001_010)
    assert.strictEqual(clock(9_001_010, 1010, 20), 1020)
  })
})
