/** What damage costs: what is damaged, and nothing beside it. For places that know how to damage an entry. */
import { assert } from "@effect/vitest"
import { type LogId, QuorumPolicy, Replica, ReplicaSet, ReplicaStatus } from "@quorum/core"
import { EntryBatch, PeerTransport, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Layer, Option, Result } from "effect"
import * as Conformance from "../../Conformance.ts"
import { StorePlace } from "../../StorePlace.ts"
import { following, head, pieces, range, source, texts } from "../entries.ts"
import { logA, logB, open, owner, using } from "./rig.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const all = source(logA, 12)
const other = source(logB, 3, "other")

/** A closed store of two logs, appended `size` entries at a time, in which these entries of the first are damaged. */
const damaged = Effect.fnUntraced(function* (seqs: ReadonlyArray<number>, size = 1) {
  yield* using(({ store }) => Effect.forEach([...pieces(all, size), ...pieces(other, 1)], store.append))
  yield* damage(logA, seqs)
})

/** Damages entries of a closed store. */
export const damage = Effect.fnUntraced(function* (log: LogId.LogId, seqs: ReadonlyArray<number>) {
  const place = yield* StorePlace
  if (place.damage === undefined) {
    return yield* Effect.die(new Error("the place has no `damage`: add it, or skip `needDamage` with the reason"))
  }
  for (const seq of seqs) yield* place.damage(log, seq)
})

/** All entries of a log that can be read, as text: after what cannot be read a reader goes on where that ends. */
const readable = Effect.fnUntraced(function* (store: Store, log: LogId.LogId, maxBytes = 1024 * 1024) {
  const found: Array<string> = []
  const { seq } = yield* head(store, log)
  for (let after = 0; after < seq;) {
    const page = yield* Effect.result(store.read(log, after, maxBytes))
    if (Result.isSuccess(page)) {
      const batch = Option.getOrThrow(page.success)
      assert.isTrue(Result.isSuccess(EntryBatch.validate(batch)), `what is read after ${after} is no valid batch`)
      assert.strictEqual(batch.from, after + 1, `asked for what follows ${after}`)
      found.push(...texts(batch))
      after = EntryBatch.last(batch)
    } else {
      assert.strictEqual(page.failure.reason, "corrupt")
      const lost = rangeOf(store, log, after + 1)
      assert(lost !== undefined, `entry ${after + 1} cannot be read, and is not named as damaged`)
      after = lost.to
    }
  }
  return found as ReadonlyArray<string>
})

const rangeOf = (store: Store, log: LogId.LogId, seq: number): ReplicaStore.DamagedRange | undefined =>
  store.damaged().find(({ from, log: of, to }) => of === log && from <= seq && seq <= to)

const without = (batch: EntryBatch.EntryBatch, seqs: ReadonlyArray<number>): ReadonlyArray<string> =>
  texts(batch).filter((_, i) => !seqs.includes(i + 1))

