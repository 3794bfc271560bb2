/** Looking for damage, mending it, and giving up an end. For places that know how to damage an entry. */
import { assert } from "@effect/vitest"
import { Entry, type LogId } from "@quorum/core"
import { DamagedRange, EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Option, Result } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { StorePlace } from "../../StorePlace.ts"
import { damage } from "./damage.ts"
import { first, following, head, held, pieces, range, source, texts } from "../entries.ts"
import { without } from "./replacing.ts"
import { logA, logB, using } from "./rig.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const all = source(logA, 12)
const other = source(logB, 3, "other")

/** A closed store of two logs, appended `size` entries at a time, in which these entries of the first are damaged. */
const damaged = Effect.fnUntraced(function* (seqs: ReadonlyArray<number>, size = 1) {
  yield* using(({ store }) => Effect.forEach([...pieces(all, size), ...pieces(other, 1)], store.append))
  yield* damage(logA, seqs)
})

/** Goes through a log in slices of a few bytes, and returns how many slices there were. */
export const checked = Effect.fnUntraced(function* (store: Store, log: LogId.LogId, maxBytes = 100) {
  let slices = 0
  for (let at = 0; ; slices++) {
    const next = yield* store.check(log, at, maxBytes)
    if (next === at) return slices
    assert.isAbove(next, at, "a check went back")
    at = next
  }
})

const named = (store: Store) =>
  store
    .damaged()
    .map(({ from, to }) => [from, to] as const)
    .sort(([a], [b]) => a - b)

/** The store holds exactly this of a log, and none of it is damaged. */
export const whole = (store: Store, log: LogId.LogId, batch: EntryBatch.EntryBatch) =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* held(store, log), texts(batch))
    for (let seq = 1; seq <= batch.count; seq++) {
      assert.deepStrictEqual(yield* store.chainAt(log, seq), Option.some(EntryBatch.chainAt(batch, seq)))
      const one = Option.getOrThrow(yield* store.read(log, seq - 1, 1))
      assert.deepStrictEqual(texts(one), texts(range(batch, seq, seq)))
    }
    yield* checked(store, log)
    assert.deepStrictEqual(named(store), [])
  })

