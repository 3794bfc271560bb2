import { assert, describe, it } from "@effect/vitest"
import { Entry, Limits, WriteId } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import { ackedOf, assertInvalid, cluster, get, head, put, single, wOf } from "./support/api.ts"
import * as Cluster from "./support/cluster.ts"
import { request, upload } from "./support/request.ts"

describe("records", () => {
  it.live("a put answers 201 with the receipt, and every replica reads the bytes", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
      const written = yield* put(a, "k", bytes, "?w=3")
      assert.strictEqual(written.status, 201)
      const { missing, policy, writeId } = written.json
      assert.deepStrictEqual(ackedOf(written.json).sort(), ["a", "b", "c"])
      assert.deepInclude(policy as object, { n: 3, w: 3, ackTimeoutMillis: 2000, order: "clock" })
      assert.deepStrictEqual(missing, {})
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
      const { writeId } = removed.json as { readonly writeId: WriteId.WriteId }
      assert.deepInclude(WriteId.place(writeId), { log: a.own, seq: 2 })
      assert.deepStrictEqual(ackedOf(removed.json), ["a"])
      const read = yield* get(a, "/v1/records/notes/k")
      assert.strictEqual(read.status, 404)
      assert.strictEqual(read.json.error, "not_found")
      assert.strictEqual(read.json.key, "k")
    })
  )

  it.live("w asks for another number of replicas for this write, within 1 to n", () =>
    Effect.gen(function* () {
      const { a, c } = yield* cluster({ ackTimeout: 200 })
      assert.strictEqual(wOf((yield* put(a, "k", "v", "?w=3")).json), 3)
      assert.strictEqual(wOf((yield* put(a, "k", "v", "?w=1")).json), 1)
      yield* c.stop
      assert.strictEqual((yield* put(a, "k", "v", "?w=3")).status, 504)
      const before = head(a)
      for (const w of ["0", "4", "-1", "1.5", "x", "", "1&w=2"]) assertInvalid(yield* put(a, "k", "v", `?w=${w}`), "w")
      assert.strictEqual(head(a), before)
    })
  )

  it.live("w keeps the deadline of the namespace's own policy", () =>
    Effect.gen(function* () {
      const set = yield* Cluster.make(["a", "b", "c"], { namespaces: { notes: Cluster.policy(3, 1, 200) } })
      const a = yield* set.start("a")
      const startedAt = Date.now()
      assert.strictEqual(wOf((yield* put(a, "k")).json), 1)
      assert.strictEqual((yield* put(a, "k", "v", "?w=2")).status, 504)
      // The deadline of the others is two seconds.
      assert.isBelow(Date.now() - startedAt, 2000)
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
        // Beside the value there is what the system keeps of a connection.
        assert.isBelow(answer.sent, Limits.defaults.valueBytes + 32 * 1024 * 1024)
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
      const later = WriteId.make(a.own, 99, 0)
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

  it.live("the type of a value comes back with it, and a page of a browser cannot be made of it", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const url = `${a.url}/v1/records/notes`
      const typed = yield* request("PUT", `${url}/page`, { body: "<b>", headers: { "content-type": "text/html" } })
      assert.strictEqual(typed.status, 201)
      yield* request("PUT", `${url}/bytes`, {
        body: new Uint8Array([1]),
        headers: { "content-type": "application/octet-stream" }
      })
      const page = yield* request("GET", `${url}/page`)
      assert.strictEqual(page.headers.get("content-type"), "text/html")
      assert.strictEqual(page.headers.get("x-content-type-options"), "nosniff")
      assert.include(page.headers.get("content-security-policy")!, "sandbox")
      assert.strictEqual(page.headers.get("quorum-write-id"), typed.json.writeId as string)
      const { json } = yield* get(a, "/v1/records/notes")
      assert.deepStrictEqual(
        (json.records as ReadonlyArray<{ contentType?: string }>).map(({ contentType }) => contentType),
        [undefined, "text/html"]
      )
      const long = yield* request("PUT", `${url}/page`, {
        body: "v",
        headers: { "content-type": `a/${"b".repeat(300)}` }
      })
      assert.strictEqual(long.status, 413)
    })
  )

  it.live("an answer is 304 as long as what the client has is the newest", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const url = `${a.url}/v1/records/notes/k`
      const { writeId } = (yield* request("PUT", url, { body: "v" })).json
      const tag = `"${String(writeId)}"`
      assert.strictEqual((yield* request("GET", url)).headers.get("etag"), tag)
      const having = (tags: string) => request("GET", url, { headers: { "if-none-match": tags } })
      for (const tags of [tag, `W/${tag}`, `"x", ${tag}`, "*"]) {
        const same = yield* having(tags)
        assert.deepStrictEqual([same.status, same.text, same.headers.get("etag")], [304, "", tag], tags)
      }
      for (const tags of ['"x"', String(writeId), ""]) assert.strictEqual((yield* having(tags)).status, 200, tags)
      yield* request("PUT", url, { body: "w" })
      assert.strictEqual((yield* having(tag)).text, "w")
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

  it.live("a namespace is listed by prefix, forwards and backwards, with values and without", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const key of ["k1", "k2", "k/ü", "l"]) yield* put(a, key, key)
      yield* request("PUT", `${a.url}/v1/records/other/k3`, { body: "v" })
      const through = Effect.fnUntraced(function* (path: string, of: "keys" | "records") {
        const found: Array<string> = []
        let after = ""
        do {
          const { json, status } = yield* get(a, `${path}&limit=1${after}`)
          assert.strictEqual(status, 200)
          found.push(...(json[of] as ReadonlyArray<{ key: string }>).map(({ key }) => key))
          after = json.next === undefined ? "" : `&after=${json.next}`
        } while (after !== "")
        return found
      })
      for (const [path, of] of [
        ["/v1/records", "records"],
        ["/v1/keys", "keys"]
      ] as const) {
        assert.deepStrictEqual(yield* through(`${path}/notes?prefix=k`, of), ["k/ü", "k1", "k2"])
        assert.deepStrictEqual(yield* through(`${path}/notes?prefix=k&reverse=true`, of), ["k2", "k1", "k/ü"])
        assert.deepStrictEqual(yield* through(`${path}/notes?prefix=${encodeURIComponent("k/")}`, of), ["k/ü"])
        assert.deepStrictEqual(yield* through(`${path}/notes?reverse=false`, of), ["k/ü", "k1", "k2", "l"])
        assert.deepStrictEqual(yield* through(`${path}/none?prefix=`, of), [])
        assertInvalid(yield* get(a, `${path}/notes?reverse=yes`), "reverse")
        const { json } = yield* get(a, `${path}/other?limit=1`)
        const elsewhere = Buffer.from("other\0k3").toString("base64url")
        assert.isUndefined(json.next)
        assertInvalid(yield* get(a, `${path}/notes?after=${elsewhere}`), "after")
      }
      const [first] = (yield* get(a, "/v1/records/notes?limit=1")).json.records as Array<{ value: string }>
      assert.strictEqual(Buffer.from(first!.value, "base64").toString(), "k/ü")
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
      store.damage(first.own, 2)
      const a = yield* set.start("a")
      const { json, status } = yield* get(a, "/v1/records?limit=100")
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(
        (json.records as ReadonlyArray<{ key: string }>).map(({ key }) => key),
        ["k1", "k3"]
      )
      assert.deepStrictEqual(json.damaged, [{ namespace: "notes", key: "k2", log: first.own, seq: 2 }])
      const damaged = yield* get(a, "/v1/records/notes/k2")
      assert.strictEqual(damaged.status, 503)
      assert.strictEqual(damaged.json.error, "store_failed")
      assert.strictEqual(damaged.json.reason, "corrupt")
      assert.strictEqual((yield* get(a, "/v1/records/notes/k3")).status, 200)
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
