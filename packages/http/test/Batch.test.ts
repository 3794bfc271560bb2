/** Many writes in one request, each a line. */
import { assert, describe, it } from "@effect/vitest"
import { ClientSession, Entry, QuorumError, type WriteId } from "@quorum/core"
import { Effect, Exit, Fiber, Stream } from "effect"
import * as Batches from "../src/api/batches.ts"
import * as Http from "node:http"
import * as Cluster from "./support/cluster.ts"
import { request } from "./support/request.ts"
import * as Stub from "./support/stub.ts"

const ndjson = { "content-type": "application/x-ndjson" }

const send = (url: string, lines: ReadonlyArray<unknown> | string, query = "") =>
  Effect.map(
    request("POST", `${url}/v1/batch${query}`, {
      headers: ndjson,
      body: typeof lines === "string" ? lines : lines.map((line) => `${JSON.stringify(line)}\n`).join("")
    }),
    ({ status, text }) => ({
      status,
      lines: text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Line)
    })
  )

interface Line {
  readonly line: number
  readonly status: number
  readonly receipt?: { readonly writeId: string; readonly acked: ReadonlyArray<object> }
  readonly problem?: { readonly [field: string]: unknown }
}

/** Lists within lists, as JSON would have them. */
const nested = (depth: number): unknown => {
  let list: ReadonlyArray<unknown> = []
  for (let i = 1; i < depth; i++) list = [list]
  return list
}

const single = Effect.flatMap(Cluster.make(["a"]), (set) => set.start("a"))

