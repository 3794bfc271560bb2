/**
 * Members that are away too long: each replica marks for itself whom it has not heard for too long, durably, and says so. When
 * so many have marked one life of a member as make a majority, the others go on without it: it holds nothing back any more,
 * and when it comes back it begins a new life (decision 0070). Pure, but for the record of the marks.
 */
import { Effect, Semaphore } from "effect"
import * as Life from "../../identity/Life.ts"
import { type Incarnation, incarnationWithout } from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type * as ReplicaStore from "../../log/ReplicaStore.ts"
import * as Notes from "./membershipNotes.ts"
import * as Voting from "./Voting.ts"

/** The members that one has marked, and in which life. */
export type Marks = Readonly<Record<ReplicaId, Incarnation>>

/** What a replica has heard of a member. */
export interface Heard {
  /** Milliseconds since it was heard of last, or since this replica was started. */
  readonly silentMillis: number
  /** Bytes that were appended here since. */
  readonly behindBytes: number
  /** Whether it answers now, and counts for a quorum. */
  readonly votes: boolean
  /** Whom it has marked, as it said last. */
  readonly marks: Marks
}

/** How long, and behind how much, a member may be away; and how long one is silent before it is away at all. */
export interface Patience {
  readonly millis: number
  readonly bytes: number
  readonly leastMillis: number
}

/** What is decided by. */
export interface Situation {
  readonly peers: ReadonlyMap<ReplicaId, Heard>
  readonly lives: Life.Lives
  readonly marks: Marks
  /** The members that were marked, and are there again, and that somebody may have left out all the same. */
  readonly lapsed: ReadonlyArray<ReplicaId>
  readonly patience: Patience
}

/** What a replica says of its marks: `turn` is how often they have changed. */
export interface Away {
  readonly turn: number
  readonly marks: Marks
}

/** What is noted of the marks: in `lapsed`, which members have not said since that they did not use one. */
export interface Noted extends Away {
  readonly lapsed: Readonly<Record<ReplicaId, Lapsed>>
}

/** A mark that was taken back. */
export interface Lapsed {
  readonly incarnation: Incarnation
  readonly unheard: ReadonlyArray<ReplicaId>
}

/**
 * How many members one may have marked at once, of `n`, so that never so many are left out that the rest cannot bring one
 * back: who is left out has been marked by a majority.
 */
export const mostMarked = (n: number): number => Math.ceil(Voting.majorityOf(n) ** 2 / n) - 1

/** The incarnation of a member that may be marked, or is: none of one that is unknown, or left out already. */
const presentOf = ({ lives }: Situation, peer: ReplicaId): Incarnation | undefined => {
  const life = Life.of(lives, peer)
  return Life.isLeftOut(life) ? undefined : life?.incarnation
}

const isMarked = (marks: Marks, peer: ReplicaId, incarnation: Incarnation | undefined): boolean =>
  incarnation !== undefined && Object.hasOwn(marks, peer) && marks[peer] === incarnation

/**
 * The members to mark now, of a replica that votes. None while it does not hear a majority: it may be the one that is away,
 * or its machine stood still.
 */
export const toMark = (situation: Situation): Marks => {
  const { lapsed, lives, marks, patience, peers } = situation
  const n = peers.size + 1
  const heard = Array.from(peers.values()).filter(({ votes }) => votes).length + 1
  if (heard < Voting.majorityOf(n)) return {}
  const isCounted = (peer: ReplicaId): boolean =>
    Object.hasOwn(marks, peer) || lapsed.includes(peer) || Life.isLeftOut(Life.of(lives, peer))
  let counted = Array.from(peers.keys()).filter(isCounted).length
  const found: Record<ReplicaId, Incarnation> = {}
  for (const [peer, { behindBytes, silentMillis }] of peers) {
    const incarnation = presentOf(situation, peer)
    const isTooLong =
      silentMillis >= patience.leastMillis && (silentMillis >= patience.millis || behindBytes >= patience.bytes)
    if (incarnation === undefined || isMarked(marks, peer, incarnation) || !isTooLong) continue
    if (!isCounted(peer) && counted++ >= mostMarked(n)) continue
    found[peer] = incarnation
  }
  return found
}

/** The members that a majority has marked in the life in which they are known, this replica among those who have. */
export const toLeaveOut = (situation: Situation): Life.Lives => {
  const { lives, marks, peers } = situation
  const found: Record<ReplicaId, Life.Life> = {}
  for (const peer of peers.keys()) {
    const incarnation = presentOf(situation, peer)
    if (!isMarked(marks, peer, incarnation)) continue
    const sayers = Array.from(peers.values()).filter((other) => other.votes && isMarked(other.marks, peer, incarnation))
    if (sayers.length + 1 >= Voting.majorityOf(peers.size + 1)) found[peer] = Life.without(Life.of(lives, peer)!)
  }
  return found
}

