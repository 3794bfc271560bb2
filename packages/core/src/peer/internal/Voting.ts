/**
 * Who votes: when a replica that may lack what it acknowledged counts again, and when the first start of a replica set is
 * over. Pure.
 *
 * An ack is counted because its replica holds the entry, and still holds every entry that it was ever counted for. A
 * quorum and any N - M + 1 members (M: the majority) share a member, so whoever holds all that so many voting members
 * hold, since they know that its former life is over, holds all that its former life was needed for.
 */
import type { Incarnation, LogId } from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as BackupOrigin from "../../log/BackupOrigin.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import type * as Watermark from "../../log/Watermark.ts"

/** What a peer answered to a handshake that named this life of the replica: it has made that durable. */
export interface Answer {
  readonly incarnation: Incarnation
  readonly voting: boolean
  /** It was blank when it met this life. */
  readonly blank: boolean
  /** The backup that its store was filled from. */
  readonly restoredFrom: BackupOrigin.BackupOrigin | undefined
  readonly vector: Watermark.VersionVector
  /** Its floor: what is committed in this life may not be older. */
  readonly floor: HybridLogicalClock.HybridLogicalClock
  /** Before which clock any member that it knows of has ever swept: deletes before it may be forgotten. */
  readonly everSwept: HybridLogicalClock.HybridLogicalClock
}

/** The answers to one life of a replica. */
export type Answers = ReadonlyMap<ReplicaId, Answer>

/**
 * Takes in an answer. Of a voting peer the first one stands, as what has to be held here: a later one would ask for
 * more, and never be reached under load. It falls when the peer itself has another life, and when it holds less of a log
 * by then, or something else: it has given up a side of a fork, and holds that elsewhere.
 */
export const heard = (answers: Answers, peer: ReplicaId, answer: Answer): Answers => {
  const before = answers.get(peer)
  const isSame = before?.voting === true && before.incarnation === answer.incarnation && answer.voting
  const stands = isSame && before.vector.every((said) => goesOnFrom(said, answer.vector))
  if (stands && before.blank === answer.blank) return answers
  return new Map(answers).set(peer, stands ? { ...before, blank: answer.blank } : answer)
}

/** Whether a log, as it is in a vector, may go on from a watermark of it. */
const goesOnFrom = ({ chain, log, seq }: Watermark.Watermark, vector: Watermark.VersionVector): boolean => {
  const said = vector.find((watermark) => watermark.log === log)
  return said !== undefined && (said.seq > seq || (said.seq === seq && said.chain === chain))
}

/** A peer has another life than the one that answered. */
export const fallen = (answers: Answers, peer: ReplicaId, newest: Incarnation): Answers => {
  const before = answers.get(peer)
  if (before === undefined || before.incarnation === newest) return answers
  return without(answers, peer)
}

/** What a peer answered does not count: it is asked again. */
export const without = (answers: Answers, peer: ReplicaId): Answers => {
  const left = new Map(answers)
  left.delete(peer)
  return left
}

/**
 * The floor to begin with: whoever rests on a floor of a former life rests on one of each of the others too, and of a time
 * before they knew of this life.
 */
export const floorOf = (answers: Answers): HybridLogicalClock.HybridLogicalClock =>
  Array.from(answers.values(), ({ floor }) => floor).reduce(
    (a, b) => (HybridLogicalClock.compare(a, b) > 0 ? a : b),
    HybridLogicalClock.zero
  )

/** How many members are a majority, of a replica set of `n`. */
export const majorityOf = (n: number): number => Math.floor(n / 2) + 1

/** How many voting members have to have answered, of a replica set of `n`. */
export const neededOf = (n: number): number => n - (Math.floor(n / 2) + 1) + 1

/** What a replica that does not vote is asked to decide by. */
export interface Situation {
  readonly peers: ReadonlyArray<ReplicaId>
  readonly blank: boolean
  /** The backup that the store was filled from. */
  readonly restoredFrom: BackupOrigin.BackupOrigin | undefined
  readonly answers: Answers
  /** Members that an operator has given up: nothing is waited for from them, and what only they hold is lost. */
  readonly givenUp: ReadonlySet<ReplicaId>
  /** Whether all that an answer says of a log is durably held here. */
  readonly holds: (peer: ReplicaId, watermark: Watermark.Watermark) => boolean
}

