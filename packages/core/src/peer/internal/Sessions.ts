/**
 * The sessions that peers have here: one per member, by which its later requests are known. Pure but for the ids, which
 * the caller draws; times are milliseconds of a monotonic clock.
 */
import type { Life } from "../../identity/Life.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"

/** The session of a peer. */
export interface Session {
  readonly id: string
  readonly peer: ReplicaId
  readonly life: Life
  lastSeen: number
}

/** The sessions of all peers. */
export interface Sessions {
  /**
   * Whether another process lives under the id of a peer, on another store: it was heard of within the time that a
   * session lasts. The same store in another run is a restart, and the same run with another incarnation was renewed.
   */
  readonly isTaken: (peer: ReplicaId, life: Life, now: number) => boolean
  /** The session of a peer: the one that it has, or a new one, which ends that of another life. */
  readonly open: (peer: ReplicaId, life: Life, now: number, newId: () => string) => Session
  /** The session of this id. `proven` is who the connection proves to be, and has to be its owner. */
  readonly enter: (id: string, proven: ReplicaId | undefined, now: number) => Session | undefined
}

/** Starts without sessions. A silent peer keeps its session, and with it its id, for `lastsMillis`. */
export const make = (lastsMillis: number): Sessions => {
  const byId = new Map<string, Session>()
  const byPeer = new Map<ReplicaId, Session>()
  return {
    isTaken: (peer, { incarnation, run }, now) => {
      const known = byPeer.get(peer)
      if (known === undefined || now - known.lastSeen > lastsMillis) return false
      return known.life.incarnation !== incarnation && known.life.run !== run
    },
    open: (peer, life, now, newId) => {
      const known = byPeer.get(peer)
      if (known !== undefined && known.life.incarnation === life.incarnation && known.life.run === life.run) {
        known.lastSeen = now
        return known
      }
      if (known !== undefined) byId.delete(known.id)
      const session: Session = { id: newId(), peer, life, lastSeen: now }
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
