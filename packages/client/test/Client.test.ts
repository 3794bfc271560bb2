/** The client against three replicas that run, each a process of its own. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import {
  createClient,
  type InvalidOptions,
  InvalidRequest,
  type QuorumClient,
  QuorumError,
  WriteRejected
} from "../src/index.ts"
import { freePorts } from "./support/ports.ts"
import * as Replicas from "./support/replicas.ts"

let replicas: Replicas.Replicas
let client: QuorumClient

beforeAll(async () => {
  replicas = await Replicas.start()
  client = createClient({ urls: replicas.urls })
})
afterAll(async () => {
  await client.close()
  await replicas[Symbol.asyncDispose]()
})

const failure = async (promise: Promise<unknown>): Promise<QuorumError> => {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error
  )
  if (!(error instanceof QuorumError)) throw new Error(`no error of the client: ${String(error)}`)
  return error
}

const collect = async <A>(items: AsyncIterable<A>): Promise<Array<A>> => {
  const all: Array<A> = []
  for await (const item of items) all.push(item)
  return all
}

describe("the client", () => {
  it("writes text, bytes and json, and reads them back with their types, whatever their names and lengths", async () => {
    const long = "ä".repeat(100_000)
    for (const [key, value, bytes, type] of [
      ["text", "grüß", new TextEncoder().encode("grüß"), "text/plain; charset=utf-8"],
      ["a/b;c é 100%", new Uint8Array([0, 1, 255]), new Uint8Array([0, 1, 255]), undefined],
      ["buffer", new Uint8Array([7]).buffer, new Uint8Array([7]), undefined],
      ["json", { json: { a: [1, null] } }, new TextEncoder().encode('{"a":[1,null]}'), "application/json"],
      ["empty", "", new Uint8Array(), "text/plain; charset=utf-8"],
      ["long", long, new TextEncoder().encode(long), "text/plain; charset=utf-8"],
      ["long bytes", new Uint8Array(300_000).fill(9), new Uint8Array(300_000).fill(9), undefined]
    ] as const) {
      const receipt = await client.put("values", key, value)
      assert.isAtLeast(receipt.acked.length, 2)
      const record = (await client.get("values", key))!
      assert.deepStrictEqual([...record.bytes], [...bytes], key)
      assert.strictEqual(record.contentType, type, key)
      assert.strictEqual(record.writeId, receipt.writeId)
    }
    assert.strictEqual((await client.get("values", "text"))!.text(), "grüß")
    assert.deepStrictEqual((await client.get("values", "json"))!.json(), { a: [1, null] })
    // The same type, in whatever way it is sent and read.
    for (const [given, type] of [
      ["image/svg+xml", "image/svg+xml"],
      [" text/plain ", "text/plain"],
      ["application/octet-stream", undefined]
    ] as const) {
      for (const value of ["<svg/>", new Uint8Array([1]), long]) {
        const { writeId } = await client.put("types", "k", value, { contentType: given })
        const [listed] = await collect(client.list("types"))
        const change = async () => {
          const changes = await collect(client.watch("types", { until: "now" }))
          return changes.find((each) => each.writeId === writeId)
        }
        let watched = await change()
        while (watched === undefined) watched = await change()
        const read = [await client.get("types", "k"), listed, watched.record]
        assert.deepStrictEqual(
          read.map((record) => record!.contentType),
          [type, type, type]
        )
      }
    }
  })

  it("keeps bytes as they were when they were given, also such as are no text although their type says so", async () => {
    const mark = [0xef, 0xbb, 0xbf]
    for (const [i, given] of [[...mark, 0x61], [0xff, 0x61], [0xed, 0xa0, 0x80], [0, 10, 0x22], []].entries()) {
      for (const contentType of ["application/json", "TEXT/csv", "application/ld+json; v=1", "image/svg+xml"]) {
        const bytes = new Uint8Array([9, ...given]).subarray(1)
        const written = client.put("kept", `k${i}`, bytes, { contentType })
        bytes.fill(1)
        await written
        const record = (await client.get("kept", `k${i}`))!
        assert.deepStrictEqual([[...record.bytes], record.contentType], [given, contentType])
      }
    }
    const long = new Uint8Array(100_000).fill(7)
    const written = client.put("kept", "long", long.buffer)
    long.fill(1)
    await written
    assert.isTrue((await client.get("kept", "long"))!.bytes.every((byte) => byte === 7))
  })

  it("deletes, and answers undefined for what is not there", async () => {
    await client.put("notes", "gone", "v")
    await client.delete("notes", "gone")
    assert.isUndefined(await client.get("notes", "gone"))
    assert.isUndefined(await client.get("notes", "gone", { consistency: "linearizable" }))
    assert.isUndefined(await client.get("notes", "never"))
  })

  it("reads many at once as one by one, long ones too, whatever is asked of how many replicas", async () => {
    const keys = Array.from({ length: 70 }, (_, i) => `${i}`)
    const valueOf = (i: number) => new Uint8Array(i % 35 === 0 ? 300_000 : i).fill(i)
    await client.batch(keys.map((key, i) => ({ namespace: "many", key, value: valueOf(i) })))
    for (const options of [{}, { consistency: "quorum" }, { consistency: "linearizable" }] as const) {
      const records = await Promise.all([...keys, "none"].map((key) => client.get("many", key, options)))
      assert.isUndefined(records.pop())
      for (const [i, record] of records.entries()) {
        assert.strictEqual(record!.key, keys[i])
        assert.strictEqual(Buffer.compare(record!.bytes, valueOf(i)), 0)
      }
    }
    const alone = await client.get("many", "7")
    const [shared] = await Promise.all(["7", "8"].map((key) => client.get("many", key)))
    assert.deepStrictEqual(shared, alone)
  })

  it("lists a namespace page by page, both ways, by prefix, and its keys alone", async () => {
    const names = Array.from({ length: 25 }, (_, i) => `k${String(i).padStart(2, "0")}`)
    await client.batch(names.map((key) => ({ namespace: "list", key, value: key })))
    // A list is that of one replica, which may be a moment behind.
    await Promise.all(names.map((key) => client.get("list", key)))
    const linear = () => collect(client.list("list", { pageSize: 10 }))
    while ((await linear()).length < names.length) await Replicas.delay(20)
    assert.deepStrictEqual(
      (await linear()).map((record) => [record.key, record.text()]),
      names.map((key) => [key, key])
    )
    assert.deepStrictEqual(await collect(client.keys("list", { pageSize: 7, reverse: true })), names.toReversed())
    assert.deepStrictEqual(await collect(client.keys("list", { prefix: "k1" })), names.slice(10, 20))
    assert.deepStrictEqual(await collect(client.keys("nothing")), [])
  })

  it("answers each write of a batch by itself, also when the stamp of one cannot be drawn", async () => {
    const results = await client.batch([
      { namespace: "batch", key: "x", value: "1" },
      { namespace: "n".repeat(300), key: "x", value: "2" },
      { namespace: "batch", key: "y", delete: true }
    ])
    assert.deepStrictEqual(
      results.map(({ ok }) => ok),
      [true, false, true]
    )
    const [, refused] = results
    const error = refused!.ok ? undefined : refused!.error
    if (!(error instanceof WriteRejected)) throw new Error(String(error))
    assert.deepStrictEqual([error.code, error.written, error.reason], ["write_rejected", "no", "too_large"])
  })

  it("makes several writes one, which is held whole or not at all", async () => {
    const receipt = await client.commit([
      { namespace: "both", key: "x", value: "1" },
      { namespace: "both", key: "y", value: { json: 2 } }
    ])
    const found = await Promise.all(["x", "y"].map((key) => client.get("both", key)))
    assert.deepStrictEqual(
      found.map((record) => record?.writeId),
      [receipt.writeId, receipt.writeId]
    )
    const twice = failure(
      client.commit([
        { namespace: "both", key: "z", value: "1" },
        { namespace: "both", key: "z", value: "2" }
      ])
    )
    assert.strictEqual((await twice).code, "write_rejected")
    assert.isUndefined(await client.get("both", "z"))
  })

  it("a write with a stamp is one write, however often it is made, by whomever", async () => {
    const place = { namespace: "once", key: "k" }
    const stamp = await client.stamp([place])
    const other = createClient({ urls: replicas.urls.slice(1) })
    const first = await client.put("once", "k", "v", { stamp })
    assert.deepStrictEqual((await other.put("once", "k", "v", { stamp })).clock, first.clock)
    await client.put("once", "k", "after")
    await other.put("once", "k", "v", { stamp })
    assert.strictEqual((await client.get("once", "k", { consistency: "linearizable" }))!.text(), "after")
    const reused = await failure(client.put("once", "other", "v", { stamp }))
    assert.strictEqual(reused.code, "write_rejected")
    await other.close()
  })

  it("reaches further than a receipt says, says who holds a write, and verifies it", async () => {
    const receipt = await client.put("notes", "further", "v")
    const all = await client.resume(receipt.writeId, { w: 3 })
    assert.strictEqual(all.writeId, receipt.writeId)
    assert.strictEqual(all.acked.length, 3)
    assert.deepStrictEqual(
      [(await client.writeStatus(receipt.writeId)).committed, (await client.verify(receipt)).committed],
      [true, true]
    )
    assert.strictEqual((await failure(client.resume("nobody@0000000000000000:1.00000000"))).code, "write_unknown")
  })

  it("follows what is written, from the beginning, from a position, and what is written later", async () => {
    await client.put("feed", "a", "1")
    await client.put("feed", "b", { json: [2] })
    await client.put("feed", "c", new Uint8Array([3]))
    await client.delete("feed", "a")
    const all = () => collect(client.watch("feed", { until: "now" }))
    while ((await all()).length < 4) await Replicas.delay(20)
    const byKey = (await all()).map(({ key, record }) => [key, record === undefined ? null : [...record.bytes]])
    assert.deepStrictEqual(byKey.sort(), [
      ["a", null],
      ["a", [49]],
      ["b", [91, 50, 93]],
      ["c", [3]]
    ])
    const position = (await all()).findLast((change) => change.position !== undefined)!.position!
    const end = new AbortController()
    const live = client.watch("feed", { since: position, prefix: "n", signal: end.signal })
    const next = live.next()
    await client.put("feed", "new", "v")
    const change = (await next).value!
    assert.deepStrictEqual(
      [change.key, change.record!.text(), change.record!.contentType],
      ["new", "v", "text/plain; charset=utf-8"]
    )
    const over = live.next()
    end.abort(new Error("enough"))
    assert.strictEqual(
      await over.then(
        () => "",
        (error: Error) => error.message
      ),
      "enough"
    )
    const misspelt = await failure(collect(client.watch("feed", { since: "x" })))
    assert.strictEqual(misspelt.code, "invalid_request")
  })

  it("tells the state of every replica, also of those that do not answer", async () => {
    const nobody = `http://127.0.0.1:${(await freePorts(1))[0]!}`
    const some = createClient({ urls: [replicas.urls[0]!, nobody], timeoutMillis: 2000 })
    const [first, second] = await some.status()
    assert.strictEqual(first!.status!.identity.replica, "a")
    assert.strictEqual((second!.error as QuorumError).code, "unreachable")
    await some.close()
  })

  it("names what cannot be used, before anything is sent", async () => {
    const nowhere = createClient({ urls: ["http://127.0.0.1:9"] })
    const long = "v".repeat(100_000)
    for (const [field, call] of [
      ["namespace", () => nowhere.put("", "k", "v")],
      ["key", () => nowhere.put("n", undefined as never, "v")],
      ["value", () => nowhere.put("n", "k", 5 as never)],
      ["value", () => nowhere.put("n", "k", "\ud800")],
      ["value", () => nowhere.put("n", "k", { json: undefined })],
      ["value", () => nowhere.put("n", "k", { json: Number.NaN })],
      ["value", () => nowhere.commit([{ namespace: "n", key: "k", value: { json: [null, { a: -Infinity }] } }])],
      ["key", () => nowhere.get("n", "..")],
      ["key", () => nowhere.put("n", ".", "v")],
      ["namespace", () => nowhere.put("..", "k", "v")],
      ["namespace", () => nowhere.commit([{ namespace: ".", key: "k", value: "v" }])],
      ["contentType", () => nowhere.put("n", "k", "v", { contentType: 1n as never })],
      ["contentType", () => nowhere.put("n", "k", long, { contentType: "a\nb", stamp: "s" })],
      ["stamp", () => nowhere.put("n", "k", "v", { stamp: 1n as never })],
      ["stamp", () => nowhere.put("n", "k", long, { stamp: "€" })],
      ["stamp", () => nowhere.commit([{ namespace: "n", key: "k", value: "v" }], { stamp: "€" })],
      ["w", () => nowhere.put("n", "k", "v", { w: "\ud800" as never, stamp: "s" })],
      ["atLeast", () => nowhere.get("n", "k", { atLeast: "\ud800" })],
      ["prefix", () => collect(nowhere.list("n", { prefix: "\ud800" }))],
      ["since", () => collect(nowhere.watch("n", { since: "\ud800" }))],
      ["writeId", () => nowhere.writeStatus("\ud800")],
      ["writeId", () => nowhere.resume("..")],
      ["timeoutMillis", () => nowhere.get("n", "k", { timeoutMillis: 0 })],
      ["timeoutMillis", () => collect(nowhere.watch("n", { timeoutMillis: 0 }))],
      ...[1n, Symbol("s"), "5", Number.NaN, -1, 2 ** 31, Infinity, null, {}].flatMap((timeoutMillis) => {
        const options = { timeoutMillis } as never
        const write = { namespace: "n", key: "k", value: "v" }
        const id = "a@0000000000000000:1.00000000"
        const calls: ReadonlyArray<() => Promise<unknown>> = [
          () => nowhere.put("n", "k", "v", options),
          () => nowhere.put("n", "k", long, options),
          () => nowhere.delete("n", "k", options),
          () => nowhere.batch([write], options),
          () => nowhere.commit([write], options),
          () => nowhere.stamp([write], options),
          () => nowhere.get("n", "k", options),
          () => nowhere.resume(id, options),
          () => nowhere.writeStatus(id, options),
          () => nowhere.status(options),
          () => collect(nowhere.list("n", options)),
          () => collect(nowhere.watch("n", options))
        ]
        return calls.map((call) => ["timeoutMillis", call] as const)
      }),
      ["timeot", () => nowhere.put("n", "k", "v", { timeot: 5 } as never)],
      ["consitency", () => nowhere.get("n", "k", { consitency: "quorum" } as never)],
      ["contentType", () => nowhere.delete("n", "k", { contentType: "text/plain" } as never)],
      ["limit", () => collect(nowhere.list("n", { limit: 5 } as never))],
      ["from", () => collect(nowhere.keys("n", { from: "a" } as never))],
      ["after", () => collect(nowhere.watch("n", { after: "x" } as never))],
      ["stamp", () => nowhere.batch([], { stamp: "s" } as never)],
      ["W", () => nowhere.commit([{ namespace: "n", key: "k", value: "v" }], { W: 3 } as never)],
      ["stamp", () => nowhere.commit([{ namespace: "n", key: "k", value: "v", stamp: "s" } as never])],
      ["value", () => nowhere.put("n", "k", { json: 1, contentType: "text/plain" } as never)],
      ["w", () => nowhere.stamp([{ namespace: "n", key: "k" }], { w: 1 } as never)],
      ["W", () => nowhere.resume("a@0000000000000000:1.00000000", { W: 3 } as never)],
      ["w", () => nowhere.writeStatus("a@0000000000000000:1.00000000", { w: 3 } as never)],
      ["w", () => nowhere.verify({} as never, { w: 3 } as never)],
      ["timeout", () => nowhere.status({ timeout: 5 } as never)],
      ["options", () => nowhere.put("n", "k", "v", null as never)],
      ["options", () => nowhere.get("n", "k", 5 as never)],
      ["signal", () => nowhere.put("n", "k", "v", { signal: 5 } as never)],
      ["w", () => nowhere.put("n", "k", "v", { w: 1.5 })],
      ["w", () => nowhere.commit([{ namespace: "n", key: "k", value: "v" }], { w: "2" } as never)],
      ["consistency", () => nowhere.get("n", "k", { consistency: "strong" } as never)],
      ["pageSize", () => collect(nowhere.list("n", { pageSize: 0 }))],
      ["pageSize", () => collect(nowhere.keys("n", { pageSize: 1001 }))],
      ["prefix", () => collect(nowhere.list("n", { prefix: 5 } as never))],
      ["reverse", () => collect(nowhere.list("n", { reverse: "yes" } as never))],
      ["since", () => collect(nowhere.watch("n", { since: 5 } as never))],
      ["namespace", () => collect(nowhere.watch(undefined as never))],
      ["until", () => collect(nowhere.watch("n", { until: "later" } as never))],
      ["writes", () => nowhere.batch(undefined as never)],
      ["writes", () => nowhere.commit("k" as never)],
      ["writes", () => nowhere.commit([])],
      ["writes", () => nowhere.commit([null as never])],
      ["delete", () => nowhere.commit([{ namespace: "n", key: "k", value: "v", delete: true } as never])],
      ["delete", () => nowhere.commit([{ namespace: "n", key: "k", delete: "no" } as never])],
      ["contentType", () => nowhere.commit([{ namespace: "n", key: "k", contentType: "a/b", delete: true } as never])],
      ["keys", () => nowhere.stamp([])],
      ["keys", () => nowhere.stamp({ namespace: "n", key: "k" } as never)],
      ["receipt", () => nowhere.verify("a@0000000000000000:1.00000000" as never)],
      ["receipt", () => nowhere.verify({ writeId: "a@0000000000000000:1.00000000", clock: 1n } as never)]
    ] as const) {
      const error = await failure(call())
      assert.instanceOf(error, InvalidRequest, String(error))
      assert.strictEqual((error as InvalidRequest).field, field)
      assert.strictEqual(error.written, "no")
    }
    const misspelt = await failure(nowhere.put("n", "k", "v", { timeot: 5 } as never))
    for (const name of ["timeot", "signal", "timeoutMillis", "w", "contentType", "stamp"]) {
      assert.include(misspelt.message, name)
    }
    const [one, other, nothing, both] = await nowhere.batch([
      { namespace: "n", key: "k", value: "v", w: 3 } as never,
      { namespace: "n", key: "k" } as never,
      null as never,
      { namespace: "n", key: "k", value: "v", delete: true } as never
    ])
    assert.deepInclude(one, { ok: false })
    assert.strictEqual((one as { readonly error: InvalidRequest }).error.field, "w")
    assert.strictEqual((other as { readonly error: InvalidRequest }).error.field, "value")
    assert.strictEqual((nothing as { readonly error: InvalidRequest }).error.field, "writes")
    assert.strictEqual((both as { readonly error: InvalidRequest }).error.field, "delete")
    for (const [field, options] of [
      ["urls", { urls: [] }],
      ["urls[0]", { urls: ["ftp://x"] }],
      ["urls[0]", { urls: [5n] }],
      ["urls[1]", { urls: Object.assign(["http://x"], { length: 2 }) }],
      ["urls[1]", { urls: ["http://x", "http://u:p@x"] }],
      ["options", undefined as never],
      ["token", { urls: ["http://x"], token: "a b" }],
      ["token", { urls: ["http://x"], token: 5 } as never],
      ["fetch", { urls: ["http://x"], fetch: "node" } as never],
      ["timeout", { urls: ["http://x"], timeout: 5 } as never]
    ] as const) {
      try {
        createClient(options as never)
        assert.fail(field)
      } catch (error) {
        assert.strictEqual((error as InvalidOptions).field, field, String(error))
      }
    }
  })

  it("ends a call with the reason of its signal, and takes nothing once it is closed", async () => {
    const some = createClient({ urls: replicas.urls })
    const reason = new Error("enough")
    const aborted = AbortSignal.abort(reason)
    for (const call of [
      () => some.put("n", "k", "v", { signal: aborted }),
      () => some.get("n", "k", { signal: aborted }),
      () => some.commit([{ namespace: "n", key: "k", value: "v" }], { signal: aborted }),
      () => collect(some.list("n", { signal: aborted }))
    ]) {
      assert.strictEqual(
        await call().then(
          () => undefined,
          (error: unknown) => error
        ),
        reason
      )
    }
    const last = some.put("notes", "last", "v")
    const watch = some.watch("feed")
    await watch.next()
    const watched = failure(collect(watch))
    await some.close()
    assert.strictEqual((await watched).code, "client_closed")
    assert.isAtLeast((await last).acked.length, 2)
    assert.strictEqual((await failure(some.get("n", "k"))).code, "client_closed")
    assert.strictEqual((await failure(some.put("n", "k", "v"))).code, "client_closed")
  })
})
