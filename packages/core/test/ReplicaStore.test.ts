import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Option, Result, Schema } from "effect"
import { Entry, HybridLogicalClock, type LogId, ReplicaId } from "../src/index.ts"
import { Chain, EntryBatch, ReplicaStore, Watermark } from "../src/adapter.ts"

const log = "a@9f3c52d0b1e44a07" as LogId.LogId
const otherLog = "b@0000000000000001" as LogId.LogId
const replica = ReplicaId.make("c")

/** A log of `length` entries; two of different names differ from entry `same + 1` on. */
const source = (name: string, length: number, same = 0): EntryBatch.EntryBatch =>
  EntryBatch.encode(
    Watermark.none(log),
    Array.from({ length }, (_, i) => Entry.put("ns", `k${i}`, i < same ? "both" : `${name}${i}`)),
    HybridLogicalClock.zero,
    1
  ).batch

/** The entries from `from` to `to` of a batch that starts at 1. */
const range = (batch: EntryBatch.EntryBatch, from: number, to: number): EntryBatch.EntryBatch => {
  const offsets: Array<number> = []
  EntryBatch.forEach(batch, (_, offset) => offsets.push(offset))
  offsets.push(batch.bytes.length)
  return EntryBatch.take(EntryBatch.after(batch, from - 1), offsets[to]! - offsets[from - 1]!)
}

/** The naive model: the entries as text. */
const entriesOf = (batch: EntryBatch.EntryBatch): ReadonlyArray<string> => {
  const entries: Array<string> = []
  EntryBatch.forEach(batch, (_, offset) =>
    entries.push(Buffer.from(batch.bytes.subarray(offset, Entry.endUnsafe(batch.bytes, offset))).toString("hex"))
  )
  return entries
}

const chainsOf = (batch: EntryBatch.EntryBatch): ReadonlyArray<Chain.Chain> =>
  Array.from({ length: batch.count + 1 }, (_, seq) => EntryBatch.chainAt(batch, seq)!)

const make = ReplicaStore.makeMemory({ cluster: "main", replica })

const readAll = (store: ReplicaStore.ReplicaStore["Service"], of: LogId.LogId = log) =>
  Effect.map(store.read(of, 0, Number.MAX_SAFE_INTEGER), (batch) =>
    Option.match(batch, { onNone: () => [], onSome: entriesOf })
  )

const length = 12
/** A batch of the true log, or of one that differs from some entry on. */
const Step = Arbitrary.map(
  Arbitrary.all({
    same: Arbitrary.schema(Schema.Literals([length, length, length, 0, 1, 3, 6, 11])),
    from: Arbitrary.schema(Schema.Literals([1, 1, 1, 2, 2, 3, 4, 5, 7, 9, 12])),
    count: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 })))
  }),
  ({ count, from, same }) => ({ same, from, to: Math.min(length, from + count - 1) })
)
const Steps = Arbitrary.array(Step, { minLength: 1, maxLength: 14 })

const sources = new Map([length, 0, 1, 3, 6, 11].map((same) => [same, source("other", length, same)]))

/** What the model says of appending `step` to `held`. */
const expected = (held: ReadonlyArray<string>, all: ReadonlyArray<string>, from: number, to: number) => {
  if (from - 1 > held.length) return { _tag: "Gap" } as const
  const common = Math.min(to, held.length)
  const upTo = Math.max(common, from - 1)
  for (let i = 0; i < upTo; i++) if (held[i] !== all[i]) return { _tag: "Drift" } as const
  if (to <= held.length) return { _tag: "Held" } as const
  return { _tag: "Append", entries: all.slice(held.length, to) } as const
}

/** How often the property met each kind of batch. */
const seen = { Gap: 0, Drift: 0, Held: 0, Append: 0 }

