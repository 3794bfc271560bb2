import { NodeHttpServer, NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  type Log,
  PeerHandler,
  PeerProtocol,
  PeerTransport,
  ReplicaId,
  ReplicaLogs,
  ReplicaSet,
  ReplicaStore
} from "@quorum/core"
import { Context, Effect, Layer, Logger, Option } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import * as Http from "node:http"
import { WsPeerServer, WsPeerTransport } from "../src/index.ts"

const id = ReplicaId.make
const members = ["a", "b", "c"]
const hello = (replica: string): PeerProtocol.Hello => ({
  version: PeerProtocol.version,
  cluster: "test",
  replica: id(replica),
  incarnation: "00000000000000aa" as Log.Incarnation,
  vector: [],
  sentAt: 0
})

/** The replica `b` on a port of its own. */
const serve = Effect.fnUntraced(function* (options?: WsPeerServer.Options) {
  const health = HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok"))
  const context = yield* WsPeerServer.serve(options, health).pipe(
    Layer.provide(PeerHandler.layer),
    Layer.provide(ReplicaLogs.layer),
    Layer.provide(ReplicaStore.layerMemory({ cluster: "test", replica: id("b") })),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self: "b", members })),
    Layer.provideMerge(NodeHttpServer.layerServer(() => Http.createServer(), { host: "127.0.0.1", port: 0 })),
    Layer.provide(Logger.layer([])),
    Layer.build
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  assert("port" in address)
  return address.port
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

/** Opens a WebSocket and sends something; ends with the code that it was closed with. */
const closeCodeAfter = (port: number, message: string | Uint8Array) =>
  Effect.callback<number>((resume) => {
    const socket = new NodeWS.WebSocket(`ws://127.0.0.1:${port}/peer`)
    socket.on("open", () => socket.send(message))
    socket.on("error", () => {})
    socket.on("close", (code) => resume(Effect.succeed(code)))
    return Effect.sync(() => socket.terminate())
  }).pipe(Effect.timeoutOrElse({ duration: 3000, orElse: () => Effect.die("the connection stays open") }))

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
      assert.strictEqual((yield* (yield* connect("a", port)).hello(hello("a"))).replica, "b")
      const refused = yield* Effect.flip((yield* connect("c", port)).hello(hello("c")))
      assert(refused._tag === "HandshakeRefused")
      assert.strictEqual(refused.reason, "identity_mismatch")
    })
  )

  for (const [what, message] of [
    ["bytes that are not the protocol", Uint8Array.from({ length: 200 }, () => 0xee)],
    ["text", "hello? ".repeat(30)],
    ["a message beyond the limit", new Uint8Array(2 * PeerProtocol.maxMessageBytes())],
    ["a frame that announces more than the limit", Uint8Array.from([0x80, 0x80, 0x80, 0x80, 0x08, 1, 2, 3])]
  ] as const) {
    it.live(`${what} ends the connection`, () =>
      Effect.gen(function* () {
        const port = yield* serve()
        assert.notStrictEqual(yield* closeCodeAfter(port, message), 1000)
        assert.strictEqual((yield* (yield* connect("a", port)).hello(hello("a"))).replica, "b")
      })
    )
  }
})
