/** What the client sends after which answer: against replicas that answer as told. */
import { assert, describe, it } from "@effect/vitest"
import { ChangesForgotten, createClient, type OutcomeUnknown, QuorumNotMet } from "../src/index.ts"
import {
  type Answer,
  type Sent,
  batches,
  broken,
  clientOf,
  failure,
  json,
  ndjson,
  problem,
  receiptOf
} from "./support/told.ts"

describe("a write", () => {
  it("is sent under the same stamp elsewhere, after whatever leaves open whether it was made", async () => {
    for (const answer of [
      broken,
      () => problem(500, "internal"),
      () => new Response("<html>", { status: 502 }),
      () => ndjson([]),
      () => ndjson([{ line: 1, status: 500, problem: { error: "write_uncertain", message: "" } }]),
      () => ndjson([{ line: 1, status: 504, problem: { error: "quorum_not_met", message: "", writeId: "x" } }])
    ] satisfies ReadonlyArray<Answer>) {
      const { client, sent } = clientOf([["/v1/batch", answer]])
      await client.put("n", "k", "v")
      const [first, second] = batches(sent)
      assert.notStrictEqual(first!.url, second!.url)
      assert.deepStrictEqual(first!.lines, second!.lines)
      assert.strictEqual(first!.lines[0]!.stamp, "stamp of k")
      assert.strictEqual(sent.filter(({ path }) => path === "/v1/stamps/each").length, 1)
    }
  })

  it("that is answered before the connection breaks is not sent again with those that are not", async () => {
    const one = { line: 1, status: 201, receipt: receiptOf("x", "a") }
    const { client, sent } = clientOf([["/v1/batch", () => ndjson([one])]])
    const results = await client.batch(["x", "y", "z"].map((key) => ({ namespace: "n", key, value: key })))
    assert.deepStrictEqual(
      results.map(({ ok }) => ok),
      [true, true, true]
    )
    assert.deepStrictEqual(
      batches(sent).map(({ lines }) => lines.map(({ key }) => key)),
      [
        ["x", "y", "z"],
        ["y", "z"]
      ]
    )
  })

  it("shares a request with those that are called at the same time, and no other w", async () => {
    const { client, sent } = clientOf([])
    await Promise.all([
      client.put("n", "x", "v"),
      client.put("n", "y", "v"),
      client.put("n", "z", "v", { w: 3 }),
      client.delete("n", "x")
    ])
    assert.deepStrictEqual(
      batches(sent).map(({ lines, query }) => [query.get("w"), lines.length]),
      [
        [null, 3],
        ["3", 1]
      ]
    )
  })

  it("says that nobody knows when time runs out after an attempt that was not answered, with its stamp", async () => {
    const silent: Answer = () => new Promise<never>(() => {})
    const { client } = clientOf(
      Array.from({ length: 5 }, () => ["/v1/batch", silent] as const),
      { timeoutMillis: 200 }
    )
    const error = await failure(client.put("n", "k", "v"))
    assert.deepStrictEqual([error.code, (error as OutcomeUnknown).stamp], ["outcome_unknown", "stamp of k"])
  })

  it("that no replica can take fails with what they say, and was not written", async () => {
    const no: Answer = () => problem(503, "quorum_unavailable", { alive: 1, needed: 2 })
    const { client } = clientOf(
      Array.from({ length: 50 }, () => ["/v1/stamps/each", no] as const),
      { timeoutMillis: 300 }
    )
    const error = await failure(client.put("n", "k", "v"))
    assert.deepStrictEqual([error.code, error.written], ["quorum_unavailable", "no"])
  })

  it("that is durable somewhere, and never met its quorum, says its id", async () => {
    const unmet: Answer = () =>
      json(200, { line: 1, status: 504, problem: { error: "quorum_not_met", message: "", writeId: "a:1" } })
    const lines: Answer = async (sent) => new Response(`${await (await unmet(sent)).text()}\n`)
    const { client } = clientOf(
      Array.from({ length: 50 }, (_, i) => ["/v1/batch", i === 1 ? broken : lines] as const),
      { timeoutMillis: 300 }
    )
    const error = await failure(client.put("n", "k", "v"))
    if (!(error instanceof QuorumNotMet)) throw error
    assert.deepStrictEqual([error.writeId, error.written], ["a:1", "here"])
  })

  it("that is wrong is refused at once, and asks no other replica", async () => {
    const { client, sent } = clientOf([["/v1/stamps/each", () => problem(400, "write_rejected", { field: "key" })]])
    assert.strictEqual((await failure(client.put("n", "k", "v"))).code, "write_rejected")
    assert.strictEqual(sent.length, 1)
  })

  it("of several keys has one stamp, and keeps it", async () => {
    const { client, sent } = clientOf([["/v1/batch", broken]])
    await client.commit([
      { namespace: "n", key: "x", value: "1" },
      { namespace: "n", key: "y", delete: true }
    ])
    assert.deepStrictEqual(
      sent.map(({ path }) => path),
      ["/v1/stamps", "/v1/batch", "/v1/batch"]
    )
  })
})

