import { NodeHttpServer, NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { LogId, ReplicaId, ReplicaSet, Replica } from "@quorum/core"
import {
  Chain,
  MemoryNetwork,
  PeerFrame,
  PeerHandler,
  PeerProtocol,
  PeerTransport,
  RecordIndex,
  ReplicaStore,
  ServerLimits
} from "@quorum/core/adapter"
import { Greeting } from "@quorum/testing"
import { Context, Duration, Effect, Fiber, Latch, Layer, Logger, Option, Result } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import * as Http from "node:http"
import type { Socket } from "node:net"
import { WsPeerServer, WsPeerTransport } from "../src/index.ts"

const id = ReplicaId.make
const members = ["a", "b", "c"]
/** The replica `b` on a port of its own. */
const serve = Effect.fnUntraced(function* (options?: WsPeerServer.Options) {
  const health = HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok"))
  const context = yield* WsPeerServer.serve(options, health).pipe(
    Layer.provide(Replica.layer()),
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory, MemoryNetwork.layerAlone]),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self: "b", members })),
    Layer.provideMerge(NodeHttpServer.layerServer(() => Http.createServer(), { host: "127.0.0.1", port: 0 })),
    Layer.provide(Logger.layer([])),
    Layer.build
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  assert("port" in address)
  return address.port
})

/** A handler on a port of its own, and the connections that its server has accepted. */
const serveHandler = Effect.fnUntraced(function* (handler: Partial<PeerHandler.PeerHandler["Service"]>) {
  const accepted: Array<Socket> = []
  const server = Http.createServer().on("connection", (socket) => accepted.push(socket))
  const health = HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok"))
  const unexpected = () => Effect.die("an unexpected request")
  const context = yield* WsPeerServer.serve({}, health).pipe(
    Layer.provide(
      Layer.succeed(PeerHandler.PeerHandler, {
        hello: unexpected,
        push: unexpected,
        pull: unexpected,
        read: unexpected,
        verify: unexpected,
        probe: unexpected,
        ...handler
      })
    ),
    Layer.provideMerge(NodeHttpServer.layerServer(() => server, { host: "127.0.0.1", port: 0 })),
    Layer.provide(Logger.layer([])),
    Layer.build
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  assert("port" in address)
  return { port: address.port, accepted }
})

const connect = Effect.fnUntraced(function* (self: string, port: number) {
  const peers = { b: `ws://127.0.0.1:${port}`, [self === "a" ? "c" : "a"]: "ws://127.0.0.1:1" }
  const context = yield* WsPeerTransport.layer({ peers }).pipe(
    Layer.provide(NodeWS.layerWebSocketConstructor),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self, members })),
    Layer.build
  )
  return yield* Context.get(context, PeerTransport.PeerTransport).connect(id("b"))
})

