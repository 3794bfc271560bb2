/** What a replica as it is served makes of who answers at a peer's address, and of who calls: with all that Node adds. */
import { createHash } from "node:crypto"
import { type AddressInfo, connect as connectTo, createServer, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Entry, QuorumPolicy, QuorumWriter, Replica, ReplicaSet, ReplicaStatus } from "@quorum/core"
import { PeerProtocol, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { HttpNode } from "@quorum/http/node"
import { WsNode } from "@quorum/ws/node"
import { Context, Effect, Layer, Logger, Result, Schedule } from "effect"
import { HttpServer } from "effect/http"

const serve = { http: HttpNode.serve, ws: WsNode.serve }
const policy = Result.getOrThrow(QuorumPolicy.make({ n: 2, w: 1, order: "clock" }))
type Transport = keyof typeof serve
const transports = ["http", "ws"] as const

/** A replica of two, with its peer at a port of this machine. */
const replica = Effect.fnUntraced(function* (transport: Transport, self: "a" | "b", peerPort: number) {
  const peer = self === "a" ? "b" : "a"
  const context = yield* Replica.layer({ policy }).pipe(
    serve[transport]({ port: 0, insecure: true, peers: { [peer]: `${transport}://127.0.0.1:${peerPort}` } }),
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self, members: ["a", "b"] })),
    Layer.provide([
      Layer.succeed(PeerProtocol.RequestTimeout, 1000),
      Layer.succeed(PeerProtocol.HeartbeatInterval, 100)
    ]),
    Layer.provide(Logger.layer([])),
    Layer.build
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  assert("port" in address)
  const status = Context.get(context, ReplicaStatus.ReplicaStatus).current
  return {
    port: address.port,
    writer: Context.get(context, QuorumWriter.QuorumWriter),
    peer: () => status().peers[0]!
  }
})

/** What listens for connections until the scope closes; its port. */
const listen = (onConnection: (socket: Socket) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly end: () => void }>((resume) => {
      const sockets = new Set<Socket>()
      const server = createServer((socket) => {
        sockets.add(socket.on("error", () => undefined).on("close", () => sockets.delete(socket)))
        onConnection(socket)
      })
      const end = (): void => {
        server.close()
        for (const socket of sockets) socket.destroy()
      }
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ port: (server.address() as AddressInfo).port, end })))
    }),
    ({ end }) => Effect.sync(end)
  ).pipe(Effect.map(({ port }) => port))

/** Waits until a condition holds. */
const until = (what: string, condition: () => boolean) =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.fail(what))).pipe(
    Effect.retry(Schedule.spaced(10)),
    Effect.timeoutOrElse({ duration: 20_000, orElse: () => Effect.die(`not within 20 s: ${what}`) }),
    Effect.orDie
  )

/** Calls back with what came on a connection, once that is a whole request without its body. */
const onRequest = (socket: Socket, answer: (head: string) => void): void => {
  let head = ""
  socket.on("data", (data) => {
    const before = head.includes("\r\n\r\n")
    head += data.toString("latin1")
    if (!before && head.includes("\r\n\r\n")) answer(head)
  })
}

/** The head of a message of 90 MiB, as WebSocket has it: `mask` is 128 for who calls, whose messages have a key. */
const messageHead = (mask: 0 | 128): Buffer => {
  const head = Buffer.alloc(mask === 0 ? 10 : 14)
  head.set([0x82, mask | 127])
  head.writeUInt32BE(90 * 1024 * 1024, 6)
  return head
}

/** Sends without an end, until the other side has enough; `count` hears of each piece. */
const sendOn = (socket: Socket, count: (bytes: number) => void): void => {
  const chunk = Buffer.alloc(64 * 1024, 4)
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk)) count(chunk.length)
    if (!socket.destroyed) socket.once("drain", more)
  }
  more()
}

