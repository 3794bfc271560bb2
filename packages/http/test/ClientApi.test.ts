import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Entry, Limits, WriteId } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Fiber, Layer, Option } from "effect"
import { ClientApiClient } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { type Answer, request, upload } from "./support/request.ts"

const cluster = Effect.fnUntraced(function* (options?: Cluster.StartOptions) {
  const set = yield* Cluster.make(["a", "b", "c"], options)
  const a = yield* set.start("a")
  const b = yield* set.start("b")
  const c = yield* set.start("c")
  yield* Cluster.connected(a, "b")
  yield* Cluster.connected(a, "c")
  return { set, a, b, c }
})

/** A replica set of one: whatever does not depend on peers. */
const single = Effect.fnUntraced(function* (options?: Cluster.StartOptions) {
  return yield* (yield* Cluster.make(["a"], options)).start("a")
})

const put = (replica: Cluster.Running, key: string, body: BodyInit = "v", query = "") =>
  request("PUT", `${replica.url}/v1/records/notes/${encodeURIComponent(key)}${query}`, { body })

const get = (replica: Cluster.Running, path: string) => request("GET", replica.url + path)

const head = (replica: Cluster.Running) => replica.head(replica.own).seq

const assertInvalid = (answer: Answer, field: string) => {
  assert.strictEqual(answer.status, 400)
  assert.strictEqual(answer.json.error, "invalid_request")
  assert.strictEqual(answer.json.field, field)
  assert.isString(answer.json.detail)
  assert.isString(answer.json.message)
}

