/** What the calls of a replica within a program have in common with those of the client: batches, keys and signals. */
import { QuorumError, TimedOut } from "@quorum/client"
import { assert, describe, it } from "@effect/vitest"
import { Cause } from "effect"
import { errorOf } from "../src/PromiseErrors.ts"
import type { ListOptions } from "../src/index.ts"
import * as Opened from "./support/opened.ts"

const timeout = 120_000

const { failure, open, peersOf, single } = Opened.make()

describe("an open replica", () => {
  it(
    "answers each write of a batch by itself, in their order, and lists keys without their values",
    async () => {
      const a = await single()
      const bytes = Buffer.from([7])
      const made = a.batch([
        { namespace: "notes", key: "b", value: bytes },
        { namespace: "", key: "c", value: "no name" },
        { namespace: "notes", key: "c" } as never,
        null as never,
        { namespace: "notes", key: "gone", delete: true },
        { namespace: "notes", key: "a", value: { json: [1] } }
      ])
      bytes.fill(1)
      const results = await made
      const said = results.map((result) => (result.ok ? result.receipt.policy.w : (result.error as QuorumError).code))
      assert.deepStrictEqual(said, [1, "write_rejected", "invalid_request", "invalid_request", 1, 1])
      const fields = results.map((result) => (result.ok ? undefined : (result.error as { field?: string }).field))
      assert.deepStrictEqual(fields, [undefined, "namespace", "value", "writes", undefined, undefined])
      assert.deepStrictEqual(await a.batch([]), [])
      assert.deepStrictEqual([...(await a.get("notes", "b"))!.bytes], [7])
      const keysOf = async (options?: ListOptions): Promise<ReadonlyArray<string>> => {
        const all: Array<string> = []
        for await (const key of a.keys("notes", options)) all.push(key)
        return all
      }
      assert.deepStrictEqual(
        [await keysOf(), await keysOf({ reverse: true })],
        [
          ["a", "b"],
          ["b", "a"]
        ]
      )
      assert.deepStrictEqual(await keysOf({ prefix: "b" }), ["b"])
      // More than a page has.
      const names = Array.from({ length: 1234 }, (_, i) => `k${String(i).padStart(4, "0")}`)
      await a.batch(names.map((key) => ({ namespace: "notes", key, value: key })))
      assert.deepStrictEqual(await keysOf({ prefix: "k" }), names)

      const reason = new Error("enough")
      const stopped = new AbortController()
      const lists = [a.keys("notes", { signal: stopped.signal }), a.list("notes", { signal: stopped.signal })]
      await Promise.all(lists.map((list) => list.next()))
      stopped.abort(reason)
      const signal = stopped.signal
      for (const list of [...lists, a.keys("notes", { signal }), a.list("notes", { signal })]) {
        assert.strictEqual(await failure(list.next()), reason as never)
      }
      const given = await a.batch([{ namespace: "notes", key: "late", value: "v" }], { signal })
      assert.deepStrictEqual(given, [{ ok: false, error: reason }])
      assert.isUndefined(await a.get("notes", "late"))
    },
    timeout
  )

  it(
    "makes a batch of more than a replica keeps waiting, as it was when it was called, also while it is closing",
    async () => {
      const a = await single("large")
      const value = new Uint8Array(1024 * 1024).fill(1)
      const writes = Array.from({ length: 70 }, (_, i) => ({ namespace: "n", key: `k${i}`, value }))
      const made = a.batch(writes)
      value.fill(2)
      await a.close()
      const codes = (await made).map((result) => (result.ok ? "ok" : (result.error as QuorumError).code))
      assert.deepStrictEqual(new Set(codes), new Set(["ok"]))
      assert.deepInclude((await a.batch([{ namespace: "n", key: "late", value: "v" }]))[0], { ok: false })
      const again = await open({ id: "large" })
      for (const { key } of writes) assert.strictEqual((await again.get("n", key))?.bytes[0], 1)
      const over = await again.batch(writes, { timeoutMillis: 0.001 })
      assert.isTrue(over.every((result) => !result.ok && result.error instanceof TimedOut))
    },
    timeout
  )

  it(
    "gives up waiting with the reason of a signal, or after a time",
    async () => {
      const peers = await peersOf()
      const alone = await open({ id: "a", peers })
      const reason = new Error("enough")
      assert.strictEqual(
        await failure(alone.put("n", "k", "v", { signal: AbortSignal.abort(reason) })),
        reason as never
      )
      const late = await failure(alone.resume("a@01a214ef27187624:1.8ee1e0f4", { timeoutMillis: 20 }))
      assert.isTrue(late instanceof QuorumError)
      // What is resumed is written: only a write that was not begun says of itself that it is not.
      const over = errorOf(new Cause.TimeoutError())
      assert.isTrue(over instanceof TimedOut)
      assert.strictEqual(over.message, "there was no answer in time")

      // Where a write would be committed at once, too.
      const a = await single("one")
      const receipt = await a.put("n", "there", "v")
      const place = { namespace: "n", key: "k" }
      for (const options of [{}, { timeoutMillis: 5000 }]) {
        const given = { ...options, signal: AbortSignal.abort(reason) }
        for (const call of [
          () => a.put("n", "k", "v", given),
          () => a.delete("n", "there", given),
          () => a.commit([{ ...place, value: "v" }], given),
          () => a.get("n", "there", given),
          () => a.stamp([place], given),
          () => a.resume(receipt.writeId, given),
          () => a.writeStatus(receipt.writeId, given),
          () => a.verify(receipt, given),
          () => a.watch("n", given).next()
        ]) {
          assert.strictEqual(await failure(call()), reason as never)
        }
        assert.deepStrictEqual(await a.batch([{ ...place, value: "v" }], given), [{ ok: false, error: reason }])
      }
      assert.isUndefined(await a.get("n", "k"))
      assert.strictEqual((await a.get("n", "there"))?.text(), "v")
    },
    timeout
  )
})
