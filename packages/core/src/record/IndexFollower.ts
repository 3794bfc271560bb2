/**
 * The newest writes of all keys: those of the record index, and those that it does not have yet. The index is filled
 * behind the logs, as pointers in memory that are merged into it in large sorted steps, off the path of a commit.
 *
 * An index that cannot be written, on a full disk say, stops nothing: what it lacks stays in memory, about a hundred
 * bytes a key, until it can be written again. One that is damaged is built again from the logs while the replica goes
 * on; until that is done nobody knows which write of a key is the newest, so nothing is answered.
 */
import { Context, Effect, Layer, Option } from "effect"
import * as PassingFault from "../log/PassingFault.ts"
import type { ReplicaLogs } from "../log/ReplicaLogs.ts"
import { type DamagedRange, StoreError } from "../log/ReplicaStore.ts"
import * as IndexBuilder from "./internal/IndexBuilder.ts"
import * as Unindexed from "./internal/Unindexed.ts"
import * as RecordIndex from "./RecordIndex.ts"
import type * as RecordKey from "./RecordKey.ts"

/** What is known of a key; `undefined` where no write of it is. */
export interface Newest {
  readonly newest: RecordIndex.Pointer | undefined
  readonly indexed: RecordIndex.Pointer | undefined
  /** No write of it waits to be taken into the index. */
  readonly isSettled: boolean
}

/** The newest writes of all keys: those of the index, and those that it does not have yet. */
export class IndexFollower extends Context.Service<
  IndexFollower,
  {
    /** The newest write of a key that is durably appended here; `undefined` when there is none. */
    readonly newest: (namespace: string, key: string) => Effect.Effect<RecordIndex.Pointer | undefined, StoreError>
    /**
     * The newest write of each of some keys, in their order, and the one that the index has, which is a little older where a
     * key is written again and again.
     */
    readonly newestOf: (keys: ReadonlyArray<RecordKey.RecordKey>) => Effect.Effect<ReadonlyArray<Newest>, StoreError>
    /**
     * The newest writes of the first keys of a range, in their order, deletes among them. `isLast` says that there are no
     * more keys.
     */
    readonly scan: (
      scan: RecordIndex.Scan
    ) => Effect.Effect<{ readonly pointers: ReadonlyArray<RecordIndex.Pointer>; readonly isLast: boolean }, StoreError>
    /** Says that a pointer leads to another write than it says, so that nothing of the index can be trusted. */
    readonly distrust: (error: StoreError) => Effect.Effect<void>
    /** Whether the index, which was damaged, is being built again. */
    readonly isBuilding: () => boolean
    /** Damaged entries of which nobody knows the keys: any of them may be the newest write of any key. */
    readonly unreadable: () => ReadonlyArray<DamagedRange>
    /** How many keys wait in memory to be merged into the index. */
    readonly unindexed: () => number
    /** Why the index could not be read last, as long as it has not been since. It is tried again every second. */
    readonly fault: () => StoreError | undefined
  }
>()("@quorum/core/IndexFollower") {}

/** Brings the index up to the logs and keeps it there until the scope closes. */
export const make = Effect.gen(function* () {
  const index = yield* RecordIndex.RecordIndex
  const builder = yield* IndexBuilder.make
  const fault = yield* PassingFault.make

  /**
   * Asks the index, now, and makes of its answer what is known, which `then` hands to `answer`. It may take turns before, in
   * which the index may be given up.
   */
  const reading = <A, B>(
    ask: Effect.Effect<A, StoreError>,
    then: (found: A, answer: <C>(known: C) => Effect.Effect<C, StoreError>) => Effect.Effect<B, StoreError>
  ): Effect.Effect<B, StoreError> => {
    if (builder.isBuilding()) return Effect.fail(beingBuilt)
    const generation = builder.generation()
    const answer = <C>(known: C): Effect.Effect<C, StoreError> =>
      builder.generation() === generation ? Effect.succeed(known) : Effect.fail(beingBuilt)
    return Effect.matchEffect(ask, {
      onFailure: (error) => {
        if (error.reason === "corrupt") return Effect.andThen(builder.distrust(error), Effect.fail(error))
        fault.failed(
          error,
          Effect.suspend(() => reading(ask, then))
        )
        return Effect.fail(error)
      },
      onSuccess: (found) => {
        fault.passed()
        return then(found, answer)
      }
    })
  }

  return IndexFollower.of({
    newest: (namespace, key) =>
      Effect.suspend(() => {
        const unindexed = builder.unindexed().newest(namespace, key)
        return reading(index.get(namespace, key), (indexed, answer) =>
          answer(Unindexed.newer(unindexed, Option.getOrUndefined(indexed)))
        )
      }),
    newestOf: (keys) =>
      Effect.suspend(() => {
        const unindexed = keys.map(({ key, namespace }) => builder.unindexed().newest(namespace, key))
        return reading(index.getAll(keys), (found, answer) =>
          answer(
            found.map((indexed, i) => ({
              newest: Unindexed.newer(unindexed[i], indexed),
              indexed,
              isSettled: unindexed[i] === undefined
            }))
          )
        )
      }),
    scan: (scan) =>
      Effect.suspend(() => {
        // Captured before the scan: what is merged into the index meanwhile is in one of the two.
        const tables = builder.unindexed().tables()
        return reading(index.scan(scan), (indexed, answer) =>
          Effect.flatMap(inTurns(Unindexed.joined(indexed, tables, scan)), answer)
        )
      }),
    distrust: builder.distrust,
    isBuilding: builder.isBuilding,
    unreadable: () => builder.unindexed().unreadable(),
    unindexed: () => builder.unindexed().size(),
    fault: fault.current
  })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<IndexFollower, StoreError, ReplicaLogs | RecordIndex.RecordIndex> = Layer.effect(
  IndexFollower,
  make
)

// ---------------------------------------------------------------------------------------------------------------------

/** Does work that stops now and then; others have their turn meanwhile. */
const inTurns = <A>(work: Generator<void, A>): Effect.Effect<A> =>
  Effect.suspend(() => {
    const { done, value } = work.next()
    return done === true ? Effect.succeed(value) : Effect.andThen(Effect.yieldNow, inTurns(work))
  })

const beingBuilt = new StoreError({
  reason: "unavailable",
  detail: "the record index was damaged, and is being built again from the logs"
})