describe("records", () => {
  it.live("a put answers 201 with the receipt, and every replica reads the bytes", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
      const written = yield* put(a, "k", bytes, "?w=3")
      assert.strictEqual(written.status, 201)
      const { acked, n, w, writeId } = written.json
      assert.deepStrictEqual(
        { acked: [...(acked as Array<string>)].sort(), w, n },
        { acked: ["a", "b", "c"], w: 3, n: 3 }
      )
      for (const replica of [a, b, c]) {
        const read = yield* get(replica, "/v1/records/notes/k")
        assert.strictEqual(read.status, 200)
        assert.strictEqual(read.headers.get("content-type"), "application/octet-stream")
        assert.strictEqual(read.headers.get("quorum-write-id"), writeId as string)
        assert.deepStrictEqual(read.bytes, bytes)
      }
    })
  )

  it.live("the body is the value whatever its content type, none and an empty body included", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const type of ["application/json", "text/plain; charset=latin1", "multipart/form-data", "nonsense"]) {
        const options = { body: new TextEncoder().encode("{not json"), headers: { "content-type": type } }
        assert.strictEqual((yield* request("PUT", `${a.url}/v1/records/n/k`, options)).status, 201)
        assert.strictEqual((yield* get(a, "/v1/records/n/k")).text, "{not json")
      }
      assert.strictEqual((yield* request("PUT", `${a.url}/v1/records/n/k`)).status, 201)
      const empty = yield* get(a, "/v1/records/n/k")
      assert.strictEqual(empty.status, 200)
      assert.strictEqual(empty.bytes.length, 0)
    })
  )

  it.live("namespace and key may hold slashes, spaces, percent signs, unicode, and any length up to the limit", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const keys = [
        "a/b/c",
        "a b+c",
        "100%",
        "%2F",
        "?q=1#f",
        "Größe",
        "日本語/🦊",
        "k".repeat(1024),
        "ü".repeat(512),
        "A",
        "a"
      ]
      for (const key of keys) {
        const path = `/v1/records/${encodeURIComponent(`n/${key.slice(0, 9)}`)}/${encodeURIComponent(key)}`
        assert.strictEqual((yield* request("PUT", a.url + path, { body: key })).status, 201, key)
        assert.strictEqual((yield* get(a, path)).text, key)
        assert.isTrue(Option.isSome(yield* a.records.read(`n/${key.slice(0, 9)}`, key)), key)
      }
    })
  )

  it.live("a delete is a commit: 200 with its receipt, and then there is no record", () =>
    Effect.gen(function* () {
      const a = yield* single()
      yield* put(a, "k")
      const removed = yield* request("DELETE", `${a.url}/v1/records/notes/k`)
      assert.strictEqual(removed.status, 200)
      assert.deepStrictEqual(removed.json, { writeId: `${a.own}:2`, acked: ["a"], w: 1, n: 1 })
      const read = yield* get(a, "/v1/records/notes/k")
      assert.strictEqual(read.status, 404)
      assert.strictEqual(read.json.error, "not_found")
      assert.strictEqual(read.json.key, "k")
    })
  )

  it.live("w asks for another number of replicas for this write, within 1 to n", () =>
    Effect.gen(function* () {
      const { a, c } = yield* cluster({ ackTimeout: 200 })
      assert.strictEqual((yield* put(a, "k", "v", "?w=3")).json.w, 3)
      assert.strictEqual((yield* put(a, "k", "v", "?w=1")).json.w, 1)
      yield* c.stop
      assert.strictEqual((yield* put(a, "k", "v", "?w=3")).status, 504)
      const before = head(a)
      for (const w of ["0", "4", "-1", "1.5", "x", "", "1&w=2"]) assertInvalid(yield* put(a, "k", "v", `?w=${w}`), "w")
      assert.strictEqual(head(a), before)
    })
  )

  it.live("w keeps the deadline of the namespace's own policy", () =>
    Effect.gen(function* () {
      const set = yield* Cluster.make(["a", "b", "c"], { namespaces: { notes: Cluster.policy(3, 1, 600) } })
      const a = yield* set.start("a")
      const startedAt = Date.now()
      assert.strictEqual((yield* put(a, "k")).json.w, 1)
      assert.strictEqual((yield* put(a, "k", "v", "?w=2")).status, 504)
      assert.isBelow(Date.now() - startedAt, 1500)
    })
  )

  it.live("L42 a value beyond the limit is 413 and not written, with and without a length", () =>
    Effect.gen(function* () {
      const a = yield* single({ limits: { ...Limits.defaults, valueBytes: 100_000 } })
      const body = new Uint8Array(100_001)
      for (const answer of [yield* put(a, "k", body), yield* put(a, "k", new Blob([body]).stream())]) {
        assert.strictEqual(answer.status, 413)
        assert.strictEqual(answer.json.error, "write_rejected")
        assert.strictEqual(answer.json.reason, "too_large")
        assert.strictEqual(answer.json.field, "value")
      }
      assert.strictEqual(head(a), 0)
      assert.strictEqual((yield* put(a, "k", body.subarray(1))).status, 201)
    })
  )

  it.live("L42 a value is refused as soon as it is known to be too large", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const announced = { "content-length": String(Limits.defaults.valueBytes + 1) }
      for (const answer of [
        yield* upload("PUT", `${a.url}/v1/records/n/k`, announced, "none"),
        yield* upload("PUT", `${a.url}/v1/records/n/k`, {}, "endless")
      ]) {
        assert.deepStrictEqual([answer.status, answer.json["reason"]], [413, "too_large"])
      }
      assert.strictEqual(head(a), 0)
    })
  )

  it.live("a key that cannot be one is 400, one that is too long 413, and the field is named", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const invalid = yield* put(a, "\0")
      assert.deepStrictEqual([invalid.status, invalid.json.error, invalid.json.field], [400, "write_rejected", "key"])
      const long = yield* put(a, "k".repeat(1025))
      assert.deepStrictEqual([long.status, long.json.error, long.json.field], [413, "write_rejected", "key"])
      const wide = yield* request("DELETE", `${a.url}/v1/records/${"n".repeat(256)}/k`)
      assert.deepStrictEqual([wide.status, wide.json.error, wide.json.field], [413, "write_rejected", "namespace"])
      assert.strictEqual(head(a), 0)
    })
  )

  it.live("a read with a receipt sees that write on another replica, or says that it is not there yet", () =>
    Effect.gen(function* () {
      const { a, c } = yield* cluster()
      const { writeId } = (yield* put(a, "k")).json as { writeId: string }
      const read = yield* get(c, `/v1/records/notes/k?atLeast=${encodeURIComponent(writeId)}`)
      assert.strictEqual(read.text, "v")
      const later = WriteId.make(a.own, 99)
      const notYet = yield* get(c, `/v1/records/notes/k?atLeast=${later}&withinMillis=20`)
      assert.strictEqual(notYet.status, 503)
      assert.strictEqual(notYet.headers.get("retry-after"), "1")
      assert.strictEqual(notYet.json.error, "not_yet_visible")
      assert.strictEqual(notYet.json.writeId, later)
      for (const id of ["7", "x:0", ":NaN", `${c.own}:0`, `${c.own}:01`, `${c.own}`]) {
        assertInvalid(yield* get(c, `/v1/records/notes/k?atLeast=${encodeURIComponent(id)}`), "atLeast")
        assertInvalid(yield* get(c, `/v1/writes/${encodeURIComponent(id)}`), "id")
        assertInvalid(yield* request("POST", `${c.url}/v1/writes/${encodeURIComponent(id)}/resume`), "id")
      }
      assertInvalid(yield* get(c, "/v1/records/notes/k?withinMillis=60001"), "withinMillis")
    })
  )

  it.live("a list is read to its end in pages, deleted records left out", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const keys = Array.from({ length: 50 }, (_, i) => `k${String(i).padStart(2, "0")} ü/`)
      yield* Effect.forEach(keys, (key) => put(a, key, key), { concurrency: 10 })
      yield* request("DELETE", `${a.url}/v1/records/notes/${encodeURIComponent(keys[7]!)}`)
      const found: Array<string> = []
      let after = ""
      let pages = 0
      do {
        const page = yield* get(a, `/v1/records?limit=20${after}`)
        assert.strictEqual(page.status, 200)
        for (const record of page.json.records as Array<Record<string, string>>) {
          assert.strictEqual(Buffer.from(record.value!, "base64").toString(), record.key!)
          assert.isDefined(record.writeId)
          assert.isDefined(record.clock)
          found.push(record.key!)
        }
        after = page.json.next === undefined ? "" : `&after=${page.json.next}`
        pages++
      } while (after !== "")
      assert.deepStrictEqual(
        found,
        keys.filter((_, i) => i !== 7)
      )
      assert.strictEqual(pages, 3)
    })
  )

  it.live("L42 a page of large values ends early and goes on where it ended", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const value = new Uint8Array(1024 * 1024)
      for (let i = 0; i < 40; i++) yield* a.writer.commit(Entry.put("n", `k${String(i).padStart(2, "0")}`, value))
      const first = yield* get(a, "/v1/records?limit=1000")
      assert.strictEqual((first.json.records as Array<unknown>).length, 4)
      const second = yield* get(a, `/v1/records?limit=1&after=${first.json.next}`)
      const [next] = second.json.records as Array<{ key: string }>
      assert.strictEqual(next!.key, `k${String((first.json.records as Array<unknown>).length).padStart(2, "0")}`)
    })
  )

  it.live("DamageIsLocal: a list names what is damaged and goes on, and a read of that alone is 503", () =>
    Effect.gen(function* () {
      const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
      const set = yield* Cluster.make(["a"], { store, index: yield* RecordIndex.makeMemory })
      const first = yield* set.start("a")
      for (const key of ["k1", "k2", "k3"]) yield* put(first, key)
      yield* first.stop
      store.damage(first.own, 3)
      const a = yield* set.start("a")
      const { json, status } = yield* get(a, "/v1/records?limit=100")
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(
        (json.records as ReadonlyArray<{ key: string }>).map(({ key }) => key),
        ["k1", "k2"]
      )
      assert.deepStrictEqual(json.damaged, [{ namespace: "notes", key: "k3", writeId: `${a.own}:3` }])
      const damaged = yield* get(a, "/v1/records/notes/k3")
      assert.strictEqual(damaged.status, 503)
      assert.strictEqual(damaged.json.error, "store_failed")
      assert.strictEqual(damaged.json.reason, "corrupt")
      assert.strictEqual((yield* get(a, "/v1/records/notes/k2")).status, 200)
    })
  )

  it.live("parameters of a list that cannot be used are named", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const limit of ["0", "1001", "x", "2.5"]) assertInvalid(yield* get(a, `/v1/records?limit=${limit}`), "limit")
      for (const after of ["%", "!!", "abcd", "AAAA"]) {
        assertInvalid(yield* get(a, `/v1/records?after=${encodeURIComponent(after)}`), "after")
      }
    })
  )
})

