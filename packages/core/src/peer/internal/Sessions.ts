/**
 * Who has made a handshake here, and may ask: one session per member, which ends when the member comes back with another
 * incarnation.
 */
import { Option } from "effect"
import type { Incarnation } from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"

/** A member that has made a handshake. */
export interface Session {
  readonly id: string
  readonly peer: ReplicaId
  readonly incarnation: Incarnation
}

/** The sessions of one replica. */
export type Sessions = ReturnType<typeof make>

/**
 * Starts without a session. A member that was silent for `silentMillis` has given up its id: another incarnation may
 * have it. Times are those of a monotonic clock.
 */
export const make = (silentMillis: number) => {
  interface Known extends Session {
    seenMonotonicMillis: number
  }
  const byId = new Map<string, Known>()
  const byPeer = new Map<ReplicaId, Known>()
  return {
    /** Whether another incarnation of the member has been heard of too lately to be gone. */
    isTaken: (peer: ReplicaId, incarnation: Incarnation, monotonicMillis: number): boolean => {
      const known = byPeer.get(peer)
      return (
        known !== undefined &&
        known.incarnation !== incarnation &&
        monotonicMillis - known.seenMonotonicMillis <= silentMillis
      )
    },
    /** The session of a member: the one that it has, or with another incarnation a new one, which ends the old. */
    open: (session: Session, monotonicMillis: number): Session => {
      const known = byPeer.get(session.peer)
      if (known?.incarnation === session.incarnation) {
        known.seenMonotonicMillis = monotonicMillis
        return known
      }
      if (known !== undefined) byId.delete(known.id)
      const opened: Known = { ...session, seenMonotonicMillis: monotonicMillis }
      byId.set(opened.id, opened)
      byPeer.set(opened.peer, opened)
      return opened
    },
    /** The session of a request; none when the connection proves another identity than the session's owner. */
    enter: (id: string, proven: Option.Option<ReplicaId>, monotonicMillis: number): Session | undefined => {
      const session = byId.get(id)
      if (session === undefined || (Option.isSome(proven) && proven.value !== session.peer)) return undefined
      session.seenMonotonicMillis = monotonicMillis
      return session
    }
  }
}