/** How an answer begins that has no end: a head of HTTP, or an upgrade and the head of one message of 90 MiB. */
const begin = {
  http: () => Buffer.from("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.quorum.peer-frame\r\n\r\n"),
  ws: (head: string) => {
    const key = /^sec-websocket-key: *(\S+)/im.exec(head)![1]!
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
    const upgrade = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
    return Buffer.concat([Buffer.from(upgrade), messageHead(0)])
  }
}

describe("what answers at the address of a peer", () => {
  for (const transport of transports) {
    for (const status of [301, 302, 307, 308]) {
      it.live(`L14 and redirects with ${status} is not followed, over ${transport}`, () =>
        Effect.gen(function* () {
          let asked = 0
          let led = 0
          const target = yield* listen(() => led++)
          const port = yield* listen((socket) =>
            onRequest(socket, () => {
              asked++
              socket.end(
                `HTTP/1.1 ${status} Elsewhere\r\nLocation: ${transport}://127.0.0.1:${target}/peer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`
              )
            })
          )
          const { peer } = yield* replica(transport, "a", port)
          yield* until("it was asked three times", () => asked > 2)
          assert.strictEqual(led, 0)
          assert.include(peer().detail, `the answer has status ${status}`)
        })
      )
    }

    it.live(`L42 and does not end is given up at the limit, over ${transport}`, () =>
      Effect.gen(function* () {
        const sent: Array<number> = []
        const port = yield* listen((socket) =>
          onRequest(socket, (head) => {
            const index = sent.push(0) - 1
            socket.write(begin[transport](head))
            sendOn(socket, (bytes) => (sent[index]! += bytes))
          })
        )
        const { peer } = yield* replica(transport, "a", port)
        yield* until("the first is given up", () => peer().detail !== null && sent.length > 1)
        assert.isBelow(sent[0]!, PeerProtocol.maxMessageBytes() + 8 * 1024 * 1024)
        assert.match(peer().detail!, /invalid_answer.* larger than/)
      })
    )

    it.live(`L23 and falls silent has two connections at most, however many writes it misses, over ${transport}`, () =>
      Effect.gen(function* () {
        let open = 0
        let most = 0
        let tries = 0
        let isSilent = false
        let target = 0
        const port = yield* listen((socket) => {
          tries++
          most = Math.max(most, ++open)
          socket.on("close", () => open--)
          const there = connectTo(target, "127.0.0.1").on("error", () => undefined)
          socket.on("data", (data) => void (isSilent || there.write(data)))
          there.on("data", (data) => void (isSilent || socket.write(data)))
          socket.on("close", () => there.destroy())
        })
        const b = yield* replica(transport, "b", yield* listen(() => undefined))
        target = b.port
        const { peer, writer } = yield* replica(transport, "a", port)
        yield* until("the peer is there", () => peer().link === "up")
        isSilent = true
        tries = 0
        most = open
        const value = "v".repeat(100_000)
        for (let i = 0; i < 100; i++) yield* writer.commit(Entry.put("n", `k${i}`, value))
        yield* until("it was tried three times", () => tries > 2)
        assert.isAtMost(most, 2)
      })
    )
  }
})

describe("who calls a replica over ws", () => {
  it.live("L42 L63 is let go before it has sent a message beyond the limit, though it said no hello", () =>
    Effect.gen(function* () {
      const { port } = yield* replica("ws", "a", yield* listen(() => undefined))
      let sent = 0
      const ended = yield* Effect.callback<boolean>((resume) => {
        const socket = connectTo(port, "127.0.0.1")
        socket.on("error", () => undefined).on("close", () => resume(Effect.succeed(true)))
        socket.once("data", (data) => {
          assert.include(data.toString("latin1"), " 101 ")
          socket.write(messageHead(128))
          sendOn(socket, (bytes) => (sent += bytes))
        })
        const upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        const head = [
          "GET /peer HTTP/1.1",
          "Host: localhost",
          ...upgrade,
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        ]
        socket.write([...head, "", ""].join("\r\n"))
        return Effect.sync(() => socket.destroy())
      })
      assert.isTrue(ended)
      assert.isBelow(sent, PeerProtocol.maxMessageBytes() + 8 * 1024 * 1024)
    })
  )
})
