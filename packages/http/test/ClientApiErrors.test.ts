import { assert, describe, it } from "@effect/vitest"
import { type QuorumWriter, type WriteId, QuorumError, QuorumPolicy, Records, ReplicaId } from "@quorum/core"
import { ReplicaStore, RunId } from "@quorum/core/adapter"
import { Effect, Result } from "effect"
import { request } from "./support/request.ts"
import * as Stub from "./support/stub.ts"

const writeId = "a@0123456789abcdef:7.5ad3c01e" as WriteId.WriteId
const secret = "/var/lib/quorum/a/log.db"
const verdicts: QuorumError.Verdicts = {
  [ReplicaId.make("a")]: { _tag: "acked" },
  [ReplicaId.make("b")]: { _tag: "refused", detail: `ECONNREFUSED ${secret}` },
  [ReplicaId.make("c")]: { _tag: "rejected", detail: secret }
}
/** The same as a client may see them. */
const told = { a: { kind: "acked" }, b: { kind: "refused" }, c: { kind: "rejected" } }

const notMet = new QuorumError.QuorumNotMet({ got: 1, needed: 2, reason: "timeout", writeId, verdicts })
const unavailable = new QuorumError.QuorumUnavailable({ alive: 1, needed: 2, reason: "unreachable", verdicts })
const localFailed = new QuorumError.LocalWriteFailed({
  detail: `store disk_full: ${secret}`,
  cause: new Error(`ENOSPC ${secret}`)
})
const storeFailed = new ReplicaStore.StoreError({ reason: "corrupt", detail: secret, cause: new Error(secret) })
const rejected = (reason: QuorumError.WriteRejected["reason"]) =>
  new QuorumError.WriteRejected({ field: "key", detail: "so it is", reason })

interface Expected {
  readonly status: number
  readonly error: string
  readonly rest?: Readonly<Record<string, unknown>>
}

const ofCommit: ReadonlyArray<readonly [QuorumError.QuorumNotMet | QuorumWriter.CommitError, Expected]> = [
  [
    notMet,
    { status: 504, error: "quorum_not_met", rest: { got: 1, needed: 2, reason: "timeout", writeId, verdicts: told } }
  ],
  [
    unavailable,
    { status: 503, error: "quorum_unavailable", rest: { alive: 1, needed: 2, reason: "unreachable", verdicts: told } }
  ],
  [localFailed, { status: 503, error: "local_write_failed" }],
  [
    rejected("invalid"),
    { status: 400, error: "write_rejected", rest: { field: "key", detail: "so it is", reason: "invalid" } }
  ],
  [
    rejected("too_large"),
    { status: 413, error: "write_rejected", rest: { field: "key", detail: "so it is", reason: "too_large" } }
  ],
  [
    new QuorumError.Overloaded({ detail: "so it is" }),
    { status: 503, error: "overloaded", rest: { detail: "so it is" } }
  ],
  [new QuorumError.NotReady({ detail: "so it is" }), { status: 503, error: "not_ready", rest: { detail: "so it is" } }],
  [new QuorumError.ReplicaClosing(), { status: 503, error: "replica_closing" }],
  [new QuorumError.WriteUncertain({ detail: secret }), { status: 500, error: "write_uncertain" }]
]

const assertAnswer = (answer: Effect.Success<ReturnType<typeof request>>, { error, rest, status }: Expected) => {
  assert.strictEqual(answer.status, status)
  assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
  assert.strictEqual(answer.headers.get("retry-after"), status === 503 ? "1" : null)
  assert.strictEqual(answer.headers.get("location") !== null, status === 504)
  const { message, title, ...body } = answer.json
  assert.isString(message)
  assert.isString(title)
  const members = { type: `urn:quorum:problem:${error}`, status, detail: message }
  assert.deepStrictEqual(body, { ...members, error, ...rest })
  assert.notInclude(answer.text, "/var/lib")
  assert.notInclude(answer.text, ".ts:")
}

/** What the log says beside what it says at every start. */
const ofRequests = (log: ReadonlyArray<string>) =>
  log.filter((line) => !/^(?:listens on|clients need no token)/.test(line))

