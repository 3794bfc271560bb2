/**
 * What one write may ask for, and why it may not be answered with a receipt.
 */
import type { HybridLogicalClock } from "../log/HybridLogicalClock.ts"
import type * as ReplicaStore from "../log/ReplicaStore.ts"
import * as QuorumError from "../quorum/QuorumError.ts"
import type * as QuorumPolicy from "../quorum/QuorumPolicy.ts"
import type { ClientSession } from "../read/ClientSession.ts"
import type * as StampToken from "./StampToken.ts"

/** Why a commit was not answered with a receipt. */
export type CommitError =
  | QuorumError.QuorumUnavailable
  | QuorumError.LocalWriteFailed
  | QuorumError.WriteRejected
  | QuorumError.Overloaded
  | QuorumError.DiskLow
  | QuorumError.ReplicaClosing
  | QuorumError.NotReady
  | QuorumError.WriteUncertain
  | QuorumError.QuorumNotMet
  | QuorumError.InvalidPolicy
  | QuorumError.StampReused
  | QuorumError.IdempotencyKeyReused
  | QuorumError.IdempotencyUnknown
  | QuorumError.TooOldToKnow
  | QuorumError.WriteCompacted

/** Why the quorum of an earlier write was not answered with a receipt. `StoreError`: its log cannot be read here. */
export type ResumeError =
  | QuorumError.QuorumNotMet
  | QuorumError.InvalidPolicy
  | QuorumError.WriteUnknown
  | QuorumError.WriteReplaced
  | QuorumError.WriteCompacted
  | ReplicaStore.StoreError

/** What one write asks for, where it is not what the policy of its namespace says. */
export interface WriteOptions {
  /** How many replicas have to hold it. */
  readonly w?: QuorumPolicy.W
  /** A stamp that was drawn for its keys: however often it is committed, at whatever replicas, it is one write. */
  readonly stamp?: StampToken.StampToken
  /**
   * A key that the caller invents, 1 to 255 visible characters of ASCII, instead of a stamp: writes with one key to one
   * namespace are one write. See `commit`.
   */
  readonly idempotencyKey?: string
  /**
   * A clock that the write's comes after: that of a receipt, or of a record that was read. With it what one client does
   * at several replicas stays in order, for any `w`. A stamp has a clock already.
   */
  readonly after?: HybridLogicalClock
  /** What its client did and saw before, at whatever replicas: the write comes after all of it. As `after`, for more. */
  readonly session?: ClientSession
}

/** The stamp that a write asks for. What throws while it is read is none, and is said where `w` is read. */
export const stampIn = (options: WriteOptions | undefined): unknown => fieldIn(options, "stamp")

/** The key that a write asks for, as {@link stampIn}. */
export const keyIn = (options: WriteOptions | undefined): unknown => fieldIn(options, "idempotencyKey")

/** The session that a write asks for, as {@link stampIn}. */
export const sessionIn = (options: WriteOptions | undefined): unknown => fieldIn(options, "session")

/**
 * Why the quorum of an earlier write cannot be waited for with these options, which may be anything at all: they have
 * something besides `w` at which nobody would look. What throws when it is looked at is said where `w` is read.
 */
export const refusalOfResume = (options: unknown): QuorumError.InvalidPolicy | undefined => {
  const other = namesOf(options).find((name) => name !== "w")
  if (other === undefined) return undefined
  const detail = `${other} is no option of resume: the write is made already; give w alone`
  return new QuorumError.InvalidPolicy({ detail })
}

// ---------------------------------------------------------------------------------------------------------------------

const fieldIn = (options: WriteOptions | undefined, field: keyof WriteOptions): unknown => {
  try {
    return options?.[field]
  } catch {
    return undefined
  }
}

/** The names of what is given. */
const namesOf = (options: unknown): ReadonlyArray<string> => {
  try {
    return Object.entries(Object(options)).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  } catch {
    return []
  }
}
