/** What changes a log, one after the other: each finds what the others left. For places that know how to damage an entry. */
import { assert } from "@effect/vitest"
import { Entry } from "@quorum/core"
import { DamagedRange, EntryBatch, type ReplicaStore } from "@quorum/core/adapter"
import { Effect } from "effect"
import * as Conformance from "../../Conformance.ts"
import * as Faults from "../../Faults.ts"
import type { StorePlace } from "../../StorePlace.ts"
import { first, following, head, pieces, range, source } from "../entries.ts"
import { damage } from "./damage.ts"
import { checked, whole } from "./mending.ts"
import { heldOf, joined, without } from "./replacing.ts"
import { logA, using } from "./rig.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

/** What a log is, and what is held of it: up to an entry, and without what was erased. */
interface Model {
  readonly all: EntryBatch.EntryBatch
  readonly held: EntryBatch.EntryBatch
}

const writes = (name: string, count: number) =>
  Array.from({ length: count }, (_, i) => Entry.put("ns", `k${i}`, `${name} ${i}`.padEnd(i % 3 === 0 ? 1500 : 20)))

const isKnown = (batch: EntryBatch.EntryBatch, seq: number): boolean => EntryBatch.chainAt(batch, seq) !== undefined

/** The held entries from one place to another, and what was erased together with the first and the last of them. */
const part = (batch: EntryBatch.EntryBatch, from: number, to: number) =>
  EntryBatch.upTo(EntryBatch.after(batch, from - 1), to)

const holds = Effect.fnUntraced(function* (store: Store, { held }: Model) {
  assert.deepStrictEqual(yield* head(store, logA), EntryBatch.watermark(held))
  for (const maxBytes of [1, 2000, 1024 * 1024]) {
    const found = yield* heldOf(store, logA, maxBytes)
    assert.deepStrictEqual(Array.from(found.bytes), Array.from(joined(held).bytes))
  }
  yield* checked(store, logA)
  assert.deepStrictEqual(store.damaged(), [])
})

/** Appends, erases, or gives up an end, as the dice say. */
const change = Effect.fnUntraced(function* (store: Store, model: Model, below: (n: number) => number, name: string) {
  const { all, held } = model
  const end = EntryBatch.last(held)
  const kind = below(3)
  if (kind === 0 && end < all.count) {
    const batch = range(all, end + 1, Math.min(all.count, end + 1 + below(5)))
    yield* store.append(batch)
    return { all, held: EntryBatch.concat([held, batch]) }
  }
  const places = Array.from({ length: end }, (_, i) => i + 1)
  if (kind === 1) {
    const froms = places.filter((seq) => isKnown(held, seq - 1))
    const from = froms[below(froms.length)]!
    const tos = places.filter((seq) => seq >= from && isKnown(held, seq))
    const to = tos[below(Math.min(8, tos.length))]!
    const seqs = places.filter((seq) => from <= seq && seq <= to && below(2) === 0)
    yield* store.replace(without(part(held, from, to), seqs))
    return { all, held: without(held, seqs) }
  }
  const ends = places.filter((seq) => isKnown(held, seq)).slice(-8)
  const after = ends[below(ends.length)]!
  const left = EntryBatch.upTo(held, after)
  assert.deepStrictEqual(yield* store.cut(logA, after), EntryBatch.watermark(left))
  const other = following(EntryBatch.watermark(left), writes(name, all.count - after))
  return below(2) === 0 ? { all, held: left } : { all: EntryBatch.concat([range(all, 1, after), other]), held: left }
})

/** Gives up a damaged end, and mends the rest; what is brought may reach over what is sound. */
const mended = Effect.fnUntraced(function* (store: Store, { all, held }: Model, below: (n: number) => number) {
  yield* checked(store, logA)
  const { seq } = yield* store.cut(logA)
  const left = EntryBatch.upTo(held, Math.max(1, seq))
  if (seq === 0) yield* store.append(left)
  for (const { from, to } of DamagedRange.joined(store.damaged())) {
    const first = [below(3), 0].map((more) => Math.max(1, from - more)).find((at) => isKnown(left, at - 1)) ?? from
    const last = [below(3), 0].map((more) => Math.min(to + more, EntryBatch.last(left))).find((at) => isKnown(left, at))
    yield* store.replace(part(left, first, last ?? to))
  }
  return { all, held: left }
})

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "a log that ends within what was mended keeps all before that, wherever it was stored, also after a reopen",
    Effect.gen(function* () {
      const all = source(logA, 18)
      yield* using(({ store }) => Effect.forEach(pieces(all, 6), store.append))
      yield* damage(logA, [8])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* checked(store, logA)
          // It reaches over a part of what was appended before, which is sound.
          yield* store.replace(range(all, 4, 12))
          yield* whole(store, logA, all)
          assert.deepStrictEqual(yield* store.cut(logA, 8), EntryBatch.watermark(range(all, 1, 8)))
          yield* whole(store, logA, range(all, 1, 8))
        })
      )
      yield* using(({ store }) => whole(store, logA, range(all, 1, 8)))
    })
  ),

  Conformance.make(
    "what is mended may be erased together with what is beside it, which was erased apart, and stays mended",
    Effect.gen(function* () {
      // So long that no two of them are stored together.
      const all = first(
        logA,
        Array.from({ length: 10 }, (_, i) => Entry.put("ns", `k${i}`, `${i}`.padEnd(3000)))
      )
      const held = without(all, [5, 6])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* Effect.forEach(pieces(all, 1), store.append)
          yield* store.replace(without(range(all, 4, 5), [5]))
          yield* store.replace(without(range(all, 6, 7), [6]))
        })
      )
      yield* damage(logA, [7])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* checked(store, logA)
          for (const { from, to } of DamagedRange.joined(store.damaged())) yield* store.replace(part(held, from, to))
          yield* holds(store, { all, held })
        })
      )
      yield* using(({ store }) => holds(store, { all, held }))
    })
  ),

  Conformance.make(
    "a log is what a simple model says, whatever is appended, erased, damaged, mended and given up",
    Effect.gen(function* () {
      const random = Faults.generator(2)
      const below = (n: number) => Math.floor(random() * n)
      const all = first(logA, writes("x", 40))
      let model: Model = { all, held: range(all, 1, 9) }
      yield* using(({ store }) => store.append(model.held))
      for (let round = 0; round < 24; round++) {
        yield* using(({ store }) =>
          Effect.gen(function* () {
            for (let step = 0; step < 4; step++) model = yield* change(store, model, below, `${round}.${step}`)
            yield* holds(store, model)
          })
        )
        const { held } = model
        const kept = Array.from({ length: EntryBatch.last(held) }, (_, i) => i + 1).filter((seq) =>
          [seq - 1, seq].every((at) => isKnown(held, at))
        )
        if (kept.length > 0) yield* damage(logA, [kept[below(kept.length)]!])
        yield* using(({ store }) =>
          Effect.gen(function* () {
            model = yield* mended(store, model, below)
            yield* holds(store, model)
          })
        )
        yield* using(({ store }) => holds(store, model))
      }
    })
  )
]
