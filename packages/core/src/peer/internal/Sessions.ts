/**
 * The sessions that peers have here: one for each connection on which a member was greeted, by which its later requests
 * there are known. Pure but for the ids, which the caller draws; times are milliseconds of a monotonic clock.
 */
import type { Life } from "../../identity/Life.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { RunId } from "../../identity/RunId.ts"
import type { Caller } from "../PeerCaller.ts"

/** The session of a peer. */
export interface Session {
  readonly id: string
  readonly peer: ReplicaId
  readonly life: Life
  /** From where its last request came. */
  caller: Caller
  lastSeen: number
}

/** The sessions of all peers. */
export interface Sessions {
  /**
   * Whether another process lives under the id of a peer: it was heard of within the time that a session lasts. The same
   * run with another incarnation was renewed, and the same incarnation in another run is a restart, unless what the run
   * before last spoke on is still there.
   */
  readonly isTaken: (peer: ReplicaId, life: Life, now: number) => boolean
  /** The run of a process that was taken for another one of a peer within that time, as its first one is told. */
  readonly rivalOf: (peer: ReplicaId, life: Life, now: number) => RunId | undefined
  /**
   * The session of a peer on a connection: the one that it has there, or a new one. Another life of the peer ends those
   * of the life before; the same life keeps them, since a connection that broke may look alive for a while.
   */
  readonly open: (peer: ReplicaId, life: Life, caller: Caller, now: number, newId: () => string) => Session
  /**
   * The session of this id, if that was opened on the connection of the caller. `proven` is who the connection proves to be, and has
   * to be its owner.
   */
  readonly enter: (id: string, caller: Caller, proven: ReplicaId | undefined, now: number) => Session | undefined
}

/** The most sessions that one peer has at once: it uses one, and those of broken connections are left behind. */
export const maxSessions = 8

/** Starts without sessions. A silent peer keeps its sessions, and with them its id, for `lastsMillis`. */
export const make = (lastsMillis: number): Sessions => {
  const byId = new Map<string, Session>()
  const byPeer = new Map<ReplicaId, ReadonlyArray<Session>>()
  const rivals = new Map<ReplicaId, { readonly run: RunId; readonly at: number }>()
  const of = (peer: ReplicaId): ReadonlyArray<Session> => byPeer.get(peer) ?? []

  const keep = (peer: ReplicaId, kept: ReadonlyArray<Session>): void => {
    for (const session of of(peer)) if (!kept.includes(session)) byId.delete(session.id)
    byPeer.set(peer, kept)
  }

  return {
    isTaken: (peer, { incarnation, run }, now) => {
      const isTaken = of(peer).some(
        ({ caller, lastSeen, life }) =>
          now - lastSeen <= lastsMillis &&
          life.run !== run &&
          (life.incarnation !== incarnation || caller.isOpen?.() === true)
      )
      if (isTaken) rivals.set(peer, { run, at: now })
      return isTaken
    },
    rivalOf: (peer, { run }, now) => {
      const rival = rivals.get(peer)
      return rival !== undefined && rival.run !== run && now - rival.at <= lastsMillis ? rival.run : undefined
    },
    open: (peer, life, caller, now, newId) => {
      const same = of(peer).filter((known) => isSame(known.life, life))
      const known = same.find((session) => session.caller.connection === caller.connection)
      if (known !== undefined) return seen(known, caller, now)
      const session: Session = { id: newId(), peer, life, caller, lastSeen: now }
      byId.set(session.id, session)
      // Those that were silent for longest go: one that is in use stays, whoever else says hello in its name.
      const newest = same.toSorted((a, b) => b.lastSeen - a.lastSeen).slice(0, maxSessions - 1)
      keep(peer, [...newest, session])
      return session
    },
    enter: (id, caller, proven, now) => {
      const session = byId.get(id)
      if (session === undefined || session.caller.connection !== caller.connection) return undefined
      if (proven !== undefined && proven !== session.peer) return undefined
      return seen(session, caller, now)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const seen = (session: Session, caller: Caller, now: number): Session => {
  session.caller = caller
  session.lastSeen = now
  return session
}

const isSame = (a: Life, b: Life): boolean => a.incarnation === b.incarnation && a.run === b.run
