import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Result, Schema } from "effect"
import { Entry, HybridLogicalClock, type LogId } from "../src/index.ts"
import { Chain, EntryBatch, RunId, type Watermark } from "../src/adapter.ts"

const log = "a@9f3c52d0b1e44a07" as LogId.LogId
const start: HybridLogicalClock.HybridLogicalClock = { wallTime: 1_700_000_000_000, logical: 0 }

/** The naive model of a batch: its entries one by one, and the chain at every place. */
interface Model {
  readonly from: number
  readonly entries: ReadonlyArray<Uint8Array>
  /** `chains[i]` is the chain before `entries[i]`; the last one is the chain after all. */
  readonly chains: ReadonlyArray<Chain.Chain>
}

const encodeOne = (write: Entry.Write, clock: HybridLogicalClock.HybridLogicalClock): Uint8Array => {
  const bytes = new Uint8Array(Entry.maxSize(write))
  return bytes.subarray(0, Entry.encodeInto(bytes, 0, write, { clock, tie: RunId.none, unprobed: false }))
}

const modelOf = (head: Watermark.Watermark, writes: ReadonlyArray<Entry.Write>, now: number): Model => {
  let clock = start
  const entries = writes.map((write) => {
    clock = Result.getOrThrow(HybridLogicalClock.tick(clock, now))
    return encodeOne(write, clock)
  })
  const state = Chain.state(head.chain)
  const chains = [head.chain]
  for (const bytes of entries) {
    Chain.extend(state, Chain.viewOf(bytes), 0, bytes.length)
    chains.push(Chain.format(state))
  }
  return { from: head.seq + 1, entries, chains }
}

const slice = ({ chains, entries, from }: Model, begin: number, end: number): Model => ({
  from: from + begin,
  entries: entries.slice(begin, end),
  chains: chains.slice(begin, end + 1)
})

const same = (batch: EntryBatch.EntryBatch, model: Model) => {
  assert.deepStrictEqual(
    { ...batch, bytes: Buffer.from(batch.bytes).toString("hex") },
    {
      log,
      from: model.from,
      count: model.entries.length,
      prevChain: model.chains[0]!,
      chain: model.chains[model.chains.length - 1]!,
      bytes: Buffer.concat(model.entries).toString("hex")
    }
  )
  assert.isTrue(Result.isSuccess(EntryBatch.validate(batch)))
  const last = model.from + model.entries.length - 1
  assert.strictEqual(EntryBatch.last(batch), last)
  assert.deepStrictEqual(EntryBatch.watermark(batch), { log, seq: last, chain: batch.chain })
}

const Write = Arbitrary.map(
  Arbitrary.all({
    remove: Arbitrary.schema(Schema.Boolean),
    key: Arbitrary.schema(Schema.Literals(["k", "a longer key", "é€😀", "x".repeat(70)])),
    value: Arbitrary.schema(Schema.Literals(["", "v", "some value", "y".repeat(50)]))
  }),
  ({ key, remove, value }) => (remove ? Entry.remove("ns", key) : Entry.put("ns", key, value))
)
const Writes = Arbitrary.array(Write, { minLength: 1, maxLength: 12 })
const Head = Arbitrary.map(Arbitrary.schema(Schema.Literals([0, 1, 41, 2 ** 40])), (seq): Watermark.Watermark => ({
  log,
  seq,
  chain: seq === 0 ? Chain.empty : ("0123456789abcdef" as Chain.Chain)
}))
const Now = Arbitrary.schema(Schema.Literals([0, start.wallTime, start.wallTime + 5]))

const encode = (head: Watermark.Watermark, writes: ReadonlyArray<Entry.Write>, now = start.wallTime) =>
  EntryBatch.encode(head, writes, start, now).batch

const none: Watermark.Watermark = { log, seq: 0, chain: Chain.empty }
const puts = (count: number, size = 3) =>
  Array.from({ length: count }, (_, i) => Entry.put("ns", `k${i}`, new Uint8Array(size).fill(i)))

const detailOf = (batch: EntryBatch.EntryBatch): string => {
  const result = EntryBatch.validate(batch)
  assert(Result.isFailure(result), "expected a malformed batch")
  return result.failure.detail
}

