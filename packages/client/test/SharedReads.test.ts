/** Reads that share a request: what is sent, and what each is answered with. Against replicas that answer as told. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Persistable, Persistence } from "effect/persistence"
import { vi } from "vitest"
import { ClientKeyValueStore, QuorumClient } from "../src/effect.ts"
import { createClient, type QuorumClient as Client } from "../src/index.ts"
import { keyvStore } from "../src/keyv.ts"
import { unstorageDriver } from "../src/unstorage.ts"
import {
  type Answer,
  broken,
  clientOf,
  failure,
  ndjson,
  problem,
  receiptOf,
  recordOf,
  records,
  type Sent
} from "./support/told.ts"

const path = "/v1/reads"

const found: Answer = ({ path }) =>
  new Response(path.slice("/v1/records/n/".length), { headers: { "quorum-write-id": "x" } })

/** So many answers of one kind. */
const always = (path: string, answer: Answer) => Array.from({ length: 100 }, () => [path, answer] as const)

const line = (line: number, fields: object) => ({ line, ...fields })

const wrong = (status: number, error: string, fields = {}) => ({
  status,
  problem: { error, message: error, ...fields }
})

/** What was sent: the keys of the lines, or the path of a request for one record. */
const asked = (sent: ReadonlyArray<Sent>) => sent.map(({ lines, path }) => (lines.length > 0 ? keysOf(lines) : path))

const keysOf = (lines: Sent["lines"]) => lines.map(({ key }) => key).join(" ")

const read = (client: Client, ...keys: ReadonlyArray<string>) =>
  Promise.all(keys.map(async (key) => (await client.get("n", key))?.text()))

/** An answer that comes piece by piece, when it is told to. */
const inPieces = () => {
  let controller: ReadableStreamDefaultController<Uint8Array>
  const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) })
  const utf8 = new TextEncoder()
  return {
    answer: () => new Response(body),
    send: (line: object) => controller.enqueue(utf8.encode(`${JSON.stringify(line)}\n`)),
    breakOff: () => controller.error(new TypeError("terminated"))
  }
}

