/** Many reads in one request, each a line. */
import { createHash } from "node:crypto"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ClientSession, LogId, QuorumError, type Records, ReplicaId, WriteId } from "@quorum/core"
import { ReplicaStore, type RunId } from "@quorum/core/adapter"
import { Arbitrary, Effect, Fiber, Layer, Option, Schema, Stream } from "effect"
import * as Reads from "../src/api/reads.ts"
import { ClientApi, ClientApiClient, ClientTokens } from "../src/index.ts"
import { assertInvalid, cluster, put, single } from "./support/api.ts"
import { begin } from "./support/begin.ts"
import * as Cluster from "./support/cluster.ts"
import { request } from "./support/request.ts"
import * as Stub from "./support/stub.ts"

const ndjson = { "content-type": "application/x-ndjson" }

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(ClientApi.ReadAnswer))

const linesOf = (text: string) => text.split("\n").flatMap((line) => (line === "" ? [] : [decode(line)]))

const bodyOf = (lines: ReadonlyArray<unknown>) => lines.map((line) => `${JSON.stringify(line)}\n`).join("")

/** Reads, and what they are answered with. */
const read = (url: string, lines: ReadonlyArray<unknown> | string, query = "", headers = {}) =>
  Effect.map(
    request("POST", `${url}/v1/reads${query}`, {
      headers: { ...ndjson, ...headers },
      body: typeof lines === "string" ? lines : bodyOf(lines)
    }),
    (answer) => ({ ...answer, lines: answer.status === 200 ? linesOf(answer.text) : [] })
  )

const keys = (...names: ReadonlyArray<string>) => names.map((key) => ({ namespace: "notes", key }))

const statuses = (lines: ReadonlyArray<typeof ClientApi.ReadAnswer.Type>) =>
  lines.map(({ line, problem, status }) => [line, status, problem?.["error"]])

const log = LogId.make(ReplicaId.make("a"), LogId.Incarnation.make("0123456789abcdef"))

const newest = (key: string, value: Uint8Array, more: Partial<Records.Newest> = {}): Records.Newest => ({
  namespace: "notes",
  key,
  value,
  writeId: WriteId.make(log, 1, 7),
  clock: { wallTime: 1, logical: 2 },
  tie: "00000000000000ff" as RunId.RunId,
  unprobed: false,
  deleted: false,
  ...more
})

const mebibyte = 1024 * 1024

/** Lines as they come at once. */
const atOnce = (count: number) => Stream.fromArray(keys(...Array.from({ length: count }, (_, i) => `${i}`)))

const noSession = () => Effect.succeed(ClientSession.empty)

/** What may be found for a line. */
const Answer = Arbitrary.schema(
  Schema.Union([Schema.Literal("gone"), Schema.Option(ClientApi.RecordJson), QuorumError.NotReady])
)

const newestOf = (record: typeof ClientApi.RecordJson.Type): Records.Newest => ({
  ...newest("", new Uint8Array(0)),
  ...record
})

