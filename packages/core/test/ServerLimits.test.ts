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

type Answer = Pick<ServerLimits.NodeRequest["socket"], "writableLength" | "writableEnded" | "once">

/** A server that was given a limit, to which requests can be made to come. */
const limited = (bodies: ServerLimits.Bodies, ended?: Endings.Endings) => {
  let come: (request: ServerLimits.NodeRequest, response: Answer) => void = () => {}
  const prependListener = (event: string, listener: typeof come) => void (event === "request" && (come = listener))
  ServerLimits.limit(
    { listening: true, prependListener: prependListener as ServerLimits.NodeServer["prependListener"] },
    bodies,
    9,
    ended
  )
  return (
    headers: ServerLimits.NodeRequest["headers"],
    url = "/v1/x",
    unread = 0,
    remoteAddress: string | undefined = "10.0.0.1",
    method = "POST"
  ) => {
    const closed: Array<() => void> = []
    const once = (_: "close", listener: () => void) => void closed.push(listener)
    const socket = {
      remoteAddress,
      bytesRead: 0,
      isEnded: false,
      said: "",
      writable: true,
      writableLength: 0,
      writableEnded: false,
      destroy: () => void (socket.isEnded = true),
      end: (said = "") => {
        socket.said = said
        socket.isEnded = true
      },
      once
    }
    const answer = { writableLength: unread, writableEnded: true, once }
    const taken: Array<Uint8Array | null> = []
    const push = (piece: Uint8Array | null) => taken.push(piece) > 0
    const request = { method, url, headers, complete: false, readableLength: 0, socket, once, push }
    come(request, answer)
    const end = () => closed.forEach((listener) => listener())
    return {
      isEnded: () => socket.isEnded,
      end,
      answer,
      /** What was answered in the place of a handler. */
      said: () => socket.said,
      /** So many pieces of a body come, each of so many bytes; how many are handed on. */
      comes: (pieces: number, bytes: number) => {
        const before = taken.length
        for (let i = 0; i < pieces; i++) request.push(new Uint8Array(bytes))
        socket.bytesRead += pieces * bytes
        return taken.length - before
      },
      keeps: (bytes: number) => ServerLimits.keepsOfLine(request, bytes),
      of: (client: string) => ServerLimits.isWithinShare(request, client)
    }
  }
}

describe("L63 answers of all connections that nobody reads", () => {
  const most = { largest: 100, together: 1000 }
  const none = { "content-length": "0" }

  it("end the connections on which most of them wait, when they are more than may be together, and no others", () => {
    const told: Array<Parameters<Endings.Endings>> = []
    const send = limited(most, (...each) => void told.push(each))
    const [some, more, few] = [300, 600, 100].map((unread) => send(none, "/v1/x", unread))
    const isEnded = () => [some, more, few].map((each) => each!.isEnded())
    for (let i = 0; i < 20; i++) send(none).end()
    assert.deepStrictEqual(isEnded(), [false, false, false])
    few!.answer.writableLength = 101
    for (let i = 0; i < 20; i++) send(none).end()
    assert.deepStrictEqual(isEnded(), [false, true, false])
    assert.deepStrictEqual(told, [["unread", "10.0.0.1"]])
  })

  it("end those of the client for whom most of them wait, on however many connections, and not those of others", () => {
    const told: Array<Parameters<Endings.Endings>> = []
    const send = limited(most, (...each) => void told.push(each))
    const little = send(none, "/v1/x", 10, "10.0.0.3")
    const other = send(none, "/v1/x", 300, "10.0.0.2")
    const many = [100, 290, 290].map((unread) => send(none, "/v1/x", unread))
    const isEnded = () => [little, other, ...many].map((each) => each.isEnded())
    for (let i = 0; i < 20; i++) send(none, "/v1/x", 0, "10.0.0.3").end()
    assert.deepStrictEqual(isEnded(), [false, false, false, false, false])
    many[0]!.answer.writableLength = 121
    for (let i = 0; i < 20; i++) send(none, "/v1/x", 0, "10.0.0.3").end()
    assert.deepStrictEqual(isEnded(), [false, false, false, false, true])
    assert.deepStrictEqual(told, [["unread", "10.0.0.1"]])
  })

  it("are a token's where it is known, whatever addresses they go to", () => {
    const send = limited(most)
    const proxied = [300, 300, 200].map((unread) => send(none, "/v1/x", unread))
    const all = [...proxied, send(none, "/v1/x", 201, "10.0.0.2")]
    all.forEach((each, i) => each.of(i === 0 ? "token one" : "token two"))
    for (let i = 0; i < 20; i++) send(none).end()
    assert.deepStrictEqual(
      all.map((each) => each.isEnded()),
      [false, true, false, false]
    )
  })

  it("are looked at without a further request too, and those of peers for themselves", () => {
    vi.useFakeTimers()
    try {
      const send = limited(most)
      const [client, peer] = [send(none, "/v1/x", 0), send(none, "/peer", 900)]
      client.answer.writableLength = 1001
      vi.advanceTimersByTime(100)
      assert.deepStrictEqual([client.isEnded(), peer.isEnded()], [true, false])
      peer.end()
      client.end()
      assert.strictEqual(vi.getTimerCount(), 0)
    } finally {
      vi.useRealTimers()
    }
  })

  it("have room for the page of one that goes on", () => {
    const mebibyte = 1024 * 1024
    const send = limited({ largest: mebibyte, together: 2 * mebibyte })
    const goesOn = [send(none, "/v1/x", 1), send(none, "/v1/x", 2)]
    for (const { answer } of goesOn) answer.writableEnded = false
    send(none).end()
    assert.deepStrictEqual(
      goesOn.map((each) => each.isEnded()),
      [false, true]
    )
  })
})

