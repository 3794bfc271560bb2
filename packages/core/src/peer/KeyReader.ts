/**
 * What the handler of peers' requests needs of the records: the newest write of a key. Rooms above provide it.
 */
import { Context, type Effect } from "effect"
import type { WriteId } from "../identity/WriteId.ts"
import type { StoreError } from "../log/ReplicaStore.ts"
import type { Stamp } from "../log/Entry.ts"
import type { Version } from "../log/Version.ts"

/** The newest write of a key, as one replica durably holds it. */
export interface NewestWrite extends Stamp {
  readonly writeId: WriteId
  readonly deleted: boolean
  readonly contentType?: string
  readonly value: Uint8Array
}

/** Reads keys for peers. */
export class KeyReader extends Context.Service<
  KeyReader,
  {
    /** The newest write of a key; nothing when none is held here. */
    readonly newest: (namespace: string, key: string) => Effect.Effect<NewestWrite | undefined, StoreError>
    /** Its version, which is found without a look at the write itself. */
    readonly version: (namespace: string, key: string) => Effect.Effect<Version | undefined, StoreError>
  }
>()("@quorum/core/KeyReader") {}