describe("writes", () => {
  it.live(
    "L16 L69 a write answered with 504 says where to ask, not to retry; it is resumed and becomes a receipt, without a second write",
    () =>
      Effect.gen(function* () {
        const { a, b, c, set } = yield* cluster({ ackTimeout: 300 })
        yield* b.stop
        yield* c.stop
        const failed = yield* put(a, "k")
        assert.strictEqual(failed.status, 504)
        assert.isNull(failed.headers.get("retry-after"))
        const writeId = WriteId.make(a.own, 1)
        const location = failed.headers.get("location")!
        assert.strictEqual(decodeURIComponent(location), `/v1/writes/${writeId}`)
        assert.strictEqual((yield* get(a, location)).json.writeId, writeId)
        const { message, verdicts, ...rest } = failed.json
        assert.deepStrictEqual(rest, { error: "quorum_not_met", got: 1, needed: 2, reason: "unreachable", writeId })
        assert.strictEqual(message, "quorum not met (got 1, need 2, reason unreachable)")
        const kinds = Object.entries(verdicts as Record<string, { kind: string }>).map(([id, { kind }]) => [id, kind])
        assert.deepStrictEqual(kinds[0], ["a", "acked"])
        assert.deepStrictEqual(kinds.map(([id]) => id).sort(), ["a", "b", "c"])

        const pending = yield* get(a, `/v1/writes/${writeId}`)
        assert.strictEqual(pending.status, 200)
        assert.deepStrictEqual([pending.json.committed, pending.json.holders], [false, ["a"]])
        const again = yield* request("POST", `${a.url}/v1/writes/${writeId}/resume`)
        assert.deepStrictEqual(
          [again.status, again.json.error, again.headers.get("retry-after"), again.headers.get("location")],
          [504, "quorum_not_met", null, location]
        )

        const back = yield* set.start("b")
        yield* Cluster.until("b holds it", () => back.head(a.own).seq === 1)
        yield* Cluster.connected(a, "b")
        const receipt = yield* request("POST", `${a.url}/v1/writes/${writeId}/resume`)
        assert.strictEqual(receipt.status, 200)
        assert.deepStrictEqual(receipt.json, { writeId, acked: ["a", "b"], w: 2, n: 3 })
        assert.strictEqual((yield* get(a, `/v1/writes/${writeId}`)).json.committed, true)
        assert.strictEqual(head(a), 1)
      })
  )

  it.live("a resume can reach further than the receipt, by w", () =>
    Effect.gen(function* () {
      const { a } = yield* cluster()
      const { writeId } = (yield* put(a, "k", "v", "?w=1")).json
      const all = yield* request("POST", `${a.url}/v1/writes/${writeId}/resume?w=3`)
      assert.deepStrictEqual([all.status, all.json.w, (all.json.acked as Array<string>).length], [200, 3, 3])
      assertInvalid(yield* request("POST", `${a.url}/v1/writes/${writeId}/resume?w=4`), "w")
    })
  )

  it.live("a resume follows the policy of the write's namespace", () =>
    Effect.gen(function* () {
      const { a } = yield* cluster({ namespaces: { notes: Cluster.policy(3, 3) } })
      const { writeId } = (yield* put(a, "k", "v", "?w=1")).json
      const resumed = yield* request("POST", `${a.url}/v1/writes/${writeId}/resume`)
      assert.deepStrictEqual([resumed.status, resumed.json.w], [200, 3])
      const other = (yield* request("PUT", `${a.url}/v1/records/other/k?w=1`, { body: "v" })).json
      const usual = yield* request("POST", `${a.url}/v1/writes/${other.writeId}/resume`)
      assert.deepStrictEqual([usual.status, usual.json.w], [200, 2])
    })
  )

  it.live("a write that is not held here is 404, and an id that is none 400", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const unknown = WriteId.make(a.own, 1)
      for (const answer of [
        yield* get(a, `/v1/writes/${unknown}`),
        yield* request("POST", `${a.url}/v1/writes/${unknown}/resume`)
      ]) {
        assert.deepStrictEqual([answer.status, answer.json.error, answer.json.writeId], [404, "write_unknown", unknown])
      }
      assertInvalid(yield* get(a, "/v1/writes/a@1:1"), "id")
      assertInvalid(yield* request("POST", `${a.url}/v1/writes/1/resume`), "id")
    })
  )

  it.live("too few members alive is 503, says that nothing was written, and nothing was", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster({ ackTimeout: 100 })
      yield* b.stop
      yield* c.stop
      yield* Cluster.until("both are down for longer than a write would wait", () =>
        a.status().peers.every(({ link, since }) => link === "down" && since! < Date.now() - 100)
      )
      const before = head(a)
      const answer = yield* put(a, "k")
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(answer.headers.get("retry-after"), "1")
      assert.deepStrictEqual([answer.json.error, answer.json.alive, answer.json.needed], ["quorum_unavailable", 1, 2])
      assert.match(answer.json.message as string, /nothing was written/)
      assert.strictEqual(head(a), before)
    })
  )
})

