import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Entry, Limits } from "@quorum/core"
import { PeerProtocol } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import { FetchHttpClient } from "effect/http"
import { PeerMessage } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { request, upload } from "./support/request.ts"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

const startAll = Effect.fnUntraced(function* (options?: Cluster.StartOptions) {
  const cluster = yield* Cluster.make(["a", "b", "c"], options)
  const a = yield* cluster.start("a")
  const b = yield* cluster.start("b")
  const c = yield* cluster.start("c")
  yield* Cluster.connected(a, "b")
  yield* Cluster.connected(a, "c")
  return { cluster, a, b, c }
})

describe("a replica set over http", () => {
  for (const [name, client] of [
    ["undici", NodeHttpClient.layerUndici],
    ["fetch", FetchHttpClient.layer],
    ["node:http", NodeHttpClient.layerNodeHttp]
  ] as const) {
    it.live(`commits a write when all three hold it, and any of them reads it (${name})`, () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* startAll({ w: 3, client })
        const receipt = yield* a.writer.commit(Entry.put("notes", "k", "v"))
        assert.deepStrictEqual(receipt.acked.map(({ replica }) => replica).sort(), ["a", "b", "c"])
        for (const replica of [a, b, c]) {
          const record = yield* replica.records.read("notes", "k", { atLeast: receipt.writeId })
          assert.strictEqual(text(Option.getOrThrow(record).value), "v")
        }
      })
    )
  }

  it.live("a replica that was stopped catches up when it starts again on the same store", () =>
    Effect.gen(function* () {
      const { a, c, cluster } = yield* startAll()
      yield* c.stop
      yield* Cluster.lost(a, "c")
      for (let i = 0; i < 20; i++) {
        const receipt = yield* a.writer.commit(Entry.put("notes", `k${i}`, `v${i}`))
        assert.deepStrictEqual<ReadonlyArray<string>>(
          receipt.acked.map(({ replica }) => replica),
          ["a", "b"]
        )
      }
      const again = yield* cluster.start("c")
      yield* Cluster.until("c holds all of a's log", () => again.head(a.own).seq === 20)
      assert.deepStrictEqual(again.head(a.own), a.head(a.own))
      const record = yield* again.records.read("notes", "k19")
      assert.strictEqual(text(Option.getOrThrow(record).value), "v19")
    })
  )

  it.live("a write acked by a and b reaches c from b when a is gone", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* startAll()
      yield* c.stop
      yield* Cluster.lost(a, "c")
      const receipt = yield* a.writer.commit(Entry.put("notes", "k", "v"))
      assert.deepStrictEqual<ReadonlyArray<string>>(
        receipt.acked.map(({ replica }) => replica),
        ["a", "b"]
      )
      yield* a.stop
      const again = yield* cluster.start("c")
      yield* Cluster.until("c holds a's write", () => again.head(a.own).seq === 1)
      assert.deepStrictEqual(again.head(a.own), b.head(a.own))
    })
  )

  it.live("connections are kept alive: a hundred commits open no more than a few", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* startAll()
      for (let i = 0; i < 100; i++) yield* a.writer.commit(Entry.put("notes", `k${i}`, "v"))
      for (const replica of [a, b, c]) assert.isAtMost(replica.connections(), 8)
    })
  )

  it.live("L25 the largest write that is taken is replicated to all, pushed and pulled", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* startAll({ w: 2 })
      yield* c.stop
      const namespace = "n".repeat(Limits.defaults.namespaceBytes)
      const key = "k".repeat(Limits.defaults.keyBytes)
      const value = new Uint8Array(Limits.defaults.valueBytes).fill(7)
      const receipt = yield* a.writer.commit(Entry.put(namespace, key, value))
      assert.deepStrictEqual<ReadonlyArray<string>>(
        receipt.acked.map(({ replica }) => replica),
        ["a", "b"]
      )
      yield* a.stop
      const again = yield* cluster.start("c")
      yield* Cluster.until("c has pulled it", () => again.head(a.own).seq === 1)
      for (const replica of [b, again]) {
        const record = yield* replica.records.read(namespace, key)
        assert.strictEqual(Option.getOrThrow(record).value.length, value.length)
      }
    })
  )

  it.live("L25 with larger limits on all members, larger writes are replicated", () =>
    Effect.gen(function* () {
      const { a } = yield* startAll({ w: 3, limits: { ...Limits.defaults, valueBytes: 5_000_000 } })
      const receipt = yield* a.writer.commit(Entry.put("n", "k", new Uint8Array(5_000_000)))
      assert.strictEqual(receipt.acked.length, 3)
    })
  )

  it("L25 a message has room for the largest batch and for the largest entry", () => {
    const entry = (valueBytes: number) =>
      Entry.headerBytes + Limits.defaults.namespaceBytes + Limits.defaults.keyBytes + valueBytes
    assert.isAbove(PeerProtocol.maxMessageBytes(), entry(Limits.defaults.valueBytes) + 60_000)
    assert.isAbove(PeerProtocol.maxMessageBytes({ ...Limits.defaults, valueBytes: 10 }), 1024 * 1024 + 60_000)
    assert.isAbove(
      PeerProtocol.maxMessageBytes({ ...Limits.defaults, valueBytes: 9_000_000 }),
      entry(9_000_000) + 60_000
    )
  })
})