/** All that promises do by themselves is done. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

describe("reads that are called at about the same time", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it("share a request with those that ask for the same and have the same time; one that is alone has its own", async () => {
    const { client, sent } = clientOf([...always(path, records), ...always("/v1/records/n/alone", found)])
    assert.strictEqual((await client.get("n", "alone"))!.text(), "alone")
    const all = [
      ...["a", "b"].map((key) => client.get("n", key)),
      ...["c", "d"].map((key) => client.get("n", key, { consistency: "linearizable" })),
      ...["e", "f"].map((key) => client.get("n", key, { consistency: "quorum", r: 2 })),
      ...["g", "h"].map((key) => client.get("n", key, { timeoutMillis: 500 })),
      client.get("n", "alone", { atLeast: "x" })
    ]
    assert.deepStrictEqual(
      (await Promise.all(all)).map((record) => record!.text()),
      ["a", "b", "c", "d", "e", "f", "g", "h", "alone"]
    )
    assert.deepStrictEqual(
      sent.map(({ path, query, lines }) => [path, query.toString(), keysOf(lines)]).sort(),
      [
        ["/v1/reads", "", "a b"],
        ["/v1/reads", "", "g h"],
        ["/v1/reads", "consistency=linearizable", "c d"],
        ["/v1/reads", "consistency=quorum&r=2", "e f"],
        ["/v1/records/n/alone", "", ""],
        ["/v1/records/n/alone", "atLeast=x", ""]
      ].sort()
    )
  })

  it("are 64 to a request, of which four are under way", async () => {
    const waiting: Array<() => void> = []
    let most = 0
    const { client, sent } = clientOf(
      always(path, (request) => {
        return new Promise((resolve) => {
          waiting.push(() => resolve(records(request) as Response))
          most = Math.max(most, waiting.length)
        })
      })
    )
    const keys = Array.from({ length: 1000 }, (_, i) => `${i}`)
    let isOver = false
    const all = read(client, ...keys)
    void all.then(() => (isOver = true))
    while (!isOver) {
      for (const answer of waiting.splice(0)) answer()
      await settled()
    }
    assert.deepStrictEqual(await all, keys)
    assert.strictEqual(most, 4)
    assert.lengthOf(sent, 16)
    assert.isTrue(sent.every(({ lines }) => lines.length <= 64))
  })

  it("have each its own answer: a record, none, or an error", async () => {
    const { client, sent } = clientOf([
      [
        path,
        () =>
          ndjson([
            line(1, { status: 200, record: { ...recordOf("a", "grüß".slice(0, 2)), contentType: "text/plain" } }),
            line(2, wrong(404, "not_found")),
            line(3, wrong(400, "invalid_request", { field: "consistency", detail: "no" }))
          ])
      ]
    ])
    const [a, b, c] = ["a", "b", "c"].map((key) => client.get("n", key))
    assert.deepInclude(await a, { namespace: "n", key: "a", contentType: "text/plain", writeId: "of a" })
    assert.isUndefined(await b)
    const error = await failure(c!)
    assert.deepInclude(error, { code: "invalid_request", url: sent[0]!.url })
    assert.propertyVal(error, "field", "consistency")
    assert.lengthOf(sent, 1)
  })

  it("are asked of the next replica where one has no answer, without those that had theirs", async () => {
    const pieces = inPieces()
    const { client, sent } = clientOf([
      [path, pieces.answer],
      [
        path,
        () =>
          ndjson([
            line(1, wrong(503, "store_failed", { reason: "corrupt" })),
            line(2, { status: 200, record: recordOf("c") })
          ])
      ],
      [path, broken],
      ...always(path, records),
      ...always("/v1/records/n/b", found)
    ])
    const all = read(client, "a", "b", "c")
    await settled()
    pieces.send(line(1, { status: 200, record: recordOf("a"), session: "s" }))
    pieces.send(line(2, { status: 200, record: recordOf("b") }))
    await settled()
    pieces.breakOff()
    await vi.advanceTimersByTimeAsync(500)
    assert.deepStrictEqual(await all, ["a", "b", "c"])
    // What came with no session yet is asked again; and what is damaged on the second one, of the third.
    assert.deepStrictEqual(asked(sent).slice(0, 3), ["a b c", "b c", "b"])
    assert.strictEqual(new Set(sent.slice(0, 3).map(({ url }) => url)).size, 3)
  })

  it("say when time is over what a replica said of each", async () => {
    const answers = () => ndjson([line(1, wrong(503, "store_failed")), line(2, wrong(503, "read_unavailable"))])
    const { client } = clientOf(always(path, answers), { timeoutMillis: 200 })
    const errors = Promise.all(["a", "b"].map((key) => failure(client.get("n", key))))
    await vi.advanceTimersByTimeAsync(200)
    assert.deepStrictEqual(
      (await errors).map(({ code }) => code),
      ["store_failed", "read_unavailable"]
    )
  })

  it("are not answered before it is known what was seen by them, and neither are writes", async () => {
    for (const call of [
      (client: Client, key: string) => client.get("n", key),
      (client: Client, key: string) => client.put("n", key, "v")
    ]) {
      const pieces = inPieces()
      const { client, sent } = clientOf([
        [path, pieces.answer],
        ["/v1/batch", pieces.answer],
        ["/v1/records/n/k", found]
      ])
      let isAnswered = false
      const [first, second] = ["a", "b"].map((key) => call(client, key))
      void first!.then(() => (isAnswered = true))
      await settled()
      const fields = (key: string) => ({ status: 200, record: recordOf(key), receipt: receiptOf(key, "a") })
      pieces.send(line(1, fields("a")))
      await settled()
      assert.isFalse(isAnswered)
      pieces.send(line(2, { ...fields("b"), session: "both" }))
      await Promise.all([first, second])
      await client.get("n", "k")
      assert.strictEqual(sent.at(-1)!.session, "both")
    }
  })

  it("begin anew when what was seen is no write any more", async () => {
    for (const replaced of [
      () => problem(409, "write_replaced", { writeId: "gone", held: "x" }),
      () =>
        ndjson([
          line(1, { status: 200, record: recordOf("a") }),
          line(2, wrong(409, "write_replaced", { writeId: "gone" }))
        ])
    ] satisfies ReadonlyArray<Answer>) {
      const { client, sent } = clientOf([
        [
          path,
          () => ndjson([line(1, wrong(404, "not_found")), line(2, { ...wrong(404, "not_found"), session: "seen" })])
        ],
        [path, replaced],
        ...always(path, records),
        ...always("/v1/records/n/b", found)
      ])
      assert.deepStrictEqual(await read(client, "x", "y"), [undefined, undefined])
      assert.deepStrictEqual(await read(client, "a", "b"), ["a", "b"])
      assert.deepStrictEqual(
        sent.map(({ session }) => session),
        [undefined, "seen", undefined]
      )
    }
  })

  it("are sent one by one for a minute where they may not share a request, or a replica does not know how", async () => {
    for (const refused of [() => problem(403, "forbidden"), () => problem(404, "route_unknown")]) {
      const { client, sent } = clientOf([
        ...always(path, refused),
        ...["a", "b"].flatMap((key) => always(`/v1/records/n/${key}`, found))
      ])
      const alone = ["/v1/records/n/a", "/v1/records/n/b"]
      for (const millis of [0, 59_000, 2000]) {
        await vi.advanceTimersByTimeAsync(millis)
        assert.deepStrictEqual(await read(client, "a", "b"), ["a", "b"])
      }
      assert.deepStrictEqual(asked(sent), ["a b", ...alone, ...alone, "a b", ...alone])
    }
  })

  it("have each its own signal: one leaves the others, and the last ends the request", async () => {
    const { client, sent } = clientOf([[path, records], ...always("/v1/records/n/b", found)])
    const reason = new Error("enough")
    const controller = new AbortController()
    const before = client.get("n", "a", { signal: controller.signal }).catch((error: unknown) => error)
    const others = read(client, "b", "c")
    controller.abort(reason)
    assert.strictEqual(await before, reason)
    assert.deepStrictEqual(await others, ["b", "c"])
    assert.deepStrictEqual(asked(sent), ["b c"])

    let ended = 0
    const hanging = createClient({
      urls: ["http://a"],
      fetch: (_, { signal }) =>
        new Promise((_, reject) =>
          signal!.addEventListener("abort", () => {
            ended++
            reject(signal!.reason)
          })
        )
    })
    const controllers = [new AbortController(), new AbortController()]
    const all = controllers.map(({ signal }, i) =>
      hanging.get("n", `${i}`, { signal }).catch((error: unknown) => error)
    )
    await settled()
    controllers[0]!.abort(reason)
    assert.strictEqual(await all[0], reason)
    assert.strictEqual(ended, 0)
    controllers[1]!.abort(reason)
    assert.strictEqual(await all[1], reason)
    assert.strictEqual(ended, 1)
  })

  it("L11 take no line for a record that is none, or another one", async () => {
    const right = line(2, { status: 200, record: recordOf("b") })
    for (const other of [
      line(1, { status: 200 }),
      line(1, { status: 200, record: {} }),
      line(1, { status: 200, record: { ...recordOf("a"), value: 5 } }),
      line(1, { status: 200, record: { ...recordOf("a"), writeId: undefined } }),
      line(1, { status: 200, record: recordOf("b") }),
      line(1, { status: 200, record: { ...recordOf("a"), namespace: "other" } }),
      line(3, { status: 200, record: recordOf("a") }),
      {}
    ]) {
      const { client, sent } = clientOf([[path, () => ndjson([other, right])], ...always(path, records)])
      assert.deepStrictEqual(await read(client, "a", "b"), ["a", "b"])
      assert.strictEqual(new Set(sent.map(({ url }) => url)).size, 2, JSON.stringify(other))
    }
  })

  it("are closed after when they were called before", async () => {
    const { client } = clientOf(always(path, records))
    const all = read(client, "a", "b")
    await client.close()
    assert.deepStrictEqual(await all, ["a", "b"])
    assert.strictEqual((await failure(client.get("n", "a"))).code, "client_closed")
  })

  it("are those of Keyv's many keys, of unstorage's items, and of Effect's persistence", async () => {
    const none: Answer = ({ lines }) => ndjson(lines.map((_, i) => line(i + 1, wrong(404, "not_found"))))
    const keys = ["a", "b", "c"]
    const told = clientOf(always(path, none))
    await keyvStore(told.client, "n").getMany(keys)
    await keyvStore(told.client, "n").hasMany(keys)
    const driver = unstorageDriver(told.client, "n")
    await Promise.all(keys.map((key) => driver.getItem(key)))
    assert.deepStrictEqual(asked(told.sent), ["a b c", "a b c", "a b c"])

    const sent: Array<string> = []
    const fetch = async (url: string, { body }: RequestInit) => {
      sent.push(new URL(url).pathname)
      return none({ lines: String(body).trim().split("\n") } as unknown as Sent)
    }
    class Key extends Persistable.Class<{ payload: { id: string } }>()("Key", {
      primaryKey: ({ id }) => id,
      success: Schema.String
    }) {}
    const services = Persistence.layerKvs.pipe(
      Layer.provide(ClientKeyValueStore.layer("n")),
      Layer.provide(QuorumClient.layer({ urls: ["http://a"], fetch }))
    )
    await Effect.runPromise(
      Effect.gen(function* () {
        const store = yield* (yield* Persistence.Persistence).make({ storeId: "s" })
        yield* store.getMany(keys.map((id) => new Key({ id })))
      }).pipe(Effect.scoped, Effect.provide(services))
    )
    assert.deepStrictEqual(sent, [path])
  })
})
