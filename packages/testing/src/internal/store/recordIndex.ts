/** What the record index does: whatever order the writes come in, the newest of every key. */
import { assert } from "@effect/vitest"
import { Entry, HybridLogicalClock, type LogId } from "@quorum/core"
import { EntryBatch, RecordIndex, RecordKey, type RunId, Watermark } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import * as Conformance from "../../Conformance.ts"
import * as Faults from "../../Faults.ts"
import type { StorePlace } from "../../StorePlace.ts"
import { source } from "../entries.ts"
import { logA, logB, logC, type Open, open, using } from "./rig.ts"

/** What follows a key; all keys when there is none. */
const after = (key: RecordKey.RecordKey | undefined): RecordKey.Range =>
  key === undefined ? {} : RecordKey.beyond({}, key, false)

const namespaces = ["ns", "ns2", "другое"]
const keys = ["k", "k1", "\ue000", "\uffff", "😀", "\u{10ffff}", "a'b", "long".repeat(200)]

/** Three logs that write, overwrite and delete the same keys at nearby times, some of them equal. */
const makeLogs = (): ReadonlyArray<EntryBatch.EntryBatch> => {
  const random = Faults.generator(4711)
  const pick = <A>(items: ReadonlyArray<A>): A => items[Math.floor(random() * items.length)]!
  return [logA, logB, logC].map((log, i) => {
    // The order of the ties is not that of the logs.
    const tie = `000000000000000${(i + 1) % 3}` as RunId.RunId
    let batch: EntryBatch.EntryBatch | undefined
    let clock = HybridLogicalClock.zero
    for (let i = 0; i < 60; i++) {
      const namespace = pick(namespaces)
      const write = random() < 0.2 ? Entry.remove(namespace, pick(keys)) : Entry.put(namespace, pick(keys), `${i}`)
      const next = EntryBatch.encode(
        batch === undefined ? Watermark.none(log) : EntryBatch.watermark(batch),
        [write],
        clock,
        1_700_000_000_000 + Math.floor(i / 3),
        tie
      )
      clock = next.clock
      batch = batch === undefined ? next.batch : EntryBatch.concat([batch, next.batch])
    }
    return batch!
  })
}

const logs = makeLogs()

const pointersOf = (batch: EntryBatch.EntryBatch): ReadonlyArray<RecordIndex.Pointer> => {
  const pointers: Array<RecordIndex.Pointer> = []
  EntryBatch.forEach(batch, (seq, offset) => {
    const { clock, tie } = Entry.stampAt(batch.bytes, offset)
    const { key, kind, namespace } = Entry.headerAt(batch.bytes, Entry.firstRecord(offset))
    pointers.push({ namespace, key, log: batch.log, seq, clock, tie, deleted: kind === "delete" })
  })
  return pointers
}

/** The newest of every key. */
const fold = (pointers: ReadonlyArray<RecordIndex.Pointer>): ReadonlyArray<RecordIndex.Pointer> => {
  const newest = new Map<string, RecordIndex.Pointer>()
  for (const pointer of pointers) {
    const id = RecordKey.keyOf(pointer.namespace, pointer.key)
    const known = newest.get(id)
    if (known === undefined || RecordIndex.compare(pointer, known) > 0) newest.set(id, pointer)
  }
  return Array.from(newest.values()).sort(RecordKey.compare)
}

