/**
 * What peers say about writes that have their answer already: acks in time that were not needed any more, and late
 * ones. They change no decision; only listeners hear of them.
 */
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { LogId } from "../../identity/LogId.ts"
import type { EventSink } from "../../events/EventSink.ts"
import type { PeerEvent } from "../../peer/Peers.ts"

/** Writes of one log that were answered, and that a peer has not acked yet. */
export interface Answered {
  readonly log: LogId
  readonly seq: number
  readonly writes: number
  readonly startedAt: number
  readonly deadline: number
}

/** How much is remembered of one peer that does not answer; the oldest is forgotten first. */
const maxRemembered = 1024

/** Remembers nothing while nobody listens. */
export const make = (sink: EventSink) => {
  const open = new Map<ReplicaId, Array<Answered>>()
  return {
    remember: (peer: ReplicaId, answered: Answered): void => {
      if (!sink.active()) return
      const known = open.get(peer) ?? []
      open.set(peer, known)
      known.push(answered)
      if (known.length > maxRemembered) known.shift()
    },
    hear: (event: PeerEvent): void => {
      if (event._tag !== "Ack") return
      const waiting = open.get(event.peer)
      if (waiting === undefined || waiting.length === 0) return
      const { log, seq } = event.watermark
      const isCovered = (answered: Answered): boolean => answered.log === log && answered.seq <= seq
      if (!waiting.some(isCovered)) return
      open.set(
        event.peer,
        waiting.filter((answered) => !isCovered(answered))
      )
      for (const { deadline, startedAt, writes } of waiting.filter(isCovered)) {
        const answer = event.monotonicMillis <= deadline ? "ack" : "late"
        sink.tell({
          _tag: "PeerAnswered",
          peer: event.peer,
          answer,
          writes,
          afterMillis: event.monotonicMillis - startedAt
        })
      }
    }
  }
}
