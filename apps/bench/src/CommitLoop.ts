/**
 * The closed loop on a `QuorumWriter` of this process: one fiber per writer, or none at all.
 */
import { Entry, QuorumPolicy, QuorumWriter, ReplicaStatus } from "@quorum/core"
import { RecordIndex } from "@quorum/core/adapter"
import { Cause, Effect, Exit, Result } from "effect"
import { randomKey, recorder, type Run, type Sample } from "./ClosedLoop.ts"
import type { Status } from "./Lines.ts"
import * as Points from "./Points.ts"

/** How long a writer waits after a failure. */
const pauseMillis = 5

/** `w` of `n`. */
export const policy = (n: number, w: number, order: QuorumPolicy.Order = "real-time"): QuorumPolicy.QuorumPolicy =>
  Result.getOrThrow(QuorumPolicy.make({ n, w, order }))

/** How a replica of this process is doing. */
const status = Effect.gen(function* () {
  const { current } = yield* ReplicaStatus.ReplicaStatus
  const index = yield* RecordIndex.RecordIndex
  return Effect.map(index.progress, (progress): Status => {
    const { compaction, vector } = current()
    return {
      at: Date.now(),
      held: vector.reduce((sum, { seq }) => sum + seq, 0),
      indexDelay: vector.reduce((sum, { log, seq }) => sum + Math.max(0, seq - (progress.get(log) ?? 0)), 0),
      liveBytes: compaction.last?.liveBytes ?? 0,
      waitingBytes: compaction.last?.waitingBytes ?? 0,
      compactions: compaction.last?.endedAt ?? 0,
      isCompacting: compaction.startedAt !== null,
      ...Points.memory()
    }
  })
})

/** Entries of the own log that the peer which has the fewest is not known to hold. */
const lag = Effect.gen(function* () {
  const { current } = yield* ReplicaStatus.ReplicaStatus
  return (): number => Math.max(...current().peers.map(({ lag }) => lag))
})

/** How writers wait for the answer to a write. */
export type Waiting = "fibers" | "calls"

/** Makes measurements, and says how the replica is doing. */
export const make = Effect.fnUntraced(function* (waiting: Waiting = "fibers") {
  const { commit, commitUnsafe } = yield* QuorumWriter.QuorumWriter
  const context = yield* Effect.context<never>()
  const run = Effect.runPromiseWith(context)
  const { compact } = yield* ReplicaStatus.ReplicaStatus
  const statusNow = yield* status
  const lagNow = yield* lag
  const observe = () => run(Effect.map(statusNow, ({ indexDelay }) => ({ indexDelay, lag: lagNow() })))

  const loop = Effect.fnUntraced(function* (options: Run) {
    const value = new Uint8Array(options.valueBytes).fill(120)
    const { answered, sample } = recorder(options, observe)
    const writer = Effect.gen(function* () {
      while (true) {
        const startedAt = performance.now()
        const error = yield* Effect.match(commit(Entry.put("bench", randomKey(options.keys), value)), {
          onFailure: (error) => error.message,
          onSuccess: () => undefined
        })
        if (!answered(startedAt, error)) return
        // What fails at once would leave no time for what it fails for.
        if (error !== undefined) yield* Effect.sleep(pauseMillis)
      }
    })
    const caller = Effect.callback<void>((resume) => {
      const next = (): void => {
        const startedAt = performance.now()
        commitUnsafe(Entry.put("bench", randomKey(options.keys), value), (outcome) => {
          const error = Exit.isSuccess(outcome) ? undefined : Cause.pretty(outcome.cause)
          if (!answered(startedAt, error)) resume(Effect.void)
          else if (error === undefined) next()
          else setTimeout(next, pauseMillis)
        })
      }
      next()
    })
    yield* Effect.all(
      Array.from({ length: options.writers }, () => (waiting === "fibers" ? writer : caller)),
      { concurrency: "unbounded", discard: true }
    )
    return yield* Effect.promise(sample)
  })
  return {
    measure: (options: Run): Promise<Sample> => run(loop(options)),
    status: (): Promise<Status> => run(statusNow),
    compact: (): Promise<Status> => run(Effect.andThen(compact, statusNow))
  }
})
