import { assert, describe, it } from "@effect/vitest"
import { WriteId } from "@quorum/core"
import { Effect } from "effect"
import { ackedOf, assertInvalid, cluster, get, head, put, single, wOf } from "./support/api.ts"
import * as Cluster from "./support/cluster.ts"
import { request } from "./support/request.ts"

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
        const { writeId } = failed.json as { readonly writeId: WriteId.WriteId }
        assert.deepInclude(WriteId.place(writeId), { log: a.own, seq: 1 })
        const location = failed.headers.get("location")!
        assert.strictEqual(decodeURIComponent(location), `/v1/writes/${writeId}`)
        assert.strictEqual((yield* get(a, location)).json.writeId, writeId)
        const { message, verdicts, ...rest } = failed.json
        assert.deepInclude(rest, { error: "quorum_not_met", got: 1, needed: 2, reason: "unreachable", writeId })
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
        assert.strictEqual(receipt.json.writeId, writeId)
        assert.deepStrictEqual(ackedOf(receipt.json), ["a", "b"])
        assert.deepStrictEqual(receipt.json.missing, { c: { kind: "refused" } })
        assert.strictEqual((yield* get(a, `/v1/writes/${writeId}`)).json.committed, true)
        assert.strictEqual(head(a), 1)
      })
  )

  it.live("a resume can reach further than the receipt, by w", () =>
    Effect.gen(function* () {
      const { a } = yield* cluster()
      const { writeId } = (yield* put(a, "k", "v", "?w=1")).json
      const all = yield* request("POST", `${a.url}/v1/writes/${writeId}/resume?w=3`)
      assert.deepStrictEqual([all.status, wOf(all.json), ackedOf(all.json).length], [200, 3, 3])
      assertInvalid(yield* request("POST", `${a.url}/v1/writes/${writeId}/resume?w=4`), "w")
    })
  )

  it.live("a resume follows the policy of the write's namespace", () =>
    Effect.gen(function* () {
      const { a } = yield* cluster({ namespaces: { notes: Cluster.policy(3, 3) } })
      const { writeId } = (yield* put(a, "k", "v", "?w=1")).json
      const resumed = yield* request("POST", `${a.url}/v1/writes/${writeId}/resume`)
      assert.deepStrictEqual([resumed.status, wOf(resumed.json)], [200, 3])
      const other = (yield* request("PUT", `${a.url}/v1/records/other/k?w=1`, { body: "v" })).json
      const usual = yield* request("POST", `${a.url}/v1/writes/${other.writeId}/resume`)
      assert.deepStrictEqual([usual.status, wOf(usual.json)], [200, 2])
    })
  )

  it.live("a write that is not held here is 404, and an id that is none 400", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const unknown = WriteId.make(a.own, 1, 0)
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

  it.live("a receipt is verified by the replicas of today, on any of them", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      const receipt = yield* put(a, "k", "v", "?w=3")
      const options = { body: receipt.text, headers: { "content-type": "application/json" } }
      const verified = yield* request("POST", `${b.url}/v1/receipts/verify`, options)
      assert.strictEqual(verified.status, 200)
      assert.deepStrictEqual(verified.json, {
        writeId: receipt.json.writeId,
        copies: { a: "held", b: "held", c: "held" },
        held: 3,
        committed: true
      })
      yield* c.stop
      yield* Cluster.until("c is gone", () => a.status().peers.some(({ link }) => link === "down"))
      const less = yield* request("POST", `${a.url}/v1/receipts/verify`, options)
      assert.deepInclude(less.json, { copies: { a: "held", b: "held", c: "unknown" }, held: 2, committed: false })
    })
  )

  it.live("what is no receipt is 400, and what is longer than one 413", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const verify = (body: BodyInit) => request("POST", `${a.url}/v1/receipts/verify`, { body })
      for (const body of ["", "{}", "[1", '{"writeId":"a@1:1"}']) assertInvalid(yield* verify(body), "body")
      const long = yield* verify(" ".repeat(65_537))
      assert.deepStrictEqual([long.status, long.json.error], [413, "write_rejected"])
    })
  )

  it.live("a put with a stamp may be sent again to any replica, and overwrites nothing that came after", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      const drawn = yield* request("POST", `${a.url}/v1/stamps`, {
        body: JSON.stringify({ keys: [{ namespace: "notes", key: "k" }] })
      })
      assert.strictEqual(drawn.status, 201)
      const headers = { "quorum-stamp": drawn.json.stamp as string }
      const send = (replica: Cluster.Running, method = "PUT", body = "once") =>
        request(method, `${replica.url}/v1/records/notes/k`, method === "PUT" ? { body, headers } : { headers })
      const first = yield* send(a)
      assert.strictEqual(first.status, 201)
      assert.strictEqual((yield* put(b, "k", "newer", "?w=3")).status, 201)
      for (const replica of [c, a, b]) {
        const again = yield* send(replica)
        assert.strictEqual(again.status, 201)
        assert.deepStrictEqual([again.json.clock, again.json.tie], [first.json.clock, first.json.tie])
        assert.strictEqual((yield* get(replica, "/v1/records/notes/k")).text, "newer")
      }
    })
  )

  it.live("other content under a stamp is 409, a stamp that is none 400, and keys that are none too", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const draw = (body: string) => request("POST", `${a.url}/v1/stamps`, { body })
      const drawn = yield* draw('{"keys":[{"namespace":"notes","key":"k"}]}')
      const send = (stamp: string, key = "k", body = "v") =>
        request("PUT", `${a.url}/v1/records/notes/${key}`, { body, headers: { "quorum-stamp": stamp } })
      const stamp = drawn.json.stamp as string
      const { writeId } = (yield* send(stamp)).json
      const reused = yield* send(stamp, "k", "w")
      assert.deepStrictEqual([reused.status, reused.json.error, reused.json.held], [409, "stamp_reused", writeId])
      assert.deepStrictEqual((yield* send(stamp, "l")).json.field, "stamp")
      assertInvalid(yield* send("x"), "quorum-stamp")
      for (const body of ["", "{}", '{"keys":[]}', '{"keys":[{"key":"k"}]}']) assertInvalid(yield* draw(body), "body")
      const empty = yield* draw('{"keys":[{"namespace":"n","key":""}]}')
      assert.deepStrictEqual([empty.status, empty.json.error, empty.json.field], [400, "write_rejected", "keys[0].key"])
    })
  )
})
