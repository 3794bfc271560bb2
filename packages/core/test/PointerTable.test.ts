import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { Entry, HybridLogicalClock, type LogId } from "../src/index.ts"
import { EntryBatch, RecordIndex, RecordKey, RunId, Watermark } from "../src/adapter.ts"
import * as PointerTable from "../src/record/internal/PointerTable.ts"

const logs = ["a@9f3c52d0b1e44a07", "a@9f3c52d0b1e44a08", "b@0000000000000000"].map((name) => name as LogId.LogId)

/** Namespaces and keys whose order differs by UTF-16 units and by bytes, that begin one another, or are long. */
const namespaces = ["n", "na", "é", "\u{10000}", "\uffee", "x".repeat(255)]
const keys = [
  "",
  "k",
  "k1",
  "k1\u0000",
  "k1\u0001",
  "kk",
  "é",
  "\uffee",
  "\u{10000}",
  "😀a",
  "y".repeat(70),
  "z".repeat(65_535)
]

interface Step {
  readonly log: LogId.LogId
  readonly namespace: string
  readonly key: string
  readonly remove: boolean
  readonly wallTime: number
}

/** The writes as one batch each. In a log the clock goes on; between logs clocks are often equal. */
const batchesOf = (steps: ReadonlyArray<Step>): ReadonlyArray<EntryBatch.EntryBatch> => {
  const heads = new Map<LogId.LogId, { head: Watermark.Watermark; clock: HybridLogicalClock.HybridLogicalClock }>()
  return steps.map(({ key, log, namespace, remove, wallTime }) => {
    const { clock, head } = heads.get(log) ?? { head: Watermark.none(log), clock: HybridLogicalClock.zero }
    const write = remove ? Entry.remove(namespace, key) : Entry.put(namespace, key, `value of ${key.slice(0, 9)}`)
    const encoded = EntryBatch.encode(head, [write], clock, wallTime)
    heads.set(log, { head: EntryBatch.watermark(encoded.batch), clock: encoded.clock })
    return encoded.batch
  })
}

/** One batch that repeats no clock rules: the same clock for all its entries, as no log of one replica has. */
const batchAt = (log: LogId.LogId, from: number, writes: ReadonlyArray<Entry.Write>): EntryBatch.EntryBatch => {
  const { batch } = EntryBatch.encode(Watermark.none(log), writes, HybridLogicalClock.zero, 1)
  const bytes = batch.bytes.slice()
  EntryBatch.forEach(batch, (_, offset) =>
    bytes.fill(0, offset + Entry.versionAt, offset + Entry.versionAt + Entry.versionBytes)
  )
  return { ...batch, from, bytes }
}

/** What a generator comes to, however often it stops. */
const result = <A>(work: Generator<void, A>): A => {
  while (true) {
    const { done, value } = work.next()
    if (done === true) return value
  }
}

/** The naive twin: the pointers of a map, the newest by `RecordIndex.compare`. */
const twinOf = (batches: ReadonlyArray<EntryBatch.EntryBatch>): ReadonlyArray<RecordIndex.Pointer> => {
  const newest = new Map<string, RecordIndex.Pointer>()
  for (const batch of batches) {
    EntryBatch.forEach(batch, (seq, offset) => {
      const { clock, tie } = Entry.stampAt(batch.bytes, offset)
      const { key, kind, namespace } = Entry.headerAt(batch.bytes, Entry.firstRecord(offset))
      const pointer = { namespace, key, log: batch.log, seq, clock, tie, deleted: kind === "delete" }
      const held = newest.get(RecordKey.keyOf(namespace, key))
      if (held === undefined || RecordIndex.compare(pointer, held) > 0) {
        newest.set(RecordKey.keyOf(namespace, key), pointer)
      }
    })
  }
  return [...newest.values()].sort(RecordKey.compare)
}

const tableOf = (batches: ReadonlyArray<EntryBatch.EntryBatch>): PointerTable.PointerTable => {
  const table = PointerTable.make()
  for (const batch of batches) table.add(batch)
  return table
}

