/**
 * A replica store whose disk fails: slow, full, or an fsync after which nobody knows what is held.
 */
import { type EntryBatch, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer } from "effect"
import * as Faults from "./Faults.ts"

/** What can go wrong with one append. */
export type StoreFault =
  /** The disk takes its time: the append happens when `wait` ends. */
  | { readonly _tag: "SlowDisk"; readonly wait: Effect.Effect<void> }
  /** The append fails, and nothing of it is held. */
  | { readonly _tag: "FailedAppend"; readonly reason: ReplicaStore.StoreError["reason"] }
  /**
   * The append fails as `uncertain`, whether it is held or not: `held` decides. The calls after it, which are never
   * tried, fail as `unavailable`, as the port demands; a store made anew on the same logs finds what is held.
   */
  | { readonly _tag: "FailedFsync"; readonly held: boolean }

/** What the faults of a store are asked about. */
export interface StoreCall {
  readonly batch: EntryBatch.EntryBatch
}

/** The source of a store's faults. */
export type StoreFaults = Faults.Faults<StoreCall, StoreFault>

/** Makes the source of a store's faults. */
export const faults = (plan?: Faults.Plan<StoreCall, StoreFault>): StoreFaults => Faults.make(plan)

/** A disk that takes so long, in milliseconds. */
export const slowDisk = (millis: number): StoreFault => ({ _tag: "SlowDisk", wait: Effect.sleep(millis) })

/** A disk that takes until an effect ends, a latch's `await` for example. */
export const slowDiskUntil = (wait: Effect.Effect<void>): StoreFault => ({ _tag: "SlowDisk", wait })

/** An append that fails for a reason, `disk_full` unless given, and leaves nothing behind. */
export const failedAppend = (reason: ReplicaStore.StoreError["reason"] = "disk_full"): StoreFault => ({
  _tag: "FailedAppend",
  reason
})

/** An fsync that fails; `held` says whether the entries reached the disk all the same. */
export const failedFsync = (held: boolean): StoreFault => ({ _tag: "FailedFsync", held })

/**
 * Decorates a store, whose appends fail as a whole: it has no `steps` to go through. Opening it anew after a failed fsync is decorating the same store
 * once more.
 */
export const make = (
  store: ReplicaStore.ReplicaStore["Service"],
  source: StoreFaults
): ReplicaStore.ReplicaStore["Service"] => {
  let refusal: ReplicaStore.StoreError | undefined
  const unlessRefused = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.suspend((): Effect.Effect<A, E | ReplicaStore.StoreError, R> =>
      refusal === undefined ? effect : Effect.fail(refusal)
    )
  const fails = (reason: ReplicaStore.StoreError["reason"], detail: string) =>
    new ReplicaStore.StoreError({ reason, detail })
  const { steps: _, ...whole } = store
  return ReplicaStore.ReplicaStore.of({
    ...whole,
    get identity() {
      return store.identity
    },
    note: (name) => unlessRefused(store.note(name)),
    setNotes: (notes) => unlessRefused(store.setNotes(notes)),
    renew: (above) => unlessRefused(store.renew(above)),
    append: (batch) =>
      unlessRefused(
        Effect.suspend((): ReturnType<typeof store.append> => {
          const fault = source.decide({ batch })
          switch (fault?._tag) {
            case undefined:
              return store.append(batch)
            case "SlowDisk":
              source.happened(fault._tag)
              return Effect.andThen(fault.wait, unlessRefused(store.append(batch)))
            case "FailedAppend":
              source.happened(fault._tag)
              return Effect.fail(fails(fault.reason, "a fault: the append failed"))
            case "FailedFsync":
              // A gap or a drift is refused before anything is written, so it does not come to an fsync.
              return Effect.flatMap(fault.held ? store.append(batch) : Effect.void, () => {
                source.happened(fault._tag)
                refusal = fails("unavailable", "an earlier append is uncertain; open the store again")
                return Effect.fail(fails("uncertain", "a fault: the fsync failed"))
              })
          }
        })
      ),
    read: (log, after, maxBytes) => unlessRefused(store.read(log, after, maxBytes)),
    chainAt: (log, seq) => unlessRefused(store.chainAt(log, seq)),
    watermarks: unlessRefused(store.watermarks),
    space: unlessRefused(store.space),
    check: (log, after, maxBytes) => unlessRefused(store.check(log, after, maxBytes)),
    replace: (batch) => unlessRefused(store.replace(batch)),
    cut: (log, after) => unlessRefused(store.cut(log, after))
  })
}

/** Decorates the store in context: `FaultyReplicaStore.layer(faults).pipe(Layer.provide(SqliteStore.layer(…)))`. */
export const layer = (source: StoreFaults): Layer.Layer<ReplicaStore.ReplicaStore, never, ReplicaStore.ReplicaStore> =>
  Layer.effect(
    ReplicaStore.ReplicaStore,
    Effect.map(ReplicaStore.ReplicaStore, (store) => make(store, source))
  )
