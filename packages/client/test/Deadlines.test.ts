/** How long a call takes at most, whatever it waits for; against replicas that hang. Time is that of the tests. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { vi } from "vitest"
import { createClient, type QuorumClient } from "../src/index.ts"

/** A client that has a second for a call, and 400 ms for an attempt. What has no answer hangs until it is given up. */
const clientOf = (answer: (path: string) => Promise<Response> | undefined = () => undefined) => {
  let asked = 0
  const client = createClient({
    urls: ["http://a", "http://b", "http://c"],
    timeoutMillis: 1000,
    attemptMillis: 400,
    fetch: (url, { signal }) => {
      asked++
      return (
        answer(new URL(url).pathname) ??
        new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)))
      )
    }
  })
  return { client, asked: () => asked }
}

/** A timer is late by a millisecond, and few follow each other. */
const mostMillis = 1005

const key = { namespace: "n", key: "k" }
const long = "v".repeat(100_000)

describe("a call of a client", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  /** After how many milliseconds a call fails, and with what. */
  const failed = async (call: Promise<unknown>): Promise<readonly [millis: number, code: string]> => {
    const begun = performance.now()
    const code = await call.then(
      () => "done",
      (error: { readonly code: string }) => error.code
    )
    return [performance.now() - begun, code]
  }

  it("ends in its time, however many are called at once and wait for those before them", async () => {
    const { asked, client } = clientOf()
    const ended = Array.from({ length: 10_000 }, (_, i) => failed(client.put("n", `k${i}`, "v")))
    await vi.advanceTimersByTimeAsync(5000)
    for (const [millis, code] of await Promise.all(ended)) {
      assert.isAtMost(millis, mostMillis)
      assert.strictEqual(code, "timed_out")
    }
    assert.isBelow(asked(), 40)
  })

  it("has its time from when it is called, and hardly less because of those before it", async () => {
    const { client } = clientOf()
    const ended: Array<ReturnType<typeof failed>> = []
    // Two are under way, and the others gather until one of these has no answer in its attempt.
    for (let i = 0; i < 40; i++) {
      ended.push(failed(client.put("n", `k${i}`, "v")))
      await vi.advanceTimersByTimeAsync(10)
    }
    await vi.advanceTimersByTimeAsync(5000)
    for (const [millis] of await Promise.all(ended)) {
      assert.isAtMost(millis, mostMillis)
      assert.isAbove(millis, 500)
    }
  })

  for (const [name, call] of [
    ["a put", (client: QuorumClient) => client.put("n", "k", "v")],
    ["a put of a long value", (client: QuorumClient) => client.put("n", "k", long)],
    ["several writes as one", (client: QuorumClient) => client.commit([{ ...key, value: "v" }])]
  ] as const) {
    it(`that is ${name} has one time for its stamp and for what is written with it`, async () => {
      const { client } = clientOf((path) =>
        path.startsWith("/v1/stamps")
          ? new Promise((resolve) => setTimeout(() => resolve(Response.json({ stamp: "s", stamps: ["s"] })), 390))
          : undefined
      )
      const ended = failed(call(client))
      await vi.advanceTimersByTimeAsync(5000)
      const [millis, code] = await ended
      assert.strictEqual(code, "outcome_unknown")
      assert.isAtMost(millis, mostMillis)
    })
  }
})
