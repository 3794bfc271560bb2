/** What one connection may cost: each limit on both sides of its edge. */
import { assert, describe, it, vi } from "@effect/vitest"
import { type Endings, ReplicaServer, ServerLimits } from "../src/adapter.ts"

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

/** A server that was given a limit, to which requests can be made to come. */
const limited = (bodies: ServerLimits.Bodies, ended?: Endings.Endings) => {
  let come: (request: ServerLimits.NodeRequest, response: Pick<ServerLimits.NodeRequest, "once">) => void = () => {}
  const prependListener = (event: string, listener: typeof come) => void (event === "request" && (come = listener))
  ServerLimits.limit(
    { listening: true, prependListener: prependListener as ServerLimits.NodeServer["prependListener"] },
    bodies,
    9,
    ended
  )
  return (headers: ServerLimits.NodeRequest["headers"], url = "/v1/x") => {
    const socket = {
      remoteAddress: "10.0.0.1",
      bytesRead: 0,
      isEnded: false,
      destroy: () => void (socket.isEnded = true),
      end: () => void (socket.isEnded = true),
      once: () => {}
    }
    const closed: Array<() => void> = []
    const once = (_: "close", listener: () => void) => void closed.push(listener)
    come({ url, headers, complete: false, readableLength: 0, socket, once }, { once: () => {} })
    return { isEnded: () => socket.isEnded, end: () => closed.forEach((listener) => listener()) }
  }
}

describe("L63 bodies that are under way", () => {
  const length = (bytes: number) => ({ "content-length": String(bytes) })

  it("end their connection when they are more than fit, by a byte, and those before them stay", () => {
    const send = limited({ largest: 600, together: 1000 })
    const first = send(length(500))
    const second = send(length(500))
    const third = send(length(1))
    assert.deepStrictEqual(
      [first, second, third].map((each) => each.isEnded()),
      [false, false, true]
    )
    for (const each of [first, second]) each.end()
    const again = [send(length(500)), send(length(500))]
    assert.isFalse(again.some((each) => each.isEnded()))
    for (const each of again) each.end()
  })

  it("count as what is kept of them: of one without a length the most, of lines a little, of those of peers nothing", () => {
    const send = limited({ largest: 600, together: 1000 })
    const requests = [
      send({}),
      send({}, "/peer"),
      send(length(10 ** 12), "/peer"),
      send(length(401)),
      send(length(400))
    ]
    assert.deepStrictEqual(
      requests.map((each) => each.isEnded()),
      [false, false, true, true, false]
    )
    for (const each of requests) each.end()
    const many = limited({ largest: 10 ** 6, together: 1000 * 1000 })
    const lines = Array.from({ length: 15 }, () => many({ "content-type": "application/x-ndjson" }))
    assert.isFalse(lines.some((each) => each.isEnded()))
    for (const each of lines) each.end()
  })
})

describe("L63 a connection that costs more than it may", () => {
  it("is told of, with the bound and the address", () => {
    vi.useFakeTimers()
    const told: Array<readonly [string, string | undefined]> = []
    const send = limited({ largest: 600, together: 1000 }, (reason, address) => void told.push([reason, address]))
    const first = send({ "content-length": "600" })
    send({ "content-length": "600" })
    assert.deepStrictEqual(told.splice(0), [["too_many_bodies", "10.0.0.1"]])
    vi.advanceTimersByTime(4 * ServerLimits.bodyMillis)
    assert.deepStrictEqual(told.splice(0), [["slow_body", "10.0.0.1"]])
    assert.isTrue(first.isEnded())
    vi.useRealTimers()
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
