import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { LogId, ReplicaSet } from "@quorum/core"
import { Chain, EntryBatch, PeerFrame, PeerProtocol, PeerTransport } from "@quorum/core/adapter"
import { Greeting } from "@quorum/testing"
import { Context, Effect, Layer, Result } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import type * as Http from "node:http"
import { gzipSync } from "node:zlib"
import { HttpPeerTransport, PeerMessage } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"

const members = Result.getOrThrow(ReplicaSet.make({ cluster: "test", self: "a", members: ["a", "b", "c"] }))

const b = Cluster.id("b")
const incarnation = "0123456789abcdef" as LogId.Incarnation
const log = LogId.make(Cluster.id("a"), incarnation)
const hello = Greeting.hello("a", { incarnation })
const push: PeerProtocol.Push = {
  session: "s",
  batch: { log, from: 1, count: 1, prevChain: Chain.empty, chain: Chain.empty, bytes: new Uint8Array(100) }
}

/** The http clients that people use on Node. */
const clients: ReadonlyArray<readonly [name: string, client: Layer.Layer<HttpClient.HttpClient>]> = [
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layerNodeHttp]
]

const withRedirects = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(HttpClient.HttpClient, (client) => HttpClient.followRedirects(client))
).pipe(Layer.provide(NodeHttpClient.layerUndici))

/** A client of the peer `b` at a url. */
const connect = Effect.fnUntraced(function* (
  url: string,
  client: Layer.Layer<HttpClient.HttpClient> = NodeHttpClient.layerUndici
) {
  const context = yield* Layer.build(
    HttpPeerTransport.layer({ peers: { b: url, c: "http://127.0.0.1:1" } }).pipe(
      Layer.provide(client),
      Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, members))
    )
  )
  const transport = Context.get(context, PeerTransport.PeerTransport)
  return yield* transport.connect(b)
})

const reasonOf = <A>(call: Effect.Effect<A, { readonly _tag: string }>) =>
  Effect.map(Effect.flip(call), (error) =>
    error instanceof PeerProtocol.PeerUnreachable ? error.reason : `not PeerUnreachable but ${error._tag}`
  )

const answers: ReadonlyArray<readonly [what: string, listener: Http.RequestListener]> = [
  ["200 and json", (_, response) => response.setHeader("content-type", "application/json").end('{"seq":1}')],
  [
    "200, json and the content type of the protocol",
    (_, response) => response.setHeader("content-type", PeerMessage.contentType).end('{"replica":"b","seq":1}')
  ],
  ["200 and an empty body", (_, response) => response.setHeader("content-type", PeerMessage.contentType).end()],
  ["204", (_, response) => response.writeHead(204).end()],
  [
    "201 and the content type of the protocol",
    (_, response) => response.writeHead(201, { "content-type": PeerMessage.contentType }).end("x")
  ],
  ["404", (_, response) => response.writeHead(404).end("no such page")],
  ["503 of a proxy", (_, response) => response.writeHead(503, { "retry-after": "1" }).end()]
]

describe("L11 nothing but a decoded answer of the protocol is an answer", () => {
  for (const [what, listener] of answers) {
    it.live(`${what} is an invalid answer to a handshake and to a push`, () =>
      Effect.gen(function* () {
        const client = yield* connect(yield* Cluster.serve(listener))
        assert.strictEqual(yield* reasonOf(client.hello(hello)), "invalid_answer")
        assert.strictEqual(yield* reasonOf(client.push(push)), "invalid_answer")
      })
    )
  }

  it.live("a whole and right answer under another content type or status does not count", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"])
      const replica = yield* cluster.start("b")
      const relaying = (status: number, contentType: string) =>
        Cluster.serve((request, response) => {
          void relay(request, replica.url).then((body) =>
            response.writeHead(status, { "content-type": contentType }).end(body)
          )
        })
      const honest = yield* connect(yield* relaying(200, PeerMessage.contentType))
      assert.strictEqual((yield* honest.hello(hello)).replica, b)
      const relabelled = yield* connect(yield* relaying(200, "text/html"))
      assert.strictEqual(yield* reasonOf(relabelled.hello(hello)), "invalid_answer")
      const cached = yield* connect(yield* relaying(203, PeerMessage.contentType))
      assert.strictEqual(yield* reasonOf(cached.hello(hello)), "invalid_answer")
    })
  )
})

describe("L11 a right answer to another request", () => {
  for (const [by, what] of [
    [0, "counts where it has the number of the request"],
    [1, "does not count where it has that of a later one"],
    [-1, "does not count where it has that of an earlier one"]
  ] as const) {
    it.live(what, () =>
      Effect.gen(function* () {
        const ack: PeerProtocol.Ack = {
          ...EntryBatch.watermark(push.batch),
          replica: b,
          incarnation,
          members: 0,
          clock: { wallTime: 0, logical: 0 },
          voting: true
        }
        const url = yield* Cluster.serve((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            const { number } = Result.getOrThrow(PeerFrame.decodeRequest(new Uint8Array(Buffer.concat(chunks))))
            const answer = PeerFrame.encodeAnswer(number + by, { _tag: "push", result: Result.succeed(ack) })
            response.writeHead(200, { "content-type": PeerMessage.contentType }).end(answer)
          })
        })
        const client = yield* connect(url)
        const outcome = by === 0 ? Effect.map(client.push(push), ({ seq }) => String(seq)) : reasonOf(client.push(push))
        assert.strictEqual(yield* outcome, by === 0 ? String(ack.seq) : "invalid_answer")
      })
    )
  }
})

