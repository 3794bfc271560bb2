/**
 * What the store suite needs to know of a store: how it is opened, and opened again.
 */
import type { LogId, ReplicaId } from "@quorum/core"
import type { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, type Effect, type Layer } from "effect"

/** Whose store is opened. */
export interface Owner {
  readonly cluster: string
  readonly replica: ReplicaId.ReplicaId
}

/**
 * A new place for one store: an empty folder, a new database. A layer of it is built for every case, so nothing of one
 * case is found by another, and closing its scope takes the place away.
 *
 * `open` opens the store that is there, or creates it, as a new process would: what it knows, it knows from the place.
 * The store is closed with the scope of the layer.
 *
 * `damage` changes the bytes of one entry that is held there, as a bad disk would, while the store is closed: one bit of
 * its value will do. A place that cannot do that skips the cases of `ReplicaStoreConformance.needDamage`.
 *
 * `damageIndex` makes the index that is there unreadable in some of its parts, while it is closed, in such a way that it
 * can be opened. A place that cannot do that skips the cases of `RecordIndexConformance.needDamage`.
 */
export class StorePlace extends Context.Service<
  StorePlace,
  {
    readonly open: (
      owner: Owner
    ) => Layer.Layer<ReplicaStore.ReplicaStore | RecordIndex.RecordIndex, ReplicaStore.StoreError>
    readonly damage?: (log: LogId.LogId, seq: number) => Effect.Effect<void>
    readonly damageIndex?: Effect.Effect<void>
  }
>()("@quorum/testing/StorePlace") {}
