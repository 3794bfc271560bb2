/**
 * Builds the record index from the logs and keeps it behind them: at the start from where it ends, when it cannot be
 * trusted any more from the beginning, and else with what is appended.
 */
import { Clock, Effect, Latch, Option, Random, type Scope } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import type * as EntryBatch from "../../log/EntryBatch.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import { StoreError } from "../../log/ReplicaStore.ts"
import * as RecordIndex from "../RecordIndex.ts"
import * as Unindexed from "./Unindexed.ts"
import * as UnreadBatches from "./UnreadBatches.ts"

/** The index as it is built, and what it lacks. */
export interface IndexBuilder {
  /** What the index lacks, everything that was appended until now taken in. */
  readonly unindexed: () => Unindexed.Unindexed
  /** Whether the index is being built again, and knows only a part of the logs. */
  readonly isBuilding: () => boolean
  /** How often it was thrown away: what was read before is worth nothing after. */
  readonly generation: () => number
  /** What the index says is not so. It is thrown away, and built again. */
  readonly distrust: (error: StoreError) => Effect.Effect<void>
}

/** Brings the index up to the logs and keeps it there until the scope closes. */
export const make = Effect.gen(function* (): Effect.fn.Return<
  IndexBuilder,
  StoreError,
  ReplicaLogs | RecordIndex.RecordIndex | Scope.Scope
> {
  const logs = yield* ReplicaLogs
  const index = yield* RecordIndex.RecordIndex
  const random = yield* Random.Random
  const progress = yield* Effect.catch(index.progress, (error) =>
    Effect.logError(`the record index cannot be read, and is built anew: ${error.message}`).pipe(
      Effect.andThen(error.reason === "corrupt" ? index.reset : Effect.void),
      Effect.as(noProgress)
    )
  )
  const unindexed = Unindexed.make(random.nextDoubleUnsafe, progress)
  const unread = UnreadBatches.make()
  const some = Latch.makeUnsafe(false)
  const enough = Latch.makeUnsafe(false)
  /** Closed from when the index cannot be trusted until it is thrown away. */
  const isGone = Latch.makeUnsafe(true)
  /** Entries go to which an index may lead that is made of the logs as they are. */
  let isErasing = false
  const erased = Latch.makeUnsafe(true)
  /** It is thrown away, and waits until they are gone. */
  let isHeld = false
  let building = true
  let distrusted = false
  let generation = 0
  const merge = yield* merging(index)

  /** Takes in what was appended since. Costs a read what the appends did not have to pay. */
  const drain = (): void => {
    const batches = unread.take()
    // Who builds reads the logs up to their ends, and finds these there.
    if (batches.length === 0 || building) return
    for (const batch of batches) unindexed.add(batch)
    some.openUnsafe()
    if (unindexed.isFull()) enough.openUnsafe()
  }

  /** Whether the logs go on beyond all that was taken in, and nobody is about to find that. */
  const lacksMore = (): boolean => {
    drain()
    return !building && logs.heads().some(({ log, seq }) => seq > unindexed.end(log))
  }

  const buildOn = (): void => {
    building = true
    some.openUnsafe()
    enough.openUnsafe()
  }

  const throwAway = (): void => {
    if (isHeld) return
    distrusted = true
    isGone.closeUnsafe()
    buildOn()
  }

  const distrust = (error: StoreError) =>
    Effect.suspend(() => {
      if (distrusted) return Effect.void
      throwAway()
      return Effect.logError(`the record index is damaged, and is built again from the logs: ${error.message}`)
    })

  /** Merges what is in memory; what comes meanwhile collects for the next time. */
  const flush = Effect.suspend(() => {
    if (distrusted) return Effect.void
    drain()
    const step = unindexed.next()
    if (step === undefined) return Effect.void
    enough.closeUnsafe()
    return Effect.andThen(merge(step), Effect.sync(unindexed.merged))
  }).pipe(
    Effect.tapError((error) =>
      error.reason === "corrupt"
        ? distrust(error)
        : Effect.logError(`the record index cannot be written: ${error.message}`)
    )
  )

  /** Takes in what the logs hold beyond the index, up to their ends. */
  const build = Effect.gen(function* () {
    let isWritable = true
    while (true) {
      const behind = logs.heads().find(({ log, seq }) => seq > unindexed.end(log))
      if (behind === undefined) break
      yield* takeIn(logs, unindexed, behind.log)
      yield* Effect.yieldNow
      if (!isWritable || !unindexed.isFull()) continue
      isWritable = yield* Effect.isSuccess(flush)
      if (distrusted) return yield* notTrusted
    }
    // It was thrown away meanwhile: what was taken in is of before.
    if (distrusted) return yield* notTrusted
    building = false
    unread.take()
    if (unindexed.size() > 0) some.openUnsafe()
  })

  const buildAgain = Effect.gen(function* () {
    if (distrusted) {
      yield* index.reset
      unindexed.reset()
      generation++
      isGone.openUnsafe()
      isHeld = true
      while (isErasing) yield* erased.await
      isHeld = false
      distrusted = false
    }
    yield* build
    yield* Effect.logInfo("the record index is up to the logs again")
  })

  yield* Effect.acquireRelease(
    Effect.sync(() =>
      logs.onAppend((batch) => {
        if (unread.add(batch)) drain()
      })
    ),
    (stop) =>
      Effect.suspend(() => {
        stop()
        // Twice: the first may only finish a flush that was under way.
        return distrusted ? index.reset : Effect.ignore(Effect.andThen(flush, flush))
      })
  )
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      logs.onDamage((change) => {
        if (change._tag === "Mended") {
          unindexed.mended(change.batch)
          some.openUnsafe()
        }
        // It may lead to entries that were newest writes, and will be gone, or are.
        if (change._tag === "Erasing") {
          isErasing = true
          erased.closeUnsafe()
          throwAway()
          change.waitFor(isGone.await)
        }
        if (change._tag === "Erased") {
          isErasing = false
          // Who has thrown it away and waits goes on within the call, and does not do so twice.
          const isMadeBefore = !distrusted
          erased.openUnsafe()
          if (isMadeBefore) throwAway()
        }
        // While its end is changed a log is not among the heads, so that who builds meanwhile goes past it.
        if ((change._tag === "Cut" || change._tag === "Found") && lacksMore()) buildOn()
        // It may lead to entries that are given up.
        if (change._tag !== "Cut" || unindexed.end(change.log) <= change.end) return
        throwAway()
        // A start that finds other entries there would take it for one that covers those.
        change.waitFor(isGone.await)
      })
    ),
    (stop) =>
      Effect.sync(() => {
        stop()
        isGone.openUnsafe()
      })
  )
  for (const { log, seq } of logs.heads()) {
    const missing = seq - unindexed.end(log)
    if (missing > 100_000) yield* Effect.logInfo(`indexing ${missing} entries of ${log}`)
  }
  yield* Effect.catchIf(
    build,
    () => distrusted,
    () => buildAgain
  )

  yield* Effect.gen(function* () {
    while (true) {
      yield* unread.await
      // What was appended is pushed, or acked, first; this is done while the answer is awaited.
      yield* Effect.yieldNow
      drain()
    }
  }).pipe(Effect.forkScoped)

  yield* Effect.gen(function* () {
    while (true) {
      yield* some.await
      some.closeUnsafe()
      yield* Effect.raceFirst(Effect.sleep(maxWaitMillis), enough.await)
      // Nothing is lost while the index cannot be written: reads see the pointers in memory.
      while (!(yield* Effect.isSuccess(Effect.suspend(() => (building ? buildAgain : flush))))) {
        yield* Effect.sleep(retryMillis)
      }
    }
  }).pipe(Effect.forkScoped)

  return {
    unindexed: () => {
      drain()
      return unindexed
    },
    isBuilding: () => building,
    generation: () => generation,
    distrust
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/**
 * How many pointers one step of the index takes: well below a millisecond of work, so that acks need not wait long.
 */
const stepPointers = 128

/** How long pointers may wait in memory to be merged into the index, in milliseconds. */
const maxWaitMillis = 5000

/** How long after a failure it is tried again, in milliseconds. */
const retryMillis = 1000

/** How much of a log is read at once when the index has to catch up with it. */
const readBytes = 256 * 1024

const noProgress: RecordIndex.Progress = new Map()

const notTrusted = new StoreError({ reason: "corrupt", detail: "the record index was damaged again" })

/** Merges a step into the index, with pauses, and tells of it. */
const merging = Effect.fnUntraced(function* (index: RecordIndex.RecordIndex["Service"]) {
  const clock = yield* Clock.Clock
  const sink = yield* EventSink
  return Effect.fnUntraced(function* ({ pointers, progress }: Unindexed.Step) {
    const startedAt = Monotonic.millis(clock)
    const next = pointers.inOrder()
    for (let left = pointers.size(); left > 0;) {
      const step = next(stepPointers)
      left -= step.length
      if (step.length > 0) yield* index.merge(step, left > 0 ? noProgress : progress)
      yield* Effect.yieldNow
    }
    if (!sink.active()) return
    const durationMillis = Monotonic.millis(clock) - startedAt
    sink.tell({ _tag: "IndexMerged", pointers: pointers.size(), durationMillis })
  })
})

/** Takes in the next entries of a log. Damage costs those that are damaged: what follows it is looked at again. */
const takeIn = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  unindexed: Unindexed.Unindexed,
  log: EntryBatch.EntryBatch["log"]
) {
  const at = unindexed.end(log)
  const batch = yield* logs.read(log, at, readBytes).pipe(
    Effect.catchIf(
      (error) => error.reason === "corrupt" && logs.damageAt(log, at + 1) !== undefined,
      (error) => Effect.as(Effect.logError(error.message), Option.none<EntryBatch.EntryBatch>())
    )
  )
  if (Option.isSome(batch)) return unindexed.add(batch.value)
  const damage = logs.damageAt(log, at + 1)
  if (damage !== undefined) return unindexed.skip({ ...damage, from: at + 1 })
  return yield* new StoreError({ reason: "corrupt", detail: `entry ${at + 1} of ${log} is missing` })
})
