import { NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Replica, ReplicaSet } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Deferred, Effect, Layer, Logger } from "effect"
import { type AddressInfo, createServer } from "node:net"
import { WsNode } from "../src/node.ts"

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** The replica `a`, and where its peer `b` is. */
const replica = (port: number, peerPort: number) =>
  Replica.layer().pipe(
    WsNode.serve({
      port,
      peers: { a: `ws://127.0.0.1:${port}`, b: `ws://127.0.0.1:${peerPort}` },
      insecure: true
    }),
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a", "b"] })),
    Layer.provide(Logger.layer([]))
  )

/** Sends a message in fragments of a byte. */
const sendInPieces = (socket: NodeWS.WebSocket, pieces: number): void => {
  for (let left = pieces; left > 0; left--) socket.send(new Uint8Array(1), { fin: left === 1 })
}

/** Fewer than a message has bytes, and more than whoever cuts it into pieces needs. */
const many = 4096

describe("a message in many small fragments, each of which costs hundreds of bytes", () => {
  it.live("L63 ends the connection of who sends it to a replica, and proved nothing", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      yield* Layer.build(replica(port, yield* freePort))
      const code = yield* Effect.callback<number>((resume) => {
        const socket = new NodeWS.WebSocket(`ws://127.0.0.1:${port}/peer`)
        socket.on("open", () => sendInPieces(socket, many))
        socket.on("close", (code) => resume(Effect.succeed(code)))
        return Effect.sync(() => socket.terminate())
      })
      assert.strictEqual(code, 1008)
    })
  )

  it.live("L63 ends the connection to who answers with it", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const peerPort = yield* freePort
      const closed = yield* Deferred.make<number>()
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const server = new NodeWS.WebSocketServer({ host: "127.0.0.1", port: peerPort })
          server.on("connection", (socket) => {
            socket.on("close", (code) => Deferred.doneUnsafe(closed, Effect.succeed(code)))
            sendInPieces(socket, many)
          })
          return server
        }),
        (server) => Effect.sync(() => server.close())
      )
      yield* Layer.build(replica(port, peerPort))
      assert.strictEqual(yield* Deferred.await(closed), 1008)
    })
  )
})

describe("the connection to a peer", () => {
  it.live("is not compressed, though whoever answers would", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const peerPort = yield* freePort
      const called = yield* Deferred.make<string>()
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const server = new NodeWS.WebSocketServer({ host: "127.0.0.1", port: peerPort, perMessageDeflate: true })
          return server.on("connection", ({ extensions }) => {
            Deferred.doneUnsafe(called, Effect.succeed(extensions))
          })
        }),
        (server) => Effect.sync(() => server.close())
      )
      yield* Layer.build(replica(port, peerPort))
      assert.strictEqual(yield* Deferred.await(called), "")
    })
  )
})
