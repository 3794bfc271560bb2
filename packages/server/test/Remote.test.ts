/** What commands say of what they met. */
import { assert, describe, it } from "@effect/vitest"
import * as Remote from "../src/cli/remote.ts"

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