const open = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<NodeWS.WebSocket>((resume) => {
      const socket = new NodeWS.WebSocket(`ws://127.0.0.1:${port}/peer`)
      socket.on("open", () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )

const log = LogId.make(id("a"), "00000000000000aa" as LogId.Incarnation)
const pushOf = (number: number, bytes: Uint8Array) =>
  PeerFrame.encodeRequest(number, {
    _tag: "push",
    payload: {
      session: "s",
      batch: { log, from: number, count: 1, prevChain: Chain.empty, chain: Chain.empty, bytes }
    }
  })
const ack = (seq: number): PeerProtocol.Ack => ({
  replica: id("b"),
  log,
  seq,
  chain: Chain.empty,
  incarnation: "00000000000000bb" as LogId.Incarnation,
  members: 0,
  clock: { wallTime: 0, logical: 0 },
  voting: true
})

/** Opens a WebSocket and sends something; ends with the code that it was closed with. */
const closeCodeAfter = (port: number, message: string | Uint8Array) =>
  Effect.callback<number>((resume) => {
    const socket = new NodeWS.WebSocket(`ws://127.0.0.1:${port}/peer`)
    socket.on("open", () => socket.send(message))
    socket.on("error", () => {})
    socket.on("close", (code) => resume(Effect.succeed(code)))
    return Effect.sync(() => socket.terminate())
  }).pipe(Effect.timeoutOrElse({ duration: 20_000, orElse: () => Effect.die("the connection stays open") }))

describe("WsPeerServer", () => {
  it.live("a request that is no upgrade is answered with 426", () =>
    Effect.gen(function* () {
      const port = yield* serve()
      const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/peer`))
      assert.strictEqual(response.status, 426)
      assert.strictEqual(
        ((yield* Effect.promise(() => response.json())) as { error: string }).error,
        "upgrade_required"
      )
    })
  )

  it.live("other routes are served on the same port", () =>
    Effect.gen(function* () {
      const port = yield* serve()
      const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/healthz`))
      assert.strictEqual(yield* Effect.promise(() => response.text()), "ok")
    })
  )

  it.live("a handshake that claims another id than the connection proves is refused", () =>
    Effect.gen(function* () {
      const port = yield* serve({ identify: () => Option.some(id("a")) })
      assert.strictEqual((yield* (yield* connect("a", port)).hello(Greeting.hello("a"))).replica, "b")
      const refused = yield* Effect.flip((yield* connect("c", port)).hello(Greeting.hello("c")))
      assert(refused._tag === "HandshakeRefused")
      assert.strictEqual(refused.reason, "identity_mismatch")
    })
  )

  it.live("L39 L67 a caller that proves nothing is turned away where callers have to, before it can say anything", () =>
    Effect.gen(function* () {
      const port = yield* serve({ identify: () => Option.none() })
      const refused = yield* Effect.flip(
        Effect.scoped(Effect.flatMap(connect("a", port), (client) => client.hello(Greeting.hello("a"))))
      )
      assert.strictEqual(refused._tag, "PeerUnreachable")
      assert.include(refused.message, "403")
    })
  )

  for (const [what, message] of [
    ["bytes that are not the protocol", Uint8Array.from({ length: 200 }, () => 0xee)],
    ["text", "hello? ".repeat(30)],
    ["a request that is cut off", pushOf(1, new Uint8Array(0)).subarray(0, 40)],
    ["an answer", PeerFrame.encodeAnswer(1, { _tag: "push", result: Result.succeed(ack(1)) })],
    ["a message beyond the limit", new Uint8Array(2 * PeerProtocol.maxMessageBytes())],
    ["a frame that announces more than the limit", Uint8Array.from([0x80, 0x80, 0x80, 0x80, 0x08, 1, 2, 3])]
  ] as const) {
    it.live(`${what} ends the connection`, () =>
      Effect.gen(function* () {
        const port = yield* serve()
        assert.notStrictEqual(yield* closeCodeAfter(port, message), 1000)
        assert.strictEqual((yield* (yield* connect("a", port)).hello(Greeting.hello("a"))).replica, "b")
      })
    )
  }

  it.live("L42 a message of the protocol at the limit is answered, and one with a byte more ends the connection", () =>
    Effect.gen(function* () {
      const { port } = yield* serveHandler({ push: () => Effect.fail(new PeerProtocol.SessionUnknown()) })
      const most = PeerProtocol.maxMessageBytes() - pushOf(1, new Uint8Array(0)).length
      const socket = yield* open(port)
      const answered = Effect.callback<string>((resume) => {
        socket.on("message", () => resume(Effect.succeed("answered")))
        socket.on("close", (code) => resume(Effect.succeed(`closed ${code}`)))
        socket.send(pushOf(1, new Uint8Array(most)))
      })
      assert.strictEqual(yield* answered, "answered")
      assert.strictEqual(yield* closeCodeAfter(port, pushOf(1, new Uint8Array(most + 1))), 1002)
    })
  )

  it.live(
    "L63 a connection on which nobody says hello ends in seconds, whatever else comes, and that of a peer stays",
    () =>
      Effect.gen(function* () {
        const port = yield* serve()
        const peer = yield* connect("a", port)
        const { session } = yield* peer.hello(Greeting.hello("a"))
        const ended = yield* Effect.forEach(
          [
            () => {},
            (socket: NodeWS.WebSocket) => void setInterval(() => socket.send(pushOf(1, new Uint8Array(1))), 500).unref()
          ],
          (busy) =>
            Effect.gen(function* () {
              const socket = yield* open(port)
              busy(socket)
              yield* Effect.callback<void>((resume) => void socket.on("close", () => resume(Effect.void)))
            }).pipe(
              Effect.timed,
              Effect.map(([duration]) => Duration.toMillis(duration))
            ),
          { concurrency: "unbounded" }
        )
        for (const millis of ended) assert.isBelow(millis, 2 * ServerLimits.helloMillis)
        const pull = { session, log, after: 0, maxBytes: 1 }
        assert.strictEqual((yield* peer.pull(pull)).batch, null)
      }).pipe(Effect.timeout(4 * ServerLimits.helloMillis))
  )

  it.live("a request that dies is answered by ending the connection", () =>
    Effect.gen(function* () {
      const { port } = yield* serveHandler({
        hello: () => Effect.never,
        push: ({ batch }) => (batch.from === 1 ? Effect.die("a broken handler") : Effect.succeed(ack(batch.from)))
      })
      assert.strictEqual(yield* closeCodeAfter(port, pushOf(1, new Uint8Array(1))), 1011)
      // Nobody waits for an answer that never comes, and the next connection is answered.
      const peer = yield* connect("a", port)
      const waiting = yield* Effect.forkChild(Effect.flip(peer.hello(Greeting.hello("a"))))
      const batch = { log, from: 1, count: 1, prevChain: Chain.empty, chain: Chain.empty, bytes: new Uint8Array(1) }
      assert.strictEqual((yield* Effect.flip(peer.push({ session: "s", batch })))._tag, "PeerUnreachable")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "PeerUnreachable")
      const again = yield* connect("a", port)
      assert.deepStrictEqual(yield* again.push({ session: "s", batch: { ...batch, from: 2 } }), ack(2))
    })
  )

  it.live("Bounded: a connection is not read further while 16 requests wait", () =>
    Effect.gen(function* () {
      const gate = Latch.makeUnsafe(false)
      let waiting = 0
      let most = 0
      const order: Array<number> = []
      const { accepted, port } = yield* serveHandler({
        push: ({ batch }) =>
          Effect.suspend(() => {
            order.push(batch.from)
            most = Math.max(most, ++waiting)
            return Effect.as(gate.await, ack(batch.from))
          }).pipe(Effect.ensuring(Effect.sync(() => waiting--)))
      })
      const socket = yield* open(port)
      const numbers = Array.from({ length: 60 }, (_, i) => i + 1)
      const answered = new Set<number>()
      const done = Effect.callback<void>((resume) => {
        socket.on("message", (data: Buffer) => {
          answered.add(Result.getOrThrow(PeerFrame.decodeAnswer(data)).number)
          if (answered.size === numbers.length) resume(Effect.void)
        })
      })
      for (const number of numbers) socket.send(pushOf(number, new Uint8Array(1024 * 1024)))
      const read = () => accepted[0]!.bytesRead
      const elsewhere = Effect.promise(() => fetch(`http://127.0.0.1:${port}/healthz`).then((health) => health.text()))
      // Until other requests are answered, many times over, while nothing more is read from this connection.
      for (let quiet = 0, before = 0; quiet < 20; quiet = read() === before && waiting > 0 ? quiet + 1 : 0) {
        before = read()
        yield* elsewhere
      }
      assert.strictEqual(waiting, 16)
      assert.isBelow(read(), 24 * 1024 * 1024)
      gate.openUnsafe()
      yield* done
      assert.strictEqual(most, 16)
      assert.deepStrictEqual(order, numbers)
    })
  )
})
