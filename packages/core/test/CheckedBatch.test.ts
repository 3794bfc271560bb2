import { assert, describe, it } from "@effect/vitest"
import * as CheckedBatch from "../src/log/CheckedBatch.ts"
import * as Entry from "../src/log/Entry.ts"
import * as EntryBatch from "../src/log/EntryBatch.ts"
import type * as Chain from "../src/log/Chain.ts"
import * as HybridLogicalClock from "../src/log/HybridLogicalClock.ts"
import type * as LogId from "../src/identity/LogId.ts"

const log = "a@00000000000000aa" as LogId.LogId
const writes = Array.from({ length: 9 }, (_, i) => Entry.put("ns", `key ${i}`, "x".repeat(i * 7)))
const head = { log, seq: 41, chain: "0123456789abcdef" as Chain.Chain }
const { batch } = EntryBatch.encode(head, writes, HybridLogicalClock.zero, 1_700_000_000_000)

/** Another hexadecimal digit. */
const odd = (digit: string): string => (digit === "0" ? "1" : "0")

describe("CheckedBatch", () => {
  it("gives every part and every chain as a batch does that is gone through", () => {
    const checked = CheckedBatch.make(batch)!
    for (let seq = batch.from - 1; seq <= EntryBatch.last(batch); seq++) {
      assert.strictEqual(CheckedBatch.chainAt(checked, seq), EntryBatch.chainAt(batch, seq))
    }
    for (let seq = batch.from; seq <= EntryBatch.last(batch); seq++) {
      for (let maxBytes = 0; maxBytes <= batch.bytes.length + 1; maxBytes++) {
        const expected = EntryBatch.take(EntryBatch.after(batch, seq - 1), maxBytes)
        assert.deepStrictEqual(CheckedBatch.part(checked, seq, maxBytes), expected)
        assert.deepStrictEqual(CheckedBatch.cut(batch, seq, maxBytes), expected)
      }
    }
  })

  it("has the entries from its first to its last", () => {
    const checked = CheckedBatch.make(batch)!
    const has = [41, 42, 50, 51].map((seq) => CheckedBatch.has(checked, seq))
    assert.deepStrictEqual(has, [false, true, true, false])
  })

  it("cuts nothing out of a batch that begins later", () => {
    assert.isUndefined(CheckedBatch.cut(batch, 41, 1))
  })

  it("L60 takes no batch of which a bit, a number or a chain is not what it says", () => {
    for (let bit = 0; bit < batch.bytes.length * 8; bit++) {
      const bytes = batch.bytes.slice()
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      assert.isUndefined(CheckedBatch.make({ ...batch, bytes }), `bit ${bit}`)
      assert.isUndefined(CheckedBatch.cut({ ...batch, bytes }, 44, 1), `bit ${bit}`)
    }
    const other = "0123456789abcdee" as Chain.Chain
    for (const wrong of [
      { count: batch.count - 1 },
      { count: batch.count + 1 },
      { count: 0 },
      { count: 2 ** 40 },
      { prevChain: other },
      { chain: other },
      { chain: batch.chain.replace(/^./, odd) as Chain.Chain },
      { chain: batch.chain.replace(/.$/, odd) as Chain.Chain },
      { bytes: batch.bytes.subarray(0, -1) },
      { bytes: new Uint8Array(batch.bytes.length + 1).fill(0) }
    ]) {
      assert.isUndefined(CheckedBatch.make({ ...batch, ...wrong }), JSON.stringify(Object.keys(wrong)))
      assert.isUndefined(CheckedBatch.cut({ ...batch, ...wrong }, 44, 1), JSON.stringify(Object.keys(wrong)))
    }
  })
})