/** What is noted, once a member was heard of in some life; the same when that changes nothing. */
export const onHeard = (noted: Noted, peers: ReadonlyArray<ReplicaId>, peer: ReplicaId, said: Present): Noted => {
  const marks = { ...noted.marks }
  const lapsed = { ...noted.lapsed }
  const marked = Object.hasOwn(marks, peer) ? marks[peer]! : undefined
  // It votes in a life that nobody can have left out with the one before: whoever has, it is there again.
  const isBack = (before: Incarnation): boolean => said.voting && said.incarnation > incarnationWithout(before)
  if (marked !== undefined && isBack(marked)) delete marks[peer]
  else if (marked !== undefined && marked <= said.incarnation && said.incarnation <= incarnationWithout(marked)) {
    // In the life that is marked, or one that goes on from it after a boot: that is left out with it.
    delete marks[peer]
    lapsed[peer] = { incarnation: marked, unheard: peers.filter((other) => other !== peer) }
  }
  if (Object.hasOwn(lapsed, peer) && isBack(lapsed[peer]!.incarnation)) delete lapsed[peer]
  return changed(noted, marks, lapsed)
}

/** What is noted, once a member has answered a handshake in which these marks were said, and has left out nobody else's. */
export const onAnswer = (noted: Noted, lives: Life.Lives, peer: ReplicaId, said: Marks): Noted => {
  const lapsed: Record<ReplicaId, Lapsed> = {}
  for (const [member, { incarnation, unheard }] of Object.entries(noted.lapsed) as Array<[ReplicaId, Lapsed]>) {
    const isFree = !Object.hasOwn(said, member) && !Life.isLeftOut(Life.of(lives, member))
    const left = isFree ? unheard.filter((other) => other !== peer) : unheard
    if (left.length > 0) lapsed[member] = { incarnation, unheard: left }
  }
  return changed(noted, noted.marks, lapsed)
}

const changed = (noted: Noted, marks: Marks, lapsed: Noted["lapsed"]): Noted => {
  const next = { turn: noted.turn + 1, marks, lapsed }
  return JSON.stringify([marks, lapsed]) === JSON.stringify([noted.marks, noted.lapsed]) ? noted : next
}

/** The life in which a member was heard of, and whether it votes. */
interface Present {
  readonly incarnation: Incarnation
  readonly voting: boolean
}

/** The marks of this replica, and those that it was told of. */
export const make = (store: ReplicaStore.ReplicaStore["Service"], peers: ReadonlyArray<ReplicaId>, first: Noted) => {
  let noted = first
  /** One change at a time; and what is told meanwhile waits, so that nobody is told before what he has said counts. */
  const turn = Semaphore.makeUnsafe(1)
  const heard = new Map<ReplicaId, Said>()
  const note = (next: Noted): Effect.Effect<void, ReplicaStore.StoreError> =>
    next === noted
      ? Effect.void
      : Effect.map(Effect.uninterruptible(store.setNotes(Notes.encode({ away: next }))), () => void (noted = next))
  return {
    marks: (): Marks => noted.marks,
    lapsed: (): ReadonlyArray<ReplicaId> => Object.keys(noted.lapsed) as Array<ReplicaId>,
    says: (): Away => ({ turn: noted.turn, marks: noted.marks }),
    /** Marks more members; durable when it returns, and said from then on. */
    mark: (more: Marks): Effect.Effect<void, ReplicaStore.StoreError> =>
      turn.withPermit(Effect.suspend(() => note(changed(noted, { ...noted.marks, ...more }, noted.lapsed)))),
    /** Does something by the marks that there are, before more is heard of them. */
    inTurn: turn.withPermit,
    /** A member is there, in some life: it is not marked any more. */
    met: (peer: ReplicaId, said: Said): Effect.Effect<void, ReplicaStore.StoreError> =>
      turn.withPermit(
        Effect.suspend(() => {
          const before = heard.get(peer)
          // A message that was overtaken says what does not hold any more.
          const isOld = before?.incarnation === said.incarnation && said.away.turn < before.away.turn
          heard.set(peer, isOld ? { ...said, away: before.away } : said)
          return note(onHeard(noted, peers, peer, said))
        })
      ),
    /** A member has answered a handshake in which `said` were the marks. */
    answered: (lives: Life.Lives, peer: ReplicaId, said: Marks): Effect.Effect<void, ReplicaStore.StoreError> =>
      turn.withPermit(Effect.suspend(() => note(onAnswer(noted, lives, peer, said)))),
    /** What was heard of all members, by someone who was started at a time when so much had been appended. */
    heard: (now: Now, since: Now, voteMillis: number): ReadonlyMap<ReplicaId, Heard> =>
      new Map(
        peers.map((peer) => {
          const said = heard.get(peer)
          const { bytes, millis } = said ?? since
          const silentMillis = now.millis - millis
          const votes = said?.voting === true && silentMillis <= voteMillis
          return [peer, { silentMillis, behindBytes: now.bytes - bytes, votes, marks: said?.away.marks ?? {} }]
        })
      )
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** A moment: milliseconds of a monotonic clock, and how many bytes had been appended by then. */
interface Now {
  readonly millis: number
  readonly bytes: number
}

/** What a member said, and when. */
interface Said extends Now, Present {
  readonly away: Away
}