describe("the replica", () => {
  it.live("its status tells identity, policy, logs and peers, and how far a lost peer is behind", () =>
    Effect.gen(function* () {
      const { a, c } = yield* cluster()
      yield* put(a, "k", "v", "?w=3")
      const up = (yield* get(a, "/v1/status")).json as Record<string, Record<string, unknown>>
      assert.deepStrictEqual(up["identity"], { ...a.status().identity })
      assert.strictEqual(up["log"] as unknown, a.own)
      assert.deepStrictEqual(up["protocolVersions"] as unknown, [1, 2])
      assert.deepStrictEqual(up["policy"], { n: 3, w: 2, ackTimeoutMillis: 2000 })
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

  it.live("L43 no GET writes anything", () =>
    Effect.gen(function* () {
      const a = yield* single()
      yield* put(a, "k")
      const before = a.status().vector
      for (const path of [
        "/v1/records/notes/k?w=2",
        "/v1/records/new/key",
        `/v1/records/notes/k?atLeast=zz@0123456789abcdef:9&withinMillis=1`,
        "/v1/records?limit=3",
        `/v1/writes/${a.own}:1`,
        "/v1/status?peer=x",
        "/healthz",
        "/peer",
        "/openapi.json"
      ]) {
        yield* get(a, path)
      }
      assert.deepStrictEqual(a.status().vector, before)
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
      const receipt = yield* client.records.put({ params, query: { w: 3 }, payload: new TextEncoder().encode("v") })
      assert.strictEqual(receipt.writeId, WriteId.make(a.own, 1))
      const read = yield* client.records.get({ params, query: { atLeast: receipt.writeId } })
      assert.strictEqual(new TextDecoder().decode(read.body), "v")
      assert.strictEqual(read.headers["quorum-write-id"], receipt.writeId)
      const page = yield* client.records.list({ query: { limit: 1 } })
      assert.strictEqual(page.records[0]?.key, "k/1 %")
      assert.strictEqual((yield* client.status()).identity.replica, "a")
      assert.strictEqual((yield* client.writes.status({ params: { id: receipt.writeId } })).committed, true)

      const missing = yield* Effect.flip(client.records.get({ params: { namespace: "n", key: "x" }, query: {} }))
      assert.strictEqual(missing._tag, "RecordNotFound")
      const invalid = yield* Effect.flip(client.records.remove({ params, query: { w: 9 } }))
      assert.deepInclude(invalid, { _tag: "InvalidRequest", field: "w" })
      yield* b.stop
      yield* c.stop
      const notMet = yield* Effect.flip(client.records.remove({ params, query: {} }))
      assert.strictEqual(notMet._tag, "QuorumNotMet")
      if (notMet._tag === "QuorumNotMet") assert.strictEqual(notMet.writeId, WriteId.make(a.own, 2))
    })
  )
})