/** The members that are not given up. */
export const waitedFor = ({ givenUp, peers }: Pick<Situation, "givenUp" | "peers">): ReadonlyArray<ReplicaId> =>
  peers.filter((peer) => !givenUp.has(peer))

/** Whether nobody who is waited for goes on from before. */
const isFirstStart = (situation: Situation): boolean =>
  situation.blank && waitedFor(situation).every((peer) => situation.answers.get(peer)?.blank === true)

/** Blank members whose stores were filled from another backup than the store here, or one of the two from none. */
const otherwiseRestored = (situation: Situation): ReadonlyArray<ReplicaId> =>
  waitedFor(situation).filter((peer) => {
    const answer = situation.answers.get(peer)
    return answer?.blank === true && !BackupOrigin.isSame(answer.restoredFrom, situation.restoredFrom)
  })

/** Why a replica votes from now on; `undefined` while it does not. */
export const decide = (situation: Situation): "founded" | "recovered" | undefined => {
  const { answers, givenUp, holds, peers } = situation
  const awaited = waitedFor(situation)
  if (isFirstStart(situation) && otherwiseRestored(situation).length === 0) return "founded"
  const voting = Array.from(answers).filter(([peer, answer]) => answer.voting && !givenUp.has(peer))
  // When those who would be needed are given up, all the others have to have answered.
  if (voting.length < Math.min(neededOf(peers.length + 1), awaited.length)) return undefined
  return voting.every(([peer, { vector }]) => vector.every((watermark) => holds(peer, watermark)))
    ? "recovered"
    : undefined
}

/** How many entries of what was answered are not held here. What is erased counts as the entries that it was. */
export const toFetch = (answers: Answers, held: (log: LogId) => number): number => {
  const ends = new Map<LogId, number>()
  for (const { vector } of answers.values()) {
    for (const { log, seq } of vector) ends.set(log, Math.max(seq, ends.get(log) ?? 0))
  }
  return Array.from(ends, ([log, seq]) => Math.max(0, seq - held(log))).reduce((sum, count) => sum + count, 0)
}

/** What is lost when members are given up, in words. */
export const lossOf = (peers: ReadonlyArray<ReplicaId>, givenUp: ReadonlyArray<ReplicaId>): string => {
  const others = waitedFor({ peers, givenUp: new Set(givenUp) }).join(", ")
  const hold = givenUp.length === 1 ? "holds" : "hold"
  return `what only ${givenUp.join(", ")} ${hold}, or this replica held, and not ${others || "this store"}, is lost`
}

/** Why a replica set does not begin although all are there, in words. */
export const differentBackups = (situation: Situation): string | undefined => {
  const { answers, restoredFrom } = situation
  const different = isFirstStart(situation) ? otherwiseRestored(situation) : []
  if (different.length === 0 || different.some((peer) => answers.get(peer)!.voting)) return undefined
  const theirs = different.map((peer) => `${peer} has ${BackupOrigin.format(answers.get(peer)!.restoredFrom)}`)
  return (
    `members were restored from different backups, and have to begin with one: this one has ` +
    `${BackupOrigin.format(restoredFrom)}, ${theirs.join(", ")}; restore one file at all, each in an empty folder`
  )
}

/** What a replica that does not vote waits for, in words. */
export const waitsFor = (situation: Situation): string => {
  const { answers, blank, holds, peers } = situation
  const awaited = waitedFor(situation)
  const voting = awaited.filter((peer) => answers.get(peer)?.voting === true)
  const needed = Math.min(neededOf(peers.length + 1), awaited.length)
  if (voting.length < needed && blank && voting.length === 0) {
    const others = awaited.filter((peer) => answers.get(peer)?.blank !== true).join(", ")
    return `all members have to meet for a first start, or ${needed} voting members have to answer; it waits for ${others}`
  }
  if (voting.length < needed) {
    const others = awaited.filter((peer) => !voting.includes(peer)).join(", ")
    return `${needed} voting members have to answer, and ${voting.length} did; it waits for ${others}`
  }
  const missing = voting.flatMap((peer) => answers.get(peer)!.vector.filter((watermark) => !holds(peer, watermark)))
  return `entries of ${missing.length} logs have to be fetched`
}
