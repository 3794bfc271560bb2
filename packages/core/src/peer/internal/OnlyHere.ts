/**
 * What a replica that recovers holds and nobody else does: entries of former logs that were never replicated before it was
 * away, or its disk was thought lost. The others have gone on without it since, and may have forgotten deletes that came
 * after such an entry. So these entries are not announced, but to the owner of the log that has them, and before the replica
 * votes it is decided about each (decision 0070):
 *
 * - An entry that is later than all that any member has ever swept is later than every delete that is forgotten: it stays.
 * - Of another one each key has to have an older write here that members hold too. Were a delete of the key forgotten that
 *   came after the entry, it came after that write as well, which would have been erased everywhere before, and here when
 *   this replica was compared with them. Then the entry is merged by its version, as any other. A later write shows nothing:
 *   a delete that came before it may be forgotten, and it may not be everywhere yet, be it older than what was swept: who
 *   does not hold it would show the entry. Nor does a delete beside other records: it stands as long as they do, and keeps
 *   no later delete.
 * - What is left may have been deleted since, and nobody knows any more: it is dropped, and told by its keys.
 */
import * as Life from "../../identity/Life.ts"
import * as LogId from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type * as Entry from "../../log/Entry.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import { keyOf } from "../../log/KeyText.ts"
import type * as Watermark from "../../log/Watermark.ts"
import type * as Voting from "./Voting.ts"

/** The entries of a log after one, up to `upTo`. */
export interface Tail {
  readonly log: LogId.LogId
  readonly after: number
  readonly upTo: number
}

/** What has to be decided about, and the clock before which deletes may have been forgotten. */
export interface Tails {
  readonly tails: ReadonlyArray<Tail>
  readonly horizon: HybridLogicalClock.HybridLogicalClock
}

/** The owners of logs as they are known, and how far the logs of others went here as this life of the replica began. */
export interface Owners {
  readonly lives: Life.Lives
  readonly before: Watermark.VersionVector
}

/** Whether a log is that of a life of a member that goes on. */
const isOfItsOwner = (log: LogId.LogId, lives: Life.Lives): boolean =>
  Life.of(lives, LogId.owner(log))?.incarnation === LogId.incarnation(log)

/**
 * Up to where it has to be looked whether others hold a log. Of one whose owner goes on that is what was here before: the
 * owner's disk may have been put back since, as it was earlier, and all have gone on without what is here. What came since
 * came from the owner, or from somebody who holds what the owner holds.
 */
const questionableOf = ({ log, seq }: Watermark.Watermark, { before, lives }: Owners): number =>
  isOfItsOwner(log, lives) ? (before.find((each) => each.log === log)?.seq ?? 0) : seq

/** How far any of several members holds each log. */
const furthest = (vectors: Iterable<Watermark.VersionVector>): ReadonlyMap<LogId.LogId, number> => {
  const seqs = new Map<LogId.LogId, number>()
  for (const vector of vectors) {
    for (const { log, seq } of vector) seqs.set(log, Math.max(seq, seqs.get(log) ?? 0))
  }
  return seqs
}

/** What a member has answered that counts here. */
type Answer = Pick<Voting.Answer, "everSwept" | "vector" | "voting">

/** What of the logs whose ends are `heads` no member holds that has answered and votes. */
export const of = (heads: Watermark.VersionVector, answers: ReadonlyMap<ReplicaId, Answer>, owners: Owners): Tails => {
  const voting = Array.from(answers.values()).filter((answer) => answer.voting)
  const held = furthest(voting.map(({ vector }) => vector))
  const tails = heads.flatMap((head) => {
    const after = held.get(head.log) ?? 0
    return after < questionableOf(head, owners) ? [{ log: head.log, after, upTo: head.seq }] : []
  })
  return { tails, horizon: voting.map(({ everSwept }) => everSwept).reduce(later, HybridLogicalClock.zero) }
}

/**
 * A side of a fork, from the entry after `after` on: a voting member holds other entries there. What stands in any log in
 * which the two differ shows nothing; it may be on a side that only this replica holds.
 */