describe("a read", () => {
  const found =
    (writeId: string, session?: string): Answer =>
    () =>
      new Response("v", {
        headers: { "quorum-write-id": writeId, ...(session === undefined ? {} : { "quorum-session": session }) }
      })

  const sessions = ({ sent }: { readonly sent: ReadonlyArray<Sent> }) =>
    sent.filter(({ path }) => path.startsWith("/v1/records")).map(({ session }) => session)

  it("says what this client has done and seen, whatever the record, and passes on what comes of it", async () => {
    const { client, sent } = clientOf([
      ["/v1/records/n/k", found("x", "first")],
      ["/v1/records/n/other", () => problem(404, "not_found", {}, { "quorum-session": "second" })],
      ["/v1/records/n/k", found("x")],
      ["/v1/records/n", () => Response.json({ records: [], damaged: [], unreadable: [] })]
    ])
    await client.get("n", "k")
    assert.isUndefined(await client.get("n", "other"))
    await client.get("n", "k")
    for await (const _ of client.list("n")) assert.fail("there is none")
    assert.deepStrictEqual(sessions({ sent }), [undefined, "first", "second", "second"])
  })

  it("begins anew when what was seen is no write any more, and not for what it is given", async () => {
    const replaced = () => problem(409, "write_replaced", { writeId: "read", held: "x" })
    const { client, sent } = clientOf([
      ["/v1/records/n/k", found("read", "first")],
      ["/v1/records/n/k", replaced],
      ["/v1/records/n/k", found("other")],
      ["/v1/records/n/k", replaced]
    ])
    await client.get("n", "k")
    assert.strictEqual((await client.get("n", "k"))!.writeId, "other")
    assert.strictEqual((await failure(client.get("n", "k", { atLeast: "read" }))).code, "write_replaced")
    assert.deepStrictEqual(sessions({ sent }), [undefined, "first", undefined, undefined])
  })

  it("asks the next replica, and stays with the one that answered", async () => {
    const { client, sent } = clientOf([
      ["/v1/records/n/k", broken],
      ["/v1/records/n/k", () => problem(503, "not_yet_visible", { writeId: "x" })],
      ["/v1/records/n/k", found("x")],
      ["/v1/records/n/k", found("x")]
    ])
    await client.get("n", "k")
    await client.get("n", "k")
    const urls = sent.map(({ url }) => url)
    assert.strictEqual(new Set(urls.slice(0, 3)).size, 3)
    assert.strictEqual(urls[3], urls[2])
  })

  it("takes no page of something else for a record that is not there", async () => {
    const { client } = clientOf([
      ["/v1/records/n/k", () => new Response("not found", { status: 404 })],
      ["/v1/records/n/k", found("x")]
    ])
    assert.strictEqual((await client.get("n", "k"))!.text(), "v")
  })
})

