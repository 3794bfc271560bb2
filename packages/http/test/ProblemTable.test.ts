/** The table of errors, row by row: what is on the wire, what a typed client gets, and what the documents say. */
import { readFileSync } from "node:fs"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Changes, type LogId, QuorumError, Records, ReplicaId, type WriteId } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect, Option, Stream } from "effect"
import type { Travel } from "../src/api/ErrorTravel.ts"
import * as Table from "../src/api/ProblemTable.ts"
import { ClientApiClient, ClientApiErrors, ClientRate, ClientTokens } from "../src/index.ts"
import { request } from "./support/request.ts"
import * as Stub from "./support/stub.ts"

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8")

const secret = "/var/lib/quorum/a/log.db"
const writeId = "a@0123456789abcdef:7.5ad3c01e" as WriteId.WriteId
const held = "a@0123456789abcdef:7.00000001" as WriteId.WriteId
const log = "a@0123456789abcdef" as LogId.LogId
const verdicts: QuorumError.Verdicts = { [ReplicaId.make("b")]: { _tag: "refused", detail: secret } }
const params = { namespace: "n", key: "k" }
const hidden = { detail: secret, cause: new Error(secret) }

type Client = ClientApiClient.Methods
type Answers = Parameters<typeof Stub.serve>[0]

/** How the error of a row is got: by a replica that answers so, a request, and the same of the typed client. */
interface Case {
  readonly row: Travel
  readonly error: Error
  readonly answers: Answers
  readonly raw: readonly [method: string, path: string, headers?: Record<string, string>]
  readonly typed?: (client: Client) => Effect.Effect<unknown, unknown>
}

const put = (client: Client) => client.records.put({ params, query: {}, headers: {}, payload: new Uint8Array(1) })
const get = (client: Client) => client.records.get({ params, query: {}, headers: {} })

type CommitError = Effect.Error<ReturnType<NonNullable<Answers["commit"]>>>

const ofCommit = <E extends CommitError>(row: Travel<E>, error: E): Case => ({
  row,
  error,
  answers: { commit: () => Effect.fail(error) },
  raw: ["PUT", "/v1/records/n/k"],
  typed: put
})

const ofRead = <E extends Records.ReadError>(row: Travel<E>, error: E): Case => ({
  row,
  error,
  answers: { newest: () => Effect.fail(error) },
  raw: ["GET", "/v1/records/n/k"],
  typed: get
})

const rejected = (reason: "invalid" | "too_large") =>
  new QuorumError.WriteRejected({ field: "key", detail: "so it is", reason })

const damaged = new Changes.LogDamaged({ log, from: 3, to: 5 })
const forgotten = new Changes.ChangesForgotten({ position: "YTox" })
const fault = { reason: "disk_full", detail: secret } as const