const appendFails = (store: Store, batch: EntryBatch.EntryBatch) =>
  Effect.map(Effect.result(store.append(batch)), (result) => {
    assert(Result.isFailure(result), "an append to a log whose end is damaged was accepted")
    assert.strictEqual((result.failure as ReplicaStore.StoreError).reason, "corrupt")
  })

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "the entries before and after a damaged one are served, whatever is read at once, and after a reopen too",
    Effect.gen(function* () {
      yield* damaged([4, 8, 9])
      for (let start = 0; start < 2; start++) {
        yield* using(({ store }) =>
          Effect.gen(function* () {
            for (const maxBytes of [1, 100, 1024 * 1024]) {
              assert.deepStrictEqual(yield* readable(store, logA, maxBytes), without(all, [4, 8, 9]))
            }
            assert.deepStrictEqual(yield* readable(store, logB), texts(other))
          })
        )
      }
    })
  ),

  Conformance.make(
    "what is damaged is named as it is found, and nothing beside it, and after a reopen too",
    Effect.gen(function* () {
      yield* damaged([8, 3])
      const three = { log: logA, from: 3, to: 3 }
      const eight = { log: logA, from: 8, to: 8 }
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* Effect.ignore(store.read(logA, 7, 1))
          assert.deepStrictEqual(store.damaged(), [eight])
          yield* readable(store, logA)
          assert.deepStrictEqual(store.damaged(), [eight, three])
        })
      )
      yield* using(({ store }) =>
        Effect.gen(function* () {
          yield* readable(store, logA)
          assert.sameDeepMembers([...store.damaged()], [eight, three])
        })
      )
    })
  ),

  Conformance.make(
    "damage in a batch of several costs no more than that batch",
    Effect.gen(function* () {
      yield* damaged([5], 3)
      yield* using(({ store }) =>
        Effect.gen(function* () {
          const found = yield* readable(store, logA)
          const { from, to } = rangeOf(store, logA, 5)!
          assert.isTrue(from >= 4 && to <= 6, `${from} to ${to} are named, and 4 to 6 were appended together`)
          const lost = Array.from({ length: to - from + 1 }, (_, i) => from + i)
          assert.deepStrictEqual(found, without(all, lost))
        })
      )
    })
  ),

  Conformance.make(
    "the chain is right on both sides of damage, and in it right or an error",
    Effect.gen(function* () {
      yield* damaged([1, 5, 6])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          for (let seq = 0; seq <= all.count; seq++) {
            const chain = yield* Effect.result(store.chainAt(logA, seq))
            if (Result.isSuccess(chain)) {
              assert.deepStrictEqual(chain.success, Option.some(EntryBatch.chainAt(all, seq)), `at ${seq}`)
            } else {
              assert.strictEqual(chain.failure.reason, "corrupt")
              assert.include([1, 5, 6], seq)
            }
          }
        })
      )
    })
  ),

  Conformance.make(
    "a log with damage in it goes on at its end, and its other entries are acked again",
    Effect.gen(function* () {
      yield* damaged([6])
      const more = following(EntryBatch.watermark(all), writesOf(2))
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* store.append(EntryBatch.after(all, 9)), EntryBatch.watermark(all))
          assert.deepStrictEqual(yield* store.append(more), EntryBatch.watermark(more))
        })
      )
      yield* using(({ store }) =>
        Effect.map(readable(store, logA), (found) =>
          assert.deepStrictEqual(found, [...without(all, [6]), ...texts(more)])
        )
      )
    })
  ),

  Conformance.make(
    "a log whose end is damaged takes no more, gives no place away again, and stops no other log",
    Effect.gen(function* () {
      yield* damaged([12])
      for (let start = 0; start < 2; start++) {
        yield* using(({ store }) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(store.damaged(), [{ log: logA, from: 12, to: 12 }])
            assert.isAtLeast((yield* head(store, logA)).seq, 12)
            yield* appendFails(store, following(EntryBatch.watermark(all), writesOf(1)))
            yield* appendFails(store, following(EntryBatch.watermark(range(all, 1, 11)), writesOf(1)))
            assert.deepStrictEqual(yield* readable(store, logA), without(all, [12]))
            const end = yield* head(store, logB)
            assert.strictEqual((yield* store.append(following(end, writesOf(1)))).seq, end.seq + 1)
          })
        )
      }
    })
  ),

  Conformance.make(
    "a replica on it says that it holds a log up to its first damaged entry, and the others whole",
    Effect.gen(function* () {
      yield* damaged([7, 10])
      for (let start = 0; start < 2; start++) {
        const { damaged, vector } = yield* Effect.scoped(statusOfReplica)
        assert.deepStrictEqual(damaged, [
          { log: logA, from: 7, to: 7 },
          { log: logA, from: 10, to: 10 }
        ])
        assert.sameDeepMembers(
          [...vector],
          [{ log: logA, seq: 6, chain: EntryBatch.chainAt(all, 6) }, EntryBatch.watermark(other)]
        )
      }
    })
  )
]

// ---------------------------------------------------------------------------------------------------------------------

const writesOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    kind: "put" as const,
    namespace: "ns",
    key: `more ${i}`,
    value: new Uint8Array(10)
  }))

/** The status of a replica without peers on the store of the place, which has taken its logs into an empty index. */
const statusOfReplica = Effect.gen(function* () {
  const { store } = yield* open()
  const context = yield* Layer.build(
    Replica.layer({ policy: Result.getOrThrow(QuorumPolicy.make({ n: 1, w: 1 })) }).pipe(
      Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, store)),
      Layer.provide(RecordIndex.layerMemory),
      Layer.provide(Layer.succeed(PeerTransport.PeerTransport, { maxInFlight: 1, connect: () => Effect.never })),
      Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, { cluster: owner.cluster, self: owner.replica, peers: [] }))
    )
  )
  return Context.get(context, ReplicaStatus.ReplicaStatus).current()
})
