/**
 * What the answers to the pushes over one connection are worth, and what follows from each: an ack that counts, another
 * greeting before it may, a drift, an entry that the peer will not take, or the end of the connection.
 */
import { Deferred, Effect } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import type { Membership } from "../Membership.ts"
import * as PeerProtocol from "../PeerProtocol.ts"
import type { Peers } from "../Peers.ts"
import type * as LinkState from "./LinkState.ts"

/** What the answer to a push is worth. */
export const judge = (peer: ReplicaId, batch: EntryBatch.EntryBatch, ack: PeerProtocol.Ack) => {
  if (ack.replica !== peer || ack.log !== batch.log || ack.seq !== EntryBatch.last(batch)) return "invalid"
  return ack.chain === batch.chain ? "ack" : "drift"
}

/**
 * Whether an ack may count: it comes from the life that was greeted, and peer and replica know of the same lives of the
 * members. A peer that knows of a life that is news here may be needed for what that life lacks (law L57).
 */
const isOfOneMind = (ack: PeerProtocol.Ack, welcome: PeerProtocol.Welcome, members: number): boolean =>
  ack.incarnation === welcome.incarnation && ack.members === members

/** One connection, and who hears of its answers. */
export interface Here {
  readonly peer: ReplicaId
  readonly welcome: PeerProtocol.Welcome
  readonly peers: Peers["Service"]
  readonly membership: Pick<Membership["Service"], "hash">
  readonly monotonicMillis: () => number
  /** A push was acked. */
  readonly onAck: () => void
  /** An ack does not count before the two have told each other what they know of the members. */
  readonly greetAgain: () => void
  /** The peer will not take an entry, so nothing after it can follow. */
  readonly onRejected: (rejection: PeerProtocol.PushRejected) => void
  /** The peer's copy of the log is damaged, and did not take the entries from this one on. */
  readonly onDamaged: (seq: number) => void
}

/** Begins with no answer. */
export const make = (here: Here) => {
  const { membership, monotonicMillis, peer, peers, welcome } = here
  const failure = Deferred.makeUnsafe<never, LinkState.LinkFailure>()
  let isSaid = false
  return {
    /** A push was answered. */
    answered: (batch: EntryBatch.EntryBatch, ack: PeerProtocol.Ack) => {
      const worth = judge(peer, batch, ack)
      if (worth === "invalid") return Deferred.fail(failure, invalidAck(peer))
      if (worth === "drift") {
        peers.report({ _tag: "Drift", peer, log: batch.log, monotonicMillis: monotonicMillis() })
      } else {
        here.onAck()
        const watermark = EntryBatch.watermark(batch)
        const { incarnation } = ack
        if (!ack.voting) peers.votes(peer, false)
        // One that votes since it was greeted last is greeted again, and not only at the next heartbeat.
        const isKnownToVote = !ack.voting || peers.get(peer).voting
        if (isKnownToVote && isOfOneMind(ack, welcome, membership.hash())) {
          peers.report({ _tag: "Ack", peer, incarnation, watermark, how: "push", monotonicMillis: monotonicMillis() })
        } else here.greetAgain()
      }
      return Effect.void
    },
    /** A push was refused, or came to no answer. */
    refused: (batch: EntryBatch.EntryBatch, error: PeerProtocol.PushError | PeerProtocol.PeerUnreachable) => {
      const { from: seq, log } = batch
      if (error._tag === "PushRejected") {
        // The rest of the link still works.
        here.onRejected(error)
        const { detail } = error
        peers.report({ _tag: "Rejected", peer, log, seq, detail, monotonicMillis: monotonicMillis() })
        return Effect.logError(`${peer} rejects entry ${seq} of ${log}: ${detail}`)
      }
      if (error._tag === "StoreError" && error.reason === "corrupt") {
        // It comes back; over this link, perhaps.
        here.onDamaged(seq)
        if (isSaid) return Effect.void
        isSaid = true
        return Effect.logWarning(`${peer} cannot say that it holds ${log}: ${error.message}`)
      }
      if (error._tag === "AppendDrift") {
        peers.report({ _tag: "Drift", peer, log, monotonicMillis: monotonicMillis() })
      }
      return Deferred.fail(failure, error)
    },
    /** The connection cannot go on. */
    fail: (error: LinkState.LinkFailure) => Deferred.fail(failure, error),
    /** Fails with what the connection cannot go on after. */
    failure: Deferred.await(failure)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const invalidAck = (peer: ReplicaId) =>
  new PeerProtocol.PeerUnreachable({
    peer,
    reason: "invalid_answer",
    detail: "the answer to a push does not name the replica and the place that were asked for"
  })
