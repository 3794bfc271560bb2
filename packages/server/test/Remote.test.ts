/** What commands say of what they met. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Remote from "../src/cli/remote.ts"

describe("the urls of replicas", () => {
  it.effect("are those that the client asks, so that a path comes after each", () =>
    Effect.gen(function* () {
      const url = ["http://10.0.0.1:7401/, HTTP://Host:80//", "https://proxy/quorum/", "http://10.0.0.2:7401?"]
      const { urls } = yield* Remote.connect({ url, token: Option.none(), timeout: 1, json: false })
      assert.deepStrictEqual(urls, [
        "http://10.0.0.1:7401",
        "http://host",
        "https://proxy/quorum",
        "http://10.0.0.2:7401"
      ])
    })
  )
})

describe("what a request failed with", () => {
  it("is said with its cause, without which nobody knows what to mend", () => {
    const cause = new Error("connect ECONNREFUSED 127.0.0.1:7401")
    assert.strictEqual(
      Remote.messageOf(new TypeError("fetch failed", { cause })),
      "fetch failed: connect ECONNREFUSED 127.0.0.1:7401"
    )
    assert.strictEqual(Remote.messageOf(new TypeError("fetch failed", { cause: new Error("") })), "fetch failed")
    assert.strictEqual(Remote.messageOf(new Error("of its own", { cause })), "of its own")
    assert.strictEqual(Remote.messageOf("text"), "text")
  })
})
