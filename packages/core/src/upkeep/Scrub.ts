/**
 * Reads everything that is stored of the logs again in the background, so that damage is found before the last sound copy
 * of it is gone. What it finds is fetched from the peers, as what a read finds is. What was read is looked up in the record
 * index, which is built again where it does not know of it.
 */
import { Clock, Context, Effect, Layer, Option, Schema, Semaphore } from "effect"
import { EventSink } from "../events/EventSink.ts"
import type * as LogId from "../identity/LogId.ts"
import * as EntryBatch from "../log/EntryBatch.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type { StoreError } from "../log/ReplicaStore.ts"
import * as IndexCheck from "../record/IndexCheck.ts"

/** How often all is read again, in milliseconds; once a day unless set. */
export const ScrubInterval = Context.Reference<number>("@quorum/core/ScrubInterval", {
  defaultValue: () => 24 * 60 * 60 * 1000
})

/** What was read again. Times are milliseconds since the epoch. */
export const ScrubStatus = Schema.Struct({
  /** When the last pass over all logs ended, how long it took, and how many entries it read; null before the first. */
  last: Schema.NullOr(Schema.Struct({ endedAt: Schema.Finite, millis: Schema.Finite, entries: Schema.Int })),
  /** When the pass that is under way began, and how many entries it has read; null between two. */
  current: Schema.NullOr(Schema.Struct({ startedAt: Schema.Finite, entries: Schema.Int }))
})

/** What was read again. */
export type ScrubStatus = typeof ScrubStatus.Type

/** Reads everything again. */
export class Scrub extends Context.Service<
  Scrub,
  {
    readonly status: () => ScrubStatus
    /** Makes a pass now, without the pauses of those in the background, and waits for its end. */
    readonly now: Effect.Effect<ScrubStatus, StoreError>
  }
>()("@quorum/core/Scrub") {}

/** Makes the passes until the scope closes. */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const clock = yield* Clock.Clock
  const sink = yield* EventSink
  const everyMillis = yield* ScrubInterval
  const checkIndex = yield* IndexCheck.make
  const oneAtATime = Semaphore.makeUnsafe(1)
  let status: ScrubStatus = { last: null, current: null }

  /** Looks up what was read. What cannot be read is damage and told by now, and an index that does not answer is seen elsewhere. */
  const lookUp = Effect.fnUntraced(
    function* (log: LogId.LogId, after: number, upTo: number) {
      for (let at = after; at < upTo;) {
        const read = yield* logs.read(log, at, sliceBytes)
        if (Option.isNone(read)) return
        yield* checkIndex(read.value)
        at = EntryBatch.last(read.value)
      }
    },
    Effect.catch(() => Effect.void)
  )

  const read = Effect.fnUntraced(function* (inBackground: boolean) {
    const startedAt = clock.currentTimeMillisUnsafe()
    const now = () => Monotonic.millis(clock)
    const began = now()
    let entries = 0
    // What is written meanwhile is for the next pass: a log that grows faster than it is read would keep it from the others.
    for (const { log, seq: head } of logs.heads()) {
      for (let at = 0; at < head;) {
        status = { ...status, current: { startedAt, entries } }
        const sliceBegan = now()
        const next = yield* logs.check(log, at, sliceBytes)
        if (next === at) break
        yield* lookUp(log, at, next)
        entries += next - at
        at = next
        yield* inBackground ? Effect.sleep(pauseMillis(now() - sliceBegan)) : Effect.yieldNow
      }
    }
    const millis = now() - began
    status = { last: { endedAt: clock.currentTimeMillisUnsafe(), millis, entries }, current: null }
    if (sink.active()) sink.tell({ _tag: "Scrubbed", entries, durationMillis: millis })
    return status
  })
  const pass = (inBackground: boolean) =>
    oneAtATime.withPermit(
      Effect.ensuring(
        read(inBackground),
        Effect.sync(() => void (status = { ...status, current: null }))
      )
    )

  yield* Effect.gen(function* () {
    let waitMillis = Math.min(firstMillis, everyMillis)
    while (true) {
      yield* Effect.sleep(waitMillis)
      waitMillis = yield* Effect.matchEffect(pass(true), {
        onSuccess: () => Effect.succeed(everyMillis),
        onFailure: ({ message, reason }) => {
          if (sink.active()) sink.tell({ _tag: "ScrubFailed", reason })
          return Effect.as(
            Effect.logError(`not everything that is stored could be read again: ${message}`),
            Math.min(firstMillis, everyMillis)
          )
        }
      })
    }
  }).pipe(Effect.forkScoped)

  return Scrub.of({ status: () => status, now: pass(false) })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(Scrub, make)

// ---------------------------------------------------------------------------------------------------------------------

/**
 * How much is read at once. Of rows of one small entry, which cost the most, it took SQLite 0.08 ms, and 32 KiB 0.6 to 0.85;
 * on a machine of which eight times as much was asked as it had, one slice in a hundred took 1.5 ms (the median of six
 * passes), and of the larger ones 5.5, because what takes longer is more often interrupted.
 */
const sliceBytes = 4 * 1024

/**
 * The pause after a slice that took so long. Of rows of one small entry most of a slice is looking their keys up: without a
 * share of the time as its bound, a pass took a quarter of a processor from the commits of three replicas that shared two.
 */
const pauseMillis = (tookMillis: number): number =>
  Math.min(maxPauseMillis, Math.max(minPauseMillis, tookMillis * (1 / share - 1)))

/** How much of the time a pass in the background may work. */
const share = 0.05

/** The shortest pause, which bounds the rate to about 1 MiB a second, and the longest. */
const minPauseMillis = 4
const maxPauseMillis = 1000

/** How long after a start the first pass begins, and the next after one that failed. */
const firstMillis = 60_000
