import { assert, describe, it, vi } from "@effect/vitest"
import type { WriteId } from "@quorum/core"
import type { RunId } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { ServerResponse } from "node:http"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { request } from "./support/request.ts"
import * as Stub from "./support/stub.ts"

interface Operation {
  readonly operationId: string
  readonly parameters: ReadonlyArray<{
    readonly name: string
    readonly in: string
    readonly required: boolean
    readonly schema: unknown
  }>
  readonly requestBody?: { readonly content: Record<string, unknown> }
  readonly responses: Record<
    string,
    { readonly headers?: Record<string, unknown>; readonly content?: Record<string, { readonly schema: unknown }> }
  >
}

/** `METHOD path(parameters) → statuses`, as the document says. */
const golden = [
  "PUT /v1/records/{namespace}/{key} (namespace, key, quorum-stamp?, idempotency-key?, quorum-session?, w?) -> 201 400 401 403 409 410 413 415 422 429 500 501 503 504 507 default",
  "GET /v1/records/{namespace}/{key} (namespace, key, quorum-session?, atLeast?, withinMillis?, consistency?, r?) -> 200 304 400 401 403 404 409 415 429 501 503 default",
  "DELETE /v1/records/{namespace}/{key} (namespace, key, quorum-stamp?, idempotency-key?, quorum-session?, w?) -> 200 400 401 403 409 410 413 415 422 429 500 501 503 504 507 default",
  "GET /v1/records (quorum-session?, after?, limit?) -> 200 400 401 403 409 415 429 501 503 default",
  "GET /v1/records/{namespace} (namespace, quorum-session?, prefix?, from?, to?, reverse?, after?, limit?) -> 200 400 401 403 409 415 429 501 503 default",
  "GET /v1/keys/{namespace} (namespace, quorum-session?, prefix?, from?, to?, reverse?, after?, limit?) -> 200 400 401 403 409 415 429 501 503 default",
  "GET /v1/namespaces (quorum-session?, after?, limit?) -> 200 400 401 403 409 415 429 501 503 default",
  "GET /v1/namespaces/{namespace} (namespace, quorum-session?, prefix?, from?, to?) -> 200 400 401 403 409 415 429 501 503 default",
  "POST /v1/reads (quorum-session?, consistency?, r?) -> 200 400 401 403 409 415 429 501 503 default",
  "POST /v1/batch (quorum-stamp?, idempotency-key?, quorum-session?, w?, atomic?) -> 200 400 401 403 415 429 501 default",
  "GET /v1/changes (last-event-id?, quorum-session?, since?, namespace?, prefix?, until?) -> 200 400 401 403 406 409 410 415 429 501 503 default",
  "GET /v1/writes/{id} (id) -> 200 400 401 403 404 409 410 415 429 501 503 default",
  "POST /v1/writes/{id}/resume (id, quorum-session?, w?) -> 200 400 401 403 404 409 410 415 429 501 503 504 default",
  "POST /v1/stamps (quorum-session?) -> 201 400 401 403 409 410 413 415 422 429 500 501 503 504 507 default",
  "POST /v1/stamps/each (quorum-session?) -> 201 400 401 403 409 410 413 415 422 429 500 501 503 504 507 default",
  "POST /v1/receipts/verify () -> 200 400 401 403 404 413 415 429 501 default",
  "GET /v1/status () -> 200 400 401 403 415 429 501 default",
  "GET /healthz () -> 200 400 415 501 503 default",
  "GET /readyz () -> 200 400 415 501 503 default"
]

/** What Redocly's linter has to say about a document: the rules that it breaks. */
const lint = (document: string) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-openapi-"))),
    (folder) =>
      Effect.callback<ReadonlyArray<string>>((resume) => {
        const file = join(folder, "openapi.json")
        writeFileSync(file, document)
        const env = { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" }
        const args = [redocly, "lint", file, "--extends=recommended", "--format=json"]
        execFile(process.execPath, args, { cwd: folder, env }, (_, stdout) => {
          const { problems } = JSON.parse(stdout) as { readonly problems: ReadonlyArray<{ readonly ruleId: string }> }
          resume(Effect.succeed(problems.map(({ ruleId }) => ruleId)))
        })
      }),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )

