/** Putting a batch in the place of what is stored: erasing, and taking over what was erased elsewhere. */
import { assert } from "@effect/vitest"
import { Entry, type LogId } from "@quorum/core"
import { EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Fiber, Option, Result } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { StorePlace } from "../../StorePlace.ts"
import { first, following, head, pieces, range, source } from "../entries.ts"
import { logA, logB, open, using } from "./rig.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const all = source(logA, 12)
const other = source(logB, 3, "other")

/** The batch without the entries of these places. */
export const without = (batch: EntryBatch.EntryBatch, seqs: ReadonlyArray<number>): EntryBatch.EntryBatch =>
  EntryBatch.erase(batch, (seq) => (seqs.includes(seq) ? "superseded" : "kept"))

const places = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** The batch with every range as long as it can be: a store may keep two that lie side by side. */
export const joined = (batch: EntryBatch.EntryBatch) => without(batch, [])

/** All that a store holds of a log, read in pages, each of which has to be valid and to begin where it was asked to. */
export const heldOf = Effect.fnUntraced(function* (store: Store, log: LogId.LogId, maxBytes: number) {
  const pages: Array<EntryBatch.EntryBatch> = []
  for (let at = 0; ;) {
    const page = Option.getOrUndefined(yield* store.read(log, at, maxBytes))
    if (page === undefined) break
    assert.isTrue(Result.isSuccess(EntryBatch.validate(page)), `what is read after ${at} is no valid batch`)
    assert.strictEqual(page.from, at + 1)
    pages.push(page)
    at = EntryBatch.last(page)
  }
  return joined(EntryBatch.concat(pages as [EntryBatch.EntryBatch]))
})

/** The store holds exactly this of its log, whoever asks for what of it, and all of it can be checked. */
export const holds = Effect.fnUntraced(function* (store: Store, batch: EntryBatch.EntryBatch) {
  const { log } = batch
  const expected = joined(batch)
  assert.deepStrictEqual(yield* head(store, log), EntryBatch.watermark(batch))
  for (const maxBytes of [1, 100, 1024 * 1024]) {
    const found = yield* heldOf(store, log, maxBytes)
    assert.deepStrictEqual(
      { ...found, bytes: Array.from(found.bytes) },
      { ...expected, bytes: Array.from(expected.bytes) }
    )
  }
  for (let seq = 0; seq <= EntryBatch.last(batch); seq++) {
    const chain = Option.getOrUndefined(yield* store.chainAt(log, seq))
    // A store may know the chain between two ranges that lie side by side.
    if (chain !== undefined || !isWithin(expected, seq)) {
      assert.strictEqual(chain, EntryBatch.chainAt(whole(log), seq), `the chain at ${seq}`)
    }
    if (seq === EntryBatch.last(batch)) continue
    const page = Option.getOrThrow(yield* store.read(log, seq, 1))
    assert.isTrue(page.from <= seq + 1 && EntryBatch.last(page) > seq, `asked for what follows ${seq}`)
    assert.strictEqual(page.chain, EntryBatch.chainAt(whole(log), EntryBatch.last(page)))
  }
  for (let at = 0, end = EntryBatch.last(batch); at < end;) {
    const next = yield* store.check(log, at, 100)
    assert.isAbove(next, at)
    at = next
  }
  assert.deepStrictEqual(store.damaged(), [])
})

const isWithin = (batch: EntryBatch.EntryBatch, seq: number) => EntryBatch.chainAt(batch, seq) === undefined

/** What the logs of the cases would be with nothing erased. */
const whole = (log: LogId.LogId): EntryBatch.EntryBatch => (log === logA ? long : other)

const long = source(logA, 40)

const fails = (store: Store, batch: EntryBatch.EntryBatch, tag: string) =>
  Effect.map(Effect.flip(store.replace(batch)), (error) => assert.strictEqual(error._tag, tag))

/** Every batch appended, so many entries at a time. */
const filled = (store: Store, batch: EntryBatch.EntryBatch, size: number) =>
  Effect.forEach(pieces(batch, size), store.append, { discard: true })