describe("ReplicaStore", () => {
  it.prop(
    "decideAppend appends, holds, or refuses a gap or a drift, as a plain array would, and never overwrites",
    { steps: Steps },
    ({ steps }) => {
      let held: ReadonlyArray<string> = []
      let chains: ReadonlyArray<Chain.Chain> = [Chain.empty]
      for (const { from, same, to } of steps) {
        const all = sources.get(same)!
        const batch = range(all, from, to)
        const head = { log, seq: held.length, chain: chains[held.length]! }
        const known = chains
        const decision = ReplicaStore.decideAppend(head, batch, (seq) => {
          assert.isAtMost(seq, head.seq, "asked for a chain that is not held")
          return known[seq]!
        })
        const model = expected(held, entriesOf(all), from, to)
        seen[model._tag]++
        switch (model._tag) {
          case "Gap":
            assert(Result.isFailure(decision) && decision.failure._tag === "AppendGap")
            assert.deepStrictEqual(decision.failure.head, head)
            break
          case "Drift":
            assert(Result.isFailure(decision) && decision.failure._tag === "AppendDrift")
            assert.strictEqual(decision.failure.log, log)
            break
          case "Held":
            assert(Result.isSuccess(decision) && decision.success._tag === "Held")
            assert.deepStrictEqual(decision.success.watermark, EntryBatch.watermark(batch))
            break
          case "Append":
            assert(Result.isSuccess(decision) && decision.success._tag === "Append")
            assert.strictEqual(decision.success.batch.from, held.length + 1)
            assert.isTrue(Result.isSuccess(EntryBatch.validate(decision.success.batch)))
            assert.deepStrictEqual(entriesOf(decision.success.batch), model.entries)
            held = [...held, ...model.entries]
            chains = [...chains.slice(0, from), ...chainsOf(all).slice(from, to + 1)]
        }
      }
    },
    { arbitrary: { runs: 500 } }
  )

  it("the property above met every kind of batch", () => {
    for (const [kind, times] of Object.entries(seen)) assert.isAbove(times, 20, kind)
  })

  it.effect.prop(
    "the store in memory holds what a plain array would, whatever is appended",
    { steps: Steps },
    ({ steps }) =>
      Effect.gen(function* () {
        const store = yield* make
        let held: ReadonlyArray<string> = []
        for (const { from, same, to } of steps) {
          const all = sources.get(same)!
          const batch = range(all, from, to)
          const result = yield* Effect.result(store.append(batch))
          const model = expected(held, entriesOf(all), from, to)
          if (model._tag === "Append") held = [...held, ...model.entries]
          if (model._tag === "Append" || model._tag === "Held") {
            assert.deepStrictEqual(result, Result.succeed(EntryBatch.watermark(batch)))
          } else {
            assert(Result.isFailure(result))
            assert.strictEqual(result.failure._tag, `Append${model._tag}`)
          }
          assert.deepStrictEqual(yield* readAll(store), held)
        }
        const whole = yield* store.read(log, 0, Number.MAX_SAFE_INTEGER)
        if (Option.isNone(whole)) return
        assert.isTrue(Result.isSuccess(EntryBatch.validate(whole.value)))
        assert.deepStrictEqual(yield* store.watermarks, [EntryBatch.watermark(whole.value)])
        for (let seq = 0; seq <= held.length; seq++) {
          assert.deepStrictEqual(yield* store.chainAt(log, seq), Option.some(EntryBatch.chainAt(whole.value, seq)))
        }
      })
  )

  it("L38: a batch of which a middle entry differs is a drift as a whole", () => {
    const held = source("held", 6)
    const writes = Array.from({ length: 6 }, (_, i) => Entry.put("ns", `k${i}`, i === 2 ? "changed" : `held${i}`))
    const { batch } = EntryBatch.encode(Watermark.none(log), writes, HybridLogicalClock.zero, 1)
    const decision = ReplicaStore.decideAppend(EntryBatch.watermark(range(held, 1, 4)), batch, (seq) =>
      EntryBatch.chainAt(held, seq)
    )
    assert(Result.isFailure(decision) && decision.failure._tag === "AppendDrift")
    assert.strictEqual(decision.failure.seq, 4)
  })

  it.effect("an append is idempotent, and a repeated beginning is acked again", () =>
    Effect.gen(function* () {
      const store = yield* make
      const all = source("x", 5)
      assert.deepStrictEqual(yield* store.append(range(all, 1, 3)), EntryBatch.watermark(range(all, 1, 3)))
      assert.deepStrictEqual(yield* store.append(range(all, 1, 3)), EntryBatch.watermark(range(all, 1, 3)))
      assert.deepStrictEqual(yield* store.append(range(all, 1, 1)), EntryBatch.watermark(range(all, 1, 1)))
      assert.deepStrictEqual(yield* store.append(all), EntryBatch.watermark(all))
      assert.deepStrictEqual(yield* readAll(store), entriesOf(all))
    })
  )

  it.effect("a gap is refused with the head that is held, and nothing is written", () =>
    Effect.gen(function* () {
      const store = yield* make
      const all = source("x", 5)
      assert.deepStrictEqual(
        (yield* Effect.flip(store.append(range(all, 2, 5)))) as unknown,
        new ReplicaStore.AppendGap({
          head: Watermark.none(log)
        })
      )
      assert.deepStrictEqual(yield* store.watermarks, [])
      yield* store.append(range(all, 1, 2))
      const gap = yield* Effect.flip(store.append(range(all, 4, 5)))
      assert(gap._tag === "AppendGap")
      assert.deepStrictEqual(gap.head, EntryBatch.watermark(range(all, 1, 2)))
      assert.deepStrictEqual(yield* readAll(store), entriesOf(range(all, 1, 2)))
    })
  )

  it.effect("a drift is refused, and what is held stays", () =>
    Effect.gen(function* () {
      const store = yield* make
      const held = source("x", 4)
      yield* store.append(held)
      for (const batch of [
        source("y", 4),
        source("y", 6),
        range(source("y", 6, 2), 3, 6),
        range(source("y", 6), 5, 6)
      ]) {
        const drift = yield* Effect.flip(store.append(batch))
        assert(drift._tag === "AppendDrift")
        assert.strictEqual(drift.log, log)
      }
      assert.deepStrictEqual(yield* readAll(store), entriesOf(held))
      assert.deepStrictEqual(yield* store.watermarks, [EntryBatch.watermark(held)])
    })
  )

  it.effect("logs are kept apart", () =>
    Effect.gen(function* () {
      const store = yield* make
      const mine = source("x", 3)
      const theirs = { ...source("y", 2), log: otherLog }
      yield* store.append(mine)
      yield* store.append(theirs)
      assert.deepStrictEqual(yield* readAll(store), entriesOf(mine))
      assert.deepStrictEqual(yield* readAll(store, otherLog), entriesOf(theirs))
      const heads = yield* store.watermarks
      assert.sameDeepMembers(heads as Array<unknown>, [EntryBatch.watermark(mine), EntryBatch.watermark(theirs)])
    })
  )

  it.effect.prop(
    "a read gives the longest run that fits, at least one entry, however the log was appended",
    { cuts: Arbitrary.array(Arbitrary.schema(Schema.Boolean), { minLength: length, maxLength: length }) },
    ({ cuts }) =>
      Effect.gen(function* () {
        const store = yield* make
        const all = source("x", length)
        let from = 1
        for (let to = 1; to <= length; to++) {
          if (to < length && cuts[to] !== true) continue
          yield* store.append(range(all, from, to))
          from = to + 1
        }
        const entries = entriesOf(all)
        const size = (count: number) => entries[count]!.length / 2
        for (let after = 0; after < length; after++) {
          for (const maxBytes of [1, size(0), 2 * size(0), 2 * size(0) + 1, 5 * size(0), 10_000]) {
            let count = 0
            let bytes = 0
            while (after + count < length && bytes + size(after + count) <= maxBytes) bytes += size(after + count++)
            const read = Option.getOrThrow(yield* store.read(log, after, maxBytes))
            assert.strictEqual(read.from, after + 1)
            assert.deepStrictEqual(entriesOf(read), entries.slice(after, after + Math.max(1, count)))
            assert.isTrue(Result.isSuccess(EntryBatch.validate(read)))
          }
        }
      }),
    { arbitrary: { runs: 30 } }
  )

  it.effect("a read or a chain beyond the end is none", () =>
    Effect.gen(function* () {
      const store = yield* make
      assert.isTrue(Option.isNone(yield* store.read(log, 0, 100)))
      assert.deepStrictEqual(yield* store.chainAt(log, 0), Option.some(Chain.empty))
      assert.isTrue(Option.isNone(yield* store.chainAt(log, 1)))
      yield* store.append(source("x", 3))
      for (const after of [3, 4, 100]) assert.isTrue(Option.isNone(yield* store.read(log, after, 100)))
      assert.isTrue(Option.isNone(yield* store.chainAt(log, 4)))
    })
  )

  it.effect("a new store has an incarnation of its own, and keeps the one it is given", () =>
    Effect.gen(function* () {
      const first = yield* make
      const second = yield* make
      assert.notStrictEqual(first.identity.incarnation, second.identity.incarnation)
      assert.deepStrictEqual<unknown>(
        { ...first.identity, incarnation: "" },
        { cluster: "main", replica, incarnation: "" }
      )
      const incarnation = "9f3c52d0b1e44a07" as LogId.Incarnation
      const given = yield* ReplicaStore.makeMemory({ cluster: "main", replica, incarnation })
      assert.strictEqual(given.identity.incarnation, incarnation)
    })
  )
})