/** All pointers, taken a few at a time. */
const inOrder = (table: PointerTable.PointerTable): ReadonlyArray<RecordIndex.Pointer> => {
  const next = table.inOrder()
  const pointers: Array<RecordIndex.Pointer> = []
  while (pointers.length < table.size()) pointers.push(...next(100))
  assert.deepStrictEqual(next(1), [])
  return pointers
}

/** A permutation that the numbers decide. */
const shuffled = <A>(items: ReadonlyArray<A>, picks: ReadonlyArray<number>): ReadonlyArray<A> => {
  const left = [...items]
  return items.map((_, i) => left.splice((picks[i % picks.length] ?? 0) % left.length, 1)[0]!)
}

const Int = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))
const Steps = Arbitrary.array(
  Arbitrary.map(
    Arbitrary.all({
      log: Int(logs.length - 1),
      namespace: Int(namespaces.length - 1),
      key: Int(keys.length - 1),
      remove: Arbitrary.schema(Schema.Boolean),
      wallTime: Int(2)
    }),
    ({ key, log, namespace, remove, wallTime }): Step => ({
      log: logs[log]!,
      // Most writes share few keys, so that they meet.
      namespace: namespaces[log === 2 ? namespace : 0]!,
      key: keys[key]!,
      remove,
      wallTime
    })
  ),
  { maxLength: 60 }
)
const Picks = Arbitrary.array(Int(100), { minLength: 1, maxLength: 20 })

