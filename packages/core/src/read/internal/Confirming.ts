/**
 * Waits until a majority is known to hold a write durably, and has those fetch it that are not known to.
 */
import { Effect, Result, type Scope } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as Arrival from "../../log/Arrival.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as Version from "../../log/Version.ts"
import type { NewestWrite } from "../../peer/KeyReader.ts"
import type * as QuorumError from "../../quorum/QuorumError.ts"
import * as decide from "./decide.ts"
import type * as Questions from "./Questions.ts"
import * as Reading from "./Reading.ts"
import * as SideBySide from "./SideBySide.ts"

/** Asks with these questions. */
export const make = Effect.fnUntraced(function* ({ acks, hold }: Questions.Questions, majority: number) {
  const { peers: peerIds, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const replicas = [self, ...peerIds]

  /**
   * Whether a majority holds it: a write that was stamped without a probe is given up when a newer one shows.
   */
  return Effect.fnUntraced(function* (
    reading: Reading.Reading,
    write: NewestWrite
  ): Effect.fn.Return<boolean, QuorumError.ReadUnavailable, Scope.Scope> {
    const confirmed = new Set<ReplicaId>()
    /** Who holds its place and does not show it: it was a delete, and is forgotten there. */
    const forgotten = new Set<ReplicaId>()
    const isThere = Effect.orElseSucceed(Arrival.isThere(logs, write.writeId), () => false)
    // What peers have acked was compared with the log here: where that has another write at the place it says nothing of this.
    let isHere = yield* isThere
    if (isHere) confirmed.add(self)
    const isHolder = (id: ReplicaId) => confirmed.has(id) || (isHere && id !== self && acks(id, write.writeId))
    const holders = () => decide.holdersOf(write, reading.answers, isHolder, forgotten, replicas)
    reading.counted = () => holders().length
    const before = holders()
    if (before.length >= majority) return true
    const asked = yield* SideBySide.make
    const askToHold = Effect.fnUntraced(function* (replica: ReplicaId, pauseMillis: number) {
      const holding = hold(replica, reading.key, write, reading.until)
      if (holding !== undefined) yield* asked.ask(pauseMillis === 0 ? holding : Effect.delay(holding, pauseMillis))
    })
    for (const replica of replicas) if (!before.includes(replica)) yield* askToHold(replica, 0)
    while (holders().length < majority) {
      if (holders().length + asked.open() < majority) {
        return yield* Reading.unavailable(reading, replicas, majority, "unreachable")
      }
      const each = yield* asked.next
      Reading.note(reading, each)
      if (Result.isSuccess(each.result) && each.result.success.confirmed) {
        const { newest } = each.result.success
        if (isForgotten(write, newest)) forgotten.add(each.replica)
        else if (isShown(write, newest)) confirmed.add(each.replica)
      }
      isHere ||= yield* isThere
      const newest = decide.newestOf(reading.answers)
      if (write.unprobed && newest !== undefined && Version.compare(newest, write) > 0) return false
      // It has waited for as long as a question may: it may be catching up, or giving up a side of a log.
      if (Result.isSuccess(each.result) && !holders().includes(each.replica))
        yield* askToHold(each.replica, againMillis)
    }
    return true
  })
})

// ---------------------------------------------------------------------------------------------------------------------

/** After how long a replica that does not hold a write yet is asked again, in milliseconds. */
const againMillis = 100

/**
 * Whether who says that it holds a write shows it, or something newer. Of a place that is erased nobody can tell whose it
 * was: on the other side of a log that forked it was another write's.
 */
const isShown = (write: NewestWrite, newest: NewestWrite | undefined): boolean =>
  newest !== undefined && Version.compare(newest, write) >= 0

/**
 * Whether a replica that holds the place of a delete has forgotten it: it has no write of the key, or only an older delete,
 * which stands beside other records of its entry.
 */
const isForgotten = (write: NewestWrite, newest: NewestWrite | undefined): boolean =>
  write.deleted && (newest === undefined || (newest.deleted && Version.compare(newest, write) < 0))
