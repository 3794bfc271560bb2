import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { WriteId } from "@quorum/core"
import { Context, Effect, Fiber, Layer } from "effect"
import { ClientApiClient } from "../src/index.ts"
import { cluster, get, head, put, single } from "./support/api.ts"
import * as Cluster from "./support/cluster.ts"
import { request } from "./support/request.ts"

/** What the document says of the methods of a path. */
interface Operations {
  readonly get?: { readonly parameters?: ReadonlyArray<{ readonly in: string; readonly name: string }> }
}

describe("the replica", () => {
  it.live(
    "takes a write without a quorum where the policy of its namespace accepts that, and says that it is not met",
    () =>
      Effect.gen(function* () {
        const accepting = { ...Cluster.policy(3, 2, 200), unavailable: "accept" } as const
        const set = yield* Cluster.make(["a", "b", "c"], { ackTimeout: 200, namespaces: { drafts: accepting } })
        const a = yield* set.start("a")
        yield* Cluster.until("the others are gone for long", () =>
          a.status().peers.every(({ link }) => link === "down")
        )
        yield* Effect.sleep(300)
        const path = (namespace: string) => `${a.url}/v1/records/${namespace}/k`
        const refused = yield* request("PUT", path("notes"), { body: "v" })
        assert.deepStrictEqual([refused.status, refused.json.error], [503, "quorum_unavailable"])
        const taken = yield* request("PUT", path("drafts"), { body: "v" })
        assert.deepStrictEqual([taken.status, taken.json.error], [504, "quorum_not_met"])
        assert.strictEqual((yield* request("GET", path("drafts"))).text, "v")
        yield* set.start("b")
        yield* Cluster.connected(a, "b")
        const resumed = yield* request("POST", `${a.url}/v1/writes/${String(taken.json["writeId"])}/resume`)
        assert.deepStrictEqual([resumed.status, resumed.json["writeId"]], [200, taken.json["writeId"]])
        assert.deepInclude(resumed.json["policy"] as object, { order: "clock", unavailable: "accept" })
      })
  )

  it.live("its status tells identity, policy, logs and peers, and how far a lost peer is behind", () =>
    Effect.gen(function* () {
      const { a, c } = yield* cluster()
      yield* put(a, "k", "v", "?w=3")
      const up = (yield* get(a, "/v1/status")).json as Record<string, Record<string, unknown>>
      assert.deepStrictEqual(up["identity"], { ...a.status().identity })
      assert.strictEqual(up["log"] as unknown, a.own)
      assert.deepStrictEqual(up["protocolVersions"] as unknown, [3])
      assert.deepStrictEqual(up["policy"], {
        n: 3,
        w: 2,
        ackTimeoutMillis: 2000,
        order: "clock",
        unavailable: "refuse"
      })
      assert.deepStrictEqual(up["vector"] as unknown, [{ ...a.head(a.own) }])
      const peers = up["peers"] as unknown as Array<Record<string, unknown>>
      for (const peer of peers) {
        assert.deepInclude(peer, { link: "up", watermark: 1, lag: 0, drifted: [], detail: null, verdict: null })
        assert.isAtMost(Math.abs(peer["clockSkewMillis"] as number), 1000)
      }
      yield* c.stop
      yield* Cluster.lost(a, "c")
      yield* put(a, "k2")
      yield* put(a, "k3")
      const down = ((yield* get(a, "/v1/status")).json["peers"] as Array<Record<string, unknown>>)[1]!
      assert.deepInclude(down, { replica: "c", link: "down", watermark: 1, lag: 2 })
      assert.strictEqual((down["verdict"] as { kind: string }).kind, "refused")
      assert.isNumber(down["since"])
    })
  )

  it.live("answers a health check, with GET and HEAD", () =>
    Effect.gen(function* () {
      const a = yield* single()
      assert.deepStrictEqual((yield* get(a, "/healthz")).json, { status: "ok" })
      assert.strictEqual((yield* request("HEAD", `${a.url}/healthz`)).status, 200)
    })
  )

  it.live(
    "L43 no GET writes anything, whatever route it asks, with all parameters that there are, nor does a HEAD",
    () =>
      Effect.gen(function* () {
        const a = yield* single()
        const { writeId } = (yield* put(a, "k")).json
        const samples: Readonly<Record<string, string>> = {
          namespace: "notes",
          key: "k",
          id: String(writeId),
          atLeast: String(writeId),
          withinMillis: "1",
          consistency: "linearizable",
          limit: "2",
          prefix: "k",
          reverse: "true",
          until: "now"
        }
        const { paths } = (yield* get(a, "/openapi.json")).json as {
          readonly paths: Readonly<Record<string, Operations>>
        }
        const before = a.status()
        const sent = { "quorum-stamp": "x", "idempotency-key": "x", "if-none-match": "*" }
        let asked = 0
        for (const [path, { get: operation }] of Object.entries(paths)) {
          if (operation === undefined) continue
          const names = operation.parameters?.filter((each) => each.in === "query").map(({ name }) => name) ?? []
          const query = names.flatMap((name) => (name in samples ? [`${name}=${samples[name]!}`] : [])).join("&")
          for (const key of ["k", "new"]) {
            const url = `${a.url}${path.replaceAll(/\{(\w+)\}/g, (_, name: string) => (name === "key" ? key : samples[name]!))}`
            for (const method of ["GET", "HEAD"]) {
              const { status } = yield* request(method, query === "" ? url : `${url}?${query}`, { headers: sent })
              // None is refused before it is looked at.
              const expected = !path.includes("{key}") ? 200 : key === "new" ? 404 : 304
              assert.strictEqual(status, expected, `${method} ${url}?${query}`)
              asked++
            }
          }
        }
        assert.isAbove(asked, 40)
        for (const path of [
          "/v1/records/notes/k?w=2",
          "/v1/records/notes/k?atLeast=zz@0123456789abcdef:9.5ad3c01e&withinMillis=1",
          `/v1/writes/${a.own}:1.5ad3c01e`,
          "/v1/status?peer=x",
          "/peer",
          "/docs"
        ]) {
          yield* get(a, path)
        }
        assert.deepStrictEqual(a.status().vector, before.vector)
        assert.deepStrictEqual(a.status().identity, before.identity)
      })
  )

  it.live("stops at once although a client keeps its connection busy", () =>
    Effect.gen(function* () {
      const { a, b } = yield* cluster({ ackTimeout: 400 })
      yield* b.stop
      const slow = yield* Effect.forkChild(put(a, "k", "v", "?w=3"))
      yield* Cluster.until("the write is appended", () => head(a) === 1)
      const startedAt = Date.now()
      const stopping = yield* Effect.forkChild(a.stop)
      const answer = yield* Fiber.join(slow)
      assert.strictEqual(answer.status, 504)
      assert.strictEqual(answer.headers.get("connection"), "close")
      yield* Fiber.join(stopping)
      assert.isBelow(Date.now() - startedAt, 4000)
    })
  )
})

