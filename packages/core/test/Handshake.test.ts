import { assert, describe, it } from "@effect/vitest"
import { type PeerProtocol } from "../src/adapter.ts"
import { Limits } from "../src/index.ts"
import { refusalOf, skewOf } from "../src/peer/internal/Handshake.ts"
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

  it("tells the difference of the clocks without what the way took", () => {
    assert.strictEqual(skewOf(1000, 1010, 1010, 1020), 0)
    assert.strictEqual(skewOf(1000, 6010, 6015, 1025), 5000)
    assert.strictEqual(skewOf(6000, 1010, 1010, 6020), -5000)
  })
})