describe("L17 one error contract", () => {
  for (const [failure, expected] of ofCommit) {
    it.live(`${expected.error} with ${expected.status} for a put and a delete`, () =>
      Effect.gen(function* () {
        const { url } = yield* Stub.serve({ commit: () => Effect.fail(failure) })
        for (const method of ["PUT", "DELETE"]) {
          assertAnswer(yield* request(method, `${url}/v1/records/n/k`), expected)
        }
      })
    )
  }

  it.live("quorum_not_met and write_unknown for a resume", () =>
    Effect.gen(function* () {
      const failing = yield* Stub.serve({ resume: () => Effect.fail(notMet) })
      assertAnswer(yield* request("POST", `${failing.url}/v1/writes/${writeId}/resume`), ofCommit[0]![1])
      const { url } = yield* Stub.serve({ resume: () => new QuorumError.WriteUnknown({ writeId }) })
      const expected = { status: 404, error: "write_unknown", rest: { writeId } }
      assertAnswer(yield* request("POST", `${url}/v1/writes/${writeId}/resume`), expected)
      assertAnswer(yield* request("GET", `${url}/v1/writes/${writeId}`), expected)
    })
  )

  it.live("L52 write_replaced for whatever is asked about an id whose place is another write's", () =>
    Effect.gen(function* () {
      const held = "a@0123456789abcdef:7.00000001" as WriteId.WriteId
      const replaced = () => Effect.fail(new QuorumError.WriteReplaced({ writeId, held }))
      const { url } = yield* Stub.serve({ newest: replaced, resume: replaced, status: replaced })
      const expected = { status: 409, error: "write_replaced", rest: { writeId, held } }
      assertAnswer(yield* request("POST", `${url}/v1/writes/${writeId}/resume`), expected)
      assertAnswer(yield* request("GET", `${url}/v1/writes/${writeId}`), expected)
      assertAnswer(yield* request("GET", `${url}/v1/records/n/k?atLeast=${writeId}`), expected)
    })
  )

  it.live("not_found, not_yet_visible and store_failed for reads", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      const notFound = { status: 404, error: "not_found", rest: { namespace: "n", key: "k" } }
      assertAnswer(yield* request("GET", `${url}/v1/records/n/k`), notFound)
      const waiting = yield* Stub.serve({ newest: () => new Records.NotYetVisible({ writeId }) })
      const notYet = { status: 503, error: "not_yet_visible", rest: { writeId } }
      assertAnswer(yield* request("GET", `${waiting.url}/v1/records/n/k`), notYet)
      const broken = yield* Stub.serve({ newest: () => Effect.fail(storeFailed), page: () => Effect.fail(storeFailed) })
      const failed = { status: 503, error: "store_failed", rest: { reason: "corrupt" } }
      assertAnswer(yield* request("GET", `${broken.url}/v1/records/n/k`), failed)
      assertAnswer(yield* request("GET", `${broken.url}/v1/records`), failed)
      const { json } = yield* request("GET", `${broken.url}/v1/records/n/k`)
      assert.match(String(json["message"]), /damaged until it is mended from another replica/)
    })
  )

  it.live("store_failed for a write whose log cannot be read, and the log says why", () =>
    Effect.gen(function* () {
      const { log, url } = yield* Stub.serve({
        status: () => Effect.fail(storeFailed),
        resume: () => Effect.fail(storeFailed)
      })
      const failed = { status: 503, error: "store_failed", rest: { reason: "corrupt" } }
      assertAnswer(yield* request("GET", `${url}/v1/writes/${writeId}`), failed)
      assert.strictEqual(log.filter((line) => line.includes(secret)).length, 1)
      assertAnswer(yield* request("POST", `${url}/v1/writes/${writeId}/resume`), failed)
    })
  )

  it.live("what is known of a write names replicas and kinds, and no addresses", () =>
    Effect.gen(function* () {
      const holders = [ReplicaId.make("a")]
      const { url } = yield* Stub.serve({
        status: () => Effect.succeed({ writeId, committed: false, holders, w: 2, n: 3, verdicts })
      })
      const answer = yield* request("GET", `${url}/v1/writes/${writeId}`)
      assert.deepStrictEqual(answer.json, { writeId, committed: false, holders: ["a"], w: 2, n: 3, verdicts: told })
    })
  )

  it.live("what is not for clients is in the replica's log, once per failure", () =>
    Effect.gen(function* () {
      const { log, url } = yield* Stub.serve({
        commit: () => Effect.fail(localFailed),
        newest: () => Effect.fail(storeFailed)
      })
      for (let i = 0; i < 3; i++) yield* request("PUT", `${url}/v1/records/n/k`, { body: "v" })
      assert.deepStrictEqual(
        log.filter((line) => line.includes(secret)),
        [`local write failed: store disk_full: ${secret}`]
      )
      yield* request("GET", `${url}/v1/records/n/k`)
      assert.strictEqual(log.filter((line) => line.includes(secret)).length, 2)
    })
  )

  it.live("a defect is 500, without what it was, and in the log", () =>
    Effect.gen(function* () {
      const { log, url } = yield* Stub.serve({ newest: () => Effect.die(new Error(secret)) })
      assertAnswer(yield* request("GET", `${url}/v1/records/n/k`), { status: 500, error: "internal" })
      assert.isTrue(log.some((line) => line.includes("GET /v1/records/n/k failed")))
    })
  )

  it.live("a path is 405 by a method that it does not take, and says which it takes", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      const records = "PUT, GET, HEAD, DELETE"
      for (const [method, path, allow] of [
        ["POST", "/v1/records/n/k", records],
        ["PATCH", "/v1/records/n/a%2Fb", records],
        ["OPTIONS", "/v1/records/n/k?w=1", records],
        ["PUT", "/v1/records", "GET, HEAD"],
        ["PUT", "/v1/records/n", "GET, HEAD"],
        ["DELETE", "/v1/keys/n", "GET, HEAD"],
        ["DELETE", "/v1/status", "GET, HEAD"],
        ["POST", "/healthz", "GET, HEAD"],
        ["PUT", "/openapi.json", "GET, HEAD"],
        ["GET", `/v1/writes/${writeId}/resume`, "POST"]
      ] as const) {
        const answer = yield* request(method, url + path)
        assertAnswer(answer, { status: 405, error: "method_not_allowed" })
        assert.strictEqual(answer.headers.get("allow"), allow, path)
      }
    })
  )

  it.live("an unknown route is 404, a path that is none 400", () =>
    Effect.gen(function* () {
      const { log, url } = yield* Stub.serve({})
      for (const [method, path] of [
        ["GET", "/"],
        ["GET", "/v2/x"],
        ["GET", "/v1/keys"],
        ["POST", "/v1/records/n/k/x"],
        ["PUT", "/v1"]
      ]) {
        assertAnswer(yield* request(method!, url + path), { status: 404, error: "route_unknown" })
      }
      const invalid = { field: "path", detail: "it is not well-formed" }
      for (const path of ["/v1/records/n/%E0%A4%A", "/v1/records/n/%"]) {
        assertAnswer(yield* request("GET", url + path), { status: 400, error: "invalid_request", rest: invalid })
      }
      assert.deepStrictEqual(ofRequests(log), [])
    })
  )

  it.live("requests that are answered leave nothing in the log, and a receipt tells no address", () =>
    Effect.gen(function* () {
      const { log, url } = yield* Stub.serve({
        commit: () =>
          Effect.succeed({
            writeId,
            clock: { wallTime: 1, logical: 0 },
            tie: RunId.none,
            policy: Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 1 })),
            acked: [{ replica: ReplicaId.make("a"), afterMillis: 0, how: "self" }],
            missing: { b: { _tag: "refused", detail: "10.0.0.2" } },
            durationMillis: 0
          })
      })
      const written = yield* request("PUT", `${url}/v1/records/n/k`, { body: "v" })
      assert.strictEqual(written.status, 201)
      assert.deepStrictEqual(written.json.missing, { b: { kind: "refused" } })
      yield* request("GET", `${url}/v1/status`)
      assert.deepStrictEqual(ofRequests(log), [])
    })
  )
})