describe("L63 bodies that are under way", () => {
  const length = (bytes: number) => ({ "content-length": String(bytes) })
  const chunked = { "transfer-encoding": "chunked" }

  it("are none of requests without one, which Node has not read to their end either", () => {
    const send = limited({ largest: 600, together: 1000 })
    assert.isFalse(Array.from({ length: 9 }, () => send({})).some((each) => each.isEnded()))
  })

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
      send(chunked),
      send(chunked, "/peer"),
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
    const lines = Array.from({ length: 15 }, () => many({ ...chunked, "content-type": "application/x-ndjson" }))
    assert.isFalse(lines.some((each) => each.isEnded()))
    for (const each of lines) each.end()
  })
})

describe("L63 lines that are under way", () => {
  const lines = { "transfer-encoding": "chunked", "content-type": "application/x-ndjson; charset=utf-8" }
  const kibibyte = 1024

  it("count as what is kept of the longest, by a byte, and no more once it has come", () => {
    const send = limited({ largest: 200 * kibibyte, together: 200 * kibibyte })
    const [one, other] = [send(lines), send(lines)]
    assert.isTrue(one.keeps(136 * kibibyte))
    assert.isTrue(one.keeps(10))
    assert.isTrue(one.keeps(136 * kibibyte))
    assert.isFalse(other.keeps(64 * kibibyte + 1))
    // It is over, and leaves its room.
    assert.isTrue(one.keeps(200 * kibibyte))
    for (const each of [one, other]) each.end()
    const third = send(lines)
    assert.isFalse(third.keeps(200 * kibibyte + 1))
    third.end()
  })

  it("are no more than are left for others", () => {
    const send = limited({ largest: 1000 * kibibyte, together: 1000 * kibibyte })
    const one = send(lines)
    assert.isTrue(one.of("token one"))
    assert.isTrue(one.keeps(500 * kibibyte))
    const other = send(lines)
    assert.isTrue(other.of("token two"))
    assert.isFalse(one.keeps(500 * kibibyte + 1))
    for (const each of [one, other]) each.end()
  })

  it("may take as long as they come, but one that is long may not", () => {
    vi.useFakeTimers()
    try {
      const send = limited({ largest: 1000 * kibibyte, together: 1000 * kibibyte })
      const [short, long, after] = [send(lines), send(lines), send(lines)]
      for (let looks = 0; looks < 3; looks++) {
        for (const each of [short, long, after]) each.comes(1, 10)
        short.keeps(64 * kibibyte)
        long.keeps(64 * kibibyte + 1)
        // Another one each time.
        after.keeps(0)
        after.keeps(64 * kibibyte + 1)
        vi.advanceTimersByTime(ServerLimits.bodyMillis)
      }
      assert.deepStrictEqual(
        [short, long, after].map((each) => each.isEnded()),
        [false, true, false]
      )
      for (const each of [short, long, after]) each.end()
    } finally {
      vi.useRealTimers()
    }
  })

  it("are what is posted as such, and not a value of that type, which is kept as a whole", () => {
    for (const [method, type, isLines] of [
      ["POST", "application/x-ndjson", true],
      ["POST", "Application/X-NDJSON ;x", true],
      ["POST", "application/x-ndjson2", false],
      ["PUT", "application/x-ndjson", false]
    ] as const) {
      const send = limited({ largest: 600 * kibibyte, together: 1000 * kibibyte })
      const headers = { "transfer-encoding": "chunked", "content-type": type }
      const both = [1, 2].map(() => send(headers, "/v1/x", 0, "10.0.0.1", method))
      assert.deepStrictEqual(
        both.map((each) => each.isEnded()),
        [false, !isLines],
        `${method} ${type}`
      )
      for (const each of both) each.end()
    }
  })
})