describe("peers that cannot be counted", () => {
  it.live("L9 a peer at whose address nobody listens is refused", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"])
      const a = yield* cluster.start("a")
      assert.strictEqual((yield* Cluster.lost(a, "b"))?.verdict._tag, "refused")
    })
  )

  it.live("L9 L23 a peer that hangs has timed out, and holds no more than two connections", () =>
    Effect.gen(function* () {
      let open = 0
      let accepted = 0
      const hanging = yield* Cluster.serve(() => {})
      const counting = yield* Cluster.serve((request) => {
        accepted++
        open++
        request.socket.once("close", () => open--)
      })
      const cluster = yield* Cluster.make(["a", "b", "c"])
      const a = yield* cluster.start("a", { peers: { b: hanging, c: counting } })
      assert.strictEqual((yield* Cluster.lost(a, "b"))?.verdict._tag, "timed_out")
      yield* Cluster.until("c was tried three times", () => accepted >= 3)
      assert.isAtMost(open, 2)
    })
  )

  it.live("another replica at the address is refused as the wrong one, and its ack counts for nobody", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"])
      const c = yield* cluster.start("c")
      const nobody = `http://127.0.0.1:${yield* Cluster.freePort}`
      const a = yield* cluster.start("a", { ackTimeout: 300, peers: { b: c.url, c: nobody } })
      const { detail, verdict } = yield* Cluster.lost(a, "b")
      assert.strictEqual(verdict._tag, "refused")
      assert.match(detail, /wrong_replica/)
      const error = yield* Effect.flip(a.writer.commit(Entry.put("n", "k", "v")))
      assert.strictEqual(error._tag, "QuorumNotMet")
      assert.strictEqual(a.peer("b").watermark, 0)
    })
  )

  it.live("L13 its own address under a peer's name is refused as self", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"])
      const elsewhere = `http://127.0.0.1:${yield* Cluster.freePort}`
      const a = yield* cluster.start("a", { peers: { a: elsewhere, b: cluster.urlOf("a") } })
      assert.match((yield* Cluster.lost(a, "b"))!.detail, /\(self\)/)
    })
  )

  it.live("L39 a caller whose proven identity is another than it claims is refused", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"])
      // The transport of b proves that whoever calls is c.
      yield* cluster.start("b", { server: { identify: () => Option.some(Cluster.id("c")) } })
      const a = yield* cluster.start("a")
      const c = yield* cluster.start("c")
      assert.match((yield* Cluster.lost(a, "b"))!.detail, /identity_mismatch/)
      yield* Cluster.connected(c, "b")
    })
  )

  it.live(
    "L39 L67 a caller that proves nothing is turned away where callers have to, and is told nothing of the set",
    () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b", "c"])
        const b = yield* cluster.start("b", { server: { identify: () => Option.none() } })
        const a = yield* cluster.start("a")
        const lost = (yield* Cluster.lost(a, "b"))!
        assert.match(lost.detail, /403/)
        assert.strictEqual(a.peer("b").watermark, 0)
        const headers = { "content-type": PeerMessage.contentType }
        const answer = yield* request("POST", `${b.url}/peer`, { body: "anything", headers })
        assert.strictEqual(answer.status, 403)
        assert.notMatch(answer.text, /\b[abc]\b(?=[@",])|test/)
      })
  )
})