describe("the typed client", () => {
  it.live("speaks to a replica, and its errors are core's", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster({ ackTimeout: 200 })
      const context = yield* Layer.build(
        ClientApiClient.layer({ url: a.url }).pipe(Layer.provide(NodeHttpClient.layerUndici))
      )
      const client = Context.get(context, ClientApiClient.ClientApiClient)
      const params = { namespace: "n/ü", key: "k/1 %" }
      const receipt = yield* client.records.put({
        params,
        query: { w: 3 },
        headers: {},
        payload: new TextEncoder().encode("v")
      })
      assert.deepInclude(WriteId.place(receipt.writeId), { log: a.own, seq: 1 })
      const read = yield* client.records.get({ params, query: { atLeast: receipt.writeId }, headers: {} })
      assert.strictEqual(new TextDecoder().decode(read.body), "v")
      assert.strictEqual(read.headers["quorum-write-id"], receipt.writeId)
      const page = yield* client.records.list({ query: { limit: 1 }, headers: {} })
      assert.strictEqual(page.records[0]?.key, "k/1 %")
      assert.strictEqual((yield* client.status()).identity.replica, "a")
      assert.strictEqual((yield* client.writes.status({ params: { id: receipt.writeId } })).committed, true)

      const missing = yield* Effect.flip(
        client.records.get({ params: { namespace: "n", key: "x" }, query: {}, headers: {} })
      )
      assert.strictEqual(missing._tag, "RecordNotFound")
      const invalid = yield* Effect.flip(client.records.remove({ params, query: { w: 9 }, headers: {} }))
      assert.deepInclude(invalid, { _tag: "InvalidRequest", field: "w" })
      yield* b.stop
      yield* c.stop
      const notMet = yield* Effect.flip(client.records.remove({ params, query: {}, headers: {} }))
      assert.strictEqual(notMet._tag, "QuorumNotMet")
      if (notMet._tag === "QuorumNotMet") assert.strictEqual(WriteId.place(notMet.writeId).seq, 2)
    })
  )
})
