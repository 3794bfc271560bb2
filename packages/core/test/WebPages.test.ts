import { assert, describe, it } from "@effect/vitest"
import { WebPages } from "../src/adapter.ts"
import { Effect } from "effect"

const given = (...origins: ReadonlyArray<string>) =>
  WebPages.KnownOrigins.pipe(Effect.provide(WebPages.layer(origins)), Effect.result)

describe("the origins of web pages", () => {
  it.effect("are taken as browsers spell them", () =>
    Effect.gen(function* () {
      const origins = ["https://app.example", "http://localhost:5173", "http://[::1]:8080"]
      const result = yield* given(...origins)
      assert(result._tag === "Success")
      assert.deepStrictEqual(result.success, origins)
    })
  )

  for (const [origin, remedy] of [
    ["https://app.example/", "write https://app.example"],
    ["https://App.example", "write https://app.example"],
    ["https://app.example:443", "write https://app.example"],
    ["app.example", "give each as"],
    ["*", "give each as"],
    ["null", "give each as"],
    ["", "give each as"],
    ["file:///page", "give each as"]
  ] as const) {
    it.effect(`do not count as ${JSON.stringify(origin)}, and the error says what to write`, () =>
      Effect.gen(function* () {
        const result = yield* given("https://other.example", origin)
        assert(result._tag === "Failure")
        assert(result.failure instanceof WebPages.InvalidOrigins)
        assert.include(result.failure.message, `${JSON.stringify(origin)} is no origin; ${remedy}`)
      })
    )
  }

  it("may ask when they are those of the host that was called, with its port, or known", () => {
    const known = ["https://app.example"]
    const of = (origin: string, host?: string) => WebPages.mayAsk(origin, host, known)
    assert.isTrue(of("https://app.example", "db.example"))
    assert.isTrue(of("https://db.example", "db.example"))
    assert.isTrue(of("http://db.example:81", "DB.example:81"))
    assert.isFalse(of("http://db.example:81", "db.example"))
    assert.isFalse(of("http://db.example", "db.example:81"))
    assert.isFalse(of("https://app.example.evil", "db.example"))
    assert.isFalse(of("null", "null"))
    assert.isFalse(of("https://db.example"))
  })
})
