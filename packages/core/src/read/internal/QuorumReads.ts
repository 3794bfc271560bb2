/**
 * Reads that ask several replicas.
 *
 * Peers are asked side by side, on the connections that are up. Nobody is written to: a replica that misses what was
 * read is asked to fetch it, and answers when it holds it.
 */
import { Clock, Effect, Queue, Result, type Scope } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as WriteId from "../../identity/WriteId.ts"
import * as Arrival from "../../log/Arrival.ts"
import * as Chain from "../../log/Chain.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { StoreError } from "../../log/ReplicaStore.ts"
import * as Version from "../../log/Version.ts"
import { type Connection, Connections } from "../../peer/Connections.ts"
import { KeyReader, type NewestWrite } from "../../peer/KeyReader.ts"
import { Membership } from "../../peer/Membership.ts"
import type * as PeerProtocol from "../../peer/PeerProtocol.ts"
import { Peers } from "../../peer/Peers.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type { RecordKey } from "../../record/RecordKey.ts"
import * as decide from "./decide.ts"

/** Why a read that asks several replicas was not answered. */
type Failure = StoreError | QuorumError.ReadUnavailable

/** What one replica said: an answer, or why there is none that counts. */
interface Said {
  readonly replica: ReplicaId
  readonly result: Result.Result<Answer, QuorumError.Verdict>
}

/** What a replica that votes said of a key, and whether it holds the write that it was asked to. */
interface Answer {
  readonly newest: NewestWrite | undefined
  readonly confirmed: boolean
}

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
  const clock = yield* Clock.Clock
  const majority = Math.floor((peerIds.length + 1) / 2) + 1
  const replicas = [self, ...peerIds]

  const unavailable = ({ verdicts }: Reading, answered: number, needed: number, reason: "timeout" | "unreachable") =>
    new QuorumError.ReadUnavailable({
      answered,
      needed,
      reason,
      verdicts: Object.fromEntries(replicas.map((id) => [id, verdicts.get(id) ?? silent]))
    })

  /** Asks one peer. What does not count for a quorum, of a replica that does not vote say, is no answer. */
  const askPeer = (
    { client, peer, session }: Connection,
    { key, namespace }: RecordKey,
    have: NewestWrite | undefined,
    confirm: PeerProtocol.Read["confirm"]
  ): Effect.Effect<Said> => {
    const version = have === undefined ? null : { clock: have.clock, tie: have.tie }
    return client.read({ session, namespace, key, have: version, confirm }).pipe(
      Effect.match({
        onFailure: (error) => Result.fail(verdictOf(error)),
        onSuccess: (answer) =>
          answer.head.members === membership.hash()
            ? Result.succeed({ newest: newestIn(answer, have), confirmed: answer.head.confirmed })
            : Result.fail(strange)
      }),
      Effect.catchDefect(() => Effect.succeed(Result.fail(silent))),
      Effect.map((result) => ({ replica: peer, result }))
    )
  }

  const note = (reading: Reading, { replica, result }: Said): void => {
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
    const said = yield* Queue.unbounded<Said>()
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

  /** Whether a peer is known to hold a write by what it acked. */
  const acks = (peer: ReplicaId, writeId: WriteId.WriteId): boolean => {
    const { check, log, seq } = WriteId.place(writeId)
    const { link, watermarks } = peers.get(peer)
    const watermark = watermarks.get(log)
    if (link._tag !== "Up" || watermark === undefined || watermark.seq < seq) return false
    return watermark.seq > seq || Chain.check(watermark.chain) === check
  }

  /** Asks a replica to hold a write, and for its newest of the key then. */
  const hold = (reading: Reading, write: NewestWrite, replica: ReplicaId): Effect.Effect<Said> | undefined => {
    const { key } = reading
    if (replica === self) {
      connections.fetchNow()
      const here = Effect.andThen(Arrival.reached(logs, write.writeId), Arrival.isHeld(logs, write.writeId))
      return here.pipe(
        Effect.flatMap((confirmed) =>
          Effect.map(reader.newest(key.namespace, key.key), (newest) => Result.succeed({ newest, confirmed }))
        ),
        Effect.catch(() => Effect.succeed(Result.fail(silent))),
        Effect.map((result) => ({ replica, result }))
      )
    }
    const connection = connections.all().find(({ peer }) => peer === replica)
    const withinMillis = Math.max(0, reading.until - Monotonic.millis(clock))
    return connection && askPeer(connection, key, write, { writeId: write.writeId, withinMillis })
  }

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
    const said = yield* Queue.unbounded<Said>()
    let open = 0
    for (const replica of replicas) {
      const holding = before.includes(replica) ? undefined : hold(reading, write, replica)
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
const silent: QuorumError.Verdict = { _tag: "timed_out" }
const strange: QuorumError.Verdict = { _tag: "refused", detail: "it knows of other lives of the members" }

const refusedBy = ({ message }: StoreError): QuorumError.Verdict => ({ _tag: "refused", detail: message })

const answerOf = (newest: NewestWrite | undefined): Answer => ({ newest, confirmed: false })

const verdictOf = (error: PeerProtocol.ReadError | PeerProtocol.PeerUnreachable): QuorumError.Verdict =>
  error._tag === "PeerUnreachable" && error.reason === "timed_out" ? silent : { _tag: "refused", detail: error.message }

/** The newest write of an answer; its value is not sent when the caller has it. */
const newestIn = (
  { head: { newest }, value }: PeerProtocol.ReadAnswer,
  have: NewestWrite | undefined
): NewestWrite | undefined =>
  newest === null
    ? undefined
    : { ...newest, value: have !== undefined && Version.compare(have, newest) === 0 ? have.value : value }
