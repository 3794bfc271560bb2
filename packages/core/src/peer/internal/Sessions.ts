/**
 * The sessions that peers have here: one per member, by which its later requests are known. Pure but for the ids, which
 * the caller draws; times are milliseconds of a monotonic clock.
 */
import type { Incarnation } from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"

/** The session of a peer. */
export interface Session {
  readonly id: string
  readonly peer: ReplicaId
  readonly incarnation: Incarnation
  lastSeen: number
}

/** The sessions of all peers. */
export interface Sessions {
  /** Whether another incarnation of a peer is alive: it was heard of within the time that a session lasts. */
  readonly isTaken: (peer: ReplicaId, incarnation: Incarnation, now: number) => boolean
  /** The session of a peer: the one that it has, or a new one, which ends that of another incarnation. */
  readonly open: (peer: ReplicaId, incarnation: Incarnation, now: number, newId: () => string) => Session
  /** The session of this id. `proven` is who the connection proves to be, and has to be its owner. */
  readonly enter: (id: string, proven: ReplicaId | undefined, now: number) => Session | undefined
}

/** Starts without sessions. A silent peer keeps its session, and with it its id, for `lastsMillis`. */
export const make = (lastsMillis: number): Sessions => {
  const byId = new Map<string, Session>()
  const byPeer = new Map<ReplicaId, Session>()
  return {
    isTaken: (peer, incarnation, now) => {
      const known = byPeer.get(peer)
      return known !== undefined && known.incarnation !== incarnation && now - known.lastSeen <= lastsMillis
    },
    open: (peer, incarnation, now, newId) => {
      const known = byPeer.get(peer)
      if (known !== undefined && known.incarnation === incarnation) {
        known.lastSeen = now
        return known
      }
      if (known !== undefined) byId.delete(known.id)
      const session: Session = { id: newId(), peer, incarnation, lastSeen: now }
      byId.set(session.id, session)
      byPeer.set(peer, session)
      return session
    },
    enter: (id, proven, now) => {
      const session = byId.get(id)
      if (session === undefined || (proven !== undefined && proven !== session.peer)) return undefined
      session.lastSeen = now
      return session
    }
  }
}