const cases: ReadonlyArray<Case> = [
  {
    row: Table.invalidRequest,
    error: new ClientApiErrors.InvalidRequest({ field: "atLeast", detail: "it is not the id of a write" }),
    answers: {
      newest: () => Effect.fail(new Records.ReadRejected({ field: "atLeast", detail: "it is not the id of a write" }))
    },
    raw: ["GET", "/v1/records/n/k"],
    typed: get
  },
  ofCommit(Table.writeInvalid, rejected("invalid")),
  {
    row: Table.unauthorized,
    error: new ClientApiErrors.Unauthorized(),
    answers: {},
    raw: ["PUT", "/v1/records/n/k"],
    typed: put
  },
  {
    row: Table.forbidden,
    error: new ClientApiErrors.Forbidden(),
    answers: {},
    raw: ["PUT", "/v1/records/n/k", { authorization: "Bearer t" }]
  },
  {
    row: Table.recordNotFound,
    error: new ClientApiErrors.RecordNotFound(params),
    answers: { newest: () => Effect.succeed(Option.none()) },
    raw: ["GET", "/v1/records/n/k"],
    typed: get
  },
  {
    row: Table.writeUnknown,
    error: new QuorumError.WriteUnknown({ writeId }),
    answers: {},
    raw: ["GET", `/v1/writes/${writeId}`],
    typed: (client) => client.writes.status({ params: { id: writeId } })
  },
  {
    row: Table.notAcceptable,
    error: new ClientApiErrors.NotAcceptable({ accept: "text/html" }),
    answers: {},
    raw: ["GET", "/v1/changes", { accept: "text/html" }]
  },
  ofRead(Table.writeReplaced, new QuorumError.WriteReplaced({ writeId, held })),
  {
    row: Table.writeCompacted,
    error: new QuorumError.WriteCompacted({ writeId }),
    answers: { status: () => Effect.fail(new QuorumError.WriteCompacted({ writeId })) },
    raw: ["GET", `/v1/writes/${writeId}`],
    typed: (client) => client.writes.status({ params: { id: writeId } })
  },
  {
    row: Table.changesForgotten,
    error: forgotten,
    answers: { changes: () => Stream.fail(forgotten) },
    raw: ["GET", "/v1/changes"],
    typed: (client) => client.changes.follow({ query: {}, headers: {} })
  },
  ofCommit(Table.stampReused, new QuorumError.StampReused({ held })),
  ofCommit(Table.tooOldToKnow, new QuorumError.TooOldToKnow({ ageMillis: 5, horizonMillis: 4 })),
  ofCommit(Table.writeTooLarge, rejected("too_large")),
  {
    row: Table.unsupportedMediaType,
    error: new ClientApiErrors.UnsupportedMediaType({ contentType: "text/plain" }),
    answers: {},
    raw: ["POST", "/v1/batch", { "content-type": "text/plain" }]
  },
  ofCommit(Table.idempotencyKeyReused, new QuorumError.IdempotencyKeyReused({ held })),
  {
    row: Table.rateLimited,
    error: new ClientApiErrors.RateLimited(),
    answers: {},
    raw: ["PUT", "/v1/records/n/k"],
    typed: put
  },
  ofCommit(Table.writeUncertain, new QuorumError.WriteUncertain(hidden)),
  ofCommit(
    Table.quorumUnavailable,
    new QuorumError.QuorumUnavailable({ alive: 1, needed: 2, reason: "timeout", verdicts })
  ),
  ofCommit(
    Table.idempotencyUnknown,
    new QuorumError.IdempotencyUnknown({ detail: "not all of the 3 replicas say whether they hold it" })
  ),
  ofCommit(Table.localWriteFailed, new QuorumError.LocalWriteFailed(hidden)),
  ofCommit(Table.overloaded, new QuorumError.Overloaded({ detail: "so it is" })),
  ofCommit(Table.replicaClosing, new QuorumError.ReplicaClosing()),
  ofCommit(Table.notReady, new QuorumError.NotReady({ detail: "so it is" })),
  ofRead(Table.notYetVisible, new Records.NotYetVisible({ writeId })),
  ofRead(
    Table.readUnavailable,
    new QuorumError.ReadUnavailable({ answered: 1, needed: 2, reason: "unreachable", verdicts })
  ),
  ofRead(Table.storeFailed, new ReplicaStore.StoreError({ reason: "corrupt", ...hidden })),
  {
    row: Table.logDamaged,
    error: damaged,
    answers: { changes: () => Stream.fail(damaged) },
    raw: ["GET", "/v1/changes"],
    typed: (client) => client.changes.follow({ query: {}, headers: {} })
  },
  {
    row: Table.unhealthy,
    error: new ClientApiErrors.Unhealthy({ reason: "disk_full" }),
    answers: { replica: { ...Stub.status, storeFault: fault } },
    raw: ["GET", "/healthz"],
    typed: (client) => client.healthz()
  },
  ofCommit(
    Table.quorumNotMet,
    new QuorumError.QuorumNotMet({ got: 1, needed: 2, reason: "timeout", writeId, verdicts })
  ),
  ofCommit(Table.diskLow, new QuorumError.DiskLow({ leftBytes: 5, reserveBytes: 64 }))
]

