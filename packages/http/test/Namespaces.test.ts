/** Namespaces, how many records they have, and their records as lines that a batch takes. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, type LogId, QuorumError, type Records } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import { assertInvalid, get, single } from "./support/api.ts"
import { linesOf } from "./support/follow.ts"
import { request } from "./support/request.ts"
import * as Stub from "./support/stub.ts"

const ndjson = { accept: "application/x-ndjson" }

/** Values whose bytes and types a line has to bring to another replica unchanged. */
const values: ReadonlyArray<readonly [value: string | Uint8Array, contentType?: string]> = [
  [""],
  [new Uint8Array([0, 255, 10])],
  ["text", "text/plain"],
  [new Uint8Array([0xff, 0xfe]), "text/plain"],
  ["\ufeffmark", "text/csv; charset=utf-8"],
  ['{"a":[1,null,"ü"]}', "application/json"],
  ['{ "a": 1 }', "application/json"],
  ["1e400", "application/json"],
  ["-0", "application/json"],
  ['{"__proto__":{"a":1}}', "application/json"],
  ['{"a":1,"a":2}', "application/json"],
  ["no json", "application/json"],
  ['"\\ud800"', "application/json"],
  ["null", "application/problem+json; charset=utf-8"],
  ["", "application/json"],
  ["\u2028\n", "text/plain"]
]

describe("namespaces", () => {
  it.live("are listed page by page, and say how many records they have, in all and in a part", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const writes = ["b", "a/b c", "ü"].flatMap((namespace) =>
        ["k1", "k2", "l"].map((key) => Entry.put(namespace, key, ""))
      )
      yield* Effect.forEach(writes, (write) => a.writer.commit(write), { concurrency: "unbounded" })
      yield* a.writer.commit(Entry.put("gone", "k", ""))
      yield* a.writer.commit(Entry.remove("gone", "k"))
      const all = yield* get(a, "/v1/namespaces")
      assert.deepStrictEqual(all.json, { namespaces: ["a/b c", "b", "ü"], unreadable: [] })
      const first = yield* get(a, "/v1/namespaces?limit=2")
      assert.deepStrictEqual(first.json, { namespaces: ["a/b c", "b"], unreadable: [], next: "b" })
      const rest = yield* get(a, `/v1/namespaces?limit=2&after=${first.json["next"] as string}`)
      assert.deepStrictEqual(rest.json, { namespaces: ["ü"], unreadable: [] })
      for (const [query, records] of [
        ["", 3],
        ["?prefix=k", 2],
        ["?from=k2", 2],
        ["?to=l&from=k2", 1]
      ] as const) {
        const { json } = yield* get(a, `/v1/namespaces/${encodeURIComponent("a/b c")}${query}`)
        assert.deepStrictEqual(json, { namespace: "a/b c", records, unreadable: [] }, query)
      }
      assert.strictEqual((yield* get(a, "/v1/namespaces/gone")).json["records"], 0)
      const keys = yield* get(a, "/v1/keys/b?from=k2&reverse=true")
      assert.deepStrictEqual(
        (keys.json["keys"] as ReadonlyArray<{ readonly key: string }>).map(({ key }) => key),
        ["l", "k2"]
      )
      assertInvalid(yield* get(a, "/v1/namespaces?limit=0"), "limit")
      assertInvalid(yield* get(a, "/v1/namespaces?after="), "after")
      assertInvalid(yield* get(a, "/v1/namespaces/b?limit=1"), "limit")
      assertInvalid(yield* get(a, "/v1/records/b?from=b&to=a"), "to")
    })
  )
})

