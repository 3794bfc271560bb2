/** What becomes of the bodies of answers: they stand still, come in very many pieces, or are of something else. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { vi } from "vitest"
import { createClient, type QuorumClient, type Receipt } from "../src/index.ts"

const utf8 = new TextEncoder()

const write = { namespace: "n", key: "k", value: "v" }
const receipt = { writeId: "w", acked: [] } as unknown as Receipt

/** Every call that reads a body. */
const calls: Readonly<Record<string, (client: QuorumClient, signal?: AbortSignal) => Promise<unknown>>> = {
  put: (client, signal) => client.put("n", "k", "v", { stamp: "s", signal }),
  "put of a long value": (client, signal) => client.put("n", "k", "v".repeat(100_000), { stamp: "s", signal }),
  commit: (client, signal) => client.commit([write], { stamp: "s", signal }),
  stamp: (client, signal) => client.stamp([write], { signal }),
  get: (client, signal) => client.get("n", "k", { signal }),
  list: (client, signal) => client.list("n", { signal }).next(),
  keys: (client, signal) => client.keys("n", { signal }).next(),
  watch: (client, signal) => client.watch("n", { signal }).next(),
  resume: (client, signal) => client.resume("w", { signal }),
  writeStatus: (client, signal) => client.writeStatus("w", { signal }),
  verify: (client, signal) => client.verify(receipt, { signal }),
  status: async (client, signal) => {
    const [first] = await client.status({ signal })
    if (first!.error === undefined) return first
    throw first!.error
  }
}

/** Those that may have written something when they fail. */
const writing = ["put", "put of a long value", "commit"]

/** A client whose answers have this body, and how many of them were given up. Signals end no body, as in Node 20. */
const clientOf = (init: ResponseInit, pull: (controller: ReadableStreamDefaultController<Uint8Array>) => void) => {
  let [opened, cancelled] = [0, 0]
  const client = createClient({
    urls: ["http://a"],
    timeoutMillis: 1000,
    attemptMillis: 400,
    fetch: async () => {
      opened++
      return new Response(new ReadableStream({ pull, cancel: () => void cancelled++ }, { highWaterMark: 0 }), init)
    }
  })
  return { client, left: () => opened - cancelled, opened: () => opened }
}

const outcome = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error)

const named = { headers: { "quorum-write-id": "w" } }

describe("the body of an answer", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it("that stands still ends every call in its time, and is given up", async () => {
    for (const init of [named, { status: 503, headers: { "content-type": "application/json" } }]) {
      for (const [name, call] of Object.entries(calls)) {
        const { client, left, opened } = clientOf(init, () => {})
        const ended = outcome(call(client))
        await vi.advanceTimersByTimeAsync(1001)
        const { code } = (await ended) as { readonly code: string }
        assert.strictEqual(code, writing.includes(name) ? "outcome_unknown" : "timed_out", name)
        assert.isAbove(opened(), 0, name)
        assert.strictEqual(left(), 0, name)
      }
    }
  })

  it("that stands still is given up when its caller gives up", async () => {
    const reason = new Error("enough")
    for (const [name, call] of Object.entries(calls)) {
      const { client, left, opened } = clientOf(named, () => {})
      const controller = new AbortController()
      const ended = outcome(call(client, controller.signal))
      await vi.advanceTimersByTimeAsync(1)
      controller.abort(reason)
      assert.strictEqual(await ended, reason, name)
      assert.strictEqual(opened(), 1, name)
      assert.strictEqual(left(), 0, name)
    }
  })

  it("L42 that is of something else, and has no end, is not waited for", async () => {
    for (const init of [{}, { status: 502, headers: { "content-type": "text/html" } }]) {
      // Any other call has to read it to tell that it is none of a replica's.
      const told = init.status === 502 ? Object.entries(calls) : [["get", calls.get!] as const]
      for (const [name, call] of told) {
        const { client, left, opened } = clientOf(init, (controller) => controller.enqueue(utf8.encode("<p>")))
        const ended = outcome(call(client))
        await vi.advanceTimersByTimeAsync(2000)
        const { code } = (await ended) as { readonly code: string }
        assert.strictEqual(code, writing.includes(name) ? "outcome_unknown" : "unexpected_answer", name)
        assert.isAbove(opened(), 0)
        assert.strictEqual(left(), 0)
      }
    }
  })

  it("is put together from as many pieces as it comes in, within characters too", async () => {
    const text = "é€😀\\n".repeat(100)
    const bytes = utf8.encode(
      `\n{"namespace":"n","key":"k","text":"${text}","writeId":"w","position":"1"}\n\n{"position":"2"}\n{"done":true}\n`
    )
    let at = 0
    const { client } = clientOf({}, (controller) => {
      if (at < bytes.length) controller.enqueue(bytes.subarray(at, ++at))
      else controller.close()
    })
    const changes: Array<string> = []
    for await (const { record } of client.watch("n", { until: "now" })) changes.push(record!.text())
    assert.deepStrictEqual(changes, [text.replaceAll("\\n", "\n")])
  })
})

describe("a call whose replicas are all at rest for longer than it has time", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
  })

  it("asks one all the same, and once", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5)
    let isUp = false
    let asked = 0
    const client = createClient({
      urls: ["http://a", "http://b"],
      fetch: async () => {
        asked++
        if (!isUp) throw new TypeError("fetch failed")
        return new Response("v", named)
      }
    })
    const failed = outcome(client.get("n", "k"))
    await vi.advanceTimersByTimeAsync(10_000)
    assert.deepInclude(await failed, { code: "unreachable" })
    asked = 0
    const again = outcome(client.get("n", "k", { timeoutMillis: 100 }))
    await vi.advanceTimersByTimeAsync(100)
    assert.deepInclude(await again, { code: "unreachable" })
    assert.strictEqual(asked, 1)
    isUp = true
    assert.strictEqual((await client.get("n", "k", { timeoutMillis: 100 }))!.text(), "v")
  })
})