const sha256 = "e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8"
const tokens = () => [{ name: "t", sha256, role: "read" as const }]

/** A replica of which this client has asked as much as it may in a thousand seconds. */
const exhausted = Effect.tap(Stub.serve({}), ({ url }) => request("GET", `${url}/v1/records/n/k`)).pipe(
  Effect.provideService(ClientRate.ClientRate, 0.001)
)

const retryAfter = (status: number) => (status === 503 ? "1" : status === 429 ? "1000" : null)

const serve = ({ answers, row }: Case) => {
  if (row.code === "rate_limited") return exhausted
  const needsToken = row.code === "unauthorized" || row.code === "forbidden"
  return needsToken
    ? Effect.provideService(Stub.serve(answers), ClientTokens.ClientTokens, tokens)
    : Stub.serve(answers)
}

/** What of an error a client may know: of verdicts no details. */
const told = (error: Error, names: ReadonlyArray<string>) =>
  Object.fromEntries(
    Object.entries(error)
      .filter(([name]) => names.includes(name))
      .map(([name, value]) => [name, name === "verdicts" ? { b: { kind: "refused" } } : (value as unknown)])
  )

describe("L17 the table of errors", () => {
  it("has a case here for every row", () => {
    assert.deepStrictEqual(
      cases.map(({ row }) => row),
      [...Table.rows]
    )
  })

  for (const each of cases) {
    const { error, raw, row, typed } = each
    const { code, fields, status } = row
    it.live(
      `${status} ${code} is problem details with ${fields.join(", ") || "nothing else"}, and comes back as it was`,
      () =>
        Effect.gen(function* () {
          const { url } = yield* serve(each)
          const [method, path, headers = {}] = raw
          const answer = yield* request(method, url + path, { headers })
          assert.deepStrictEqual(
            [answer.status, answer.headers.get("content-type"), answer.headers.get("retry-after")],
            [status, "application/problem+json", retryAfter(status)]
          )
          const location = status === 504 ? `/v1/writes/${encodeURIComponent(writeId)}` : null
          assert.strictEqual(answer.headers.get("location"), location)
          const { detail, message, title, ...rest } = answer.json
          const { detail: ownDetail, ...said } = told(error, fields)
          assert.deepStrictEqual(rest, { type: `urn:quorum:problem:${code}`, status, error: code, ...said })
          assert.strictEqual(String(title).toLowerCase(), code.replaceAll("_", " "))
          assert.isNotEmpty(message)
          assert.strictEqual(detail, ownDetail ?? message)
          assert.notInclude(answer.text, secret)

          if (typed === undefined) return
          const failure = yield* Effect.flip(typed(yield* ClientApiClient.make({ url })))
          assert.strictEqual((failure as Error).constructor, error.constructor)
          const back = told(failure as Error, fields)
          assert.deepStrictEqual(back, told(error, fields))
        }).pipe(Effect.provide(NodeHttpClient.layerUndici))
    )
  }

  it.live("is what the readme and the OpenAPI document say", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      const { json } = yield* request("GET", `${url}/openapi.json`)
      const document = JSON.stringify(json)
      for (const { code, fields, status } of Table.rows) {
        const line = readme.split("\n").find((line) => line.startsWith(`| ${status} | \`${code}\` |`))
        assert(line !== undefined, `the readme has ${status} ${code}`)
        for (const name of fields) assert.include(line, `\`${name}`, `${code}, ${name}`)
        assert.include(document, `"urn:quorum:problem:${code}"`)
      }
      for (const operations of Object.values(
        json["paths"] as Record<string, Record<string, { responses: Responses }>>
      )) {
        for (const { responses } of Object.values(operations)) {
          for (const [status, { content }] of Object.entries(responses)) {
            if (Number(status) >= 400) assert.deepStrictEqual(Object.keys(content), ["application/problem+json"])
          }
        }
      }
    })
  )
})

type Responses = Readonly<Record<string, { readonly content: object }>>
