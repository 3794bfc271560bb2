/** The header `Idempotency-Key`: a write that may be sent again under a key that its client invented. */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { ClientApiClient } from "../src/index.ts"
import { assertInvalid, cluster, get, put, single } from "./support/api.ts"
import * as Cluster from "./support/cluster.ts"
import { request } from "./support/request.ts"

const key = "8e03978e-40d5-43dd-bc93-6894a57f9324"

const send = (replica: Cluster.Running, body = "v", { as = `"${key}"`, method = "PUT", path = "notes/k" } = {}) =>
  request(method, `${replica.url}/v1/records/${path}`, {
    ...(method === "PUT" ? { body } : {}),
    headers: { "idempotency-key": as }
  })

describe("Idempotency-Key", () => {
  it.live(
    "finds the write at whatever replica holds it, in quotes or not, and overwrites nothing that came after",
    () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* cluster()
        const first = yield* send(a)
        assert.strictEqual(first.status, 201)
        assert.strictEqual((yield* put(b, "k", "newer", "?w=3")).status, 201)
        for (const [replica, as] of [
          [a, key],
          [b, `"${key}"`],
          [c, key]
        ] as const) {
          const again = yield* send(replica, "v", { as })
          assert.deepStrictEqual([again.status, again.json.writeId], [201, first.json.writeId])
          assert.strictEqual((yield* get(replica, "/v1/records/notes/k")).text, "newer")
        }
        const marks = yield* get(a, "/v1/keys/notes.idempotency")
        assert.deepStrictEqual(marks.json.keys as unknown, [{ namespace: "notes.idempotency", key }])
      })
  )

  it.live("of a delete finds the delete, and that of an atomic batch the batch; of single lines it is refused", () =>
    Effect.gen(function* () {
      const a = yield* single()
      yield* put(a, "k", "v")
      const removed = yield* send(a, "", { method: "DELETE" })
      assert.strictEqual(removed.status, 200)
      yield* put(a, "k", "newer")
      assert.strictEqual((yield* send(a, "", { method: "DELETE" })).json.writeId, removed.json.writeId)
      assert.strictEqual((yield* get(a, "/v1/records/notes/k")).text, "newer")

      const body = ["x", "y"].map((name) => `${JSON.stringify({ namespace: "n", key: name, text: "v" })}\n`).join("")
      const headers = { "content-type": "application/x-ndjson", "idempotency-key": key }
      const seq = a.head(a.own).seq
      const batch = yield* request("POST", `${a.url}/v1/batch?atomic=true`, { headers, body })
      assert.include(batch.text, '"status":201')
      const again = yield* request("POST", `${a.url}/v1/batch?atomic=true`, { headers, body })
      assert.strictEqual(JSON.parse(again.text).receipt.writeId, JSON.parse(batch.text).receipt.writeId)
      assert.strictEqual(a.head(a.own).seq, seq + 1)
      assertInvalid(yield* request("POST", `${a.url}/v1/batch`, { headers, body }), "idempotency-key")
    })
  )

  it.live("with other content is 422, and says whose key it is", () =>
    Effect.gen(function* () {
      const { a, b } = yield* cluster({ w: 3 })
      const { writeId } = (yield* send(a)).json
      for (const other of [
        yield* send(b, "w"),
        yield* send(a, "v", { path: "notes/l" }),
        yield* send(b, "", { method: "DELETE" })
      ]) {
        assert.deepStrictEqual([other.status, other.json.error], [422, "idempotency_key_reused"])
        assert.strictEqual(other.json.held, writeId)
      }
    })
  )

  it.live("is an honest unknown, and nothing is written, where it is not held and a replica cannot be asked", () =>
    Effect.gen(function* () {
      const { a, b, c, set } = yield* cluster({ w: 3 })
      const held = yield* send(a, "v", { as: "held" })
      assert.strictEqual(held.status, 201)
      yield* c.stop
      yield* Cluster.until("c is gone", () =>
        [a, b].every((each) => each.status().peers.some(({ link }) => link === "down"))
      )
      const seq = a.head(a.own).seq
      const unknown = yield* send(a, "v", { as: "new" })
      assert.deepStrictEqual([unknown.status, unknown.json.error], [503, "idempotency_unknown"])
      assert.strictEqual(unknown.headers.get("retry-after"), "1")
      assert.strictEqual(a.head(a.own).seq, seq)
      // What is held is found without anybody.
      const found = yield* request("PUT", `${b.url}/v1/records/notes/k?w=2`, {
        body: "v",
        headers: { "idempotency-key": "held" }
      })
      assert.deepStrictEqual([found.status, found.json.writeId], [201, held.json.writeId])
      const again = yield* set.start("c")
      yield* Cluster.connected(a, "c")
      yield* Cluster.connected(again, "a")
      yield* Cluster.until("c votes", () => again.status().voting)
      const written = yield* Effect.retry(
        Effect.flatMap(send(a, "v", { as: "new" }), (answer) =>
          answer.status === 201 ? Effect.succeed(answer) : Effect.fail(answer)
        ),
        { schedule: Schedule.spaced(100), times: 30 }
      )
      assert.strictEqual(written.status, 201)
    })
  )

  it.live("that is none is 400 by the name of the header, and one beside a stamp too", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const as of ["", '""', '"a b"', "a b", "x".repeat(256), "a, b"]) {
        assertInvalid(yield* send(a, "v", { as }), "idempotency-key")
      }
      const body = '{"keys":[{"namespace":"notes","key":"k"}]}'
      const { stamp } = (yield* request("POST", `${a.url}/v1/stamps`, { body })).json
      const both = { "idempotency-key": key, "quorum-stamp": stamp as string }
      const answer = yield* request("PUT", `${a.url}/v1/records/notes/k`, { body: "v", headers: both })
      assert.deepStrictEqual([answer.status, answer.json["field"]], [400, "idempotencyKey"])
      assert.strictEqual(a.head(a.own).seq, 0)
    })
  )

  it.live("is sent by a typed client, whatever characters it has", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const http = yield* Layer.build(NodeHttpClient.layerUndici)
      const client = yield* ClientApiClient.make({ url: a.url }).pipe(Effect.provide(http))
      const write = (text: string) =>
        client.records.put({
          params: { namespace: "notes", key: "k" },
          query: {},
          headers: { "idempotency-key": 'a"b\\c' },
          payload: new TextEncoder().encode(text)
        })
      const { writeId } = yield* write("v")
      assert.strictEqual((yield* write("v")).writeId, writeId)
      assert.deepInclude({ ...(yield* Effect.flip(write("w"))) }, { _tag: "IdempotencyKeyReused", held: writeId })
      const { keys } = yield* client.records.listKeys({
        params: { namespace: "notes.idempotency" },
        query: {},
        headers: {}
      })
      assert.deepStrictEqual(
        keys.map(({ key }) => key),
        ['a"b\\c']
      )
    })
  )
})
