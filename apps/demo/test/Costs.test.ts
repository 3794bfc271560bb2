/** What a bad client costs: one that does not read what it asks for, and one that does not end what it sends. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, QuorumPolicy, QuorumWriter, Replica, ReplicaEvents, ReplicaSet, ReplicaStatus } from "@quorum/core"
import { PeerFrame, RecordIndex, ReplicaStore, ServerConnections } from "@quorum/core/adapter"
import { ClientApiServer, ClientTokens } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { Greeting } from "@quorum/testing"
import { WsNode } from "@quorum/ws/node"
import { Context, Effect, Layer, Logger, Result } from "effect"
import { HttpServer } from "effect/http"
import { createHash } from "node:crypto"
import { connect, type Socket } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { until } from "./support/program.ts"

const nodes = { http: HttpNode, ws: WsNode }
const mebibyte = 1024 * 1024

/** A replica of its own that holds a value of one mebibyte, and serves clients. */
const replicaOf = Effect.fnUntraced(function* (
  transport: "http" | "ws",
  members: ReadonlyArray<string>,
  maxConnections?: number
) {
  const policy = Result.getOrThrow(QuorumPolicy.make({ n: members.length, w: 1, order: "clock" }))
  const context = yield* Replica.layer({ policy }).pipe(
    nodes[transport].serve({
      port: 0,
      peers: members.includes("b") ? { b: "http://127.0.0.1:1" } : {},
      // The bad peer is a member that proves nothing.
      insecure: true,
      routes: ClientApiServer.layer,
      ...(maxConnections === undefined ? {} : { maxConnections })
    }),
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
    Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members })),
    Layer.provide(Logger.layer([])),
    Layer.build
  )
  const writer = Context.get(context, QuorumWriter.QuorumWriter)
  yield* writer.commit(Entry.put("n", "large", new Uint8Array(mebibyte)))
  const { address } = Context.get(context, HttpServer.HttpServer)
  assert("port" in address)
  const { log } = Context.get(context, ReplicaStatus.ReplicaStatus).current()
  /** By which bounds connections were ended, each once. */
  const ended = new Set<string>()
  Context.get(context, ReplicaEvents.ReplicaEvents).listen((event) => {
    if (event._tag === "ConnectionEnded") ended.add(`${event.reason} ${event.address}`)
  })
  return { port: address.port, log, ended: () => Array.from(ended) }
})

const replica = (transport: "http" | "ws") => replicaOf(transport, ["a"])

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

/** What nobody holds is counted until it is collected. */
const collect = (): void => {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
}

const used = () => process.memoryUsage().arrayBuffers

/** A frame of a WebSocket's client with these bytes, masked by zeros. */
const framed = (bytes: Uint8Array): Buffer => {
  const head = Buffer.from([0x82, 0xfe, bytes.length >> 8, bytes.length & 0xff, 0, 0, 0, 0])
  return Buffer.concat([head, bytes])
}

/** Opens a WebSocket by hand and says hello as `b`; answers the session. */
const greet = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly socket: Socket; readonly session: string; readonly hasEnded: () => boolean }>(
      (resume) => {
        let ended = false
        let said = Buffer.alloc(0)
        const socket = connect(port, "127.0.0.1", () => {
          socket.write(
            "GET /peer HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
          )
          socket.write(framed(PeerFrame.encodeRequest(1, { _tag: "hello", payload: Greeting.hello("b") })))
        })
        socket.on("error", () => (ended = true))
        socket.on("close", () => (ended = true))
        socket.on("data", (bytes) => {
          said = Buffer.concat([said, bytes])
          const at = said.indexOf("\r\n\r\n") + 4
          if (at < 4 || said.length < at + 4 || said.length < at + 4 + said.readUInt16BE(at + 2)) return
          socket.removeAllListeners("data")
          socket.pause()
          const answer = PeerFrame.decodeAnswer(
            new Uint8Array(said.subarray(at + 4, at + 4 + said.readUInt16BE(at + 2)))
          )
          const { message } = Result.getOrThrow(answer)
          assert(message._tag === "hello")
          const { session } = Result.getOrThrow(message.result)
          resume(Effect.succeed({ socket, session, hasEnded: () => ended }))
        })
      }
    ),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

describe("L63 a bad peer", () => {
  it.live("that pulls much and reads nothing is let go, and what it cost comes back", () =>
    Effect.gen(function* () {
      const { ended, log, port } = yield* replicaOf("ws", ["a", "b"])
      const before = used()
      const { hasEnded, session, socket } = yield* greet(port)
      const pull = framed(
        PeerFrame.encodeRequest(2, { _tag: "pull", payload: { session, log, after: 0, maxBytes: 1 } })
      )
      for (let i = 0; i < 1000; i++) socket.write(pull)
      let most = 0
      for (let i = 0; i < 40; i++) {
        yield* Effect.sleep(50)
        most = Math.max(most, used() - before)
      }
      assert.isBelow(most, 128 * mebibyte)
      socket.resume()
      yield* until(hasEnded)
      assert.deepStrictEqual(ended(), ["unread 127.0.0.1"])
    })
  )
})