export const ofSide = (
  { after, log, upTo }: Tail,
  {
    heads,
    differing,
    owners,
    answer
  }: {
    readonly heads: Watermark.VersionVector
    readonly differing: ReadonlySet<LogId.LogId>
    readonly owners: Owners
    readonly answer: Answer & { readonly peer: ReplicaId }
  }
): Tails => {
  const { horizon, tails } = of(heads, new Map([[answer.peer, answer]]), owners)
  const others = heads.flatMap(({ log, seq }) => (differing.has(log) ? [{ log, after: 0, upTo: seq }] : []))
  const unlike = [{ log, after, upTo }, ...others.filter((other) => other.log !== log)]
  return { tails: [...unlike, ...tails.filter((tail) => unlike.every((other) => other.log !== tail.log))], horizon }
}

/**
 * What of the logs here one says to a peer that one holds, before it is decided about the rest: all that a voting member
 * holds too. How far each holds what is here is known once the chains were `compared`: one may hold as much, and on another
 * side of a fork. The owner of a log is told of it anyway: whoever goes on from less of it has lost some.
 */
export const shared = (
  heads: Watermark.VersionVector,
  compared: Iterable<ReadonlyMap<LogId.LogId, Watermark.Watermark>>,
  owners: Owners,
  peer: ReplicaId
): Watermark.VersionVector => {
  const held = furthest(Array.from(compared, (watermarks) => Array.from(watermarks.values())))
  return heads.filter(
    (head) =>
      questionableOf(head, owners) <= (held.get(head.log) ?? 0) ||
      (LogId.owner(head.log) === peer && isOfItsOwner(head.log, owners.lives))
  )
}

/** What a member says that it holds. */
interface Held {
  readonly replica: ReplicaId
  readonly incarnation: LogId.Incarnation
  readonly vector: Watermark.VersionVector
  readonly voting: boolean
}

/** What voting members have said last that they hold. */
export const make = () => {
  const said = new Map<ReplicaId, Held>()
  const vectors = () => Array.from(said.values(), ({ vector }) => vector)
  return {
    heard: (held: Held): void => {
      if (held.voting) said.set(held.replica, held)
      else said.delete(held.replica)
    },
    /**
     * Whether no member has an entry that is not here. Of a former log nobody has one that no member has said of: all vote,
     * so each holds all that it was ever counted for, and has said so in the life that it has now.
     */
    isGone: (
      { log, seq }: Watermark.Watermark,
      { lives, peers }: { readonly lives: Life.Lives; readonly peers: ReadonlyArray<ReplicaId> }
    ): boolean => {
      const newest = Life.of(lives, LogId.owner(log))?.incarnation
      return (
        newest !== undefined &&
        newest > LogId.incarnation(log) &&
        peers.every((peer) => said.get(peer)?.incarnation === Life.of(lives, peer)?.incarnation) &&
        (furthest(vectors()).get(log) ?? 0) < seq
      )
    }
  }
}

/** Whether it has to be looked whether the keys of an entry have other writes. */
export const isInQuestion = ({ clock }: Pick<Entry.Entry, "clock">, tails: Tails): boolean => !isLater(clock, tails)

/** Of keys in question the clock of the oldest write here that is not: an entry of the key may stay that is later. */
export type Known = ReadonlyMap<string, HybridLogicalClock.HybridLogicalClock>

/** A write that is not in question, of a key that is; `isAlone` when its entry has no other record. */
export interface Other {
  readonly kind: Entry.Write["kind"]
  readonly clock: Clock
  readonly isAlone: boolean
}

/** Takes in a write that is not in question, of a key that is. */
export const learn = (known: Map<string, Clock>, key: string, { clock, isAlone, kind }: Other): void => {
  // It may stand for another record of its entry alone, whatever was deleted later and is forgotten.
  if (kind === "delete" && !isAlone) return
  const before = known.get(key)
  if (before === undefined || HybridLogicalClock.compare(clock, before) < 0) known.set(key, clock)
}

/** Whether an entry stays. */
export const stays = (entry: Entry.Entry, tails: Tails, known: Known): boolean =>
  !isInQuestion(entry, tails) ||
  entry.records.every(({ key, namespace }) => {
    const oldest = known.get(keyOf(namespace, key))
    return oldest !== undefined && HybridLogicalClock.compare(oldest, entry.clock) < 0
  })

// ---------------------------------------------------------------------------------------------------------------------

type Clock = HybridLogicalClock.HybridLogicalClock

/** Whether a clock is later than all that any member has ever swept. */
const isLater = (clock: Clock, { horizon }: Tails): boolean => HybridLogicalClock.compare(clock, horizon) > 0

const later = (a: Clock, b: Clock): Clock => (HybridLogicalClock.compare(a, b) > 0 ? a : b)