describe("a watch", () => {
  const change = (key: string, position?: string) => ({ namespace: "n", key, text: key, writeId: key, position })

  it("goes on after the last position, elsewhere or there, and never in a hurry", async () => {
    const { client, sent } = clientOf([
      ["/v1/changes", () => problem(503, "log_damaged", { log: "a", from: 1, to: 2 })],
      ["/v1/changes", () => ndjson([change("x"), change("y", "1"), change("z")])],
      ["/v1/changes", () => ndjson([{ position: "2" }, { problem: { error: "replica_closing", message: "" } }])],
      ["/v1/changes", () => ndjson([{ problem: { error: "not_ready", message: "" } }])],
      ["/v1/changes", () => ndjson([change("last", "3")])]
    ])
    const seen: Array<string> = []
    for await (const { key } of client.watch("n")) {
      seen.push(key)
      if (key === "last") break
    }
    assert.deepStrictEqual(seen, ["x", "y", "z", "last"])
    assert.deepStrictEqual(
      sent.map(({ query }) => query.get("since")),
      [null, null, "1", "2", "2"]
    )
  })

  it("that ends with what is there goes on when an answer ends as if that were all, until a replica says that it was", async () => {
    const { client, sent } = clientOf([
      ["/v1/changes", () => ndjson([change("x", "1"), change("y", "2")])],
      ["/v1/changes", () => ndjson([])],
      ["/v1/changes", () => ndjson([change("z", "3"), { done: true }])]
    ])
    const seen: Array<string> = []
    for await (const { key } of client.watch("n", { until: "now" })) seen.push(key)
    assert.deepStrictEqual(seen, ["x", "y", "z"])
    assert.deepStrictEqual(
      sent.map(({ query }) => [query.get("until"), query.get("since")]),
      [
        ["now", null],
        ["now", "2"],
        ["now", "2"]
      ]
    )
  })

  it("that has missed deletes has the records read, at whatever replica, after what it goes on from", async () => {
    const forgotten = { error: "changes_forgotten", message: "", position: "9", session: "all before 9" }
    for (const lines of [[{ problem: forgotten }], [change("x", "1"), { problem: forgotten }]]) {
      const { client, sent } = clientOf([["/v1/changes", () => ndjson(lines)]])
      const seen = await failure(
        (async () => {
          for await (const _ of client.watch("n")) continue
        })()
      )
      assert(seen instanceof ChangesForgotten)
      assert.strictEqual(seen.position, "9")
      await failure(client.get("n", "k"))
      assert.strictEqual(sent.at(-1)!.session, "all before 9")
    }
  })

  it("ends with what every replica would say", async () => {
    const { client } = clientOf([
      ["/v1/changes", () => ndjson([change("x", "1"), { problem: { error: "write_replaced", message: "" } }])]
    ])
    const watch = client.watch("n")
    await watch.next()
    assert.strictEqual((await failure(watch.next())).code, "write_replaced")
  })
})

describe("a url", () => {
  it("is asked at the same paths however it is written", async () => {
    for (const [url, expected] of [
      ["http://a", "http://a/v1/records/n/k"],
      ["HTTP://A:80/", "http://a/v1/records/n/k"],
      ["http://a///", "http://a/v1/records/n/k"],
      ["http://a/?", "http://a/v1/records/n/k"],
      ["http://a/#", "http://a/v1/records/n/k"],
      ["http://[::1]:8001/some/path/", "http://[::1]:8001/some/path/v1/records/n/k"]
    ] as const) {
      const asked: Array<string> = []
      const fetch = async (url: string) => {
        asked.push(url)
        return new Response("v", { headers: { "quorum-write-id": "x" } })
      }
      await createClient({ urls: [url], fetch }).get("n", "k")
      assert.deepStrictEqual(asked, [expected], url)
    }
  })
})