describe("POST /peer", () => {
  const post = (url: string, body: BodyInit, contentType = PeerMessage.contentType) =>
    request("POST", `${url}/peer`, { body, headers: { "content-type": contentType } })

  it.live("garbage is answered with an error, and the replica goes on answering", () =>
    Effect.gen(function* () {
      const { a, b } = yield* startAll({ w: 3 })
      assert.strictEqual((yield* post(b.url, "garbage")).status, 400)
      assert.strictEqual((yield* post(b.url, "")).status, 400)
      for (let length = 1; length < 200; length += 13) {
        const bytes = Uint8Array.from({ length }, (_, i) => (i * 37 + length) & 0xff)
        assert.strictEqual((yield* post(b.url, bytes)).status, 400)
      }
      const receipt = yield* a.writer.commit(Entry.put("n", "k", "v"))
      assert.strictEqual(receipt.acked.length, 3)
    })
  )

  it.live("another content type is answered with 415", () =>
    Effect.gen(function* () {
      const { b } = yield* startAll()
      const answer = yield* post(b.url, "{}", "application/json")
      assert.strictEqual(answer.status, 415)
      assert.strictEqual(answer.json.error, "unsupported_media_type")
    })
  )

  it.live("L42 a body beyond the limit is answered with 413, with and without a length", () =>
    Effect.gen(function* () {
      const { a, b } = yield* startAll()
      const body = new Uint8Array(PeerProtocol.maxMessageBytes() + 1)
      const announced = yield* post(b.url, body)
      assert.strictEqual(announced.status, 413)
      assert.strictEqual(announced.json.error, "request_too_large")
      const streamed = yield* post(b.url, new Blob([body]).stream())
      assert.strictEqual(streamed.status, 413)
      assert.strictEqual(streamed.json.error, "request_too_large")
      // To the byte: what fits is read, and is no message.
      for (const fits of [body.slice(1), new Blob([body.slice(1)]).stream()]) {
        assert.strictEqual((yield* post(b.url, fits)).json.error, "invalid_request")
      }
      yield* a.writer.commit(Entry.put("n", "k", "v"))
    })
  )

  it.live("L63 a request that wants another protocol is answered at once, and its body is not waited for", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"])
      const b = yield* cluster.start("b")
      const type = { "content-type": PeerMessage.contentType, connection: "upgrade", "content-length": "100000" }
      for (const protocol of ["h2c", "websocket"]) {
        const answer = yield* upload("POST", `${b.url}/peer`, { ...type, upgrade: protocol }, "none")
        assert.deepStrictEqual([answer.status, answer.json["field"]], [400, "upgrade"])
      }
    })
  )

  it.live("L42 a body is refused as soon as it is known to be too large", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"])
      const b = yield* cluster.start("b")
      const type = { "content-type": PeerMessage.contentType }
      const announced = { ...type, "content-length": String(PeerProtocol.maxMessageBytes() + 1) }
      for (const answer of [
        yield* upload("POST", `${b.url}/peer`, announced, "none"),
        yield* upload("POST", `${b.url}/peer`, type, "endless")
      ]) {
        assert.deepStrictEqual([answer.status, answer.json["error"]], [413, "request_too_large"])
      }
    })
  )
})
