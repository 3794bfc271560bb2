/**
 * What listeners hear of writes that wait for their quorum, and of what peers say about them: each write is told of once,
 * and not again when its quorum is waited for anew.
 */
import type { EventSink } from "../../events/EventSink.ts"
import type { CommitOutcome, PeerAnswer } from "../../events/ReplicaEvents.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { PeerEvent } from "../../peer/Peers.ts"
import type { Reason } from "../../quorum/QuorumError.ts"
import * as LateAnswers from "./LateAnswers.ts"
import type { WriteGroup } from "./WriteGroup.ts"

/** Nothing was told yet. */
export const make = (sink: EventSink) => {
  const lateAnswers = LateAnswers.make(sink)

  const tell = ({ isNew, tracker, waiters }: WriteGroup, peer: ReplicaId, answer: PeerAnswer, at: number): void => {
    if (!isNew || !sink.active()) return
    const afterMillis = Math.max(0, at - tracker.startedAt)
    sink.tell({ _tag: "PeerAnswered", peer, answer, writes: waiters.length, afterMillis })
  }

  return {
    /** A group waits: what was known of the peers by then. */
    began: (group: WriteGroup): void => {
      for (const { at, id, verdict } of group.tracker.peers) {
        const answer = earlyAnswers[verdict?._tag ?? ""]
        if (answer !== undefined) tell(group, id, answer, at)
      }
    },
    /** An event has changed what is known of a group that waits. */
    heard: (group: WriteGroup, event: PeerEvent): void => {
      const answer = answerOf(event)
      if (answer !== undefined) tell(group, event.peer, answer, event.monotonicMillis)
    },
    /** A group has its answer. */
    ended: (
      { isNew, tracker, waiters }: WriteGroup,
      outcome: CommitOutcome,
      reason: Reason | undefined,
      at: number
    ) => {
      if (!isNew || !sink.active()) return
      const durationMillis = Math.max(0, at - tracker.startedAt)
      sink.tell({ _tag: "CommitsEnded", outcome, reason, writes: waiters.length, durationMillis })
    },
    /** It waits no more: who has not acked yet may still do so. */
    answered: ({ isNew, log, seq, tracker, waiters }: WriteGroup): void => {
      if (!isNew) return
      const { deadline, peers, startedAt } = tracker
      for (const { id, verdict } of peers) {
        if (verdict?._tag !== "acked")
          lateAnswers.remember(id, { log, seq, writes: waiters.length, startedAt, deadline })
      }
    },
    /** What a peer says about groups that wait no more. */
    hear: lateAnswers.hear
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** What a peer's verdict is to listeners when it is known before anybody waits. */
const earlyAnswers: Readonly<Record<string, PeerAnswer>> = {
  acked: "ack",
  drifted: "id_drift",
  rejected: "rejected"
}

/** What an event that concerns a group is to listeners; a connection that comes up is no answer. */
const answerOf = (event: PeerEvent): PeerAnswer | undefined => {
  switch (event._tag) {
    case "Ack":
      return "ack"
    case "TakenBack":
      return undefined
    case "Drift":
    case "Replaced":
      return "id_drift"
    case "Rejected":
      return "rejected"
    case "Link":
      return event.link._tag === "Down" ? "failed" : undefined
  }
}
