import { NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { LogId, ReplicaId, ReplicaSet } from "@quorum/core"
import { Chain, PeerFrame, PeerProtocol, PeerTransport } from "@quorum/core/adapter"
import { Greeting } from "@quorum/testing"
import { Context, Effect, Fiber, Layer, Result, Scheduler } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { WsPeerTransport } from "../src/index.ts"

const [a, b] = [ReplicaId.make("a"), ReplicaId.make("b")]
const incarnation = "00000000000000aa" as LogId.Incarnation
const log = LogId.make(a, incarnation)
const hello = Greeting.hello(a, { incarnation })
const push: PeerProtocol.Push = {
  session: "s",
  batch: { log, from: 1, count: 1, prevChain: Chain.empty, chain: Chain.empty, bytes: new Uint8Array(100) }
}
const pull: PeerProtocol.Pull = { session: "s", log, after: 0, maxBytes: 1000 }
const ack: PeerProtocol.Ack = {
  replica: b,
  log,
  seq: 1,
  chain: Chain.empty,
  incarnation: "00000000000000bb" as LogId.Incarnation,
  members: 0,
  clock: { wallTime: 0, logical: 0 },
  voting: true
}
const acked = (number: number) => PeerFrame.encodeAnswer(number, { _tag: "push", result: Result.succeed(ack) })
const nothing = (number: number) =>
  PeerFrame.encodeAnswer(number, { _tag: "pull", result: Result.succeed({ batch: null }) })

/** A frame like any other, and beyond the limit. */
const tooLarge = (number: number) => {
  const bytes = new Uint8Array(PeerProtocol.maxMessageBytes())
  return PeerFrame.encodeAnswer(number, { _tag: "pull", result: Result.succeed({ batch: { ...push.batch, bytes } }) })
}

type Say = (answer: Uint8Array | string) => void

type Answer = (request: PeerFrame.Numbered<PeerFrame.Request>, say: Say, hangUp: () => void) => void

/** A transport to the peer `b`, which is a plain server that answers as it is told to, and that server. */
const open = Effect.fnUntraced(function* (answer: Answer) {
  const server = yield* Effect.acquireRelease(
    Effect.callback<NodeWS.WebSocketServer>((resume) => {
      const server: NodeWS.WebSocketServer = new NodeWS.WebSocketServer({ host: "127.0.0.1", port: 0 }, () =>
        resume(Effect.succeed(server))
      )
      server.on("connection", (socket) =>
        socket.on("message", (data: Buffer) =>
          answer(
            Result.getOrThrow(PeerFrame.decodeRequest(data)),
            (answer) => socket.send(answer),
            () => socket.terminate()
          )
        )
      )
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        for (const socket of server.clients) socket.terminate()
        server.close(() => resume(Effect.void))
      })
  )
  const { port } = server.address() as AddressInfo
  const context = yield* WsPeerTransport.layer({ peers: { b: `ws://127.0.0.1:${port}` } }).pipe(
    Layer.provide(NodeWS.layerWebSocketConstructor),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a", "b"] })),
    Layer.build
  )
  return { transport: Context.get(context, PeerTransport.PeerTransport), server }
})

const connect = (answer: Answer) => Effect.flatMap(open(answer), ({ transport }) => transport.connect(b))

const reasonOf = <A>(call: Effect.Effect<A, { readonly _tag: string }>) =>
  Effect.map(Effect.flip(call), (error) =>
    error instanceof PeerProtocol.PeerUnreachable ? error.reason : `not PeerUnreachable but ${error._tag}`
  )

describe("L11 nothing but an answer of the protocol is an answer", () => {
  for (const [what, answer] of [
    ["bytes that are no frame", Uint8Array.of(1, 2, 3)],
    ["an empty frame", new Uint8Array(0)],
    ["text", '{"seq":1}'],
    ["a request", PeerFrame.encodeRequest(2, { _tag: "push", payload: push })],
    ["an ack with a byte too many", Uint8Array.of(...acked(2), 0)],
    ["an ack that is cut off", acked(2).subarray(0, -1)],
    ["an answer beyond the limit", tooLarge(2)]
  ] as const) {
    it.live(`${what} ends every call of the connection as an invalid answer, later ones too`, () =>
      Effect.gen(function* () {
        const peer = yield* connect(({ message }, say) => message._tag === "push" && say(answer))
        const waiting = yield* Effect.forkChild(reasonOf(peer.hello(hello)), { startImmediately: true })
        assert.strictEqual(yield* reasonOf(peer.push(push)), "invalid_answer")
        assert.strictEqual(yield* Fiber.join(waiting), "invalid_answer")
        assert.strictEqual(yield* reasonOf(peer.pull(pull)), "invalid_answer")
      })
    )
  }

  it.live("an answer to another question fails its own call, and the connection goes on", () =>
    Effect.gen(function* () {
      const peer = yield* connect(({ message, number }, say) =>
        say(message._tag === "hello" ? nothing(number) : acked(number))
      )
      assert.strictEqual(yield* reasonOf(peer.hello(hello)), "invalid_answer")
      assert.deepStrictEqual(yield* peer.push(push), ack)
    })
  )
})

describe("L14 a redirect", () => {
  for (const status of [301, 302, 307, 308]) {
    it.live(`${status} is not followed: it is said, and whoever it leads to sees nothing`, () =>
      Effect.gen(function* () {
        const { server } = yield* open(({ number }, say) => say(nothing(number)))
        let seen = 0
        server.on("connection", () => seen++)
        const target = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/peer`
        const redirecting = yield* Effect.acquireRelease(
          Effect.callback<Http.Server>((resume) => {
            const http = Http.createServer().on("upgrade", (_, socket) =>
              socket.end(`HTTP/1.1 ${status} Elsewhere\r\nLocation: ${target}\r\nConnection: close\r\n\r\n`)
            )
            http.listen(0, "127.0.0.1", () => resume(Effect.succeed(http)))
          }),
          (http) => Effect.sync(() => http.close())
        )
        const { port } = redirecting.address() as AddressInfo
        const context = yield* WsPeerTransport.layer({ peers: { b: `ws://127.0.0.1:${port}` } }).pipe(
          Layer.provide(NodeWS.layerWebSocketConstructor),
          Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a", "b"] })),
          Layer.build
        )
        const peer = yield* Context.get(context, PeerTransport.PeerTransport).connect(b)
        const error = yield* Effect.flip(peer.push(push))
        assert.strictEqual(error._tag, "PeerUnreachable")
        assert.include(error.message, String(status))
        assert.strictEqual(seen, 0)
      })
    )
  }
})

