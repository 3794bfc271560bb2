/**
 * What a replicator remembers of the link to one peer from one connection to the next: how it failed, and how much it
 * carries.
 */
import type * as QuorumError from "../../quorum/QuorumError.ts"
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import type * as ReplicaStore from "../../log/ReplicaStore.ts"
import * as PeerProtocol from "../PeerProtocol.ts"

/** Why a connection ended, when the peer or the way to it was at fault. */
export type LinkFailure =
  | PeerProtocol.PeerUnreachable
  | PeerProtocol.HandshakeRefused
  | PeerProtocol.PushError
  | PeerProtocol.PullError
  | PeerProtocol.ProbeError
  | ReplicaStore.StoreError

/** What is remembered of the link to a peer. */
export interface LinkState {
  readonly peer: ReplicaId.ReplicaId
  /** Failed connections in a row. */
  readonly failures: number
  /** The last connection ended because the peer's store failed. */
  readonly failsToStore: boolean
  /** The most bytes of entries in one push or pull: less on a link that has timed out. */
  readonly batchBytes: number
}

/** A link on which nothing has failed yet. */
export const make = (peer: ReplicaId.ReplicaId): LinkState => ({
  peer,
  failures: 0,
  failsToStore: false,
  batchBytes: PeerProtocol.maxBatchBytes
})

/** The least that {@link LinkState.batchBytes} shrinks to: what a link of 8 kB/s carries within a request's time. */
export const minBatchBytes = 16 * 1024

/** The peer does what it is for: what is done after a failure starts anew. */
export const works = (state: LinkState): LinkState =>
  state.failures === 0 && !state.failsToStore ? state : { ...state, failures: 0, failsToStore: false }

/** A push was acked: the link carries twice as much, up to the limit. */
export const grown = (state: LinkState): LinkState =>
  state.batchBytes === PeerProtocol.maxBatchBytes
    ? state
    : { ...state, batchBytes: Math.min(PeerProtocol.maxBatchBytes, state.batchBytes * 2) }

/** A connection ended. After a time-out less is sent at once. */
export const failed = (state: LinkState, error: LinkFailure): LinkState => ({
  ...state,
  failures: state.failures + 1,
  failsToStore: state.failsToStore || error._tag === "StoreError",
  batchBytes: isTimeOut(error) ? Math.max(minBatchBytes, Math.floor(state.batchBytes / 4)) : state.batchBytes
})

/** A link that timed out carries one small batch at a time until it has shown that it can do more. */
export const isCautious = ({ batchBytes }: LinkState): boolean => batchBytes < PeerProtocol.maxBatchBytes

/**
 * How long to wait before the next connection: from 50 ms on, half as long again after each failure, up to 1 s, and up to
 * a fifth more or less by `random` (from 0 to below 1), so that replicas do not all try at once.
 */
export const pauseMillis = ({ failures }: LinkState, random: number): number =>
  Math.min(1000, 50 * 1.5 ** Math.max(0, failures - 1)) * (0.8 + 0.4 * random)

/** What a failed connection says about every write that waits for the peer. */
export const verdictOf = (error: LinkFailure): QuorumError.Verdict => {
  if (isTimeOut(error)) return { _tag: "timed_out" }
  if (error._tag === "AppendDrift") return { _tag: "drifted" }
  if (error._tag === "PushRejected") return { _tag: "rejected", detail: error.detail }
  return { _tag: "refused", detail: error.message }
}

// ---------------------------------------------------------------------------------------------------------------------

const isTimeOut = (error: LinkFailure): boolean => error._tag === "PeerUnreachable" && error.reason === "timed_out"