describe("EntryBatch", () => {
  it.prop(
    "encode joins what each entry is on its own, and its clock goes on",
    { head: Head, writes: Writes, now: Now },
    ({ head, now, writes }) => {
      const { batch, clock } = EntryBatch.encode(head, writes, start, now)
      same(batch, modelOf(head, writes, now))
      assert.deepStrictEqual(EntryBatch.highestClock(batch), clock)
      let before = start
      const places: Array<number> = []
      EntryBatch.forEach(batch, (seq, offset) => {
        places.push(seq)
        const entry = Entry.decodeAt(batch.bytes, offset)
        assert.deepStrictEqual(entry.records, [writes[places.length - 1]!])
        assert.isAbove(HybridLogicalClock.compare(entry.clock, before), 0)
        before = entry.clock
      })
      assert.deepStrictEqual(
        places,
        writes.map((_, i) => head.seq + 1 + i)
      )
    }
  )

  it.prop("after drops the entries up to a place", { head: Head, writes: Writes }, ({ head, writes }) => {
    const batch = encode(head, writes)
    const model = modelOf(head, writes, start.wallTime)
    assert.strictEqual(EntryBatch.after(batch, head.seq), batch)
    assert.strictEqual(EntryBatch.after(batch, Math.max(0, head.seq - 3)), batch)
    for (let dropped = 0; dropped < writes.length; dropped++) {
      same(EntryBatch.after(batch, head.seq + dropped), slice(model, dropped, writes.length))
    }
  })

  it.prop("upTo keeps the beginning up to an entry", { head: Head, writes: Writes }, ({ head, writes }) => {
    const batch = encode(head, writes)
    const model = modelOf(head, writes, start.wallTime)
    for (let kept = 1; kept <= writes.length; kept++) {
      same(EntryBatch.upTo(batch, head.seq + kept), slice(model, 0, kept))
    }
  })

  it.prop("take keeps the longest beginning that fits", { head: Head, writes: Writes }, ({ head, writes }) => {
    const batch = encode(head, writes)
    const model = modelOf(head, writes, start.wallTime)
    for (let maxBytes = 1; maxBytes <= batch.bytes.length + 1; maxBytes++) {
      let kept = 0
      let bytes = 0
      while (kept < writes.length && bytes + model.entries[kept]!.length <= maxBytes)
        bytes += model.entries[kept++]!.length
      same(EntryBatch.take(batch, maxBytes), slice(model, 0, Math.max(1, kept)))
    }
    assert.strictEqual(EntryBatch.take(batch, batch.bytes.length), batch)
  })

  it.prop("split makes parts that join to the whole, as take and after would", [Head, Writes], ([head, writes]) => {
    const batch = encode(head, writes)
    const model = modelOf(head, writes, start.wallTime)
    for (let maxBytes = 1; maxBytes <= batch.bytes.length + 1; maxBytes++) {
      const parts = EntryBatch.split(batch, maxBytes)
      let rest = batch
      for (const [i, part] of parts.entries()) {
        assert.deepStrictEqual(part, EntryBatch.take(rest, maxBytes))
        assert.strictEqual(part.bytes.buffer, batch.bytes.buffer)
        assert.isTrue(part.bytes.length <= maxBytes || part.count === 1)
        const last = EntryBatch.last(part)
        if (i < parts.length - 1) rest = EntryBatch.after(rest, last)
        else assert.strictEqual(last, EntryBatch.last(batch))
      }
      const [first, ...others] = parts
      same(EntryBatch.concat([first!, ...others]), model)
    }
    assert.strictEqual(EntryBatch.split(batch, batch.bytes.length)[0], batch)
  })

  it("split leaves an entry that is larger than the limit alone", () => {
    const sizes = [3, 3, 500, 3, 600, 700, 3]
    const batch = encode(
      none,
      sizes.map((size, i) => Entry.put("ns", `k${i}`, new Uint8Array(size)))
    )
    assert.deepStrictEqual(
      EntryBatch.split(batch, 80).map(({ count, from }) => [from, count]),
      [
        [1, 2],
        [3, 1],
        [4, 1],
        [5, 1],
        [6, 1],
        [7, 1]
      ]
    )
  })

  it.prop(
    "concat undoes every way to take it apart",
    { head: Head, writes: Writes, cuts: Arbitrary.array(Arbitrary.schema(Schema.Boolean), { maxLength: 12 }) },
    ({ cuts, head, writes }) => {
      const batch = encode(head, writes)
      const model = modelOf(head, writes, start.wallTime)
      const parts: Array<EntryBatch.EntryBatch> = []
      let begin = 0
      for (let end = 1; end <= writes.length; end++) {
        if (end < writes.length && cuts[end - 1] !== true) continue
        const bytes = model.entries.slice(begin, end).reduce((sum, entry) => sum + entry.length, 0)
        const part = EntryBatch.take(EntryBatch.after(batch, head.seq + begin), bytes)
        same(part, slice(model, begin, end))
        parts.push(part)
        begin = end
      }
      const [first, ...rest] = parts
      same(EntryBatch.concat([first!, ...rest]), model)
    }
  )

  it.prop(
    "chainAt is the chain at every place of it and before it",
    { head: Head, writes: Writes },
    ({ head, writes }) => {
      const batch = encode(head, writes)
      modelOf(head, writes, start.wallTime).chains.forEach((chain, i) => {
        assert.strictEqual(EntryBatch.chainAt(batch, head.seq + i), chain)
      })
    }
  )

  describe("validate", () => {
    it.prop(
      "refuses every single changed byte",
      { writes: Writes, by: Arbitrary.schema(Schema.Literals([0x01, 0x02, 0x80, 0xff])) },
      ({ by, writes }) => {
        const batch = encode(none, writes)
        for (let at = 0; at < batch.bytes.length; at++) {
          const bytes = batch.bytes.slice()
          bytes[at]! ^= by
          assert.isTrue(Result.isFailure(EntryBatch.validate({ ...batch, bytes })), `byte ${at} of ${bytes.length}`)
        }
      }
    )

    it.prop("refuses missing and additional bytes and entries", { writes: Writes }, ({ writes }) => {
      const batch = encode(none, writes)
      const refused = (change: Partial<EntryBatch.EntryBatch>) =>
        assert.isTrue(Result.isFailure(EntryBatch.validate({ ...batch, ...change })))
      for (let length = 0; length < batch.bytes.length; length++) refused({ bytes: batch.bytes.subarray(0, length) })
      refused({ bytes: Uint8Array.of(...batch.bytes, 0) })
      refused({ bytes: Uint8Array.of(...batch.bytes, ...encode(none, puts(1)).bytes) })
      refused({ count: batch.count + 1 })
      refused({ count: batch.count - 1 })
      refused({ count: Number.MAX_SAFE_INTEGER })
    })

    it.prop(
      "refuses another chain before or after",
      { writes: Writes, digit: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 15 }))) },
      ({ digit, writes }) => {
        const batch = encode(none, writes)
        const other = (chain: Chain.Chain) =>
          (chain.slice(0, digit) + (chain[digit] === "0" ? "1" : "0") + chain.slice(digit + 1)) as Chain.Chain
        assert.isTrue(Result.isFailure(EntryBatch.validate({ ...batch, prevChain: other(batch.prevChain) })))
        assert.isTrue(Result.isFailure(EntryBatch.validate({ ...batch, chain: other(batch.chain) })))
      }
    )

    it("refuses entries in another order", () => {
      const [a, b] = puts(2)
      const batch = encode(none, [a!, b!])
      const first = EntryBatch.take(batch, 1).bytes
      const second = EntryBatch.after(batch, 1).bytes
      assert.strictEqual(
        detailOf({ ...batch, bytes: Uint8Array.of(...second, ...first) }),
        "the chain checksum does not match the bytes"
      )
    })

    it("says where it is malformed", () => {
      const batch = encode(none, puts(3))
      const result = EntryBatch.validate({ ...batch, bytes: batch.bytes.subarray(0, batch.bytes.length - 1) })
      assert(Result.isFailure(result))
      assert.strictEqual(result.failure.offset, (batch.bytes.length / 3) * 2)
      assert.strictEqual(detailOf({ ...batch, bytes: Uint8Array.of(...batch.bytes, 0) }), "bytes after the last entry")
    })

    it.prop(
      "garbage is refused and never throws",
      {
        bytes: Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))), {
          maxLength: 60
        })
      },
      ({ bytes }) => {
        const batch = { ...encode(none, puts(1)), bytes: Uint8Array.from(bytes) }
        assert.isTrue(Result.isFailure(EntryBatch.validate(batch)))
      }
    )

    it("takes a batch with a value of 1 MiB", () => {
      const batch = encode(none, puts(2, 1024 * 1024))
      assert.isTrue(Result.isSuccess(EntryBatch.validate(batch)))
      assert.strictEqual(EntryBatch.take(batch, 1024 * 1024).count, 1)
    })
  })

  // The bytes of a batch are stored and sent: this layout never changes.
  it("the batch of two known writes is what it has always been", () => {
    const head: Watermark.Watermark = { log, seq: 41, chain: "0123456789abcdef" as Chain.Chain }
    const { batch, checks, clock } = EntryBatch.encode(
      head,
      [Entry.put("ns", "key", "value"), Entry.remove("ns", "key")],
      start,
      0,
      "00112233aabbccdd" as RunId.RunId
    )
    // The check of an id is the first half of the chain at its place.
    assert.deepStrictEqual(
      Array.from(checks, (check) => check.toString(16)),
      [Chain.check(EntryBatch.chainAt(batch, 42)!).toString(16), batch.chain.slice(0, 8)]
    )
    assert.deepStrictEqual(
      { ...batch, bytes: Buffer.from(batch.bytes).toString("hex") },
      {
        log,
        from: 42,
        count: 2,
        prevChain: head.chain,
        chain: "a723388b5a4ad681" as Chain.Chain,
        bytes:
          "00000027" +
          "0200" +
          "018bcfe56800" +
          "00000001" +
          "00112233aabbccdd" +
          "01" +
          "00" +
          "00000005" +
          "02" +
          "0003" +
          "6e73" +
          "6b6579" +
          "76616c7565" +
          "00000022" +
          "0200" +
          "018bcfe56800" +
          "00000002" +
          "00112233aabbccdd" +
          "02" +
          "00" +
          "00000000" +
          "02" +
          "0003" +
          "6e73" +
          "6b6579"
      }
    )
    assert.deepStrictEqual(clock, { wallTime: start.wallTime, logical: 2 })
  })
})
