/** Who gets into a replica set that shares a secret, over both transports: its members, and nobody else (L39). */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeHttpClient, NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  Entry,
  type LogId,
  QuorumWriter,
  Replica,
  ReplicaEvents,
  ReplicaId,
  ReplicaSet,
  ReplicaStatus
} from "@quorum/core"
import {
  PeerFrame,
  type PeerProtocol,
  PeerSecret,
  PeerTransport,
  RecordIndex,
  ReplicaStore
} from "@quorum/core/adapter"
import { HttpPeerTransport } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { Greeting } from "@quorum/testing"
import { NodeCodes } from "@quorum/node"
import { WsPeerTransport } from "@quorum/ws"
import { WsNode } from "@quorum/ws/node"
import * as Ports from "../../../packages/server/test/support/ports.ts"
import { Context, Effect, Fiber, Layer, Logger, Redacted } from "effect"
import { HttpServer } from "effect/http"
import * as Program from "./support/program.ts"

const serve = { http: HttpNode.serve, ws: WsNode.serve }
const ids = ["a", "b", "c"]
const secret = Redacted.make("the secret of the set, which has 32 bytes or more")
const other = Redacted.make("the secret of nobody, which has 32 bytes or more too")
const b = ReplicaId.make("b")
const methods = { http: "POST", ws: "GET" }

const setOf = (self: string) => ReplicaSet.layer({ cluster: "test", self, members: ids })

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-secret-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

interface Options {
  readonly transport: "http" | "ws"
  readonly self?: string
  readonly port?: number
  readonly peers?: Readonly<Record<string, string>>
  readonly host?: string
  readonly secret?: PeerSecret.Given | undefined
  readonly insecure?: boolean
}

type Refused = Extract<ReplicaEvents.ReplicaEvent, { readonly _tag: "HandshakeRefused" }>

const dead = { a: "http://127.0.0.1:1", b: "http://127.0.0.1:2", c: "http://127.0.0.1:3" }

/** A replica on a port, `b` unless another is asked for. */
const replica = Effect.fnUntraced(function* ({ peers = dead, port = 0, self = "b", transport, ...options }: Options) {
  const said: Array<string> = []
  const context = yield* Replica.layer().pipe(
    serve[transport]({ port, peers, ...options }),
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
    Layer.provide(setOf(self)),
    Layer.provide(Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])),
    Layer.build
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  assert("port" in address)
  const told: Array<Refused> = []
  Context.get(context, ReplicaEvents.ReplicaEvents).listen((event) => {
    if (event._tag === "HandshakeRefused" && event.direction === "incoming") told.push(event)
  })
  const status = Context.get(context, ReplicaStatus.ReplicaStatus).current
  return { port: address.port, told, said, status, writer: Context.get(context, QuorumWriter.QuorumWriter) }
})

const transports = {
  http: (peers: Readonly<Record<string, string>>) =>
    HttpPeerTransport.layer({ peers }).pipe(Layer.provide(NodeHttpClient.layerUndici)),
  ws: (peers: Readonly<Record<string, string>>) =>
    WsPeerTransport.layer({ peers }).pipe(Layer.provide(NodeWS.layerWebSocketConstructor))
}

/** Says hello to `b` as somebody, over a connection of one who is `self` and has this secret, or none. */
const greet = Effect.fnUntraced(function* (
  transport: "http" | "ws",
  port: number,
  hello: PeerProtocol.Hello,
  { as = "a", secret }: { readonly as?: string; readonly secret?: Redacted.Redacted<string> } = {}
) {
  const context = yield* transports[transport]({ ...dead, b: `http://127.0.0.1:${port}` }).pipe(
    Layer.provide(PeerSecret.layer(secret)),
    Layer.provide([NodeCodes.layer, setOf(as)]),
    Layer.build
  )
  const client = yield* Context.get(context, PeerTransport.PeerTransport).connect(b)
  return yield* client.hello(hello)
})

/** What a bare frame of the protocol is answered with. */
const posted = (port: number, hello: PeerProtocol.Hello) =>
  Effect.callback<{ readonly status: number | undefined; readonly body: string }>((resume) => {
    const headers = { "content-type": "application/vnd.quorum.peer-frame" }
    const options = { host: "127.0.0.1", port, path: "/peer", method: "POST", headers }
    request(options, (response) => {
      let body = ""
      response.on("data", (chunk) => (body += String(chunk)))
      response.on("end", () => resume(Effect.succeed({ status: response.statusCode, body })))
    }).end(PeerFrame.encodeRequest(1, { _tag: "hello", payload: hello }))
  })