describe("answers and calls", () => {
  it.live("an answer goes to the call that has its number, in whatever order answers come", () =>
    Effect.gen(function* () {
      let first: number | undefined
      const peer = yield* connect(({ message, number }, say) => {
        if (message._tag === "push") first = number
        else {
          say(nothing(number))
          say(acked(first!))
        }
      })
      const pushing = yield* Effect.forkChild(peer.push(push), { startImmediately: true })
      assert.deepStrictEqual(yield* peer.pull(pull), { batch: null })
      assert.deepStrictEqual(yield* Fiber.join(pushing), ack)
    })
  )

  it.live("an answer that nobody waits for is passed over", () =>
    Effect.gen(function* () {
      const peer = yield* connect(({ number }, say) => {
        say(nothing(number + 1000))
        say(acked(number))
        say(acked(number))
      })
      assert.deepStrictEqual(yield* peer.push(push), ack)
      assert.deepStrictEqual(yield* peer.push(push), ack)
    })
  )

  it.live("a connection that breaks fails every call of it as refused, later ones too", () =>
    Effect.gen(function* () {
      const peer = yield* connect(({ message }, _, hangUp) => message._tag === "push" && hangUp())
      const waiting = yield* Effect.forkChild(reasonOf(peer.hello(hello)), { startImmediately: true })
      assert.strictEqual(yield* reasonOf(peer.push(push)), "refused")
      assert.strictEqual(yield* Fiber.join(waiting), "refused")
      assert.strictEqual(yield* reasonOf(peer.pull(pull)), "refused")
    })
  )
})

it.live(
  "L68 what somebody says who ends a connection, and proved nothing, is told so that it can stand in any log",
  () =>
    Effect.gen(function* () {
      const { server, transport } = yield* open(() => undefined)
      server.once("connection", (socket) => socket.close(4000, "\u001b[31mred\na line of its own"))
      const peer = yield* transport.connect(b)
      const { message } = yield* Effect.flip(peer.hello(hello))
      assert.include(message, "\\u001b[31mred\\u000aa line")
      assert.notMatch(message, /\p{Cc}/u)
    })
)

it.live("what waits in a connection is known, until the peer reads it or the connection ends", () =>
  Effect.gen(function* () {
    const { server, transport } = yield* open(({ number }, say) => say(acked(number)))
    const waiting = () => transport.waitingBytes!(b)
    assert.strictEqual(waiting(), 0)
    yield* Effect.scoped(
      Effect.gen(function* () {
        const peer = yield* transport.connect(b)
        yield* peer.push(push)
        assert.strictEqual(waiting(), 0)
        for (const socket of server.clients) socket.pause()
        const bytes = new Uint8Array(1_000_000)
        const pushes = yield* Effect.forEach(Array.from({ length: 16 }), () =>
          Effect.forkChild(peer.push({ ...push, batch: { ...push.batch, bytes } }), { startImmediately: true })
        )
        yield* Effect.sleep(10).pipe(Effect.repeat({ until: () => waiting() > 1_000_000 }))
        for (const socket of server.clients) socket.resume()
        yield* Fiber.joinAll(pushes)
        assert.strictEqual(waiting(), 0)
      })
    )
    assert.strictEqual(waiting(), 0)
  })
)

it.live("a connection that fails is heard from its first moment on, wherever the scheduler gives way", () =>
  Effect.gen(function* () {
    let unread = 0
    for (let operations = 4; operations <= 9; operations++) {
      const heardBy: Array<number> = []
      const opened = (_: ReplicaId.ReplicaId, url: string) => {
        const socket = new NodeWS.WebSocket(url)
        queueMicrotask(() => {
          heardBy.push(socket.listenerCount("error"))
          if (socket.listenerCount("message") === 0) unread++
        })
        return socket
      }
      const context = yield* WsPeerTransport.layer({ peers: { b: "ws://127.0.0.1:1" }, open: opened }).pipe(
        Layer.provide(NodeWS.layerWebSocketConstructor),
        Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a", "b"] })),
        Layer.build
      )
      const failed = yield* Context.get(context, PeerTransport.PeerTransport)
        .connect(b)
        .pipe(
          Effect.flatMap((peer) => reasonOf(peer.hello(hello))),
          Effect.scoped,
          Effect.provideService(Scheduler.MaxOpsBeforeYield, operations)
        )
      assert.strictEqual(failed, "refused")
      assert.lengthOf(heardBy, 1)
      assert.isAbove(heardBy[0]!, 0)
    }
    assert.isAbove(unread, 0)
  })
)