describe("L14 redirects are not followed", () => {
  for (const [name, client] of clients) {
    for (const status of [301, 307, 308]) {
      it.live(`a ${status} is an invalid answer, and the target sees nothing (${name})`, () =>
        Effect.gen(function* () {
          let seen = 0
          const target = yield* Cluster.serve((_, response) => {
            seen++
            response.end()
          })
          const url = yield* Cluster.serve((_, response) =>
            response.writeHead(status, { location: `${target}/peer` }).end()
          )
          const peer = yield* connect(url, client)
          assert.strictEqual(yield* reasonOf(peer.hello(hello)), "invalid_answer")
          assert.strictEqual(yield* reasonOf(peer.push(push)), "invalid_answer")
          assert.strictEqual(seen, 0)
        })
      )
    }
  }

  it.live("an answer of the right replica by way of a redirect does not count, if the client followed it", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"])
      const replica = yield* cluster.start("b")
      const url = yield* Cluster.serve((_, response) =>
        response.writeHead(307, { location: `${replica.url}/peer` }).end()
      )
      assert.strictEqual((yield* (yield* connect(replica.url, withRedirects)).hello(hello)).replica, b)
      assert.strictEqual(yield* reasonOf((yield* connect(url, withRedirects)).hello(hello)), "invalid_answer")
    })
  )
})

describe("L42 answers are read with a limit", () => {
  it.live("an endless answer is given up at the limit", () =>
    Effect.gen(function* () {
      let sent = 0
      let closed = false
      const chunk = Buffer.alloc(64 * 1024, 4)
      const url = yield* Cluster.serve((_, response) => {
        response.setHeader("content-type", PeerMessage.contentType)
        response.on("close", () => (closed = true))
        const more = (): void => {
          while (!closed && response.write(chunk)) sent += chunk.length
          if (!closed) response.once("drain", more)
        }
        more()
      })
      const client = yield* connect(url)
      assert.strictEqual(yield* reasonOf(client.hello(hello)), "invalid_answer")
      yield* Cluster.until("the connection is closed", () => closed)
      assert.isBelow(sent, PeerProtocol.maxMessageBytes() + 8 * 1024 * 1024)
    })
  )

  it.live("an answer may be as long as the limit, to the byte, with and without a length", () =>
    Effect.gen(function* () {
      for (const hasLength of [true, false]) {
        for (const over of [0, 1]) {
          const body = Buffer.alloc(PeerProtocol.maxMessageBytes() + over, 4)
          const url = yield* Cluster.serve((_, response) => {
            response.writeHead(200, {
              "content-type": PeerMessage.contentType,
              ...(hasLength ? { "content-length": body.length } : {})
            })
            response.end(body)
          })
          const error = yield* Effect.flip((yield* connect(url)).hello(hello))
          assert(error._tag === "PeerUnreachable")
          assert.strictEqual(error.reason, "invalid_answer")
          assert.strictEqual(/larger than/.test(error.detail), over > 0, `${hasLength} ${over}`)
        }
      }
    })
  )

  it.live("a small answer that unpacks to a large one is given up at the limit (fetch)", () =>
    Effect.gen(function* () {
      const packed = gzipSync(Buffer.alloc(64 * PeerProtocol.maxMessageBytes()))
      const url = yield* Cluster.serve((_, response) =>
        response
          .writeHead(200, {
            "content-type": PeerMessage.contentType,
            "content-encoding": "gzip",
            "content-length": packed.length
          })
          .end(packed)
      )
      const error = yield* Effect.flip((yield* connect(url, FetchHttpClient.layer)).hello(hello))
      assert(error._tag === "PeerUnreachable")
      assert.strictEqual(error.reason, "invalid_answer")
      assert.match(error.detail, /larger than/)
    })
  )
})

describe("failures of the network", () => {
  for (const [name, client] of clients) {
    it.live(`L9 nobody listens: refused (${name})`, () =>
      Effect.gen(function* () {
        const peer = yield* connect(`http://127.0.0.1:${yield* Cluster.freePort}`, client)
        assert.strictEqual(yield* reasonOf(peer.hello(hello)), "refused")
      })
    )
  }

  it.live("interrupting a call closes its connection", () =>
    Effect.gen(function* () {
      let open = 0
      const url = yield* Cluster.serve((request) => {
        open++
        request.socket.on("close", () => open--)
      })
      const client = yield* connect(url)
      yield* Effect.timeoutOption(client.hello(hello), 100)
      yield* Cluster.until("the connection is closed", () => open === 0)
    })
  )
})

describe("the addresses of the peers", () => {
  it.effect("a wrong address fails the layer with a typed error", () =>
    Effect.gen(function* () {
      const error = yield* Layer.build(HttpPeerTransport.layer({ peers: { b: "http://b" } })).pipe(
        Effect.provide([NodeHttpClient.layerUndici, Layer.succeed(ReplicaSet.ReplicaSet, members)]),
        Effect.flip
      )
      assert.strictEqual(error._tag, "InvalidPeerUrls")
    })
  )
})

const relay = async (request: Http.IncomingMessage, url: string): Promise<Uint8Array> => {
  const body: Array<Uint8Array> = []
  for await (const chunk of request) body.push(chunk as Uint8Array)
  const response = await fetch(`${url}/peer`, {
    method: "POST",
    body: Buffer.concat(body),
    headers: { "content-type": PeerMessage.contentType }
  })
  return new Uint8Array(await response.arrayBuffer())
}