/** A web page calls. */
const visited = (port: number, method: string) =>
  Effect.callback<void>((resume) => {
    const headers = { origin: "https://evil.example" }
    request({ host: "127.0.0.1", port, path: "/peer", method, headers }, (response) => {
      response.resume().on("end", () => resume(Effect.void))
    }).end()
  })

describe("a replica set that shares a secret", () => {
  for (const transport of ["http", "ws"] as const) {
    it.live(`L39 lets a member in who says who it is, and nobody who claims to be one, over ${transport}`, () =>
      Effect.gen(function* () {
        const { port } = yield* replica({ transport, secret })
        const hello = Greeting.hello("a")
        for (const attempt of [{}, { secret: other }, { as: "c", secret: other }]) {
          const error = yield* Effect.flip(greet(transport, port, hello, attempt))
          assert.strictEqual(error._tag, "PeerUnreachable")
          // Neither whom it belongs to nor who is in it.
          assert.notMatch(error.message.replace("peer b ", ""), /test|\b[abc]\b.*\b[abc]\b/)
        }
        const welcome = yield* greet(transport, port, hello, { secret })
        assert.strictEqual(welcome.replica, "b")
      })
    )

    it.live(`L39 a member cannot speak as another one, over ${transport}`, () =>
      Effect.gen(function* () {
        const { port } = yield* replica({ transport, secret })
        const error = yield* Effect.flip(greet(transport, port, Greeting.hello("c"), { as: "a", secret }))
        assert(error._tag === "HandshakeRefused")
        assert.strictEqual(error.reason, "identity_mismatch")
      })
    )

    it.live(`strangers with made-up incarnations neither lock a member out nor are remembered, over ${transport}`, () =>
      Effect.gen(function* () {
        const { port } = yield* replica({ transport, secret })
        for (const incarnation of ["00000000000000e1", "00000000000000e2", "00000000000000e3"]) {
          yield* Effect.flip(greet(transport, port, Greeting.hello("a", { incarnation })))
        }
        const incarnation = "00000000000000aa"
        const welcome = yield* greet(transport, port, Greeting.hello("a", { incarnation }), { secret })
        assert.strictEqual(welcome.members[ReplicaId.make("a")]?.incarnation, incarnation as LogId.Incarnation)
      })
    )

    it.live(`who is turned away is told of, with the reason and the address, over ${transport}`, () =>
      Effect.gen(function* () {
        const { port, told } = yield* replica({ transport, secret })
        yield* Effect.flip(greet(transport, port, Greeting.hello("a")))
        yield* Effect.flip(greet(transport, port, Greeting.hello("c"), { as: "a", secret }))
        const bad = yield* replica({ transport, insecure: true })
        yield* Effect.flip(greet(transport, bad.port, Greeting.hello("a", { cluster: "else" })))
        yield* visited(bad.port, methods[transport])
        const summary = [...told, ...bad.told].map(({ address, peer, reason }) => [reason, peer, address])
        assert.deepStrictEqual(summary, [
          ["unproven", undefined, "127.0.0.1"],
          ["identity_mismatch", "c", "127.0.0.1"],
          ["wrong_cluster", "a", "127.0.0.1"],
          ["web_page", undefined, "127.0.0.1"]
        ])
      })
    )

    it.live(`three replicas commit a write on all of them, over ${transport}`, () =>
      Effect.gen(function* () {
        const ports = yield* Ports.free(3)
        const peers = Object.fromEntries(["a", "b", "c"].map((id, i) => [id, `http://127.0.0.1:${ports[i]!}`]))
        const start = (self: string, i: number) => replica({ transport, secret, self, peers, port: ports[i]! })
        const [a] = yield* Effect.all([start("a", 0), start("b", 1), start("c", 2)], { concurrency: "unbounded" })
        const receipt = yield* a.writer.commit(Entry.put("notes", "k", "v"))
        assert.isAtLeast(receipt.acked.length, 2)
      })
    )

    it.live(
      `without a secret a replica is asked for by name and listens on loopback alone, which its status says, and a short one is refused, over ${transport}`,
      () =>
        Effect.gen(function* () {
          const silent = yield* Effect.flip(replica({ transport }))
          assert(silent._tag === "PeersUnproven")
          assert.include(silent.message, "insecure: true")
          const open = yield* Effect.flip(replica({ transport, host: "0.0.0.0", insecure: true }))
          assert(open._tag === "PeersUnproven")
          const both = yield* Effect.flip(replica({ transport, secret, insecure: true }))
          assert(both._tag === "PeersUnproven")
          assert.isTrue((yield* replica({ transport, insecure: true })).status().insecure)
          assert.isFalse((yield* replica({ transport, secret })).status().insecure)
          const short = yield* Effect.flip(replica({ transport, secret: Redacted.make("too short") }))
          assert(short._tag === "PeersUnproven")
          assert.notInclude(short.message, "too short")
        })
    )
  }

  // Each step waits until a file is read again: both at once.
  for (const transport of ["http", "ws"] as const) {
    it.live(
      `L41 a secret is exchanged in the files of three replicas, one after the other, and no write waits for it, over ${transport}`,
      () =>
        Effect.gen(function* () {
          const folder = yield* temporary
          const fileOf = (id: string) => join(folder, id)
          const put = (id: string, ...lines: ReadonlyArray<Redacted.Redacted<string>>) =>
            Effect.sync(() => {
              writeFileSync(`${fileOf(id)}.next`, lines.map((line) => `${Redacted.value(line)}\n`).join(""))
              renameSync(`${fileOf(id)}.next`, fileOf(id))
            })
          yield* Effect.forEach(ids, (id) => put(id, secret))
          const ports = yield* Ports.free(3)
          const peers = Object.fromEntries(ids.map((id, i) => [id, `http://127.0.0.1:${ports[i]!}`]))
          const set = yield* Effect.forEach(
            ids,
            (self, i) => replica({ transport, secret: { file: fileOf(self) }, self, peers, port: ports[i]! }),
            { concurrency: "unbounded" }
          )
          const committed = ids.map(() => 0)
          const writes = yield* Effect.forkChild(
            Effect.forEach(
              set,
              ({ writer }, i) =>
                Effect.gen(function* () {
                  yield* writer.commit(Entry.put("notes", "k", "v"))
                  committed[i]!++
                  yield* Effect.sleep(5)
                }).pipe(Effect.forever),
              { concurrency: "unbounded" }
            )
          )
          for (const [round, lines] of [[secret, other], [other, secret], [other]].entries()) {
            for (const [i, id] of ids.entries()) {
              yield* put(id, ...lines)
              yield* Program.until(() => set[i]!.said.filter((line) => line.includes("have changed")).length > round)
              // The exchange stands still until each has written twice: the second began after what was read. One that
              // waited for the next step would wait for ever.
              const before = [...committed]
              yield* Program.until(
                () => writes.pollUnsafe() !== undefined || committed.every((count, i) => count > before[i]! + 1)
              )
              // None has failed.
              assert.isUndefined(writes.pollUnsafe())
            }
          }
          yield* Fiber.interrupt(writes)
          for (const { status, told } of set) {
            assert.isTrue(status().peers.every(({ link }) => link === "up"))
            assert.deepStrictEqual(told, [])
          }
          const stranger = yield* Effect.flip(greet(transport, ports[1]!, Greeting.hello("a"), { secret }))
          assert.strictEqual(stranger._tag, "PeerUnreachable")
          yield* Effect.forEach(set, ({ writer }) => writer.commit(Entry.put("notes", "last", "v")))
        }),
      { concurrent: true, timeout: 120_000 }
    )
  }

  it.live("L67 a bare frame is refused, and the answer says nothing of the set", () =>
    Effect.gen(function* () {
      const { port } = yield* replica({ transport: "http", secret })
      const { body, status } = yield* posted(port, Greeting.hello("a"))
      assert.strictEqual(status, 403)
      const { error, message } = JSON.parse(body)
      assert.deepStrictEqual({ error, message }, { error: "forbidden", message: "who calls proves nothing" })
      assert.notMatch(body, /\btest\b|incarnation/)
    })
  )
})
