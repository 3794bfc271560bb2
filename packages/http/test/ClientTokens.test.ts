import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Logger, Option } from "effect"
import { TestClock } from "effect/testing"
import { ClientTokens } from "../src/index.ts"
import { request } from "./support/request.ts"
import * as Stub from "./support/stub.ts"

const tokenOf = (name: string, role: ClientTokens.Token["role"], namespaces?: ReadonlyArray<string>) => ({
  name,
  sha256: createHash("sha256").update(name).digest("hex"),
  role,
  ...(namespaces === undefined ? {} : { namespaces })
})

const tokens = [
  tokenOf("reader", "read"),
  tokenOf("writer", "write"),
  tokenOf("admin", "admin"),
  tokenOf("notes-only", "write", ["notes", "a b"])
]

/** A replica that has these tokens. */
const serve = Effect.provideService(
  Stub.serve({ newest: () => Effect.succeed(Option.none()) }),
  ClientTokens.ClientTokens,
  () => tokens
)

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

describe("the tokens of clients", () => {
  it.live(
    "without a token, or with one that is not known, everything but the state of health is refused with 401",
    () =>
      Effect.gen(function* () {
        const { url } = yield* serve
        const attempts = [
          "",
          "Bearer",
          "Bearer ",
          "Bearer nobody",
          "Basic reader",
          "reader",
          `Bearer ${tokens[0]!.sha256}`
        ]
        for (const authorization of attempts) {
          for (const [method, path] of [
            ["GET", "/v1/records/notes/k"],
            ["PUT", "/v1/records/notes/k"],
            ["GET", "/v1/records"],
            ["GET", "/v1/status"],
            ["GET", "/openapi.json"],
            ["GET", "/docs"],
            ["GET", "/nowhere"],
            ["GET", "/healthz?x"],
            ["POST", "/v1/batch"],
            ["POST", "/v1/reads"]
          ] as const) {
            const answer = yield* request(method, url + path, { headers: { authorization } })
            assert.strictEqual(answer.status, 401, `${method} ${path} ${authorization}`)
            assert.strictEqual(answer.json["error"], "unauthorized")
            assert.strictEqual(answer.headers.get("www-authenticate"), "Bearer")
          }
        }
        for (const path of ["/healthz", "/readyz"])
          assert.notStrictEqual((yield* request("GET", url + path)).status, 401)
      })
  )

  it.live("a token that reads does not write, and one that writes does both", () =>
    Effect.gen(function* () {
      const { url } = yield* serve
      const record = `${url}/v1/records/notes/k`
      assert.strictEqual((yield* request("GET", record, bearer("reader"))).status, 404)
      for (const method of ["PUT", "DELETE"]) {
        const refused = yield* request(method, record, bearer("reader"))
        assert.deepStrictEqual([refused.status, refused.json["error"]], [403, "forbidden"])
        for (const token of ["writer", "admin"]) {
          assert.notInclude([401, 403], (yield* request(method, record, bearer(token))).status)
        }
      }
    })
  )

  it("a token of namespaces reaches their records, and nothing else", () => {
    const token = tokens[3]!
    for (const path of ["/v1/records/notes", "/v1/records/notes/k", "/v1/records/a%20b/k", "/v1/keys/notes"]) {
      for (const method of ["GET", "PUT"]) assert.isTrue(ClientTokens.allows(token, method, path), path)
    }
    for (const path of [
      "/v1/records",
      "/v1/records/",
      "/v1/records/other/notes",
      "/v1/records/notes2/k",
      "/v1/records/Notes/k",
      "/v1/records/notes%2Fx/k",
      "/v1/records/%zz/k",
      "/v1/records/notes/k/x",
      "/v1/keys/other",
      "/v1/status",
      "/v1/batch",
      "/v1/reads",
      "/v1/stamps",
      "/v1/writes/notes",
      "/metrics",
      "/x/v1/records/notes/k"
    ]) {
      assert.isFalse(ClientTokens.allows(token, "GET", path), path)
    }
  })

  it.live("routes about the replica are for whom they are said to be for, and as they are spelled", () =>
    Effect.gen(function* () {
      const access = { "/v1/status": "write", "/openapi.json": "open", "/docs": "admin" } as const
      const { url } = yield* Effect.provideService(serve, ClientTokens.RouteAccess, access)
      const statuses = (path: string) =>
        Effect.forEach([{}, bearer("reader"), bearer("writer"), bearer("admin"), bearer("notes-only")], (options) =>
          Effect.map(request("GET", url + path, options), ({ status }) => status)
        )
      assert.deepStrictEqual(yield* statuses("/v1/status"), [401, 403, 200, 200, 403])
      assert.deepStrictEqual(yield* statuses("/openapi.json"), [200, 200, 200, 200, 200])
      assert.deepStrictEqual(yield* statuses("/docs"), [401, 403, 403, 200, 403])
      for (const [path, status] of [
        ["/openapi.json?x", 400],
        ["/openapi.json/", 404],
        ["/openapi.json;x", 400],
        ["//openapi.json", 404],
        ["/Openapi.json", 401]
      ] as const) {
        assert.strictEqual((yield* request("GET", url + path)).status, status, path)
      }
      for (const path of ["/v1/status?x", "/v1/status/", "/v1/status;x", "//v1/status", "/v1/%73tatus", "/V1/status"]) {
        assert.notStrictEqual((yield* request("GET", url + path, bearer("reader"))).status, 200, path)
      }
    })
  )

  it("a token of namespaces draws stamps for its writes, if it may write", () => {
    const token = { ...tokens[0]!, namespaces: ["notes"] }
    for (const path of ["/v1/stamps", "/v1/stamps/each"]) {
      assert.isTrue(ClientTokens.allows({ ...token, role: "write" }, "POST", path), path)
      assert.isFalse(ClientTokens.allows({ ...token, role: "read" }, "POST", path), path)
    }
    assert.isFalse(ClientTokens.allows({ ...token, role: "write" }, "POST", "/v1/batch"))
  })

  it("a token that reads asks, and has nothing changed", () => {
    const token = tokens[0]!
    for (const [method, path] of [
      ["GET", "/v1/status"],
      ["HEAD", "/x"],
      ["POST", "/v1/receipts/verify"],
      ["POST", "/v1/reads"]
    ] as const) {
      assert.isTrue(ClientTokens.allows(token, method, path), path)
    }
    for (const [method, path] of [
      ["POST", "/v1/batch"],
      ["POST", "/v1/stamps"],
      ["POST", "/v1/writes/x/resume"],
      ["PATCH", "/x"],
      ["get", "/x"],
      ["PUT", "/v1/receipts/verify"]
    ] as const) {
      assert.isFalse(ClientTokens.allows(token, method, path), path)
    }
  })

  it.effect("a file that changes is taken within seconds, and one that cannot be read changes nothing", () =>
    Effect.gen(function* () {
      let content = JSON.stringify(tokens)
      const files = FileSystem.layerNoop({ readFileString: () => Effect.sync(() => content) })
      const context = yield* Layer.build(ClientTokens.layerFile("tokens.json").pipe(Layer.provide(files)))
      const names = () => Context.get(context, ClientTokens.ClientTokens)?.().map(({ name }) => name)
      assert.deepStrictEqual(names(), ["reader", "writer", "admin", "notes-only"])
      content = JSON.stringify(tokens.slice(1))
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(names(), ["writer", "admin", "notes-only"])
      for (const broken of ["", "[", "{}", '[{"name":"x","sha256":"x","role":"admin"}]']) {
        content = broken
        yield* TestClock.adjust(2000)
        assert.deepStrictEqual(names(), ["writer", "admin", "notes-only"])
      }
      // Without the word that it means it would reach every namespace, and one that is known by two things, by either.
      for (const more of [{ namespace: ["notes"] }, { certificate: "ab".repeat(32) }]) {
        content = JSON.stringify([{ ...tokens[0], ...more }])
        yield* TestClock.adjust(2000)
        assert.deepStrictEqual(names(), ["writer", "admin", "notes-only"], Object.keys(more).join())
      }
      content = "[]"
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(names(), [])
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("names the file and what is wrong in it, once until that changes", () => {
    const said: Array<string> = []
    return Effect.gen(function* () {
      let content = "[]"
      const files = FileSystem.layerNoop({ readFileString: () => Effect.sync(() => content) })
      yield* Layer.build(ClientTokens.layerFile("tokens.json").pipe(Layer.provide(files)))
      for (const broken of ["{}", '[{"name":"x"}]', "[]", "{}"]) {
        content = broken
        yield* TestClock.adjust(10_000)
      }
      assert.lengthOf(said, 3)
      for (const each of said) assert.match(each, /^tokens\.json cannot be read, .* mend it: ./)
      assert.include(said[1], "role")
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])))
  })
})