describe("the export of a namespace", () => {
  it.live("is lines that a batch takes, and every record comes out of it with the same bytes and type", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const writes = values.map(([value, contentType], i) =>
        Entry.put("n", `k${String(i).padStart(3, "0")}`, value, contentType === undefined ? {} : { contentType })
      )
      const many = Array.from({ length: 600 }, (_, i) => Entry.put("n", `m${String(i).padStart(3, "0")}`, `${i}`))
      yield* Effect.forEach([...writes, ...many], (write) => a.writer.commit(write), { concurrency: "unbounded" })
      const exported = yield* request("GET", `${a.url}/v1/records/n`, { headers: ndjson })
      assert.deepStrictEqual([exported.status, exported.headers.get("content-type")], [200, ndjson.accept])
      assert.strictEqual(linesOf(exported.text).length, values.length + 600)

      const b = yield* single()
      const imported = yield* request("POST", `${b.url}/v1/batch`, {
        headers: { "content-type": ndjson.accept },
        body: exported.text
      })
      for (const { status } of linesOf(imported.text)) assert.strictEqual(status, 201)
      for (const { key, namespace } of [...writes, ...many]) {
        const [before, after] = yield* Effect.forEach([a, b], (replica) => replica.records.read(namespace, key))
        const said = (record: typeof before) =>
          Option.map(record!, ({ contentType, value }) => ({ contentType, value }))
        assert.deepStrictEqual(said(after), said(before), key)
      }
    })
  )

  it.live("has the part that is asked for, and stays JSON where lines are not what is accepted", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const keys = Array.from({ length: 700 }, (_, i) => `k${String(i).padStart(3, "0")}`)
      yield* Effect.forEach(keys, (key) => a.writer.commit(Entry.put("n", key, "")), { concurrency: "unbounded" })
      yield* a.writer.commit(Entry.put("na", "k", ""))
      const exported = (query: string, accept = ndjson.accept) =>
        request("GET", `${a.url}/v1/records/n${query}`, { headers: { accept } })
      const keysOf = (text: string) => linesOf(text).map(({ key }) => key)
      assert.deepStrictEqual(keysOf((yield* exported("")).text), keys)
      assert.deepStrictEqual(keysOf((yield* exported("?limit=300")).text), keys.slice(0, 300))
      assert.deepStrictEqual(
        keysOf((yield* exported("?reverse=true&prefix=k6&to=k690")).text),
        keys.slice(600, 690).toReversed()
      )
      assert.deepStrictEqual((yield* exported("?prefix=none")).text, "")
      assertInvalid(yield* exported("?prefix=a&after=x"), "after")
      assertInvalid(yield* exported("?from=b&to=a"), "to")
      for (const accept of ["*/*", "application/json", "application/json, application/x-ndjson"]) {
        const page = yield* exported("?limit=2", accept)
        assert.strictEqual((page.json["records"] as ReadonlyArray<object>).length, 2)
      }
    })
  )

  it.live("says what is missing, and why it ends", () =>
    Effect.gen(function* () {
      const log = "b@0000000000000001" as LogId.LogId
      const damaged = { namespace: "n", key: "k", log, seq: 3 }
      const unreadable = { log, from: 5, to: 6 }
      const next = Option.some({ namespace: "n", key: "k" })
      const page: Records.Page = { records: [], damaged: [damaged], unreadable: [unreadable], next }
      const store = new ReplicaStore.StoreError({ reason: "unavailable", detail: "/var/secret" })
      for (const [second, last] of [
        [Effect.succeed({ ...page, next: Option.none() }), { unreadable }],
        [Effect.fail(store), undefined]
      ] as const) {
        let reads = 0
        const { url } = yield* Stub.serve({ page: () => (reads++ === 0 ? Effect.succeed(page) : second) })
        const { text } = yield* request("GET", `${url}/v1/records/n`, { headers: ndjson })
        const lines = linesOf(text)
        assert.deepStrictEqual(lines[0], { damaged })
        if (last !== undefined) assert.deepStrictEqual(lines.slice(1), [{ damaged }, last])
        else assert.deepInclude(lines[1]!["problem"], { error: "store_failed", reason: "unavailable" })
        assert.notInclude(text, "secret")
      }
      const closed = yield* Stub.serve({ page: () => Effect.fail(new QuorumError.NotReady({ detail: "so it is" })) })
      assert.strictEqual((yield* request("GET", `${closed.url}/v1/records/n`, { headers: ndjson })).status, 503)
    })
  )
})
