/**
 * The closed loop on a `QuorumWriter` of this process: one fiber per writer.
 */
import { Entry, QuorumPolicy, QuorumWriter } from "@quorum/core"
import { Effect, Result } from "effect"
import { randomKey, recorder, type Run, type Sample } from "./ClosedLoop.ts"

/** `w` of three. */
export const policy = (w: number): QuorumPolicy.QuorumPolicy => Result.getOrThrow(QuorumPolicy.make({ n: 3, w }))

/** How long a record index may take to follow what was measured, in milliseconds. */
const indexMillis = 300

/** Makes measurements. One ends when all three replicas hold all of it, so that the next one starts in peace. */
export const make: Effect.Effect<(run: Run) => Promise<Sample>, never, QuorumWriter.QuorumWriter> = Effect.gen(
  function* () {
    const { commit, resume } = yield* QuorumWriter.QuorumWriter
    const context = yield* Effect.context<never>()
    const everywhere = policy(3)

    const measure = Effect.fnUntraced(function* (run: Run) {
      const value = new Uint8Array(run.valueBytes).fill(120)
      const { answered, sample } = recorder(run)
      const writer = Effect.gen(function* () {
        while (true) {
          const startedAt = performance.now()
          const error = yield* Effect.match(commit(Entry.put("bench", randomKey(), value)), {
            onFailure: (error) => error.message,
            onSuccess: () => undefined
          })
          if (!answered(startedAt, error)) return
        }
      })
      yield* Effect.all(
        Array.from({ length: run.writers }, () => writer),
        { concurrency: "unbounded", discard: true }
      )
      const last = yield* commit(Entry.put("bench", randomKey(), value))
      yield* Effect.retry(resume(last.writeId, { policy: everywhere }), { times: 10 })
      yield* Effect.sleep(indexMillis)
      return sample()
    })
    return (run) => Effect.runPromiseWith(context)(measure(run))
  }
)
