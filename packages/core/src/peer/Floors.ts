/**
 * Stable time: a clock at or before which nothing unknown can appear any more. Every entry with such a clock that there is,
 * or ever will be, is durably held by every member. Pure.
 *
 * Each member gives a *floor*: a clock, and with it all that the member holds at that moment and whose lives it knows. Of
 * its own log nothing that follows is stamped at or before the clock, nor is anything in the log of a later life. Stable
 * time is the least clock of floors that all members have given knowing the same lives, once every member holds all that
 * any of them held when it gave its floor. Why that is enough:
 *
 * - An entry of a log that is written now is before the end that its writer's floor names, or is stamped later.
 * - An entry of a closed log, that of a former life, was held by some member when that gave its floor, or no member gets
 *   it: whoever knows of a newer life takes nothing from the one before, and of members that have it from one another some
 *   had it first.
 * - What a member commits again has the clock that it had in another log. The member says how far its log may have such
 *   entries, and its floors of less of the log are void. It has said so before anybody counts it as one that holds the
 *   other log as all do.
 */
import * as Life from "../identity/Life.ts"
import type { LogId } from "../identity/LogId.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"

/** How far a log is held. */
export interface Place {
  readonly log: LogId
  readonly seq: number
}

/** What a member said at one moment. */
export interface Said {
  /** Nothing that it appends to its own log after the end that it named is stamped at or before this. */
  readonly clock: HybridLogicalClock.HybridLogicalClock
  /** The log that it writes, and its end as it was written, which may be further than it is durable. */
  readonly own: Place
  /** Up to where entries of its own log may be older than the floors that it gave before. */
  readonly again: number
  /** How far it held every log. */
  readonly vector: ReadonlyArray<Place>
  /** The newest lives of all members that it knew of. */
  readonly lives: Life.Lives
}

/**
 * The floors of one member: the newest that is reached, which is one of which every member holds all that its giver held;
 * one that is waited for; and the newest that was given since. A floor that is waited for is not replaced by a newer one,
 * which would ask for more and never be reached under load; and of those in between nothing is lost, since the newest
 * says all that they say.
 */
export interface Given {
  readonly reached: Said | undefined
  readonly waiting: Said | undefined
  readonly next: Said | undefined
}

/** The floors of all members. */
export type Floors = ReadonlyMap<ReplicaId, Given>

/** What each member is known to hold durably, in its present life; of those that count. */
export type Holdings = ReadonlyMap<ReplicaId, ReadonlyArray<Place>>

/** What is known of stable time. */
export interface Looked {
  readonly floors: Floors
  /** `undefined` as long as some member has given no floor that counts. */
  readonly clock: HybridLogicalClock.HybridLogicalClock | undefined
  /** Who has to say or to hold more before it rises. */
  readonly heldBackBy: ReadonlyArray<ReplicaId>
}

/** Takes in what a member said. It has to be taken in before the member is counted as holding what it said that it holds. */
export const heard = (floors: Floors, member: ReplicaId, said: Said): Floors => {
  const { next, reached, waiting } = mapped(floors.get(member) ?? nothing, (before) => !isVoided(before, said))
  const news = isVoided(said, said) ? next : said
  const given = waiting === undefined ? { reached, waiting: news, next: undefined } : { reached, waiting, next: news }
  return new Map(floors).set(member, given)
}

/** Stable time as of now: of the members in `holdings`, whose newest `lives` are known here. */
export const look = (floors: Floors, lives: Life.Lives, holdings: Holdings): Looked => {
  const held = new Map(
    Array.from(holdings, ([member, places]) => [member, new Map(places.map(({ log, seq }) => [log, seq]))])
  )
  const lacking = ({ own, vector }: Said): ReadonlyArray<ReplicaId> =>
    Array.from(held).flatMap(([member, seqs]) =>
      [...vector, own].some(({ log, seq }) => (seqs.get(log) ?? 0) < seq) ? [member] : []
    )
  const known = new Map<ReplicaId, Given>()
  for (const member of held.keys()) {
    const given = mapped(floors.get(member) ?? nothing, (said) => Life.areSame(said.lives, lives))
    known.set(
      member,
      advanced(given, (said) => lacking(said).length === 0)
    )
  }
  const clocks = Array.from(known.values(), ({ reached }) => reached?.clock ?? HybridLogicalClock.zero)
  const least = clocks.reduce((a, b) => (HybridLogicalClock.compare(a, b) <= 0 ? a : b))
  const heldBackBy = new Set<ReplicaId>()
  for (const [member, { reached, waiting }] of known) {
    if (reached !== undefined && HybridLogicalClock.compare(reached.clock, least) > 0) continue
    for (const each of waiting === undefined ? [member] : lacking(waiting)) heldBackBy.add(each)
  }
  const isGiven = Array.from(known.values()).every(({ reached }) => reached !== undefined)
  return { floors: known, clock: isGiven ? least : undefined, heldBackBy: Array.from(heldBackBy) }
}

// ---------------------------------------------------------------------------------------------------------------------

const nothing: Given = { reached: undefined, waiting: undefined, next: undefined }

/** Whether what was said is void by what is said now: of another life, or of less of a log than has older entries. */
const isVoided = (before: Said, { again, own }: Said): boolean => before.own.log !== own.log || before.own.seq < again

const mapped = ({ next, reached, waiting }: Given, stands: (said: Said) => boolean): Given => {
  const kept = (said: Said | undefined) => (said !== undefined && stands(said) ? said : undefined)
  const left = { reached: kept(reached), waiting: kept(waiting), next: kept(next) }
  return left.waiting === undefined ? { ...left, waiting: left.next, next: undefined } : left
}

const advanced = ({ next, reached, waiting }: Given, isReached: (said: Said) => boolean): Given => {
  if (waiting === undefined || !isReached(waiting)) return { next, reached, waiting }
  return advanced({ reached: waiting, waiting: next, next: undefined }, isReached)
}
