/**
 * What is found in the folder of a replica that does not run, by somebody who only looks: stores answer it without
 * changing anything there.
 */
import type { DamagedRange } from "./DamagedRange.ts"
import type * as LogId from "../identity/LogId.ts"
import type { StoreIdentity } from "./ReplicaStore.ts"

/** A log, with all of its rows read and compared with the chain. */
export interface InspectedLog {
  readonly log: LogId.LogId
  /** Its last entry. */
  readonly seq: number
  /** Entries that are held and do not fit the chain. */
  readonly damaged: ReadonlyArray<DamagedRange>
  /** Whether its end is among them: then it takes nothing more before that is mended or given up. */
  readonly isEndDamaged: boolean
}

/**
 * The record index, as the next start will find it: one that cannot be used is built again from the logs. `behind` is how
 * many entries of the logs it does not have yet. One that is `wrong` does not know what the logs say that it covers, or has
 * pointers that are damaged: the start does not see that, and a read, or the scrub, has it built again.
 */
export type InspectedIndex =
  | { readonly state: "usable"; readonly behind: number }
  | { readonly state: "missing" }
  | { readonly state: "unusable"; readonly why: string }
  | { readonly state: "wrong"; readonly why: string }

/** The folder of a store. */
export interface StoreInspection {
  readonly identity: StoreIdentity
  /** Whether the file is where it was when it was last open: a copy, a restored and a cloned one are elsewhere. */
  readonly isSamePlace: boolean
  /** Whether the machine was started again since. */
  readonly isSameBoot: boolean
  /** Whether it was closed in order, so that nothing is left to be taken in. */
  readonly isClosed: boolean
  /** Whether it could not sync what it had written. */
  readonly isUnsynced: boolean
  /** What the store says of its recovery: nothing when it holds all that it was counted for. */
  readonly recovering: string | undefined
  /** A restore into it was interrupted: no replica starts on it. */
  readonly isRestoredInPart: boolean
  readonly logs: ReadonlyArray<InspectedLog>
  readonly index: InspectedIndex
}
