import { type AddressInfo, connect, createServer, Server } from "node:net"
import { assert, describe, it, vi } from "@effect/vitest"
import { Replica, ReplicaSet } from "@quorum/core"
import { MemoryNetwork, type PeerSecret, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Deferred, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import { TestClock } from "effect/testing"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { ReplicaPort } from "../src/index.ts"

/** A transport without peers, which serves a route. */
const transport = (before: Effect.Effect<void>): ReplicaPort.Transport => ({
  server: () => Layer.empty,
  client: () => Layer.provide(MemoryNetwork.layerTransport, Layer.fresh(MemoryNetwork.layer)),
  routes: HttpRouter.use((router) =>
    Effect.andThen(
      before,
      Effect.andThen(
        router.add("GET", "/late", HttpServerResponse.text("here")),
        router.add("PUT", "/body", (request) => Effect.map(Effect.orDie(request.text), HttpServerResponse.text))
      )
    )
  )
})

/** A replica of its own with two further routes, `GET /late` and `PUT /body`, which are there when `before` is done. */
const replica = (
  port: number,
  before: Effect.Effect<void>,
  options: Partial<ReplicaPort.Options> = {},
  members = ["a"]
) =>
  Replica.layer().pipe(
    ReplicaPort.serve(transport(before), { port, peers: {}, ...options }),
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members }))
  )

describe("a replica's port on Node", () => {
  it.live("listens when all routes are there, however long one of them takes", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const reached = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const before = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(go))
      const built = yield* Effect.forkScoped(Layer.build(replica(port, before)))
      yield* Deferred.await(reached)
      assert.strictEqual(yield* connected(port), "ECONNREFUSED")
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(built)
      const answer = yield* Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/late`)).text())
      assert.strictEqual(answer, "here")
    })
  )

  it.live("listens on loopback when no `host` is given, with a secret too", () =>
    Effect.gen(function* () {
      for (const options of [{}, { secret: Redacted.make("a secret of thirty-two bytes, or more") }]) {
        const listen = vi.spyOn(Server.prototype, "listen")
        const bound = yield* Layer.build(replica(0, Effect.void, options)).pipe(
          Effect.andThen(Effect.sync(() => listen.mock.results.map(({ value }) => (value as Server).address()))),
          Effect.scoped,
          Effect.ensuring(Effect.sync(() => listen.mockRestore()))
        )
        assert.deepStrictEqual(
          bound.map((one) => (typeof one === "object" ? one?.address : one)),
          ["127.0.0.1"]
        )
      }
    })
  )

  it.live("L63 bounds what a request costs that waits to be told to go on, as any other", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      yield* Layer.build(replica(port, Effect.void))
      const put = "PUT /body HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
      for (const [head, told] of [
        ["", ""],
        ["Expect: 100-continue\r\n", "HTTP/1.1 100 Continue\r\n\r\n"]
      ] as const) {
        const short = yield* exchanged(port, `${put}${head}\r\n4\r\nhere\r\n0\r\n\r\n`)
        assert.match(short, new RegExp(`^${told}HTTP/1.1 200 [^]*here`))
        const pieces = yield* exchanged(port, `${put}${head}\r\n${"1\r\nx\r\n".repeat(2000)}`)
        assert.match(pieces, new RegExp(`^${told}HTTP/1.1 413 `))
      }
    })
  )

  it.effect("ends as it stops the connections on which nothing was asked, or not all of it, and waits for none", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(replica(port, Effect.void), scope)
      const endings = yield* Effect.forEach(["", "PUT /body HTTP/1.1\r\nHost: loc"], (sent) =>
        Effect.forkChild(exchanged(port, sent), { startImmediately: true })
      )
      // Accepted after the two; the server has them when it answers.
      assert.match(yield* exchanged(port, "GET /late HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), /here/)
      // No virtual time passes: what stopping waits for would be waited for for ever.
      const stopping = yield* Effect.forkDetach(Scope.close(scope, Exit.void))
      const said = yield* TestClock.withLive(Effect.timeout(Fiber.joinAll(endings), "10 seconds"))
      assert.deepStrictEqual(said, ["", ""])
      yield* Fiber.join(stopping)
    })
  )

  it.effect("refuses by its name a port that is none", () =>
    Effect.gen(function* () {
      for (const port of [-1, 65_536, 1.5, "x", undefined] as ReadonlyArray<number>) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(replica(port, Effect.void))))
        assert.strictEqual(error._tag, "InvalidPort")
        assert.match(error.message, /^port: .* is none; give a whole number from 0, for any that is free, to 65535$/)
      }
    })
  )

  it.effect("L66 refuses what no request can have as its host", () =>
    Effect.gen(function* () {
      const refused = (options: Partial<ReplicaPort.Options>) =>
        Effect.flip(Effect.scoped(Layer.build(replica(0, Effect.void, options))))
      for (const host of ["*", "*.example", "http://app.example", "app.example:80", "", "bücher.example", 5 as never]) {
        assert.deepInclude(yield* refused({ hosts: ["app.example", host] }), {
          _tag: "InvalidOptions",
          option: "hosts"
        })
      }
    })
  )

  it.effect("refuses to listen where peers prove nothing, unless it is `insecure` and on loopback", () =>
    Effect.gen(function* () {
      for (const options of [{}, { insecure: true, host: "0.0.0.0" }]) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(replica(0, Effect.void, options, ["a", "b"]))))
        assert.strictEqual(error._tag, "PeersUnproven")
      }
    })
  )

  it.effect("refuses a number of connections that is none, and a secret that anybody could show", () =>
    Effect.gen(function* () {
      const refused = (options: Partial<ReplicaPort.Options>) =>
        Effect.flip(Effect.scoped(Layer.build(replica(0, Effect.void, options))))
      for (const maxConnections of [0, -1, 1.5, Number.NaN, "2"] as ReadonlyArray<number>) {
        assert.deepInclude(yield* refused({ maxConnections }), { _tag: "InvalidOptions", option: "maxConnections" })
      }
      for (const secret of [
        "0123456789abcdef0123456789abcdef",
        {},
        { file: 7 },
        null
      ] as unknown as ReadonlyArray<PeerSecret.Given>) {
        const { _tag, message } = yield* refused({ secret })
        assert.deepStrictEqual(
          [_tag, message],
          ["PeersUnproven", "secret: give it as Redacted.make(…), or as { file }"]
        )
      }
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** Sends bytes as they are, and returns all that is said until the connection ends. */
const exchanged = (port: number, sent: string) =>
  Effect.callback<string>((resume) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(sent))
    let said = ""
    socket.on("data", (data) => void (said += data.toString()))
    socket.on("error", (error) => resume(Effect.die(error)))
    socket.on("close", () => resume(Effect.succeed(said)))
    return Effect.sync(() => socket.destroy())
  })

/** What becomes of a connection to a port. */
const connected = (port: number) =>
  Effect.callback<string>((resume) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed("it is open"))
    })
    socket.once("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code ?? error.message)))
  })
