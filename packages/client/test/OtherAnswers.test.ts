/** What is answered with success, and by no replica. */
import { assert, describe, it } from "@effect/vitest"
import type { QuorumClient, QuorumError, Receipt } from "../src/index.ts"
import { type Answer, batches, clientOf, json, ndjson, receiptOf } from "./support/told.ts"

describe("an answer with 2xx that is none of a replica's", () => {
  const page = () => new Response("<html>", { headers: { "content-type": "text/html" } })
  const others: ReadonlyArray<Answer> = [
    page,
    () => json(200, {}),
    () => json(201, { ok: true, writeId: 5, acked: [] }),
    () => json(201, { writeId: "w" }),
    () => json(200, []),
    () => new Response("null"),
    () => new Response(null, { status: 204 }),
    () => ndjson([{ line: 1, status: 201, receipt: {} }]),
    () => ndjson([{ line: 1, status: 201, receipt: { ...receiptOf("k", "a"), writeId: undefined } }])
  ]
  const long = "v".repeat(100_000)
  const key = { namespace: "n", key: "k" }
  const receipt = receiptOf("k", "b")
  const right = () => json(201, receipt)
  const whole = () => ndjson([{ line: 1, status: 201, receipt }])

  for (const [what, path, answer, call] of [
    ["a put", "/v1/batch", whole, (client: QuorumClient) => client.put("n", "k", "v")],
    ["a put of a long value", "/v1/records/n/k", right, (client: QuorumClient) => client.put("n", "k", long)],
    ["a delete", "/v1/batch", whole, (client: QuorumClient) => client.delete("n", "k")],
    ["several writes as one", "/v1/batch", whole, (client: QuorumClient) => client.commit([{ ...key, value: "v" }])],
    ["a write that is waited for", "/v1/writes/w/resume", right, (client: QuorumClient) => client.resume("w")]
  ] as const) {
    it(`L11 is no receipt of ${what}: another replica is asked`, async () => {
      for (const other of others) {
        const { client, sent } = clientOf([
          [path, other],
          [path, answer]
        ])
        assert.deepStrictEqual<object>(await call(client), receipt)
        const urls = sent.filter((each) => each.path === path).map(({ url }) => url)
        assert.strictEqual(new Set(urls).size, 2)
        assert.strictEqual(urls.length, 2)
      }
    })
  }

  it("L11 is no page, no state and no copies of a write, and no state of a replica", async () => {
    const place = { namespace: "n", key: "k", value: "", writeId: "x" }
    for (const [path, right, call] of [
      ["/v1/records/n", { records: [place], unreadable: [] }, (client) => client.list("n").next()],
      ["/v1/keys/n", { keys: [place], unreadable: [] }, (client) => client.keys("n").next()],
      ["/v1/writes/w", { committed: true }, (client) => client.writeStatus("w")],
      ["/v1/receipts/verify", { committed: true }, (client) => client.verify(receipt as unknown as Receipt)]
    ] satisfies ReadonlyArray<[string, object, (client: QuorumClient) => Promise<unknown>]>) {
      for (const other of [...others, () => json(200, { unreadable: [] })]) {
        const { client, sent } = clientOf([
          [path, other],
          [path, () => json(200, right)]
        ])
        const answer = await call(client)
        if (path.includes("/n")) assert.include(JSON.stringify(answer), "k")
        else assert.deepStrictEqual<unknown>(answer, right)
        assert.lengthOf(sent, 2)
      }
    }
    for (const other of others) {
      const { client } = clientOf(
        Array.from({ length: 100 }, () => ["/v1/status", other] as const),
        { timeoutMillis: 30 }
      )
      for (const { error, status } of await client.status()) {
        assert.isUndefined(status)
        assert.strictEqual((error as QuorumError).code, "unexpected_answer")
      }
    }
  })

  it("L11 is no feed", async () => {
    const line = { ...key, text: "v", writeId: "w", clock: { wallTime: 1, logical: 0 }, tie: "t", position: "p" }
    for (const other of [...others, () => ndjson([{}])]) {
      const { client, sent } = clientOf([
        ["/v1/changes", other],
        ["/v1/changes", () => ndjson([line, { done: true }])]
      ])
      const { value } = await client.watch("n").next()
      assert.deepInclude(value, { key: "k", position: "p" })
      assert.lengthOf(sent, 2)
      const { client: alone } = clientOf(
        Array.from({ length: 100 }, () => ["/v1/changes", other] as const),
        { timeoutMillis: 30 }
      )
      const failed = await alone
        .watch("n")
        .next()
        .catch((error: unknown) => error)
      assert.strictEqual((failed as QuorumError).code, "unexpected_answer")
    }
  })

  it("L11 is no stamp, and no record", async () => {
    for (const other of others) {
      const stamps = clientOf([
        ["/v1/stamps", other],
        ["/v1/stamps/each", other]
      ])
      assert.strictEqual(await stamps.client.stamp([key]), "stamp")
      await stamps.client.put("n", "k", "v")
      assert.isTrue(batches(stamps.sent)[0]!.lines.every(({ stamp }) => stamp === "stamp of k"))
      const { client } = clientOf([
        ["/v1/records/n/k", other],
        ["/v1/records/n/k", () => new Response("v", { headers: { "quorum-write-id": "x" } })]
      ])
      assert.deepInclude(await client.get("n", "k"), { writeId: "x" })
    }
  })
})
