/**
 * Keeps the record index behind the logs: takes in what is appended as pointers in memory, and merges them into the
 * index in large sorted steps, off the path of a commit.
 */
import { Clock, Context, Effect, Latch, Layer, Option, Random, Schedule, type Scope } from "effect"
import { EventSink } from "../events/EventSink.ts"
import type * as LogId from "../identity/LogId.ts"
import * as EntryBatch from "../log/EntryBatch.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type { StoreError } from "../log/ReplicaStore.ts"
import * as PointerTable from "./internal/PointerTable.ts"
import * as RecordIndex from "./RecordIndex.ts"
import type { RecordKey } from "./RecordKey.ts"
import * as RecordKeys from "./RecordKey.ts"

/** The newest writes of all keys: those of the index, and those that it does not have yet. */
export class IndexFollower extends Context.Service<
  IndexFollower,
  {
    /** The newest write of a key that is durably appended here; `undefined` when there is none. */
    readonly newest: (namespace: string, key: string) => Effect.Effect<RecordIndex.Pointer | undefined, StoreError>
    /**
     * The newest writes of at most `limit` keys after `after`, in their order, deletes among them. `isLast` says that
     * there are no more keys.
     */
    readonly scan: (
      after: RecordKey | undefined,
      limit: number
    ) => Effect.Effect<{ readonly pointers: ReadonlyArray<RecordIndex.Pointer>; readonly isLast: boolean }, StoreError>
    /** How many keys wait in memory to be merged into the index. */
    readonly unindexed: () => number
    /** Why the index could not be read last, as long as it has not been since. */
    readonly fault: () => StoreError | undefined
  }
>()("@quorum/core/IndexFollower") {}

/**
 * Brings the index up to the logs and keeps it there until the scope closes. An index that cannot be written, on a full
 * disk say, stops nothing: what it lacks stays in memory, about a hundred bytes a key, until it can be written again.
 */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const index = yield* RecordIndex.RecordIndex
  const clock = yield* Clock.Clock
  const sink = yield* EventSink
  const random = yield* Random.Random
  const makeOverlay = (progress: RecordIndex.Progress): Overlay => ({
    pointers: PointerTable.make(random.nextDoubleUnsafe),
    progress: new Map(progress)
  })
  const progress = yield* Effect.catch(index.progress, (error) =>
    Effect.as(Effect.logError(`the record index cannot be read, and is built anew: ${error.message}`), noProgress)
  )
  /** Newer than the index: `recent` collects, `flushing` is being merged. */
  let recent = makeOverlay(progress)
  let flushing: Overlay | undefined
  const unread = makeUnread()
  const some = Latch.makeUnsafe(false)
  const enough = Latch.makeUnsafe(false)

  /** Takes in what was appended since. Costs a read what the appends did not have to pay. */
  const drain = (): void => {
    const batches = unread.take()
    if (batches.length === 0) return
    for (const batch of batches) addBatch(recent, batch)
    some.openUnsafe()
    if (isFull(recent)) enough.openUnsafe()
  }

  const merge = Effect.fnUntraced(function* ({ pointers, progress }: Overlay) {
    const startedAt = Monotonic.millis(clock)
    const inOrder = pointers.inOrder()
    for (let left = pointers.size(); left > 0; left -= stepPointers) {
      const step = Array.from({ length: Math.min(left, stepPointers) }, () => inOrder.next().value!)
      yield* index.merge(step, left > stepPointers ? noProgress : progress)
      yield* Effect.yieldNow
    }
    if (!sink.active()) return
    const durationMillis = Monotonic.millis(clock) - startedAt
    sink.tell({ _tag: "IndexMerged", pointers: pointers.size(), durationMillis })
  })

  /** Merges what is in memory; what comes meanwhile collects for the next time. */
  const flush = Effect.gen(function* () {
    if (flushing === undefined) {
      drain()
      if (recent.pointers.size() === 0) return
      flushing = recent
      recent = makeOverlay(flushing.progress)
      enough.closeUnsafe()
    }
    yield* merge(flushing)
    flushing = undefined
  }).pipe(Effect.tapError((error) => Effect.logError(`the record index cannot be written: ${error.message}`)))

  yield* Effect.acquireRelease(
    Effect.sync(() =>
      logs.onAppend((batch) => {
        if (unread.add(batch)) drain()
      })
    ),
    // Twice: the first may only finish a flush that was under way.
    (stop) => Effect.andThen(Effect.sync(stop), Effect.ignore(Effect.andThen(flush, flush)))
  )
  yield* rebuild(logs, () => recent, flush)
  if (recent.pointers.size() > 0) some.openUnsafe()

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
      yield* Effect.ignore(Effect.retry(flush, Schedule.spaced(1000)))
    }
  }).pipe(Effect.forkScoped)

  let fault: StoreError | undefined
  const reading = <A, B>(read: Effect.Effect<A, StoreError>, then: (found: A) => B): Effect.Effect<B, StoreError> =>
    Effect.mapBoth(read, {
      onFailure: (error) => (fault = error),
      onSuccess: (found) => {
        fault = undefined
        return then(found)
      }
    })

  return IndexFollower.of({
    newest: (namespace, key) =>
      Effect.suspend(() => {
        drain()
        const pointer = newer(recent.pointers.get(namespace, key), flushing?.pointers.get(namespace, key))
        return reading(index.get(namespace, key), (indexed) => newer(pointer, Option.getOrUndefined(indexed)))
      }),
    scan: (after, limit) =>
      Effect.suspend(() => {
        drain()
        // Captured before the scan: what is merged into the index meanwhile is in one of the two.
        const overlays = flushing === undefined ? [recent] : [flushing, recent]
        return reading(index.scan({ after, limit }), (indexed) => joined(indexed, overlays, after, limit))
      }),
    unindexed: () => recent.pointers.size() + (flushing?.pointers.size() ?? 0),
    fault: () => fault
  })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<IndexFollower, StoreError, ReplicaLogs | RecordIndex.RecordIndex> = Layer.effect(
  IndexFollower,
  make
)