const shuffled = <A>(items: ReadonlyArray<A>, seed: number): ReadonlyArray<A> => {
  const random = Faults.generator(seed)
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

const everything = (index: Open["index"]) => index.scan({ limit: 1_000_000 })

/** Merges pointers in steps, each with at most one pointer per key. */
const mergeInSteps = (index: Open["index"], pointers: ReadonlyArray<RecordIndex.Pointer>, size: number) =>
  Effect.gen(function* () {
    for (let i = 0; i < pointers.length; i += size) {
      yield* index.merge(fold(pointers.slice(i, i + size)), new Map())
    }
  })

type Write = Pick<RecordIndex.Pointer, "clock" | "log" | "seq" | "tie">

const write = (wallTime: number, logical: number, tie = "1", log = logA, seq = 1): Write => ({
  clock: { wallTime, logical },
  tie: tie.padStart(16, "0") as RunId.RunId,
  log,
  seq
})

/** Two writes of a key, the older first, which differ where text, or numbers of another size, would be ordered otherwise. */
const steps: ReadonlyArray<readonly [older: Write, newer: Write]> = [
  ...[9, 99, 999_999_999_999, 2 ** 31 - 1, 2 ** 32 - 1, 2 ** 48 - 2].map(
    (wallTime) => [write(wallTime, 9), write(wallTime + 1, 0)] as const
  ),
  ...[0, 9, 99, 2 ** 31 - 1, 2 ** 32 - 2].map(
    (logical) => [write(10, logical, "f", logC, 9), write(10, logical + 1)] as const
  ),
  [write(10, 1, "9", logC, 9), write(10, 1, "a")],
  [write(10, 1, "fffffffffffffff", logC, 9), write(10, 1, "1000000000000000")],
  [write(10, 1, "1", logA, 9), write(10, 1, "1", logB)],
  ...[9, 99, 2 ** 31 - 1, 2 ** 32 - 1, 2 ** 40].map(
    (seq) => [write(10, 1, "1", logB, seq), write(10, 1, "1", logB, seq + 1)] as const
  )
]

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "a new index covers nothing",
    Effect.gen(function* () {
      const { index } = yield* open()
      assert.strictEqual((yield* index.progress).size, 0)
      assert.isTrue(Option.isNone(yield* index.get("ns", "k")))
      assert.deepStrictEqual(yield* everything(index), [])
    })
  ),

  Conformance.make(
    "what is forgotten is what is still the newest of its key at that place, and comes back with a newer write",
    Effect.gen(function* () {
      const all = logs.flatMap(pointersOf)
      const newest = fold(all)
      const { index } = yield* open()
      yield* mergeInSteps(index, all, 64)
      const gone = newest.filter(({ deleted }) => deleted)
      assert.isAbove(gone.length, 0)
      const overtaken = all.filter((pointer) => pointer.deleted && !newest.includes(pointer))
      const elsewhere = newest.flatMap((pointer) => [
        { ...pointer, seq: pointer.seq + 1 },
        { ...pointer, log: pointer.log === logA ? logB : logA }
      ])
      yield* index.forget([])
      yield* index.forget([...overtaken, ...elsewhere])
      assert.deepStrictEqual(yield* everything(index), newest)
      yield* index.forget([...gone, ...overtaken])
      assert.deepStrictEqual(
        yield* everything(index),
        newest.filter(({ deleted }) => !deleted)
      )
      for (const { key, namespace } of gone) assert.isTrue(Option.isNone(yield* index.get(namespace, key)))
      yield* index.forget(gone)
      yield* index.merge([gone[0]!], new Map())
      assert.deepStrictEqual(yield* index.get(gone[0]!.namespace, gone[0]!.key), Option.some(gone[0]!))
    })
  ),

  Conformance.make(
    "what is forgotten while its key is written again leaves the newer write, whichever of the two is called first",
    Effect.gen(function* () {
      const all = logs.flatMap(pointersOf)
      const newest = fold(all)
      const { index } = yield* open()
      const gone = newest.filter(({ deleted }) => deleted)
      const newer = gone.map((pointer) => ({
        ...pointer,
        deleted: false,
        ...write(1_800_000_000_000, 0, "1", logA, 99)
      }))
      const left = newest.filter(({ deleted }) => !deleted)
      for (const isMergedFirst of [true, false]) {
        yield* index.reset
        yield* mergeInSteps(index, all, 64)
        const both = [index.merge(newer, new Map()), index.forget(gone)]
        yield* Effect.all(isMergedFirst ? both : both.toReversed(), { concurrency: "unbounded", discard: true })
        assert.deepStrictEqual(yield* everything(index), [...left, ...newer].sort(RecordKey.compare))
      }
    })
  ),

  Conformance.make(
    "what is asked of many keys is what is asked of each, whether it is known, asked twice, or too long for any",
    Effect.gen(function* () {
      const all = logs.flatMap(pointersOf)
      const { index } = yield* open()
      yield* mergeInSteps(index, all, 64)
      const known = fold(all)
      const keys = [
        ...shuffled(known, 1),
        { namespace: "ns", key: "unknown" },
        { namespace: "ns", key: "k".repeat(2000) },
        ...shuffled(known, 2)
      ]
      const each = yield* Effect.forEach(keys, ({ key, namespace }) => index.get(namespace, key))
      assert.deepStrictEqual(yield* index.getAll(keys), each.map(Option.getOrUndefined))
      assert.deepStrictEqual(yield* index.getAll([]), [])
    })
  ),

  Conformance.make(
    "the index is a fold over the logs, whatever order they come in",
    Effect.gen(function* () {
      const all = logs.flatMap(pointersOf)
      const expected = fold(all)
      const { index } = yield* open()
      // The same writes again and again, in other orders and steps: merging is idempotent too.
      for (const [seed, size] of [
        [1, 1],
        [2, 7],
        [3, 64],
        [4, 1000]
      ] as const) {
        yield* mergeInSteps(index, shuffled(all, seed), size)
        assert.deepStrictEqual(yield* everything(index), expected)
      }
      for (const pointer of expected) {
        assert.deepStrictEqual(yield* index.get(pointer.namespace, pointer.key), Option.some(pointer))
      }
      assert.isTrue(
        expected.some(({ deleted }) => deleted),
        "deleted keys have a pointer too"
      )
    })
  ),

  Conformance.make(
    "two indexes that were filled in opposite orders are the same",
    Effect.gen(function* () {
      const all = logs.flatMap(pointersOf)
      const { close, index } = yield* open()
      yield* mergeInSteps(index, all.slice(0, 90), 10)
      const early = fold(all.slice(0, 90))
      assert.deepStrictEqual(yield* everything(index), early)
      yield* mergeInSteps(index, all.slice(90).toReversed(), 3)
      assert.deepStrictEqual(yield* everything(index), fold(all))
      yield* close
    })
  ),

  Conformance.make(
    "L33 L35 of two writes of a key the one with the greater clock stays, as a number of any size; then the tie, the log, the place",
    Effect.gen(function* () {
      const { index } = yield* open()
      for (const [i, [older, newer]] of steps.entries()) {
        for (const [order, writes] of [
          ["older first", [older, newer]],
          ["newer first", [newer, older]]
        ] as const) {
          const at = { namespace: order, key: `${i}`, deleted: false }
          for (const write of writes) yield* index.merge([{ ...at, ...write }], new Map())
          assert.deepStrictEqual(yield* index.get(order, `${i}`), Option.some({ ...at, ...newer }))
        }
      }
    })
  ),

  Conformance.make(
    "a scan pages through all keys in the order of their bytes, each once",
    Effect.gen(function* () {
      const expected = fold(logs.flatMap(pointersOf))
      const { index } = yield* open()
      yield* index.merge(expected, new Map())
      for (const limit of [1, 2, 5, expected.length, expected.length + 1]) {
        const found: Array<RecordIndex.Pointer> = []
        while (true) {
          const page = yield* index.scan({ ...after(found[found.length - 1]), limit })
          assert.isAtMost(page.length, limit)
          found.push(...page)
          if (page.length < limit) break
        }
        assert.deepStrictEqual(found, expected)
      }
    })
  ),

  Conformance.make(
    "a scan of a range gives what is in it, from its beginning or from its end, and no more than is asked for",
    Effect.gen(function* () {
      const expected = fold(logs.flatMap(pointersOf))
      const { index } = yield* open()
      yield* index.merge(expected, new Map())
      const ranges: ReadonlyArray<RecordKey.Range> = [
        {},
        RecordKey.rangeOf("ns"),
        RecordKey.rangeOf("ns", "k"),
        RecordKey.rangeOf("ns2", "\uffff"),
        RecordKey.rangeOf("другое", "😀"),
        RecordKey.rangeOf("ns", "\u{10ffff}"),
        RecordKey.rangeOf("n"),
        { from: expected[3] },
        { to: expected[3] },
        { from: expected[3], to: expected[7] },
        { from: expected[7], to: expected[3] },
        { from: { namespace: "ns", key: "long".repeat(1000) } }
      ]
      for (const range of ranges) {
        const within = expected.filter((pointer) => RecordKey.isWithin(range, pointer))
        for (const limit of [0, 1, 3, expected.length + 1]) {
          assert.deepStrictEqual(yield* index.scan({ ...range, limit }), within.slice(0, limit))
          const backwards = yield* index.scan({ ...range, limit, reverse: true })
          assert.deepStrictEqual(backwards, within.toReversed().slice(0, limit))
        }
      }
    })
  ),

  Conformance.make(
    "a reopened index holds what its progress says, and never more than the logs",
    Effect.gen(function* () {
      const pointers = logs.flatMap(pointersOf)
      const covered: RecordIndex.Progress = new Map(logs.map((log) => [log.log, EntryBatch.last(log)]))
      yield* using(({ index, store }) =>
        Effect.gen(function* () {
          for (const log of logs) yield* store.append(log)
          yield* index.merge(fold(pointers), covered)
          assert.deepStrictEqual(new Map(yield* index.progress), new Map(covered))
        })
      )
      yield* using(({ index, store }) =>
        Effect.gen(function* () {
          // What was merged may be lost, but then the progress is lost with it.
          const progress = yield* index.progress
          for (const [log, seq] of progress) {
            const end = (yield* store.watermarks).find((watermark) => watermark.log === log)?.seq ?? 0
            assert.isAtMost(seq, end, `the index is ahead of the log ${log}`)
          }
          const due = pointers.filter(({ log, seq }) => seq <= (progress.get(log) ?? 0))
          const found = new Map((yield* everything(index)).map((each) => [`${each.namespace}\0${each.key}`, each]))
          for (const pointer of fold(due)) {
            const held = found.get(`${pointer.namespace}\0${pointer.key}`)
            assert(held !== undefined && RecordIndex.compare(held, pointer) >= 0, "its progress promises more")
          }
        })
      )
    })
  ),

  Conformance.make(
    "an index that is reset is an empty one, now and after a reopen, and takes in everything again",
    Effect.gen(function* () {
      const [first] = logs
      const pointers = fold(pointersOf(first!))
      const covered = new Map([[first!.log, EntryBatch.last(first!)]])
      const isEmpty = (index: Open["index"]) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* index.progress).size, 0)
          assert.deepStrictEqual(yield* everything(index), [])
          assert.isTrue(Option.isNone(yield* index.get(pointers[0]!.namespace, pointers[0]!.key)))
        })
      yield* using(({ index, store }) =>
        Effect.gen(function* () {
          yield* store.append(first!)
          yield* index.reset
          yield* isEmpty(index)
          for (let i = 0; i < 2; i++) {
            yield* index.merge(pointers, covered)
            assert.deepStrictEqual(yield* everything(index), pointers)
            yield* index.reset
            yield* isEmpty(index)
          }
        })
      )
      yield* using(({ index }) =>
        Effect.gen(function* () {
          yield* isEmpty(index)
          yield* index.merge(pointers, covered)
          assert.deepStrictEqual(yield* everything(index), pointers)
        })
      )
    })
  ),

  Conformance.make(
    "an index that is ahead of its logs starts over",
    Effect.gen(function* () {
      const short = source(logA as LogId.LogId, 3)
      yield* using(({ index, store }) =>
        Effect.gen(function* () {
          yield* store.append(short)
          yield* index.merge(pointersOf(short), new Map([[logA, 10]]))
        })
      )
      yield* using(({ index }) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* index.progress).size, 0)
          assert.deepStrictEqual(yield* everything(index), [])
        })
      )
    })
  )
]
