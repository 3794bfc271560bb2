/** What a bad client costs: one that does not read what it asks for, and one that does not end what it sends. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, QuorumPolicy, QuorumWriter, Replica, ReplicaSet } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { ClientApiServer } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { WsNode } from "@quorum/ws/node"
import { Context, Effect, Layer, Logger, Result } from "effect"
import { HttpServer } from "effect/http"
import { connect, type Socket } from "node:net"

const nodes = { http: HttpNode, ws: WsNode }
const mebibyte = 1024 * 1024

/** A replica of its own that holds a value of one mebibyte, and serves clients. */
const replica = Effect.fnUntraced(function* (transport: "http" | "ws") {
  const context = yield* Replica.layer({ policy: Result.getOrThrow(QuorumPolicy.make({ n: 1, w: 1 })) }).pipe(
    nodes[transport].serve({ port: 0, peers: {}, routes: ClientApiServer.layer }),
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
    Layer.provide(Logger.layer([])),
    Layer.build
  )
  const writer = Context.get(context, QuorumWriter.QuorumWriter)
  yield* writer.commit(Entry.put("n", "large", new Uint8Array(mebibyte)))
  const { address } = Context.get(context, HttpServer.HttpServer)
  assert("port" in address)
  return address.port
})

/** Sends bytes on a connection of its own, and never reads. Tells how it ended. */
const send = (port: number, text: string) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly socket: Socket; readonly hasEnded: () => boolean }>((resume) => {
      let ended = false
      const socket = connect(port, "127.0.0.1", () => {
        socket.write(text)
        resume(Effect.succeed({ socket, hasEnded: () => ended }))
      })
      socket.pause()
      socket.on("error", () => (ended = true))
      socket.on("close", () => (ended = true))
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const used = () => process.memoryUsage().arrayBuffers

describe("L63 a bad client", () => {
  for (const transport of ["http", "ws"] as const) {
    it.live(`that asks for much at once and reads nothing is let go, and what it cost comes back, ${transport}`, () =>
      Effect.gen(function* () {
        const port = yield* replica(transport)
        const before = used()
        const get = "GET /v1/records/n/large HTTP/1.1\r\nHost: localhost\r\n\r\n"
        const client = yield* send(port, get.repeat(Math.floor(50_000 / get.length)))
        let most = 0
        for (let i = 0; i < 20; i++) {
          yield* Effect.sleep(50)
          most = Math.max(most, used() - before)
        }
        assert.isBelow(most, 64 * mebibyte)
        client.socket.resume()
        yield* Effect.sleep(200)
        assert.isTrue(client.hasEnded())
        // The others are served as ever.
        const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/v1/records/n/large`))
        assert.strictEqual((yield* Effect.promise(() => answer.arrayBuffer())).byteLength, mebibyte)
      })
    )

    it.live(`that sends some requests at once and reads them all is served, ${transport}`, () =>
      Effect.gen(function* () {
        const port = yield* replica(transport)
        const get = "GET /v1/records/n/large HTTP/1.1\r\nHost: localhost\r\n\r\n"
        const client = yield* send(port, get.repeat(16))
        let read = 0
        client.socket.on("data", (bytes) => (read += bytes.length))
        client.socket.resume()
        for (let i = 0; i < 100 && read < 16 * mebibyte; i++) yield* Effect.sleep(50)
        assert.isAtLeast(read, 16 * mebibyte)
        assert.isFalse(client.hasEnded())
      })
    )
  }

  it.live(
    "that does not end the head or the body of its request is let go within seconds",
    () =>
      Effect.gen(function* () {
        const clients = yield* Effect.forEach(["http", "ws"] as const, (transport) =>
          Effect.gen(function* () {
            const port = yield* replica(transport)
            const head = "PUT /v1/records/n/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
            const heads = yield* Effect.replicateEffect(send(port, head), 10)
            const bodies = yield* Effect.replicateEffect(send(port, `${head}\r\n${"x".repeat(900_000)}`), 10)
            for (const { socket } of [...heads, ...bodies]) socket.resume()
            return { heads, bodies }
          })
        )
        const left = (of: "heads" | "bodies") => clients.flatMap((each) => each[of]).filter((one) => !one.hasEnded())
        yield* Effect.sleep(3000)
        assert.deepStrictEqual([left("heads").length, left("bodies").length], [20, 20])
        yield* Effect.sleep(5000)
        assert.deepStrictEqual([left("heads").length, left("bodies").length], [0, 20])
        yield* Effect.sleep(10_000)
        assert.strictEqual(left("bodies").length, 0)
      }),
    60_000
  )
})