// ---------------------------------------------------------------------------------------------------------------------

/**
 * How many pointers one step of the index takes: well below a millisecond of work, so that acks need not wait long. The
 * first step of many sorts more than its own, and takes some milliseconds.
 */
const stepPointers = 128

/**
 * How many pointers, or bytes of them, collect in memory before they are merged into the index, and how long they may
 * wait for that, in milliseconds. Many at once share the pages that they change, and of several writes of a key one is
 * left to merge.
 */
const maxPointers = 131_072
const maxPointerBytes = 32 * 1024 * 1024
const maxWaitMillis = 5000

/** The most bytes of appended entries that wait to be looked at. */
const maxUnreadBytes = 1024 * 1024

/** How much of a log is read at once when the index has to catch up with it. */
const rebuildBytes = 1024 * 1024

/** Pointers that the index does not have yet, and how far the logs are covered with them. */
interface Overlay {
  readonly pointers: PointerTable.PointerTable
  readonly progress: Map<LogId.LogId, number>
}

const noProgress: RecordIndex.Progress = new Map()

const isFull = ({ pointers }: Overlay): boolean => pointers.size() >= maxPointers || pointers.bytes() >= maxPointerBytes

const addBatch = (overlay: Overlay, batch: EntryBatch.EntryBatch): void => {
  overlay.pointers.add(batch)
  overlay.progress.set(batch.log, EntryBatch.last(batch))
}

/** Batches that were appended and not looked at yet. */
const makeUnread = () => {
  let batches: Array<EntryBatch.EntryBatch> = []
  let bytes = 0
  const appended = Latch.makeUnsafe(false)
  return {
    /** Whether there are too many now. */
    add: (batch: EntryBatch.EntryBatch): boolean => {
      batches.push(batch)
      bytes += batch.bytes.length
      appended.openUnsafe()
      return bytes > maxUnreadBytes
    },
    take: (): ReadonlyArray<EntryBatch.EntryBatch> => {
      const taken = batches
      if (taken.length > 0) {
        batches = []
        bytes = 0
      }
      return taken
    },
    /** Waits for the next one. */
    await: Effect.andThen(
      Effect.suspend(() => appended.await),
      Effect.sync(() => appended.closeUnsafe())
    )
  }
}

/**
 * Takes in what the logs hold beyond the index. Damage in a log ends what can be taken in of it; the entries after it
 * are looked at as far as they can be read.
 */
const rebuild = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  recent: () => Overlay,
  flush: Effect.Effect<void, StoreError>
): Effect.fn.Return<void, StoreError, Scope.Scope> {
  let isWritable = true
  for (const { log, seq } of logs.heads()) {
    let at = recent().progress.get(log) ?? 0
    if (seq - at > 100_000) yield* Effect.logInfo(`indexing ${seq - at} entries of ${log}`)
    while (at < seq) {
      const batch = yield* logs.read(log, at, rebuildBytes).pipe(
        Effect.catchIf(
          (error) => error.reason === "corrupt" && logs.damageAt(log, at + 1) !== undefined,
          (error) => Effect.as(Effect.logError(error.message), Option.none<EntryBatch.EntryBatch>())
        )
      )
      if (Option.isNone(batch)) {
        const damage = logs.damageAt(log, at + 1)
        if (damage === undefined) return yield* Effect.die(`entry ${at + 1} of ${log} is missing`)
        at = damage.to
        continue
      }
      addBatch(recent(), batch.value)
      at = EntryBatch.last(batch.value)
      if (isWritable && isFull(recent()))
        isWritable = yield* Effect.match(flush, { onFailure: () => false, onSuccess: () => true })
    }
  }
})

/** The first pointers of the index and of what it lacks, the newest of each key. */
const joined = (
  indexed: ReadonlyArray<RecordIndex.Pointer>,
  overlays: ReadonlyArray<Overlay>,
  after: RecordKey | undefined,
  limit: number
) => {
  const end = indexed.length < limit ? undefined : indexed[indexed.length - 1]!
  const found = new Map<string, RecordIndex.Pointer>()
  for (const source of [indexed, ...overlays.map(({ pointers }) => pointers.within(after, end, limit + 1))]) {
    for (const pointer of source) {
      const id = RecordKeys.keyOf(pointer.namespace, pointer.key)
      found.set(id, newer(found.get(id), pointer)!)
    }
  }
  const pointers = Array.from(found.values()).sort(RecordKeys.compare)
  const isLast = pointers.length === 0 || (end === undefined && pointers.length <= limit)
  return { pointers: pointers.slice(0, limit), isLast }
}

const newer = (
  a: RecordIndex.Pointer | undefined,
  b: RecordIndex.Pointer | undefined
): RecordIndex.Pointer | undefined =>
  a === undefined ? b : b === undefined ? a : RecordIndex.compare(a, b) >= 0 ? a : b