/**
 * Opens connections from an address of this machine, each with a request, or with none, and waits until no more are open
 * than are kept; how many are.
 */
const flood = Effect.fnUntraced(function* (
  port: number,
  count: number,
  kept: number,
  localAddress: string,
  text?: string
) {
  const sockets = yield* Effect.acquireRelease(
    Effect.sync(() =>
      Array.from({ length: count }, () => {
        const socket = connect({ port, host: "127.0.0.1", localAddress }, () => void (text && socket.write(text)))
        return socket.on("error", () => {}).resume()
      })
    ),
    (all) => Effect.sync(() => all.forEach((socket) => socket.destroy()))
  )
  const open = () => sockets.filter(({ destroyed, readyState }) => !destroyed && readyState !== "closed").length
  yield* until(() => open() <= kept)
  return open
})

/** The beginning of what a request is answered with, on a connection of its own from an address of this machine. */
const firstOf = (port: number, localAddress: string, text: string) =>
  Effect.callback<string>((resume) => {
    const socket = connect({ port, host: "127.0.0.1", localAddress }, () => void socket.write(text))
    socket.once("data", (data) => resume(Effect.succeed(String(data))))
    socket.once("close", () => resume(Effect.succeed("ended")))
    socket.on("error", () => {})
    return Effect.sync(() => socket.destroy())
  })