const redocly = join(dirname(createRequire(import.meta.url).resolve("@redocly/cli/package.json")), "bin/cli.js")

describe("the openapi document", () => {
  it.live("has every route with its parameters and statuses, and nothing else", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      const { json, status } = yield* request("GET", `${url}/openapi.json`)
      assert.strictEqual(status, 200)
      assert.strictEqual(json.openapi, "3.1.0")
      const { securitySchemes } = json.components as { readonly securitySchemes: object }
      assert.deepStrictEqual(
        [json.security, securitySchemes],
        [[{}, { token: [] }], { token: { type: "http", scheme: "bearer" } }]
      )
      const paths = json.paths as Record<string, Record<string, Operation>>
      const found: Array<string> = []
      for (const [path, operations] of Object.entries(paths)) {
        for (const [method, { parameters, responses }] of Object.entries(operations)) {
          const names = parameters.map(({ name, required }) => (required ? name : `${name}?`)).join(", ")
          found.push(`${method.toUpperCase()} ${path} (${names}) -> ${Object.keys(responses).join(" ")}`)
        }
      }
      assert.deepStrictEqual(found, golden)
    })
  )

  it.live("has the status of what is refused because nobody would look at it, and of what the client has", () =>
    Effect.gen(function* () {
      const writeId = "a@0123456789abcdef:1.00000000" as WriteId.WriteId
      const record = { namespace: "n", key: "k", value: new Uint8Array(0), writeId, clock: { wallTime: 1, logical: 0 } }
      const { url } = yield* Stub.serve({
        newest: () =>
          Effect.succeed(
            Option.some({ ...record, tie: "00000000000000ff" as RunId.RunId, unprobed: false, deleted: false })
          )
      })
      const { json } = yield* request("GET", `${url}/openapi.json`)
      const paths = json.paths as Record<string, Record<string, Operation>>
      for (const [method, path, header, status] of [
        ["GET", "/v1/records/{namespace}/{key}", "if-none-match", 304],
        ["PUT", "/v1/records/{namespace}/{key}", "if-match", 501],
        ["GET", "/healthz", "if-match", 501],
        ["DELETE", "/v1/records/{namespace}/{key}", "content-encoding", 415],
        ["POST", "/v1/stamps", "idempotency-key", 501]
      ] as const) {
        const answer = yield* request(method, url + path.replaceAll(/[{}]/g, ""), { headers: { [header]: "*" } })
        const described = paths[path]![method.toLowerCase()]!.responses[status]
        assert.strictEqual(answer.status, status, `${method} ${path} ${header}`)
        for (const name of ["etag", "quorum-session"]) {
          assert.strictEqual(answer.headers.has(name), described?.headers?.[name] !== undefined, name)
        }
        if (status === 304) continue
        const { schema } = described!.content!["application/problem+json"] as {
          readonly schema: { readonly required: ReadonlyArray<string> }
        }
        assert.includeMembers(Object.keys(answer.json), [...schema.required])
      }
    })
  )

  it.live("says that numbers are numbers, with the bounds that requests are held to", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      const { json, text } = yield* request("GET", `${url}/openapi.json`)
      const paths = json.paths as Record<string, Record<string, Operation>>
      const schemas = new Map<string, unknown>()
      for (const operation of Object.values(paths).flatMap((operations) => Object.values(operations))) {
        for (const { name, schema } of operation.parameters) schemas.set(name, schema)
      }
      assert.deepStrictEqual(schemas.get("w"), { type: "integer", minimum: 1 })
      assert.deepStrictEqual(schemas.get("limit"), { type: "integer", minimum: 1, maximum: 1000 })
      assert.deepStrictEqual(schemas.get("withinMillis"), { type: "integer", minimum: 0, maximum: 60_000 })
      assert.notInclude(text, '"additionalProperties":false')
      // To a generated client the type of a pair.
      assert.notInclude(text, '"prefixItems"')
      for (const [query, isTaken] of [
        ["limit=0", false],
        ["limit=1", true],
        ["limit=1000", true],
        ["limit=1001", false]
      ] as const) {
        assert.strictEqual((yield* request("GET", `${url}/v1/records?${query}`)).status === 200, isTaken, query)
      }
    })
  )

  it.live("is valid OpenAPI, by a public validator and all rules that it recommends", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      const { text } = yield* request("GET", `${url}/openapi.json`)
      assert.deepStrictEqual(yield* lint(text), [])
      // The validator can say no.
      assert.isNotEmpty(yield* lint(text.replace('"in":"query"', '"in":"nowhere"')))
    })
  )

  it.live("is shown by a page, which needs nothing from elsewhere and stands in no frame", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      const { json } = yield* request("GET", `${url}/openapi.json`)
      for (let time = 0; time < 2; time++) {
        const { headers, status, text } = yield* request("GET", `${url}/docs`)
        assert.strictEqual(status, 200)
        assert.match(headers.get("content-type") ?? "", /^text\/html/)
        assert.strictEqual(headers.get("content-security-policy"), "frame-ancestors 'none'")
        const spec = /<script id="swagger-spec" type="application\/json">\s*(\{.*\})\s*<\/script>/.exec(text)?.[1]
        assert.deepStrictEqual(JSON.parse(spec!).paths, json.paths)
        assert.include(text, "SwaggerUIBundle(")
        assert.notMatch(text, /<(?:script|link)[^>]* (?:src|href)=/)
      }
      const refused = yield* request("POST", `${url}/docs`)
      assert.deepStrictEqual([refused.status, refused.headers.get("allow")], [405, "GET, HEAD"])
      assert.strictEqual((yield* request("GET", `${url}/docs?url=x`)).status, 400)
    })
  )

  it.live("L63 is shown by a page that is made into bytes once, and not for each who asks", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      const end = vi.spyOn(ServerResponse.prototype, "end")
      for (let time = 0; time < 2; time++) yield* request("GET", `${url}/docs`)
      const [first, second] = end.mock.calls.map(([body]) => body as unknown)
      end.mockRestore()
      assert.instanceOf(first, Uint8Array)
      assert.strictEqual(second, first)
    })
  )

  it.live("has no names of this implementation in its bodies", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      const { text } = yield* request("GET", `${url}/openapi.json`)
      assert.notInclude(text, "_tag")
      assert.include(text, '"kind"')
    })
  )

  it.live("says what the bytes are, which errors there are, and that a 429 and a 503 have a retry-after", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      const { json } = yield* request("GET", `${url}/openapi.json`)
      const record = (json.paths as Record<string, Record<string, Operation>>)["/v1/records/{namespace}/{key}"]!
      assert.deepStrictEqual(Object.keys(record["put"]!.requestBody!.content), ["application/octet-stream"])
      assert.deepStrictEqual(Object.keys(record["get"]!.responses["200"]!.content!), ["application/octet-stream"])
      assert.isDefined(record["get"]!.responses["200"]!.headers?.["quorum-write-id"])
      for (const status of ["429", "503"]) {
        assert.deepInclude(record["put"]!.responses[status]!.headers?.["retry-after"], {
          schema: { type: "integer", minimum: 0 }
        })
      }
      const errors = JSON.stringify([record["put"]!.responses, json.components])
      for (const error of [
        "quorum_not_met",
        "quorum_unavailable",
        "local_write_failed",
        "write_rejected",
        "invalid_request",
        "rate_limited"
      ]) {
        assert.include(errors, `"${error}"`)
      }
    })
  )
})
