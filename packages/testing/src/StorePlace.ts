/**
 * What the store suite needs to know of a store: how it is opened, and opened again.
 */
import type { ReplicaId } from "@quorum/core"
import type { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, type Layer } from "effect"

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
 */
export class StorePlace extends Context.Service<
  StorePlace,
  {
    readonly open: (
      owner: Owner
    ) => Layer.Layer<ReplicaStore.ReplicaStore | RecordIndex.RecordIndex, ReplicaStore.StoreError>
  }
>()("@quorum/testing/StorePlace") {}