/** What a request is answered with, from an address of this machine. */
const askFrom = (port: number, localAddress: string) =>
  Effect.map(
    firstOf(port, localAddress, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    (answer) => answer.slice(0, 12)
  )

// Elsewhere a machine has one address of its own, unless it is given more.
const several = process.platform === "linux" ? it.live : it.live.skip

describe("L63 many connections", () => {
  const upgrade =
    "GET /peer HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

  for (const transport of ["http", "ws"] as const) {
    several(`of one client end, and those of others are served, ${transport}`, () =>
      Effect.gen(function* () {
        const { ended, port } = yield* replicaOf(transport, ["a"], 8)
        const get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        const open = yield* flood(port, 100, 8, "127.0.0.2", get)
        assert.strictEqual(open(), 8)
        assert.strictEqual(yield* askFrom(port, "127.0.0.3"), "HTTP/1.1 200")
        yield* until(() => open() < 8)
        assert.strictEqual(open(), 7)
        assert.deepStrictEqual(ended(), ["too_many_clients 127.0.0.2"])
      })
    )
  }

  several("on which nothing is said, or nothing that proves anything, keep no peer and no client out", () =>
    Effect.gen(function* () {
      const { ended, port } = yield* replicaOf("ws", ["a", "b"], 8)
      const first = yield* greet(port)
      const { maxUnproven } = ServerConnections
      const maxSilent = ServerConnections.maxSilent(8)
      const silent = yield* flood(port, maxSilent + 100, maxSilent, "127.0.0.2")
      assert.isAtMost(silent(), maxSilent)
      const unproven = yield* flood(port, maxUnproven + 100, maxUnproven, "127.0.0.1", upgrade)
      assert.isAtMost(unproven(), maxUnproven)
      const second = yield* greet(port)
      assert.strictEqual(yield* askFrom(port, "127.0.0.2"), "HTTP/1.1 200")
      assert.deepStrictEqual([first.hasEnded(), second.hasEnded()], [false, false])
      assert.deepStrictEqual(ended(), ["too_many_silent 127.0.0.2", "too_many_unproven 127.0.0.1"])
    })
  )
})

describe("L63 a bad client", () => {
  for (const transport of ["http", "ws"] as const) {
    it.live(`that asks for much at once and reads nothing is let go, and what it cost comes back, ${transport}`, () =>
      Effect.gen(function* () {
        const { ended, port } = yield* replica(transport)
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
        yield* until(client.hasEnded)
        // The others are served as ever.
        const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/v1/records/n/large`))
        assert.strictEqual((yield* Effect.promise(() => answer.arrayBuffer())).byteLength, mebibyte)
        assert.deepStrictEqual(ended(), ["too_many_requests 127.0.0.1"])
      })
    )

    it.live(`that sends some requests at once and reads them all is served, ${transport}`, () =>
      Effect.gen(function* () {
        const { ended, port } = yield* replica(transport)
        const get = "GET /v1/records/n/large HTTP/1.1\r\nHost: localhost\r\n\r\n"
        const client = yield* send(port, get.repeat(16))
        let read = 0
        client.socket.on("data", (bytes) => (read += bytes.length))
        client.socket.resume()
        yield* until(() => read >= 16 * mebibyte)
        assert.isFalse(client.hasEnded())
        assert.deepStrictEqual(ended(), [])
      })
    )
  }

  it.live(
    "with many connections on which it reads nothing loses those that cost most, and what they cost comes back",
    () =>
      Effect.gen(function* () {
        const { ended, port } = yield* replica("http")
        const before = used()
        const get = "GET /v1/records/n/large HTTP/1.1\r\nHost: localhost\r\n\r\n"
        // As many as one connection may have under way, so each keeps its own bound.
        const clients = yield* Effect.replicateEffect(send(port, get.repeat(16)), 40)
        let most = 0
        for (let i = 0; i < 40; i++) {
          yield* Effect.sleep(50)
          most = Math.max(most, used() - before)
        }
        assert.isBelow(most, 256 * mebibyte)
        yield* until(() => ended().length > 0)
        assert.deepStrictEqual(ended(), ["unread 127.0.0.1"])
        for (const { socket } of clients) socket.destroy()
        for (let i = 0; i < 50 && used() - before > 32 * mebibyte; i++) {
          yield* Effect.sleep(100)
          collect()
        }
        assert.isBelow(used() - before, 32 * mebibyte)
        const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/v1/records/n/large`))
        assert.strictEqual((yield* Effect.promise(() => answer.arrayBuffer())).byteLength, mebibyte)
      })
  )

  for (const [transport, who] of [
    ["http", "addresses"],
    ["ws", "tokens"]
  ] as const) {
    several(
      `that begins many bodies at once is told to wait, and others write as ever, known by ${who}, ${transport}`,
      () =>
        Effect.gen(function* () {
          const tokens = ["bad", "good"].map((name) => ({
            name,
            sha256: createHash("sha256").update(name).digest("hex"),
            role: "write" as const
          }))
          const { ended, port } = yield* who === "tokens"
            ? Effect.provideService(replica(transport), ClientTokens.ClientTokens, () => tokens)
            : replica(transport)
          const address =
            who === "tokens" ? { bad: "127.0.0.2", good: "127.0.0.2" } : { bad: "127.0.0.2", good: "127.0.0.3" }
          const head = (name: string) =>
            `PUT /v1/records/n/k HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${name}\r\n` +
            `Content-Length: ${mebibyte}\r\n\r\n`
          const refused: Array<string> = []
          const begin = firstOf(port, address.bad, head("bad")).pipe(
            Effect.map((answer) => refused.push(answer)),
            Effect.forkScoped
          )
          yield* Effect.forEach(Array.from({ length: 20 }), () =>
            Effect.tap(Effect.replicateEffect(begin, 10), () => Effect.sleep(20))
          )
          yield* until(() => refused.length >= 200 - 64)
          const other = yield* firstOf(port, address.good, head("good") + "x".repeat(mebibyte))
          assert.match(other, /^HTTP\/1\.1 201 /)
          // The others are waited for.
          assert.lengthOf(refused, 200 - 64)
          for (const answer of refused) {
            assert.match(answer, /^HTTP\/1\.1 429 [^]*^retry-after: 1\r$[^]*"error":"rate_limited"/m)
          }
          assert.deepStrictEqual(ended(), [])
        })
    )
  }

  it.live(
    "that does not end the head or the body of its request, or asks nothing more, is let go within seconds",
    () =>
      Effect.gen(function* () {
        const clients = yield* Effect.forEach(["http", "ws"] as const, (transport) =>
          Effect.gen(function* () {
            const { ended, port } = yield* replica(transport)
            const head = "PUT /v1/records/n/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
            const heads = yield* Effect.replicateEffect(send(port, head), 10)
            const bodies = yield* Effect.replicateEffect(send(port, `${head}\r\n${"x".repeat(900_000)}`), 10)
            const get = "GET /v1/records/n/large HTTP/1.1\r\nHost: localhost\r\n\r\n"
            const idle = yield* Effect.replicateEffect(send(port, get), 10)
            for (const { socket } of [...heads, ...bodies, ...idle]) socket.resume()
            return { heads, bodies, idle, ended }
          })
        )
        const left = (of: "heads" | "bodies" | "idle") =>
          clients.flatMap((each) => each[of]).filter((one) => !one.hasEnded()).length
        const gone = (of: "heads" | "bodies" | "idle") => until(() => left(of) === 0)
        yield* Effect.sleep(2000)
        assert.deepStrictEqual([left("heads"), left("bodies"), left("idle")], [20, 20, 20])
        yield* gone("heads")
        yield* gone("idle")
        // A body has three times as long.
        assert.strictEqual(left("bodies"), 20)
        yield* gone("bodies")
        for (const { ended } of clients) assert.deepStrictEqual(ended(), ["slow_body 127.0.0.1"])
      }),
    120_000
  )
})
