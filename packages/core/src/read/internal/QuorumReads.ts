/**
 * Reads that ask several replicas.
 *
 * Peers are asked side by side, on the connections that are up. Nobody is written to: a replica that misses what was
 * read is asked to fetch it, and answers when it holds it.
 */
import { Clock, Effect, type Scope } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type { StoreError } from "../../log/ReplicaStore.ts"
import { Connections } from "../../peer/Connections.ts"
import type { NewestWrite } from "../../peer/KeyReader.ts"
import { Membership } from "../../peer/Membership.ts"
import type * as QuorumError from "../../quorum/QuorumError.ts"
import type { RecordKey } from "../../record/RecordKey.ts"
import * as Asking from "./Asking.ts"
import * as Confirming from "./Confirming.ts"
import * as decide from "./decide.ts"
import * as Questions from "./Questions.ts"
import * as Reading from "./Reading.ts"

/** Why a read that asks several replicas was not answered. */
type Failure = StoreError | QuorumError.ReadUnavailable | QuorumError.NotReady

/** How long a peer may take to answer that it has been told what it misses, in milliseconds. */
const tellMillis = 2000

/** Asks on the connections of this replica. `voting` fails when it may lack what it acknowledged. */
export const make = Effect.fnUntraced(function* (voting: Effect.Effect<void, QuorumError.NotReady>) {
  const { peers: peerIds, self } = yield* ReplicaSet
  const membership = yield* Membership
  const connections = yield* Connections
  const clock = yield* Clock.Clock
  const replicas = [self, ...peerIds]
  const majority = Math.floor(replicas.length / 2) + 1
  const questions = yield* Questions.make
  const ask = yield* Asking.make(questions)
  const confirm = yield* Confirming.make(questions, majority)
  const scope = yield* Effect.scope
  /** Who is being told that it misses something. */
  const told = new Set<ReplicaId>()

  /** Has a write fetched by who is known to miss it. No read waits for that, and a peer is told one thing at a time. */
  const tell = (peer: ReplicaId, key: RecordKey, write: NewestWrite): Effect.Effect<unknown> =>
    Effect.uninterruptible(
      Effect.suspend((): Effect.Effect<unknown> => {
        if (told.has(peer) || questions.acks(peer, write.writeId)) return Effect.void
        const holding = questions.hold(peer, key, write, Monotonic.millis(clock))
        if (holding === undefined) return Effect.void
        told.add(peer)
        const done = Effect.sync(() => void told.delete(peer))
        return Effect.forkIn(Effect.ensuring(Effect.timeoutOption(holding, tellMillis), done), scope)
      })
    )

  /** Bounds a read, which may ask again, by one deadline. */
  const within = <A>(
    key: RecordKey,
    withinMillis: number,
    needed: number,
    read: (reading: Reading.Reading) => Effect.Effect<A, Failure, Scope.Scope>
  ): Effect.Effect<A, Failure> =>
    Effect.suspend(() => {
      const until = Monotonic.millis(clock) + withinMillis
      const reading = Reading.make(key, until)
      return Effect.timeoutOrElse(Effect.scoped(read(reading)), {
        duration: withinMillis,
        orElse: () => Effect.fail(Reading.unavailable(reading, replicas, needed, "timeout"))
      })
    })

  return {
    majority,
    /**
     * The newest write that `r` replicas know of. Who turns out not to have it is told to fetch it. What was said by a
     * replica that has lost its store since does not count, and all are asked again.
     */
    quorum: (key: RecordKey, r: number, withinMillis: number) =>
      within(key, withinMillis, r, (reading) =>
        Effect.gen(function* () {
          let lives: number
          do {
            lives = membership.hash()
            // It may have begun to recover since, and what it holds itself is one of the answers.
            yield* voting
            yield* ask(reading, r)
          } while (lives !== membership.hash())
          const newest = decide.newestOf(reading.answers)
          if (newest === undefined) return undefined
          if (reading.answers.get(self)?.writeId !== newest.writeId) connections.fetchNow()
          const stale = decide.staleOf(newest, reading.answers)
          yield* Effect.forEach(stale, (id) => (id === self ? Effect.void : tell(id, key, newest)))
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
            yield* voting
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
export type QuorumReads = Effect.Success<ReturnType<typeof make>>
