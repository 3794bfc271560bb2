/** What one connection may cost: each limit on both sides of its edge. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaServer, ServerLimits } from "../src/adapter.ts"

/** A socket with so much that is not read, and whether it was ended. */
const socketWith = (writableLength: number) => {
  const socket = { writableLength, destroyed: false, destroy: () => void (socket.destroyed = true) }
  return socket
}

describe("L63 answers that nobody reads", () => {
  it("end their connection when there are more than may be, by a byte", () => {
    for (const [waiting, isEnded] of [
      [0, false],
      [1000, false],
      [1001, true]
    ] as const) {
      const socket = socketWith(waiting)
      assert.strictEqual(ServerLimits.endUnread({ socket }, 1000), isEnded)
      assert.strictEqual(socket.destroyed, isEnded)
      assert.strictEqual(ServerLimits.isEnded({ socket }), isEnded)
    }
  })

  it("are not known of a request that is none of Node's", () => {
    for (const source of [{}, { socket: null }, { socket: {} }, new Request("http://localhost/peer")]) {
      assert.isFalse(ServerLimits.endUnread(source, 0))
      assert.isFalse(ServerLimits.isEnded(source))
    }
  })
})

describe("the hosts of a replica", () => {
  it("are those in the URLs of its peers, without ports, and those that it was given", () => {
    const urls = { a: "http://a.example:7400", b: "wss://b.example/path", c: "http://10.0.0.3:1", d: "no URL" }
    assert.deepStrictEqual(ReplicaServer.hostsOf(urls, ["x.example"]), [
      "x.example",
      "a.example",
      "b.example",
      "10.0.0.3"
    ])
    assert.deepStrictEqual(ReplicaServer.hostsOf({}), [])
  })
})