describe("PointerTable", () => {
  it.prop("holds what its naive twin holds, in order", { steps: Steps }, ({ steps }) => {
    const batches = batchesOf(steps)
    const table = tableOf(batches)
    const expected = twinOf(batches)
    assert.strictEqual(table.size(), expected.length)
    assert.deepStrictEqual(inOrder(table), expected)
    for (const namespace of namespaces) {
      for (const key of keys) {
        assert.deepStrictEqual(
          table.get(namespace, key),
          expected.find((pointer) => pointer.namespace === namespace && pointer.key === key)
        )
      }
    }
  })

  it.prop("L35 L36 OrderFree: any order of the same batches gives the same table", [Steps, Picks], ([steps, picks]) => {
    const batches = batchesOf(steps)
    const pointers = inOrder(tableOf(batches))
    assert.deepStrictEqual(inOrder(tableOf(shuffled(batches, picks))), pointers)
    assert.deepStrictEqual(inOrder(tableOf([...batches, ...batches])), pointers)
  })

  it("L35 of copies of one version the one in the greater log stays, and in one log the last, in whatever order they come", () => {
    const copies = logs.flatMap((log) => [9, 10].map((seq) => batchAt(log, seq, [Entry.put("n", "k", "v")])))
    const last = inOrder(tableOf(copies))
    assert.deepInclude(last[0], { log: logs.toSorted().at(-1)!, seq: 10 })
    for (const one of copies) assert.deepStrictEqual(inOrder(tableOf([...copies, one])), last)
    assert.deepStrictEqual(inOrder(tableOf(copies.toReversed())), last)
    assert.deepInclude(inOrder(tableOf([copies[1]!, copies[0]!]))[0], { log: logs[0]!, seq: 10 })
  })

  it.prop(
    "finds within two keys what a filter finds, keys that no entry can hold included",
    [Steps],
    ([steps]) => {
      const batches = batchesOf(steps)
      const table = tableOf(batches)
      const all = twinOf(batches)
      const bounds = [
        undefined,
        ...["n", "na", "\u{10000}", "x".repeat(255), "x".repeat(256), "x".repeat(255 + 256)].flatMap((namespace) =>
          ["", "k1", "\uffee", "z".repeat(65_535), "z".repeat(65_536), `k${"1".repeat(65_535 + 65_536)}`].map(
            (key) => ({
              namespace,
              key
            })
          )
        )
      ]
      for (const from of bounds) {
        for (const to of [undefined, bounds[2], bounds[9], bounds[bounds.length - 1]]) {
          const expected = all.filter((pointer) => RecordKey.isWithin({ from, to }, pointer))
          for (const limit of [3, all.length]) {
            assert.deepStrictEqual(result(table.within({ from, to, limit })), expected.slice(0, limit))
          }
          assert.deepStrictEqual(
            result(table.within({ from, to, limit: 2, reverse: true })),
            expected.toReversed().slice(0, 2)
          )
        }
      }
    },
    { arbitrary: { runs: 30 } }
  )

  it("of two records of a key in one entry the later counts, and all have its version", () => {
    const writes: Entry.Writes = [Entry.put("n", "k", "1"), Entry.put("n", "j", "2"), Entry.remove("n", "k")]
    const { batch } = EntryBatch.encode(Watermark.none(logs[0]!), [writes], HybridLogicalClock.zero, 7)
    const table = tableOf([batch, batch])
    assert.strictEqual(table.size(), 2)
    assert.deepInclude(table.get("n", "k"), { seq: 1, deleted: true, clock: { wallTime: 7, logical: 0 } })
    assert.deepInclude(table.get("n", "j"), { seq: 1, deleted: false, clock: { wallTime: 7, logical: 0 } })
  })

  it("has no pointer of a key that no entry can hold, though it ends in one that is there", () => {
    const table = tableOf([batchAt(logs[0]!, 1, [Entry.put("n", "k", "v"), Entry.put("n", "", "v")])])
    assert.isUndefined(table.get("n".repeat(256 + 1), "k"))
    assert.isUndefined(table.get("n", "k".repeat(65_536 + 1)))
    assert.isUndefined(table.get("n", "k".repeat(65_536)))
  })

  it("tells a key from another whose namespace and key make the same text together", () => {
    const table = tableOf([batchAt(logs[0]!, 1, [Entry.put("na", "b", "v"), Entry.put("n", "ab", "v")])])
    assert.strictEqual(table.size(), 2)
    assert.strictEqual(table.get("na", "b")?.seq, 1)
    assert.strictEqual(table.get("n", "ab")?.seq, 2)
    assert.isUndefined(table.get("nab", ""))
  })

  it("of equal clocks the later log by name is newer, and in one log the later place", () => {
    const k = Entry.put("n", "k", "v")
    const batches = [
      batchAt(logs[1]!, 7, [k]),
      batchAt(logs[2]!, 2 ** 40, [k, Entry.remove("n", "k")]),
      batchAt(logs[0]!, Number.MAX_SAFE_INTEGER - 1, [k])
    ]
    for (const order of [
      [0, 1, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0]
    ]) {
      const pointer = tableOf(order.map((i) => batches[i]!)).get("n", "k")
      assert.deepStrictEqual(pointer, {
        namespace: "n",
        key: "k",
        log: logs[2]!,
        seq: 2 ** 40 + 1,
        clock: { wallTime: 0, logical: 0 },
        tie: RunId.none,
        deleted: true
      })
    }
  })

  it("grows to tens of thousands of keys, sorted and reversed and at random, and takes newer writes in", () => {
    const writes = Array.from({ length: 30_000 }, (_, i) => {
      // Ascending, then descending, then scattered by a multiplicative hash.
      const n = i < 10_000 ? i : i < 20_000 ? 40_000 - i : Math.imul(i, 0x9e3779b1) >>> 0
      return Entry.put(namespaces[i % 4]!, `key ${String(n).padStart(10, "0")}`, "value")
    })
    const [first, second] = [logs[2]!, logs[0]!].map((log, i) =>
      EntryBatch.encode(Watermark.none(log), i === 0 ? writes : writes.slice(0, 5000), HybridLogicalClock.zero, i + 1)
    )
    const batches = [first!.batch, second!.batch]
    const table = tableOf(batches)
    const expected = twinOf(batches)
    assert.isAbove(expected.length, 25_000)
    assert.deepStrictEqual(inOrder(table), expected)
    for (const pointer of expected) assert.deepStrictEqual(table.get(pointer.namespace, pointer.key), pointer)
    assert.isUndefined(table.get("n", "key 9999999999"))
  })

  it("keeps no value, and no bytes of a batch", () => {
    const { batch } = EntryBatch.encode(
      Watermark.none(logs[0]!),
      [Entry.put("n", "k", "v"), Entry.put("n", "l", "v")],
      HybridLogicalClock.zero,
      1
    )
    const table = tableOf([batch])
    const before = inOrder(table)
    batch.bytes.fill(0xff)
    assert.deepStrictEqual(inOrder(table), before)
  })
})
