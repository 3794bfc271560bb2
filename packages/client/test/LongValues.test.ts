/** Values that are long enough to travel by themselves, many at once; against replicas that answer when they are told. */
import { assert, describe, it } from "@effect/vitest"
import { createClient } from "../src/index.ts"

const mebibyte = new Uint8Array(1024 * 1024)

/** A client, the keys in the order in which their values were sent, and what answers the first that waits. */
const clientOf = () => {
  const sent: Array<string> = []
  const bodies: Array<unknown> = []
  const waiting: Array<() => void> = []
  let reached: (() => void) | undefined
  const client = createClient({
    urls: ["http://a.invalid", "http://b.invalid"],
    fetch: (url, { body, method }) => {
      const isBatch = url.includes("/v1/batch")
      if (method !== "PUT" && !isBatch) return Promise.resolve(Response.json({ stamp: "s" }))
      sent.push(isBatch ? "several" : new URL(url).pathname.split("/").at(-1)!)
      bodies.push(body)
      const receipt = JSON.stringify({ writeId: "w", acked: [] })
      const answered = isBatch ? `{"line":1,"status":201,"receipt":${receipt}}\n` : receipt
      return new Promise((resolve) => {
        waiting.push(() => resolve(new Response(answered)))
        reached?.()
      })
    }
  })
  const until = async (count: number): Promise<void> => {
    while (sent.length < count) await new Promise<void>((resolve) => (reached = resolve))
  }
  return { client, sent, bodies, until, answer: () => waiting.shift()!() }
}

/** All that promises do by themselves is done. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

describe("many long values", () => {
  it("are sent a few at a time, in the order of their calls", async () => {
    const { answer, client, sent, until } = clientOf()
    const keys = ["0", "1", "2", "3", "4", "5", "6"]
    const written = client.batch(keys.map((key) => ({ namespace: "n", key, value: mebibyte })))
    await until(4)
    await settled()
    assert.deepStrictEqual(sent, keys.slice(0, 4))
    for (let i = 5; i <= keys.length; i++) {
      answer()
      await until(i)
      await settled()
      assert.deepStrictEqual(sent, keys.slice(0, i))
    }
    for (let i = 0; i < 4; i++) answer()
    assert.isTrue((await written).every(({ ok }) => ok))
  })

  it("of which one has no time left, or is given up, are sent without it, and it was never sent", async () => {
    const { answer, client, sent, until } = clientOf()
    const first = ["0", "1", "2", "3"].map((key) => client.put("n", key, mebibyte))
    const late = client.put("n", "late", mebibyte, { timeoutMillis: 1 })
    const controller = new AbortController()
    const left = client.put("n", "left", mebibyte, { signal: controller.signal })
    const last = client.put("n", "last", mebibyte)
    const reason = new Error("given up")
    controller.abort(reason)
    assert.strictEqual(await left.catch((error: unknown) => error), reason)
    const error = await late.catch((error: unknown) => error)
    assert.deepInclude(error, { code: "timed_out", written: "no" })
    await until(4)
    answer()
    await until(5)
    assert.deepStrictEqual(sent, ["0", "1", "2", "3", "last"])
    for (let i = 0; i < 4; i++) answer()
    await Promise.all([...first, last])
  })

  it("take turns with those that are several keys of one write", async () => {
    const { answer, client, sent, until } = clientOf()
    const several = ["k", "l"].map((key) => ({ namespace: "n", key, value: mebibyte }))
    const first = client.commit(several)
    const second = client.put("n", "single", mebibyte)
    const third = client.commit(several)
    const small = client.commit(["k", "l"].map((key) => ({ namespace: "n", key, value: "short" })))
    await until(3)
    await settled()
    // Two of a mebibyte are 2.7 as base64, so that a second such write has to wait, and a short one has not.
    assert.deepStrictEqual(sent.toSorted(), ["several", "several", "single"])
    for (let i = 0; i < 3; i++) answer()
    await until(4)
    answer()
    const receipts = await Promise.all([first, second, third, small])
    assert.deepStrictEqual(receipts, Array(4).fill({ writeId: "w", acked: [] }))
  })

  it("are sent however long one of them is", async () => {
    const { answer, client, until } = clientOf()
    const written = client.put("n", "k", new Uint8Array(5 * 1024 * 1024))
    await until(1)
    answer()
    assert.strictEqual((await written).writeId, "w")
  })

  it("are those of the call: after it their bytes are its caller's again, those of a `Buffer` too", async () => {
    for (const value of [new Uint8Array(100_000), Buffer.alloc(100_000), new Uint8Array(100_000).buffer]) {
      const { answer, bodies, client, until } = clientOf()
      const written = client.put("n", "k", value)
      new Uint8Array(value instanceof ArrayBuffer ? value : value.buffer).fill(9)
      await until(1)
      answer()
      await written
      assert.isTrue((bodies as ReadonlyArray<Uint8Array>)[0]!.every((byte) => byte === 0))
    }
  })
})