const erasures: ReadonlyArray<{ readonly from: number; readonly to: number; readonly seqs: ReadonlyArray<number> }> = [
  { from: 5, to: 7, seqs: [5, 6, 7] },
  { from: 4, to: 9, seqs: [6, 7] },
  { from: 1, to: 4, seqs: [1, 2, 3, 4] },
  { from: 1, to: 12, seqs: places(1, 11) },
  { from: 1, to: 12, seqs: places(1, 12) },
  { from: 1, to: 12, seqs: [2, 4, 5, 8, 9, 10] },
  { from: 9, to: 12, seqs: [12] },
  { from: 3, to: 3, seqs: [3] }
]

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "what is erased stands as a range in its place, and the rest is as it was, wherever it is, and after a reopen too",
    Effect.gen(function* () {
      for (const [i, { from, seqs, to }] of erasures.entries()) {
        for (const size of [1, 5, 12]) {
          // A log of its own for each, with the same entries.
          const log = `a@${(100 * size + i).toString(16).padStart(16, "0")}` as LogId.LogId
          const entries = { ...all, log }
          const left = { ...without(all, seqs), log }
          yield* using(({ store }) =>
            Effect.gen(function* () {
              yield* filled(store, entries, size)
              yield* store.replace(without(range(entries, from, to), seqs))
              yield* sameAs(store, left)
            })
          )
          yield* using(({ store }) => sameAs(store, left))
        }
      }
    })
  ),

  Conformance.make(
    "a log of which something is erased goes on at its end, and acks again what it can compare",
    Effect.gen(function* () {
      const left = without(all, [...places(3, 8), 12])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* filled(store, all, 4)
          yield* store.replace(without(range(all, 2, 12), [...places(3, 8), 12]))
          assert.deepStrictEqual(yield* store.append(range(all, 5, 11)), EntryBatch.watermark(range(all, 5, 11)))
          assert.deepStrictEqual(yield* store.append(all), EntryBatch.watermark(all))
          // Nobody knows any more what is among these, and who sends it goes on from the end.
          const gap = yield* Effect.flip(store.append(range(all, 5, 7)))
          assert.deepStrictEqual(gap, new ReplicaStore.AppendGap({ head: EntryBatch.watermark(all) }))
          yield* holds(store, left)
          yield* filled(store, range(long, 13, 20), 3)
        })
      )
      yield* using(({ store }) => holds(store, EntryBatch.concat([left, range(long, 13, 20)])))
    })
  ),

  Conformance.make(
    "a log is erased piece by piece, and what was erased before goes with it, as often as one likes",
    Effect.gen(function* () {
      let left = long
      yield* using(({ store }) => filled(store, long, 3))
      for (const goes of [3, 2, 5]) {
        yield* using(({ store }) =>
          Effect.gen(function* () {
            for (let at = 0; at < left.count;) {
              const page = Option.getOrThrow(yield* store.read(logA, at, 200))
              const seqs = places(page.from, EntryBatch.last(page)).filter((seq) => seq % goes !== 0)
              const erased = without(page, seqs)
              yield* store.replace(erased)
              at = EntryBatch.last(page)
            }
            left = without(
              left,
              places(1, 40).filter((seq) => seq % goes !== 0)
            )
            yield* holds(store, left)
          })
        )
        yield* using(({ store }) => holds(store, left))
      }
    })
  ),

  Conformance.make(
    "a batch that reaches beyond the end is an append too, also where the end is among what is erased in it",
    Effect.gen(function* () {
      const brought = without(all, places(3, 8))
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* filled(store, range(all, 1, 5), 2)
          const part = EntryBatch.after(brought, 2)
          yield* store.replace(part)
          yield* holds(store, brought)
          // One of which nothing is held, and one of which all is there before.
          yield* store.replace(without(other, [1]))
          yield* holds(store, without(other, [1]))
          yield* store.replace(without(range(long, 9, 20), [10]))
          yield* store.append(range(long, 21, 22))
        })
      )
      const left = without(range(long, 1, 22), [...places(3, 8), 10])
      yield* using(({ store }) => holds(store, left))
      yield* using(({ store }) => holds(store, without(other, [1])))
    })
  ),

  Conformance.make(
    "a batch that does not fit is refused, and changes nothing",
    Effect.gen(function* () {
      const left = without(all, places(5, 7))
      const forked = source(logA, 20, "y", 9)
      const another = source(logA, 20, "y")
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* filled(store, all, 3)
          yield* store.replace(without(range(all, 4, 8), [5, 6, 7]))
          // It begins behind the end, follows something else, or what is here does not follow it.
          yield* fails(store, without(range(long, 14, 16), [14]), "AppendGap")
          yield* fails(store, without(range(another, 9, 10), [9]), "AppendDrift")
          yield* fails(store, without(range(forked, 9, 11), [9]), "AppendDrift")
          yield* fails(store, without(range(forked, 9, 20), [9]), "AppendDrift")
          yield* fails(store, without(range(forked, 12, 20), [15]), "AppendDrift")
          // Within what is erased nobody can tell.
          yield* fails(store, without(range(all, 6, 9), [8]), "AppendGap")
          yield* fails(store, without(range(all, 2, 6), [3]), "AppendGap")
          assert.isTrue(Option.isNone(yield* store.chainAt(logA, 6)))
          yield* holds(store, left)
        })
      )
      yield* using(({ store }) => holds(store, left))
    })
  ),

  Conformance.make(
    "of what is sound nothing is put back that was erased, and a batch that is held as it is changes nothing",
    Effect.gen(function* () {
      const left = without(all, places(5, 7))
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* filled(store, all, 3)
          yield* store.replace(without(range(all, 4, 8), [5, 6, 7]))
          yield* store.replace(all)
          yield* store.replace(left)
          yield* holds(store, left)
        })
      )
    })
  ),

  Conformance.make(
    "what is erased leaves room: the store is smaller, or says that it is free",
    Effect.gen(function* () {
      const large = first(
        logA,
        Array.from({ length: 500 }, (_, i) => Entry.put("ns", `k${i}`, new Uint8Array(2000)))
      )
      const used = ({ space }: Store) =>
        Effect.map(space, ({ free, taken }) => {
          assert.isTrue(free >= 0 && free <= taken)
          return taken - free
        })
      const before = yield* using(({ store }) => Effect.andThen(store.append(large), used(store)))
      assert.isAtLeast(before, large.bytes.length)
      const after = yield* using(({ store }) =>
        Effect.gen(function* () {
          for (const batch of pieces(large, 100)) yield* store.replace(without(batch, places(1, 490)))
          return yield* used(store)
        })
      )
      assert.isBelow(after, before / 4)
      // What comes next takes that room, where it was not given back.
      yield* using(({ store }) =>
        Effect.gen(function* () {
          const { taken } = yield* store.space
          yield* store.append(following(EntryBatch.watermark(large), [Entry.put("ns", "k", new Uint8Array(100_000))]))
          assert.isBelow((yield* store.space).taken, Math.max(taken, before) + 100_000)
        })
      )
    })
  ),

  Conformance.make(
    "entries are appended and read while others are erased",
    Effect.gen(function* () {
      const seqs = places(1, 40).filter((seq) => seq % 4 !== 0)
      const { store } = yield* open()
      yield* filled(store, range(long, 1, 12), 2)
      const appending = yield* Effect.forkChild(
        Effect.forEach(pieces(range(long, 13, 40), 2), (batch) => Effect.andThen(store.append(batch), Effect.yieldNow))
      )
      const erasing = yield* Effect.forkChild(
        Effect.gen(function* () {
          for (let at = 0; at < 40;) {
            const page = Option.getOrUndefined(yield* store.read(logA, at, 150))
            yield* Effect.yieldNow
            if (page === undefined) continue
            yield* store.replace(without(page, seqs))
            at = EntryBatch.last(page)
          }
        })
      )
      for (let at = 0; at < 40;) {
        const page = Option.getOrUndefined(yield* store.read(logA, at, 150))
        yield* Effect.yieldNow
        if (page === undefined) continue
        assert.isTrue(Result.isSuccess(EntryBatch.validate(page)))
        assert.strictEqual(page.chain, EntryBatch.chainAt(long, EntryBatch.last(page)))
        at = EntryBatch.last(page)
      }
      yield* Fiber.join(appending)
      yield* Fiber.join(erasing)
      yield* holds(store, without(long, seqs))
    })
  ),

  Conformance.make(
    "replacing does what a simple model does, whatever is appended, erased and brought",
    Effect.gen(function* () {
      let state = 11
      const below = (n: number) => (state = (state * 1103515245 + 12345) % 2147483648) % n
      let left = range(long, 1, 4)
      yield* using(({ store }) => store.append(left))
      for (let round = 0; round < 12; round++) {
        yield* using(({ store }) =>
          Effect.gen(function* () {
            for (let step = 0; step < 6; step++) {
              const end = EntryBatch.last(left)
              const more = Math.min(40, end + 1 + below(3))
              if (below(3) === 0 && more > end) {
                const batch = range(long, end + 1, more)
                yield* store.append(batch)
                left = EntryBatch.concat([left, batch])
                continue
              }
              // From a place at which nothing is erased on both sides to another, a little beyond the end sometimes.
              const isKnown = (seq: number) => !isWithin(left, seq)
              const froms = places(1, end).filter((seq) => isKnown(seq - 1))
              const from = froms[below(froms.length)]!
              const tos = places(from, end).filter(isKnown)
              const to = below(5) === 0 ? more : tos[below(tos.length)]!
              const seqs = places(from, to).filter(() => below(2) === 0)
              const source = to > end ? EntryBatch.concat([left, range(long, end + 1, to)]) : left
              const batch = without(EntryBatch.upTo(EntryBatch.after(source, from - 1), to), seqs)
              yield* store.replace(batch)
              left = without(source, seqs)
            }
            yield* holds(store, left)
          })
        )
        yield* using(({ store }) => holds(store, left))
      }
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------

/** {@link holds} for a log of another name than the others. */
const sameAs = Effect.fnUntraced(function* (store: Store, batch: EntryBatch.EntryBatch) {
  assert.deepStrictEqual(yield* head(store, batch.log), EntryBatch.watermark(batch))
  const found = yield* heldOf(store, batch.log, 100)
  assert.deepStrictEqual(Array.from(found.bytes), Array.from(joined(batch).bytes))
  for (let at = 0; at < batch.count;) at = yield* store.check(batch.log, at, 100)
  assert.deepStrictEqual(store.damaged(), [])
  assert.isTrue(Option.isNone(yield* store.read(batch.log, Watermark.none(batch.log).seq + batch.count, 1)))
  yield* store.append(following(EntryBatch.watermark(batch), [Entry.put("ns", "more", "m")]))
  yield* store.cut(batch.log, batch.count)
})
