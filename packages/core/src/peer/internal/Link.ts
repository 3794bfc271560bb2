/**
 * What a replicator remembers of its peer from one connection to the next, and how a connection may end.
 */
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import type * as ReplicaStore from "../../log/ReplicaStore.ts"
import type * as QuorumError from "../../quorum/QuorumError.ts"
import * as PeerProtocol from "../PeerProtocol.ts"

/** What a replicator remembers from one connection to the next. */
export interface LinkState {
  readonly peer: ReplicaId.ReplicaId
  /** Failed connections in a row. */
  failures: number
  /** The last connection ended because the peer's store failed. */
  failsToStore: boolean
  /** The most bytes of entries in one push or pull: less on a link that has timed out. */
  batchBytes: number
}

/** Before the first connection. */
export const make = (peer: ReplicaId.ReplicaId): LinkState => ({
  peer,
  failures: 0,
  failsToStore: false,
  batchBytes: PeerProtocol.maxBatchBytes
})

/** The least that {@link LinkState.batchBytes} shrinks to: what a link of 8 kB/s carries within a request's time. */
const minBatchBytes = 16 * 1024

/** Why a connection ended. Errors of a store are those of the peer's: what fails here ends no connection. */
export type LinkFailure =
  | PeerProtocol.PeerUnreachable
  | PeerProtocol.HandshakeRefused
  | PeerProtocol.PushError
  | PeerProtocol.PullError
  | ReplicaStore.StoreError

/** Takes note of how a connection ended. */
export const noteFailure = (state: LinkState, error: LinkFailure): void => {
  state.failures++
  if (error._tag === "StoreError") state.failsToStore = true
  if (error._tag === "PeerUnreachable" && error.reason === "timed_out") {
    state.batchBytes = Math.max(minBatchBytes, Math.floor(state.batchBytes / 4))
  }
}

/** What the end of a connection says about the peer and a write. */
export const verdictOf = (error: LinkFailure): QuorumError.Verdict => {
  if (error._tag === "PeerUnreachable" && error.reason === "timed_out") return { _tag: "timed_out" }
  if (error._tag === "AppendDrift") return { _tag: "drifted" }
  if (error._tag === "PushRejected") return { _tag: "rejected", detail: error.detail }
  return { _tag: "refused", detail: error.message }
}

/** How long to wait before the next connection, in milliseconds: from 50 ms to 1 s, with jitter. `random` is in [0, 1). */
export const pauseMillis = (failures: number, random: number): number =>
  Math.min(1000, 50 * 1.5 ** (failures - 1)) * (0.8 + 0.4 * random)

/** A peer that gave no answer in time. */
export const silent = (peer: ReplicaId.ReplicaId, timeoutMillis: number) =>
  new PeerProtocol.PeerUnreachable({ peer, reason: "timed_out", detail: `no answer within ${timeoutMillis} ms` })

/** A defect on the way to a peer ends the connection, not the replicator. */
export const broken = (peer: ReplicaId.ReplicaId, defect: unknown) =>
  new PeerProtocol.PeerUnreachable({ peer, reason: "invalid_answer", detail: `the call failed: ${String(defect)}` })
