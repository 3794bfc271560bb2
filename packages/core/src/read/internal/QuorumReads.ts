/**
 * Reads that ask several replicas.
 *
 * Peers are asked side by side, on the connections that are up. Nobody is written to: a replica that misses what was
 * read is asked to fetch it, and answers when it holds it.
 */
import { Clock, Effect, Queue, Result, type Scope } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as Arrival from "../../log/Arrival.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { StoreError } from "../../log/ReplicaStore.ts"
import * as Version from "../../log/Version.ts"
import { Connections } from "../../peer/Connections.ts"
import { KeyReader, type NewestWrite } from "../../peer/KeyReader.ts"
import { Membership } from "../../peer/Membership.ts"
import { Peers } from "../../peer/Peers.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type { RecordKey } from "../../record/RecordKey.ts"
import * as decide from "./decide.ts"
import * as Questions from "./Questions.ts"

/** Why a read that asks several replicas was not answered. */
type Failure = StoreError | QuorumError.ReadUnavailable

/** One read, over all its questions. */
interface Reading {
  readonly key: RecordKey
  readonly verdicts: Map<ReplicaId, QuorumError.Verdict>
  readonly until: number
  answers: Map<ReplicaId, NewestWrite | undefined>
}

/** Asks on the connections of this replica. */
export const make = Effect.gen(function* () {
  const { peers: peerIds, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const membership = yield* Membership
  const connections = yield* Connections
  const reader = yield* KeyReader
  const { acks, askPeer, hold } = yield* Questions.make
  const clock = yield* Clock.Clock
  const majority = Math.floor((peerIds.length + 1) / 2) + 1
  const replicas = [self, ...peerIds]

  const unavailable = ({ verdicts }: Reading, answered: number, needed: number, reason: "timeout" | "unreachable") =>
    new QuorumError.ReadUnavailable({
      answered,
      needed,
      reason,
      verdicts: Object.fromEntries(replicas.map((id) => [id, verdicts.get(id) ?? Questions.silent]))
    })

  const note = (reading: Reading, { replica, result }: Questions.Said): void => {
    if (Result.isSuccess(result)) reading.answers.set(replica, result.success.newest)
    reading.verdicts.set(replica, Result.isSuccess(result) ? acked : result.failure)
  }

  /**
   * Asks all, and goes on with the first `needed` answers. This replica's own is among them unless what it holds of the
   * key is damaged here: then it is no answer, as that of any other in its place.
   */
  const ask = Effect.fnUntraced(function* (
    reading: Reading,
    needed: number
  ): Effect.fn.Return<void, Failure, Scope.Scope> {
    const { key } = reading
    reading.answers = new Map()
    const own = yield* Effect.result(reader.newest(key.namespace, key.key))
    const have = Result.getOrUndefined(own)
    note(reading, { replica: self, result: Result.mapBoth(own, { onFailure: refusedBy, onSuccess: answerOf }) })
    if (reading.answers.size >= needed) return
    const said = yield* Queue.unbounded<Questions.Said>()
    let open = 0
    const up = connections.all()
    for (const { id, link } of peers.all()) {
      if (link._tag === "Down") reading.verdicts.set(id, link.verdict)
      const connection = up.find(({ peer }) => peer === id)
      if (connection === undefined) continue
      open++
      yield* Effect.forkScoped(Effect.flatMap(askPeer(connection, key, have, null), (each) => Queue.offer(said, each)))
    }
    while (reading.answers.size < needed) {
      if (reading.answers.size + open < needed) {
        // What is wrong here says more than that there are too few others.
        return yield* Result.isFailure(own)
          ? own.failure
          : unavailable(reading, reading.answers.size, needed, "unreachable")
      }
      note(reading, yield* Queue.take(said))
      open--
    }
  })

  /**
   * Waits until a majority is known to hold a write durably, and has those fetch it that are not known to. Whether it is:
   * a write that was stamped without a probe is given up when a newer one shows.
   */
  const confirm = Effect.fnUntraced(function* (
    reading: Reading,
    write: NewestWrite
  ): Effect.fn.Return<boolean, Failure, Scope.Scope> {
    const confirmed = new Set<ReplicaId>()
    /** Who holds its place and has no write of the key: it was a delete, and is forgotten there. */
    const forgotten = new Set<ReplicaId>()
    if (yield* Effect.orElseSucceed(Arrival.isHeld(logs, write.writeId), () => false)) confirmed.add(self)
    const isHolder = (id: ReplicaId) => confirmed.has(id) || (id !== self && acks(id, write.writeId))
    const holders = () => decide.holdersOf(write, reading.answers, isHolder, forgotten, replicas)
    const before = holders()
    if (before.length >= majority) return true
    const said = yield* Queue.unbounded<Questions.Said>()
    let open = 0
    for (const replica of replicas) {
      const holding = before.includes(replica) ? undefined : hold(replica, reading.key, write, reading.until)
      if (holding === undefined) continue
      open++
      yield* Effect.forkScoped(Effect.flatMap(holding, (each) => Queue.offer(said, each)))
    }
    while (holders().length < majority) {
      if (holders().length + open < majority)
        return yield* unavailable(reading, holders().length, majority, "unreachable")
      const each = yield* Queue.take(said)
      open--
      note(reading, each)
      if (Result.isSuccess(each.result) && each.result.success.confirmed) {
        confirmed.add(each.replica)
        if (write.deleted && each.result.success.newest === undefined) forgotten.add(each.replica)
      }
      const newest = decide.newestOf(reading.answers)
      if (write.unprobed && newest !== undefined && Version.compare(newest, write) > 0) return false
    }
    return true
  })

  /** Bounds a read, which may ask again, by one deadline. */
  const within = <A>(
    key: RecordKey,
    withinMillis: number,
    needed: number,
    read: (reading: Reading) => Effect.Effect<A, Failure, Scope.Scope>
  ): Effect.Effect<A, Failure> =>
    Effect.suspend(() => {
      const until = Monotonic.millis(clock) + withinMillis
      const reading: Reading = { key, verdicts: new Map(), until, answers: new Map() }
      return Effect.timeoutOrElse(Effect.scoped(read(reading)), {
        duration: withinMillis,
        orElse: () => Effect.fail(unavailable(reading, reading.answers.size, needed, "timeout"))
      })
    })

  return {
    majority,
    /** The newest write that `r` replicas know of. Who turns out not to have it is told to fetch it. */
    quorum: (key: RecordKey, r: number, withinMillis: number) =>
      within(key, withinMillis, r, (reading) =>
        Effect.map(ask(reading, r), () => {
          const newest = decide.newestOf(reading.answers)
          if (newest !== undefined && reading.answers.get(self)?.writeId !== newest.writeId) connections.fetchNow()
          return newest
        })
      ),
    /**
     * The newest write that a majority knows of, once a majority holds it durably: a later read sees it too, or a newer
     * one. What was said by a replica that has lost its store since does not count, and all are asked again.
     */
    linearizable: (key: RecordKey, withinMillis: number) =>
      within(key, withinMillis, majority, (reading) =>
        Effect.gen(function* () {
          while (true) {
            const lives = membership.hash()
            yield* ask(reading, majority)
            const newest = decide.newestOf(reading.answers)
            const isDone = newest === undefined || (yield* confirm(reading, newest))
            if (isDone && lives === membership.hash()) return newest
          }
        })
      )
  }
})

/** Reads that ask several replicas. */
export type QuorumReads = Effect.Success<typeof make>

// ---------------------------------------------------------------------------------------------------------------------

const acked: QuorumError.Verdict = { _tag: "acked" }
const refusedBy = ({ message }: StoreError): QuorumError.Verdict => ({ _tag: "refused", detail: message })

const answerOf = (newest: NewestWrite | undefined): Questions.Answer => ({ newest, confirmed: false })