describe("L63 a body in pieces of a few bytes", () => {
  const chunked = { "transfer-encoding": "chunked" }

  it("is answered with 413 once there are a thousand of them, and no more of it is taken", () => {
    const told: Array<Parameters<Endings.Endings>> = []
    const send = limited({ largest: 1000, together: 10_000 }, (...each) => void told.push(each))
    const body = send(chunked)
    assert.strictEqual(body.comes(100_000, 1), Math.floor((1024 * 32) / 31))
    assert.isTrue(body.isEnded())
    assert.match(body.said(), /^HTTP\/1\.1 413 .*"error":"request_too_large"/s)
    assert.deepStrictEqual(told, [["small_pieces", "10.0.0.1"]])
    body.end()
  })

  it("is taken where they are as long as a short line, or where they come slowly", () => {
    vi.useFakeTimers()
    try {
      const send = limited({ largest: 1000, together: 10_000_000 })
      const [lines, signs] = [1, 2].map(() => send({ ...chunked, "content-type": "application/x-ndjson" }))
      assert.strictEqual(lines!.comes(100_000, 32), 100_000)
      for (let looks = 0; looks < 3; looks++) {
        assert.strictEqual(signs!.comes(1024, 1), 1024)
        vi.advanceTimersByTime(ServerLimits.bodyMillis)
      }
      assert.isFalse(signs!.isEnded())
      for (const each of [lines, signs]) each!.end()
    } finally {
      vi.useRealTimers()
    }
  })
})

describe("L63 bodies of one client", () => {
  const half = { "content-length": "500" }

  it("are no more than are left for the others, by a byte, and what does not fit is not kept", () => {
    const send = limited({ largest: 600, together: 1000 })
    const first = send(half)
    assert.isTrue(first.of("token one"))
    for (let i = 0; i < 9; i++) assert.isFalse(send({ "content-length": "1" }).of("token one"))
    const second = send({ "content-length": "250" })
    assert.isTrue(second.of("token two"))
    assert.isFalse(send({ "content-length": "1" }).of("token two"))
    const third = send({ "content-length": "125" })
    assert.isTrue(third.of("address 10.0.0.1"))
    for (const each of [first, second, third]) each.end()
    const again = send(half)
    assert.isTrue(again.of("token one"))
    // Who is asked twice is the same, and counts once.
    assert.isTrue(again.of("token one"))
    assert.isFalse(again.isEnded())
  })

  it("are anybody's where there is no body, or nobody counts", () => {
    const send = limited({ largest: 600, together: 1000 })
    assert.isTrue(send(half).of("token one"))
    for (const nothing of [{}, { "content-length": "0" }]) {
      send(half).of("token two")
      assert.isTrue(send(nothing).of("token one"))
    }
    for (const source of [{}, new Request("http://localhost/v1/x")]) {
      assert.isTrue(ServerLimits.isWithinShare(source, "token one"))
    }
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