describe("many reads", () => {
  it.live(
    "are answered in their order, each as a request of its own would be, and none is held up by one that is wrong",
    () =>
      Effect.gen(function* () {
        const a = yield* single()
        const bytes = Uint8Array.of(0, 1, 255)
        const written = yield* put(a, "bytes", bytes)
        yield* request("PUT", `${a.url}/v1/records/notes/t%22`, {
          body: "grüß",
          headers: { "content-type": "text/plain" }
        })
        yield* put(a, "gone")
        yield* request("DELETE", `${a.url}/v1/records/notes/gone`)
        const { headers, lines, status } = yield* read(a.url, [
          ...keys("bytes", "none"),
          { namespace: "notes" },
          ...keys('t"', "gone", "bytes"),
          { namespace: "notes", key: "bytes", atLeast: "x" },
          "bytes",
          { namespace: "", key: "bytes" },
          { namespace: "notes", key: "\ud800" }
        ])
        assert.deepStrictEqual([status, headers.get("content-type")], [200, "application/x-ndjson"])
        assert.deepStrictEqual(statuses(lines), [
          [1, 200, undefined],
          [2, 404, "not_found"],
          [3, 400, "invalid_request"],
          [4, 200, undefined],
          [5, 404, "not_found"],
          [6, 200, undefined],
          [7, 400, "invalid_request"],
          [8, 400, "invalid_request"],
          [9, 404, "not_found"],
          [10, 404, "not_found"]
        ])
        const { clock, writeId } = written.json
        assert.deepEqual(lines[0]!.record, { namespace: "notes", key: "bytes", value: bytes, writeId, clock } as never)
        assert.deepStrictEqual(lines[0]!.record, lines[5]!.record)
        assert.deepInclude(lines[3]!.record, { contentType: "text/plain", value: new TextEncoder().encode("grüß") })
        const alone = yield* request("GET", `${a.url}/v1/records/notes/none`)
        assert.deepStrictEqual(lines[1]!.problem, alone.json as never)
        for (const i of [2, 6, 7]) assert.strictEqual(lines[i]!.problem!["field"], "body")
        assert.include(lines[6]!.problem!["message"], "atLeast")
      })
  )

  it.live("of very many lines, wherever its pieces end, end with the one that is no JSON", () =>
    Effect.gen(function* () {
      const a = yield* single()
      yield* put(a, "k")
      for (const end of ["no JSON\n", "no JSON"]) {
        const { lines } = yield* read(a.url, bodyOf(Array.from({ length: 5000 }, () => keys("k")[0])) + end)
        assert.deepStrictEqual(
          lines.map(({ line, status }) => [line, status]),
          Array.from({ length: 5001 }, (_, i) => [i + 1, i < 5000 ? 200 : 400])
        )
        assert.include(lines[5000]!.problem!["message"], "this line is no JSON; nothing from here on was read")
      }
      const nested = yield* read(a.url, `${bodyOf(keys("k"))}${"[".repeat(100)}${"]".repeat(100)}\n`)
      assert.deepStrictEqual(statuses(nested.lines).at(-1), [2, 400, "invalid_request"])
      assert.include(
        nested.lines[1]!.problem!["message"],
        "a line is { namespace, key }; nothing from here on was read"
      )
      assert.deepStrictEqual((yield* read(a.url, "")).lines, [])
    })
  )

  it.live("ask as many replicas as their request says", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster({ namespaces: { few: Cluster.policy(3, 1) } })
      const names = Array.from({ length: 40 }, (_, i) => `k${i}`)
      yield* Effect.forEach(names, (key) => put(a, key, key, "?w=3"), { concurrency: "unbounded" })
      for (const query of ["?consistency=linearizable", "?consistency=quorum", "?consistency=quorum&r=3", ""]) {
        const values = Effect.map(read(b.url, keys(...names), query), ({ lines }) =>
          lines.map(({ record }) => record && new TextDecoder().decode(record.value))
        )
        // On a busy machine peers are lost for a moment, as these do not wait long for each other.
        const whole = Effect.repeat(values, {
          until: (found) => found.every((value) => value !== undefined),
          times: 50
        })
        assert.deepStrictEqual(yield* whole, names)
      }
      const few = yield* read(a.url, [{ namespace: "few", key: "k" }, ...keys("k0")], "?consistency=linearizable")
      assert.deepStrictEqual(statuses(few.lines), [
        [1, 400, "invalid_request"],
        [2, 200, undefined]
      ])
      assert.strictEqual(few.lines[0]!.problem!["field"], "consistency")
      const r = yield* read(a.url, keys("k0"), "?consistency=quorum&r=4")
      assert.deepStrictEqual([statuses(r.lines), r.lines[0]!.problem!["field"]], [[[1, 400, "invalid_request"]], "r"])
      yield* c.stop
      const { lines } = yield* read(a.url, keys("k0", "k1"), "?consistency=quorum&r=3")
      for (const { problem, status } of lines)
        assert.deepStrictEqual([status, problem!["error"]], [503, "read_unavailable"])
    })
  )

  it.live("L64 L66 are refused with what nobody would look at", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const [query, field] of [
        ["?consistency=strong", "consistency"],
        ["?r=0", "r"],
        ["?atLeast=x", "atLeast"],
        ["?withinMillis=5", "withinMillis"]
      ] as const) {
        assertInvalid(yield* read(a.url, keys("k"), query), field)
      }
      assertInvalid(yield* read(a.url, keys("k"), "", { "quorum-session": "x" }), "quorum-session")
      const plain = yield* read(a.url, keys("k"), "", { "content-type": "text/plain" })
      assert.deepStrictEqual([plain.status, plain.json["error"]], [415, "unsupported_media_type"])
      const conditional = yield* read(a.url, keys("k"), "", { "if-none-match": "*" })
      assert.deepStrictEqual([conditional.status, conditional.json["field"]], [501, "if-none-match"])
    })
  )

  it.live("come after what their client has seen, or are not answered, and say what it has seen by them", () =>
    Effect.gen(function* () {
      const set = yield* Cluster.make(["a", "b"], { w: 1 })
      const nowhere = `http://127.0.0.1:${yield* Cluster.freePort}`
      const a = yield* set.start("a", { peers: { b: nowhere } })
      const b = yield* set.start("b", { peers: { a: nowhere } })
      const placesOf = (session: ClientSession.ClientSession | undefined) => session!.places
      const written = yield* put(a, "k")
      const removed = yield* request("DELETE", `${a.url}/v1/records/notes/gone`)
      const first = yield* read(a.url, keys("k", "none"))
      assert.deepStrictEqual(placesOf(first.lines[1]!.session), [written.json["writeId"]] as never)
      assert.isUndefined(first.lines[0]!.session)
      const { lines } = yield* read(a.url, keys("k", "gone"))
      assert.deepStrictEqual(placesOf(lines[1]!.session), [removed.json["writeId"]] as never)
      const session = ClientSession.encode(lines[1]!.session!)
      const early = yield* read(b.url, keys("k", "gone"), "", { "quorum-session": session })
      assert.deepStrictEqual(
        [early.status, early.json["error"], early.json["writeId"], early.headers.get("retry-after")],
        [503, "not_yet_visible", removed.json["writeId"], "1"]
      )
      const kept = yield* read(a.url, keys("none"), "", { "quorum-session": session })
      assert.strictEqual(ClientSession.encode(kept.lines[0]!.session!), session)
    })
  )

  it.effect("what their client has seen is looked at again while they are read: it may be another write by then", () =>
    Effect.gen(function* () {
      const replaced = new QuorumError.WriteReplaced({
        writeId: WriteId.make(log, 1, 7),
        held: WriteId.make(log, 1, 8)
      })
      let looked = 0
      const arrived = Effect.suspend(() => (++looked > 1 ? Effect.fail(replaced) : Effect.void))
      const found = Reads.found(atOnce(100), () => Effect.succeed(Option.none()), arrived)
      const lines = linesOf(yield* Stream.mkString(Reads.textOf(found, noSession)))
      assert.lengthOf(lines, 100)
      assert.deepStrictEqual(statuses(lines).at(0), [1, 404, "not_found"])
      assert.deepStrictEqual(statuses(lines).at(-1), [100, 409, "write_replaced"])
    })
  )

  it.live("one that cannot be read here is said to be so in its line, and to the operator once", () =>
    Effect.gen(function* () {
      const damaged = new ReplicaStore.StoreError({ reason: "corrupt", detail: "/secret" })
      const { log, url } = yield* Stub.serve({
        newest: (_, key) =>
          key === "k" ? Effect.succeed(Option.some(newest(key, new Uint8Array(1)))) : Effect.fail(damaged)
      })
      const answer = yield* read(url, keys("k", "bad", "bad", "k"))
      assert.deepStrictEqual(statuses(answer.lines), [
        [1, 200, undefined],
        [2, 503, "store_failed"],
        [3, 503, "store_failed"],
        [4, 200, undefined]
      ])
      assert.strictEqual(answer.lines[1]!.problem!["reason"], "corrupt")
      assert.notInclude(answer.text, "secret")
      assert.lengthOf(
        log.filter((line) => line.includes("/secret")),
        1
      )
    })
  )

  for (const [what, most, answer] of [
    ["here", 1, Effect.void],
    ["of peers", 32, Effect.yieldNow]
  ] as const) {
    it.effect(`L63 of values of a mebibyte that are ${what} keep one until it is taken, and are all answered`, () =>
      Effect.gen(function* () {
        const value = new Uint8Array(mebibyte)
        let asked = 0
        const found = Reads.found(
          atOnce(100),
          (_, key) => {
            asked++
            return Effect.as(answer, Option.some(newest(key, value)))
          },
          Effect.void
        )
        const taken: Array<string> = []
        yield* Stream.runForEach(found, (some) =>
          Effect.sync(() => {
            assert.lengthOf(some, 1)
            taken.push(...some.map(({ seen }) => Option.getOrThrow(seen).key))
            assert.isAtMost(asked, most + 2 * taken.length)
          })
        )
        assert.deepStrictEqual(
          taken,
          Array.from({ length: 100 }, (_, i) => `${i}`)
        )
      })
    )
  }

  it.effect("L63 let others have their turn, however short they are", () =>
    Effect.gen(function* () {
      let turns = 0
      const others = yield* Effect.forkChild(
        Effect.forever(
          Effect.andThen(
            Effect.sync(() => turns++),
            Effect.yieldNow
          )
        )
      )
      yield* Stream.runDrain(
        Reads.textOf(
          Reads.found(atOnce(3200), () => Effect.succeed(Option.none()), Effect.void),
          noSession
        )
      )
      yield* Fiber.interrupt(others)
      assert.isAtLeast(turns, 100)
    })
  )

  it.live("of a client that leaves are ended", () =>
    Effect.gen(function* () {
      let ended = 0
      let begun = 0
      const { url } = yield* Stub.serve({
        newest: () =>
          Effect.suspend(() => {
            begun++
            return Effect.onInterrupt(Effect.never, () => Effect.sync(() => void ended++))
          })
      })
      const reads = yield* begin(`${url}/v1/reads`)
      reads.send(keys("x")[0]!)
      while (begun === 0) yield* Effect.yieldNow
      assert.strictEqual(ended, 0)
      reads.end()
      while (ended === 0) yield* Effect.yieldNow
    })
  )

  it.live("end with the reason once the token of who asks is taken away, also while they are answered", () =>
    Effect.gen(function* () {
      const sha256 = createHash("sha256").update("t").digest("hex")
      let tokens: ReadonlyArray<ClientTokens.Token> = [{ name: "t", sha256, role: "read" }]
      const { url } = yield* Effect.provideService(
        Stub.serve({
          newest: (_, key) =>
            Effect.sync(() => {
              if (key === "last") tokens = []
              return Option.none()
            })
        }),
        ClientTokens.ClientTokens,
        () => tokens
      )
      const reads = yield* begin(`${url}/v1/reads`, { authorization: "Bearer t" })
      reads.send(keys("first")[0]!)
      yield* reads.answered(1)
      reads.send(keys("last")[0]!)
      const [, refused] = yield* reads.answered(2)
      assert.deepInclude(refused, { line: 2, status: 401 })
      assert.strictEqual(refused!.problem["error"], "unauthorized")
    })
  )

  it.live("are asked by a typed client, and its records are those of a page", () =>
    Effect.gen(function* () {
      const a = yield* single()
      yield* put(a, "k", "v")
      const http = yield* Layer.build(NodeHttpClient.layerUndici)
      const client = yield* ClientApiClient.make({ url: a.url }).pipe(Effect.provide(http))
      const answers = yield* client.reads.read({ query: {}, headers: {}, payload: Stream.make(...keys("k", "none")) })
      const [found, none] = yield* Stream.runCollect(answers)
      const page = yield* client.records.list({ query: {}, headers: {} })
      assert.deepStrictEqual(found!.record, page.records[0])
      assert.strictEqual(none!.problem!["error"], "not_found")
    })
  )

  it.prop("say what their schema says", [Arbitrary.array(Answer)], ([answers]) => {
    const lines = Stream.fromArray(keys(...Array.from(answers.keys(), String)))
    const found = Reads.found(
      lines,
      (_, i) => {
        const answer = answers[Number(i)]!
        if (answer === "gone") return Effect.succeed(Option.some(newest(i, new Uint8Array(0), { deleted: true })))
        return answer instanceof Error ? Effect.fail(answer) : Effect.succeed(Option.map(answer, newestOf))
      },
      Effect.void
    )
    const said = linesOf(Effect.runSync(Stream.mkString(Reads.textOf(found, noSession))))
    const expected = answers.map((answer, i) => {
      if (answer instanceof Error) return [i + 1, 503, "not_ready", undefined]
      if (answer === "gone" || Option.isNone(answer)) return [i + 1, 404, "not_found", undefined]
      return [i + 1, 200, undefined, answer.value]
    })
    assert.deepStrictEqual<unknown>(
      said.map(({ line, problem, record, status }) => [line, status, problem?.["error"], record]),
      expected
    )
  })
})