describe("a batch", () => {
  it.live("commits its lines, answers each in its order, and is not held up by one that is wrong", () =>
    Effect.gen(function* () {
      const a = yield* single
      const { lines, status } = yield* send(a.url, [
        { namespace: "n", key: "bytes", value: Buffer.from([0, 1, 255]).toString("base64") },
        { namespace: "n", key: "text", text: "grüß" },
        { namespace: "", key: "k", text: "v" },
        { namespace: "n", key: "json", json: { a: [1, null] } },
        { namespace: "n", key: "text" },
        { namespace: "n", key: "text", text: "v", delete: true },
        { namespace: "n", key: "text", text: "v", ttl: 5 },
        "no object",
        { namespace: "n", key: "text", text: "\ud800" },
        { namespace: "n", key: "text", delete: true }
      ])
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(
        lines.map(({ line, problem, status }) => [line, status, problem?.error]),
        [
          [1, 201, undefined],
          [2, 201, undefined],
          [3, 400, "write_rejected"],
          [4, 201, undefined],
          [5, 400, "invalid_request"],
          [6, 400, "invalid_request"],
          [7, 400, "invalid_request"],
          [8, 400, "invalid_request"],
          [9, 400, "invalid_request"],
          [10, 201, undefined]
        ]
      )
      assert.strictEqual(lines[2]!.problem!.field, "namespace")
      const read = (key: string) => request("GET", `${a.url}/v1/records/n/${key}`)
      assert.deepStrictEqual([...(yield* read("bytes")).bytes], [0, 1, 255])
      const json = yield* read("json")
      assert.deepStrictEqual([json.text, json.headers.get("content-type")], ['{"a":[1,null]}', "application/json"])
      assert.strictEqual((yield* read("text")).status, 404)
      const { status: known } = yield* request("GET", `${a.url}/v1/writes/${lines[0]!.receipt!.writeId}`)
      assert.strictEqual(known, 200)
    })
  )

  it.live(
    "L63 that ends with a line that would take long to take apart has committed what came before, and says so",
    () =>
      Effect.gen(function* () {
        const a = yield* single
        const good = `${JSON.stringify({ namespace: "n", key: "good", json: nested(60) })}\n`
        const wide = `[${"1,".repeat(60_000)}1]`
        for (const [json, why] of [
          ["[".repeat(100_000) + "]".repeat(100_000), "nested deeper than 64 levels"],
          [wide, "more than 50000 parts"]
        ] as const) {
          const bad = `{"namespace":"n","key":"bad","json":${json}}\n`
          const { lines, status } = yield* send(a.url, good + bad + good)
          assert.deepStrictEqual([status, lines.map(({ status }) => status)], [200, [201, 400]])
          assert.include(String(lines[1]!.problem!.message), why)
          assert.include(String(lines[1]!.problem!.message), "send such a value as text; nothing from here on was read")
          const atomic = yield* send(a.url, good + bad, "?atomic=true")
          assert.deepStrictEqual(
            atomic.lines.map(({ problem, status }) => [status, problem?.error]),
            [[400, "invalid_request"]]
          )
          // As text it is no more than a text.
          const asText = JSON.stringify({ namespace: "n", key: why, text: json, contentType: "application/json" })
          assert.deepStrictEqual(
            (yield* send(a.url, `${asText}\n`)).lines.map(({ status }) => status),
            [201]
          )
          // It is shown as text, so that what is shown can be sent again.
          const shown = yield* request("GET", `${a.url}/v1/records/n?prefix=${encodeURIComponent(why)}`, {
            headers: { accept: "application/x-ndjson" }
          })
          assert.deepInclude(JSON.parse(shown.text.split("\n")[0]!), { text: json })
          const each = yield* request("POST", `${a.url}/v1/stamps/each`, {
            headers: { "content-type": "application/json" },
            body: `{"keys":${json}}`
          })
          assert.deepInclude(each.json, { error: "invalid_request", field: "body" })
          assert.include(String(each.json["message"]), why)
        }
      })
  )

  it.live("that ends with a line that is no JSON has committed what came before, and says where it ended", () =>
    Effect.gen(function* () {
      const a = yield* single
      const { lines } = yield* send(a.url, '{"namespace":"n","key":"k","text":"v"}\n\n{"names')
      assert.deepStrictEqual(
        lines.map(({ line, status }) => [line, status]),
        [
          [1, 201],
          [2, 400]
        ]
      )
      assert.include(String(lines[1]!.problem!.message), "this line is no JSON; nothing from here on was read")
      const odd = yield* send(a.url, `{"namespace":"n","key":"k","text":"${"x".repeat(9 * 1024 * 1024)}"}\n`)
      assert.include(String(odd.lines[0]!.problem!.message), "this line has more than 8388608 bytes")
      assert.deepStrictEqual((yield* send(a.url, "")).lines, [])
    })
  )

  it.live("that ends so after many lines, wherever its chunks end, answers all that came before", () =>
    Effect.gen(function* () {
      const a = yield* single
      const many = Array.from({ length: 5000 }, (_, i) => `{"namespace":"n","key":"k${i}","text":"${i}"}\n`).join("")
      for (const end of ["no JSON\n", "no JSON"]) {
        const { lines } = yield* send(a.url, many + end)
        assert.deepStrictEqual(
          lines.map(({ line, status }) => [line, status]),
          [...Array.from({ length: 5000 }, (_, i) => [i + 1, 201]), [5001, 400]]
        )
      }
      assert.strictEqual(a.head(a.own).seq, 10_000)
    })
  )

  it.live("is answered in few pieces, and not in one for each line", () =>
    Effect.gen(function* () {
      const a = yield* single
      const lines = Array.from({ length: 1000 }, (_, i) => `{"namespace":"n","key":"k${i}","text":"v"}\n`).join("")
      const pieces = yield* Effect.callback<number>((resume) => {
        const options = { method: "POST", headers: ndjson }
        const outgoing = Http.request(`${a.url}/v1/batch`, options, (response) => {
          let count = 0
          response.on("data", () => count++)
          response.on("end", () => resume(Effect.succeed(count)))
        })
        outgoing.end(lines)
      })
      assert.isBelow(pieces, 50)
    })
  )

  it.live("of many lines is committed whole, and no line twice", () =>
    Effect.gen(function* () {
      const a = yield* single
      const count = 5000
      const { lines } = yield* send(
        a.url,
        Array.from({ length: count }, (_, i) => ({ namespace: "n", key: `k${i}`, text: `${i}` }))
      )
      assert.deepStrictEqual(
        lines.map(({ line }) => line),
        Array.from({ length: count }, (_, i) => i + 1)
      )
      assert.strictEqual(new Set(lines.map(({ receipt }) => receipt!.writeId)).size, count)
      assert.strictEqual(a.head(a.own).seq, count)
    })
  )

  it.live("that is atomic is one write, answered by one line: all of it or nothing", () =>
    Effect.gen(function* () {
      const a = yield* single
      const pair = [
        { namespace: "n", key: "x", text: "1" },
        { namespace: "n", key: "y", text: "2" }
      ]
      const whole = yield* send(a.url, pair, "?atomic=true")
      assert.deepStrictEqual(
        whole.lines.map(({ line, status }) => [line, status]),
        [[2, 201]]
      )
      assert.strictEqual(a.head(a.own).seq, 1)
      for (const lines of [[...pair, { namespace: "n", key: "z" }], [...pair, pair[0]], []]) {
        const refused = yield* send(a.url, lines, "?atomic=true")
        assert.deepStrictEqual(
          refused.lines.map(({ status }) => status),
          [400]
        )
      }
      assert.strictEqual(a.head(a.own).seq, 1)
      assert.strictEqual((yield* send(a.url, pair, "?atomic=1")).status, 400)
    })
  )

  it.live("may be sent again to any replica, whole or a line of it, when its lines have stamps", () =>
    Effect.gen(function* () {
      const set = yield* Cluster.make(["a", "b"])
      const [a, b] = [yield* set.start("a"), yield* set.start("b")]
      yield* Cluster.connected(a, "b")
      const keys = ["x", "y"].map((key) => ({ namespace: "n", key }))
      const drawn = yield* request("POST", `${a.url}/v1/stamps/each`, { body: JSON.stringify({ keys }) })
      assert.strictEqual(drawn.status, 201)
      const stamps = drawn.json.stamps as ReadonlyArray<string>
      assert.strictEqual(new Set(stamps).size, 2)
      const lines = keys.map((place, i) => ({ ...place, text: "v", stamp: stamps[i] }))
      const ids = (answers: ReadonlyArray<Line>) => answers.map(({ receipt }) => receipt!.writeId)
      const first = yield* send(a.url, lines)
      assert.deepStrictEqual(ids((yield* send(a.url, lines)).lines), ids(first.lines))
      yield* send(a.url, [{ ...keys[0], text: "after" }])
      assert.deepStrictEqual(
        (yield* send(b.url, lines)).lines.map(({ status }) => status),
        [201, 201]
      )
      for (const { url } of [a, b]) {
        assert.strictEqual((yield* request("GET", `${url}/v1/records/n/x?consistency=linearizable`)).text, "after")
      }
      const other = yield* send(a.url, [
        { ...lines[1], text: "other" },
        { ...lines[1], stamp: "none" },
        { ...lines[0], key: "z" }
      ])
      assert.deepStrictEqual(
        other.lines.map(({ problem, status }) => [status, problem!.error]),
        [
          [409, "stamp_reused"],
          [400, "invalid_request"],
          [400, "write_rejected"]
        ]
      )
    })
  )

  it.live("that is atomic has its stamp in a header, and is one write however often it is sent", () =>
    Effect.gen(function* () {
      const a = yield* single
      const keys = Array.from({ length: 8000 }, (_, i) => ({ namespace: "n", key: `k${i}` }))
      const drawn = yield* request("POST", `${a.url}/v1/stamps`, { body: JSON.stringify({ keys }) })
      const tooLong = yield* request("POST", `${a.url}/v1/stamps`, { body: " ".repeat(2 ** 20 + 1) })
      assert.deepStrictEqual([tooLong.status, tooLong.json.field], [413, "body"])
      const body = keys.map((place) => `${JSON.stringify({ ...place, text: "v" })}\n`).join("")
      const headers = { ...ndjson, "quorum-stamp": drawn.json.stamp as string }
      const commit = request("POST", `${a.url}/v1/batch?atomic=true`, { headers, body })
      assert.include((yield* commit).text, '"status":201')
      assert.include((yield* commit).text, '"status":201')
      assert.strictEqual(a.head(a.own).seq, 1)
      const each = yield* request("POST", `${a.url}/v1/batch`, { headers, body })
      assert.deepStrictEqual([each.status, each.json.field], [400, "quorum-stamp"])
      const within = yield* send(a.url, [{ ...keys[0], text: "v", stamp: drawn.json.stamp }], "?atomic=true")
      assert.deepStrictEqual(
        within.lines.map(({ status }) => status),
        [400]
      )
      assert.strictEqual(a.head(a.own).seq, 1)
    })
  )

  it.live("answers a line as a request of its own would have been", () =>
    Effect.gen(function* () {
      const writeId = "a@9f3c52d0b1e44a07:1.5ad3c01e" as WriteId.WriteId
      const verdicts: QuorumError.Verdicts = { [Cluster.id("b")]: { _tag: "refused", detail: "127.0.0.1:9" } }
      for (const [error, status, problem] of [
        [new QuorumError.Overloaded({ detail: "many" }), 503, { error: "overloaded", detail: "many" }],
        [new QuorumError.ReplicaClosing(), 503, { error: "replica_closing" }],
        [new QuorumError.NotReady({ detail: "soon" }), 503, { error: "not_ready" }],
        [new QuorumError.LocalWriteFailed({ detail: "/secret" }), 503, { error: "local_write_failed" }],
        [new QuorumError.WriteUncertain({ detail: "/secret" }), 500, { error: "write_uncertain" }],
        [new QuorumError.InvalidPolicy({ detail: "w" }), 400, { error: "invalid_request", field: "w" }],
        [
          new QuorumError.QuorumUnavailable({ alive: 1, needed: 2, reason: "unreachable", verdicts }),
          503,
          { error: "quorum_unavailable", verdicts: { b: { _tag: "refused" } } }
        ],
        [
          new QuorumError.QuorumNotMet({ got: 1, needed: 2, reason: "timeout", writeId, verdicts }),
          504,
          { error: "quorum_not_met", writeId, verdicts: { b: { _tag: "refused" } } }
        ],
        [
          new QuorumError.WriteRejected({ field: "value", reason: "too_large", detail: "big" }),
          413,
          { error: "write_rejected", field: "value" }
        ]
      ] as const) {
        const { log, url } = yield* Stub.serve({
          commitUnsafe: (_, done) => {
            done(Exit.fail(error))
            return () => undefined
          }
        })
        const write = { namespace: "n", key: "k", text: "v" }
        const { lines } = yield* send(url, [write, write])
        assert.strictEqual(lines.length, 2)
        assert.strictEqual(lines[0]!.status, status)
        assert.deepInclude(lines[1]!.problem!, problem)
        assert.notInclude(JSON.stringify(lines), "secret")
        // The operator is told once, and only of what went wrong in the store.
        const said = log.filter((line) => line.includes("/secret"))
        assert.lengthOf(said, error._tag === "LocalWriteFailed" ? 1 : 0)
      }
    })
  )

  it.effect("a request that ends early ends the waiting of its writes", () =>
    Effect.gen(function* () {
      const ended: Array<string> = []
      const lines = ["k1", "k2", "k3"].map((key) => ({ namespace: "n", key, text: "v" }))
      let begun = 0
      const commit: Parameters<typeof Batches.each>[1] = (write) => {
        begun++
        return () => void ended.push(Entry.listOf(write)[0]!.key)
      }
      const answers = Batches.each(
        Stream.fromIterable(lines),
        commit,
        () => Effect.void,
        () => Effect.succeed(ClientSession.empty)
      )
      const fiber = yield* Effect.forkChild(Stream.runDrain(answers), { startImmediately: true })
      while (begun < lines.length) yield* Effect.yieldNow
      assert.deepStrictEqual(ended, [])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ended, ["k1", "k2", "k3"])
    })
  )

  it.live("L63 very many lines let others have their turn, and are written in their order all the same", () =>
    Effect.gen(function* () {
      const written: Array<string> = []
      let turns = 0
      const commit: Parameters<typeof Batches.each>[1] = (write) => {
        written.push(Entry.listOf(write)[0]!.key)
        return () => {}
      }
      const wrong = Array.from({ length: 3000 }, () => ({}))
      const line = (key: string) => ({ namespace: "n", key, text: "v" })
      const pieces = [[...wrong, line("first")], [line("second")]]
      const answers = Batches.each(
        Stream.fromArrays(...pieces),
        commit,
        () => Effect.void,
        () => Effect.succeed(ClientSession.empty)
      )
      const fiber = yield* Effect.forkChild(Stream.runDrain(answers))
      for (; written.length < 2; turns++) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(written, ["first", "second"])
      assert.isAbove(turns, 5)
    })
  )

  it.live("is refused when its body is of another type, or packed", () =>
    Effect.gen(function* () {
      const a = yield* single
      const line = '{"namespace":"n","key":"k","text":"v"}\n'
      const plain = yield* request("POST", `${a.url}/v1/batch`, {
        headers: { "content-type": "text/plain" },
        body: line
      })
      assert.strictEqual(plain.status, 415)
      assert.deepInclude(plain.json, { error: "unsupported_media_type", contentType: "text/plain" })
      const packed = yield* request("POST", `${a.url}/v1/batch`, {
        headers: { ...ndjson, "content-encoding": "gzip" },
        body: line
      })
      assert.strictEqual(packed.status, 415)
      assert.strictEqual(a.head(a.own).seq, 0)
    })
  )
})