const drifts = (store: Store, batch: EntryBatch.EntryBatch) =>
  Effect.map(Effect.flip(store.replace(batch)), (error) => assert.strictEqual(error._tag, "AppendDrift"))

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "a check names what is damaged wherever it is, in slices, and nothing where all is well",
    Effect.gen(function* () {
      yield* damaged([2, 7, 8])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* checked(store, logB)
          assert.deepStrictEqual(named(store), [])
          assert.isAbove(yield* checked(store, logA), 2, "the slices were larger than asked for")
          assert.deepStrictEqual(entriesOf(named(store)), [2, 7, 8])
          const before = store.damaged()
          yield* checked(store, logA)
          assert.strictEqual(store.damaged(), before, "what is known was named again")
        })
      )
    })
  ),

  Conformance.make(
    "L60 what is mended can be read, is named no more, and stays so over every reopen",
    Effect.gen(function* () {
      yield* damaged([1, 5, 6])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* checked(store, logA)
          yield* store.replace(range(all, 1, 1))
          assert.deepStrictEqual(entriesOf(named(store)), [5, 6])
          yield* store.replace(range(all, 5, 6))
          yield* whole(store, logA, all)
          // The log goes on at its end.
          yield* store.append(following(EntryBatch.watermark(all), [Entry.put("ns", "more", "m")]))
        })
      )
      for (let start = 0; start < 2; start++) {
        yield* using(({ store }) =>
          Effect.gen(function* () {
            assert.strictEqual((yield* head(store, logA)).seq, 13)
            assert.deepStrictEqual((yield* held(store, logA)).slice(0, 12), texts(all))
            yield* checked(store, logA)
            assert.deepStrictEqual(named(store), [])
          })
        )
      }
    })
  ),

  Conformance.make(
    "damage may be mended piece by piece, and what is left of it is named",
    Effect.gen(function* () {
      yield* damaged([4, 5, 6, 7, 8])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* checked(store, logA)
          for (let seq = 4; seq <= 8; seq++) {
            const left = Array.from({ length: 9 - seq }, (_, i) => seq + i)
            assert.deepStrictEqual(entriesOf(named(store)), left)
            yield* store.replace(range(all, seq, seq))
          }
          yield* whole(store, logA, all)
        })
      )
    })
  ),

  Conformance.make(
    "a mend takes all that was appended together",
    Effect.gen(function* () {
      yield* damaged([5], 4)
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* checked(store, logA)
          const [[from, to]] = named(store) as [readonly [number, number]]
          yield* store.replace(range(all, from, to))
          yield* whole(store, logA, all)
        })
      )
      yield* using(({ store }) => whole(store, logA, all))
    })
  ),

  Conformance.make(
    "entries that do not fit what is sound on either side are refused as a drift, and change nothing",
    Effect.gen(function* () {
      yield* damaged([5, 6, 7])
      const another = source(logA, 12, "y")
      const forked = source(logA, 12, "y", 5)
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* checked(store, logA)
          // It does not follow what is before, or what is after does not follow it, or it reaches over what is sound.
          yield* drifts(store, range(another, 5, 7))
          yield* drifts(store, range(forked, 5, 7))
          yield* drifts(store, range(forked, 5, 9))
          assert.deepStrictEqual(entriesOf(named(store)), [5, 6, 7])
          assert.strictEqual((yield* Effect.flip(store.read(logA, 4, 1))).reason, "corrupt")
          yield* store.replace(range(all, 5, 7))
          yield* whole(store, logA, all)
        })
      )
    })
  ),

  Conformance.make(
    "a mend never touches what is sound: of a log without damage nothing is taken, whatever is brought",
    Effect.gen(function* () {
      yield* damaged([3])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* checked(store, logA)
          yield* Effect.ignore(store.replace(range(source(logA, 12, "y", 6), 7, 9)))
          yield* Effect.ignore(store.replace(range(source(logA, 12, "y", 1), 2, 4)))
          // With what is sound on both sides in it, it is the same entries, and welcome.
          yield* store.replace(range(all, 2, 4))
          yield* whole(store, logA, all)
          yield* store.replace(source(logB, 3, "y"))
          yield* whole(store, logB, other)
        })
      )
    })
  ),

  Conformance.make(
    "what was mended may be damaged again, and is mended again",
    Effect.gen(function* () {
      yield* damaged([5])
      for (let round = 0; round < 3; round++) {
        yield* using(({ store }) =>
          Effect.gen(function* () {
            yield* checked(store, logA)
            // Once mended it may be stored together with what is beside it, and is damaged with that the next time.
            const [lost = [0, 0], ...others] = named(store)
            assert.isTrue(
              lost[0] <= 5 && lost[1] >= 5 && others.length === 0,
              `in round ${round}: ${String(named(store))}`
            )
            if (round === 0) assert.deepStrictEqual(lost, [5, 5])
            yield* store.replace(range(all, ...lost))
            yield* whole(store, logA, all)
          })
        )
        yield* damage(logA, [5])
      }
    })
  ),

  Conformance.make(
    "a damaged end that is given up leaves the log at its last sound entry, where it goes on, also after a reopen",
    Effect.gen(function* () {
      yield* damaged([11, 12])
      const sound = EntryBatch.watermark(range(all, 1, 10))
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* store.cut(logA), sound)
          assert.deepStrictEqual(named(store), [])
          assert.deepStrictEqual(yield* head(store, logA), sound)
          assert.deepStrictEqual(yield* held(store, logA), texts(range(all, 1, 10)))
        })
      )
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* head(store, logA), sound)
          assert.deepStrictEqual(yield* store.append(range(all, 11, 11)), EntryBatch.watermark(range(all, 11, 11)))
          yield* store.append(all)
          yield* whole(store, logA, all)
        })
      )
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* whole(store, logA, all)
          yield* whole(store, logB, other)
        })
      )
    })
  ),

  Conformance.make(
    "a log of which all is damaged may be given up whole, and begins again",
    Effect.gen(function* () {
      yield* damaged(Array.from({ length: 12 }, (_, i) => i + 1))
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* store.cut(logA)).seq, 0)
          const ends = yield* store.watermarks
          assert.isFalse(
            ends.some(({ log }) => log === logA),
            "a log of which nothing is held has no watermark"
          )
          yield* store.append(all)
          yield* whole(store, logA, all)
        })
      )
      yield* using(({ store }) => whole(store, logA, all))
    })
  ),

  Conformance.make(
    "an end that is known is not given up",
    Effect.gen(function* () {
      yield* damaged([6])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* checked(store, logA)
          const end: Watermark.Watermark = EntryBatch.watermark(all)
          assert.deepStrictEqual(yield* store.cut(logA), end)
          assert.deepStrictEqual(yield* head(store, logA), end)
          yield* store.replace(range(all, 6, 6))
          yield* whole(store, logA, all)
        })
      )
    })
  ),

  Conformance.make(
    "what is after an entry may be given up, sound or damaged, and the log goes on otherwise, also after a reopen",
    Effect.gen(function* () {
      // Several in one append, so that the end lies within a row.
      yield* using(({ store }) => Effect.forEach([...pieces(all, 8), other], store.append))
      yield* damage(logA, [9])
      for (const after of [7, 3, 0]) {
        const sound = after === 0 ? Watermark.none(logA) : EntryBatch.watermark(range(all, 1, after))
        const side = following(
          sound,
          [5, 6, 7].map((i) => Entry.put("ns", `k${i}`, `side after ${after}`))
        )
        yield* using(({ store }) =>
          Effect.gen(function* () {
            yield* checked(store, logA)
            assert.deepStrictEqual(yield* store.cut(logA, after), sound, `after ${after}`)
            assert.deepStrictEqual(named(store), [])
            assert.deepStrictEqual(yield* head(store, logA), sound)
            assert.deepStrictEqual(yield* store.cut(logA, after + 1), sound)
          })
        )
        yield* using(({ store }) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* head(store, logA), sound)
            if (after > 0) assert.deepStrictEqual(yield* held(store, logA), texts(range(all, 1, after)))
            assert.deepStrictEqual(yield* store.append(side), EntryBatch.watermark(side))
          })
        )
        const joined = after === 0 ? side : EntryBatch.concat([range(all, 1, after), side])
        yield* using(({ store }) =>
          Effect.gen(function* () {
            yield* whole(store, logA, joined)
            yield* whole(store, logB, other)
          })
        )
      }
    })
  ),

  Conformance.make(
    "damage of what is erased is that of all that was erased together, and is mended by what a replica has of it",
    Effect.gen(function* () {
      // So long that no two of them are stored together.
      const entries = first(
        logA,
        Array.from({ length: 20 }, (_, i) => Entry.put("ns", `k${i}`, `${i}`.padEnd(3000)))
      )
      const erased = without(entries, [4, 5, 6, 7, 11])
      const ranges = [
        [4, erased],
        [11, erased],
        // From one that has not erased them.
        [6, entries]
      ] as const
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* Effect.forEach(pieces(entries, 1), store.append)
          yield* store.replace(erased)
        })
      )
      for (const [seq, source] of ranges) {
        yield* damage(logA, [seq])
        yield* using(({ store }) =>
          Effect.gen(function* () {
            yield* checked(store, logA)
            const [lost] = DamagedRange.joined(store.damaged())
            assert(lost !== undefined && lost.from <= seq && seq <= lost.to, `${seq} is not named as damaged`)
            assert.isTrue(seq === 11 || (lost.from <= 4 && lost.to >= 7), "a part of what was erased together is named")
            const page = yield* Effect.result(store.read(logA, seq - 1, 1))
            assert.isTrue(Result.isFailure(page), "what is damaged was read")
            const mended = EntryBatch.upTo(EntryBatch.after(source, lost.from - 1), lost.to)
            yield* store.replace(mended)
            yield* checked(store, logA)
            assert.deepStrictEqual(named(store), [])
          })
        )
        yield* using(({ store }) =>
          Effect.andThen(
            checked(store, logA),
            Effect.sync(() => assert.deepStrictEqual(named(store), []))
          )
        )
      }
    })
  ),

  Conformance.make(
    "mending does what a simple model does, whatever is damaged and brought",
    Effect.gen(function* () {
      const rest = source(logA, 30)
      yield* using(({ store }) => Effect.forEach(pieces(rest, 3), store.append))
      let state = 7
      const below = (n: number) => (state = (state * 1103515245 + 12345) % 2147483648) % n
      for (let round = 0; round < 8; round++) {
        yield* damage(
          logA,
          Array.from({ length: 1 + below(5) }, () => 1 + below(27))
        )
        yield* using(({ store }) =>
          Effect.gen(function* () {
            yield* checked(store, logA)
            for (const { from, to } of store.damaged()) {
              for (let at = from; at <= to;) {
                const end = Math.min(to, at + below(3))
                // A part of the first damage of all follows nothing that it could contradict.
                if (at > 1) yield* drifts(store, range(source(logA, 30, "z"), at, end))
                assert.isTrue(Result.isSuccess(yield* Effect.result(store.replace(range(rest, at, end)))))
                at = end + 1
              }
            }
            yield* whole(store, logA, rest)
          })
        )
      }
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------

/** The entries of ranges, one by one: a store may name what is damaged next to one another as one range or as several. */
const entriesOf = (ranges: ReadonlyArray<readonly [number, number]>): ReadonlyArray<number> =>
  ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i))
