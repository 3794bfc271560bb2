/**
 * Reads: the newest value of a key, as far as this replica holds the logs.
 *
 * The record index is filled behind the logs, in large sorted steps and off the path of a commit. What it does not
 * cover yet is kept in memory as pointers, so a read sees everything that is durably appended here.
 */
import { Context, Effect, Latch, Layer, Option, Schedule, Schema } from "effect"
import * as Entry from "../log/Entry.ts"
import * as EntryBatch from "../log/EntryBatch.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import type * as LogId from "../identity/LogId.ts"
import * as WriteId from "../identity/WriteId.ts"
import * as PointerTable from "./internal/PointerTable.ts"
import * as RecordIndex from "./RecordIndex.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import { StoreError } from "../log/ReplicaStore.ts"

/** The newest write of a key. */
export interface Record {
  readonly namespace: string
  readonly key: string
  readonly value: Uint8Array
  readonly writeId: WriteId.WriteId
  readonly clock: HybridLogicalClock.HybridLogicalClock
}

/** The write of a receipt has not reached this replica in the time that the read was given. */
export class NotYetVisible extends Schema.TaggedError<NotYetVisible>()("NotYetVisible", { writeId: WriteId.WriteId }) {
  override get message(): string {
    return `the write ${this.writeId} has not reached this replica yet; ask another replica, or again later`
  }
}

/** Reads of the records on this replica. */
export class Records extends Context.Service<
  Records,
  {
    /**
     * The newest value of a key; none when it was never written or is deleted.
     *
     * With `atLeast`, the id of a write, waits until that write is visible here, `withinMillis` (2,000 unless given) at
     * most: a client reads its own writes on any replica.
     */
    readonly read: (
      namespace: string,
      key: string,
      options?: { readonly atLeast?: WriteId.WriteId; readonly withinMillis?: number }
    ) => Effect.Effect<Option.Option<Record>, StoreError | NotYetVisible>
    /**
     * The records in the order of (namespace, key), deleted ones left out, after the given key. A page covers `limit`
     * keys, so it may hold fewer records; `next` is where to go on, and is absent on the last page.
     */
    readonly page: (options: {
      readonly after?: { readonly namespace: string; readonly key: string }
      readonly limit: number
    }) => Effect.Effect<
      { readonly records: ReadonlyArray<Record>; readonly next: Option.Option<{ namespace: string; key: string }> },
      StoreError
    >
  }
>()("@quorum/core/Records") {}

/**
 * How many pointers one step of the index takes: well below a millisecond of work, so that acks need not wait long. The
 * first step of many sorts more than its own, and takes some milliseconds.
 */
const stepPointers = 128

/**
 * How many pointers, or bytes of them, collect in memory before they are merged into the index, and how long they may
 * wait for that, in milliseconds. Many at once share the pages that they change, and of several writes of a key one is left to merge.
 */
const maxPointers = 131_072
const maxPointerBytes = 32 * 1024 * 1024
const maxWaitMillis = 5000

/** The most bytes of appended entries that wait to be looked at. */
const maxUnreadBytes = 1024 * 1024

/** How much of a log is read at once when the index has to catch up with it. */
const rebuildBytes = 1024 * 1024

/** Brings the index up to the logs and keeps it there until the scope closes. */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const index = yield* RecordIndex.RecordIndex
  /** Newer than the index: `recent` collects, `flushing` is being merged. */
  let recent = makeOverlay(yield* index.progress)
  let flushing: Overlay | undefined
  let unread: Array<EntryBatch.EntryBatch> = []
  let unreadBytes = 0
  const appended = Latch.makeUnsafe(false)
  const some = Latch.makeUnsafe(false)
  const enough = Latch.makeUnsafe(false)
  const waiters = new Set<() => void>()

  /** Takes in what was appended since. Costs a read what the appends did not have to pay. */
  const drain = (): void => {
    if (unread.length === 0) return
    const batches = unread
    unread = []
    unreadBytes = 0
    for (const batch of batches) addBatch(recent, batch)
    some.openUnsafe()
    if (isFull(recent)) enough.openUnsafe()
  }

  const flush = Effect.gen(function* () {
    if (flushing === undefined) {
      drain()
      if (recent.pointers.size() === 0) return
      flushing = recent
      recent = makeOverlay(flushing.progress)
      enough.closeUnsafe()
    }
    const { pointers, progress } = flushing
    const inOrder = pointers.inOrder()
    for (let left = pointers.size(); left > 0; left -= stepPointers) {
      const step = Array.from({ length: Math.min(left, stepPointers) }, () => inOrder.next().value!)
      yield* index.merge(step, left > stepPointers ? noProgress : progress)
      yield* Effect.yieldNow
    }
    flushing = undefined
  })

  yield* Effect.acquireRelease(
    Effect.sync(() =>
      logs.onAppend((batch) => {
        unread.push(batch)
        unreadBytes += batch.bytes.length
        if (unreadBytes > maxUnreadBytes) drain()
        appended.openUnsafe()
        for (const wake of waiters) wake()
      })
    ),
    // Twice: the first may only finish a flush that was under way.
    (stop) => Effect.andThen(Effect.sync(stop), Effect.ignore(Effect.andThen(flush, flush)))
  )

  for (const { log, seq } of logs.vector()) {
    let at = recent.progress.get(log) ?? 0
    if (seq - at > 100_000) yield* Effect.logInfo(`indexing ${seq - at} entries of ${log}`)
    while (at < seq) {
      const batch = yield* logs.read(log, at, rebuildBytes)
      if (Option.isNone(batch)) return yield* Effect.die(`entry ${at + 1} of ${log} is missing`)
      addBatch(recent, batch.value)
      at = EntryBatch.last(batch.value)
      if (isFull(recent)) yield* flush
    }
  }

  if (recent.pointers.size() > 0) some.openUnsafe()

  yield* Effect.gen(function* () {
    while (true) {
      yield* appended.await
      appended.closeUnsafe()
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
      yield* flush.pipe(
        Effect.tapError((error) => Effect.logError(`the record index cannot be written: ${error.message}`)),
        Effect.retry(Schedule.spaced(1000)),
        Effect.ignore
      )
    }
  }).pipe(Effect.forkScoped)

  const pointerOf = (namespace: string, key: string) =>
    Effect.suspend(() => {
      drain()
      const pointer = newer(recent.pointers.get(namespace, key), flushing?.pointers.get(namespace, key))
      return Effect.map(index.get(namespace, key), (indexed) => newer(pointer, Option.getOrUndefined(indexed)))
    })

  const resolve = Effect.fnUntraced(function* (pointer: RecordIndex.Pointer | undefined) {
    if (pointer === undefined || pointer.deleted) return Option.none<Record>()
    const batch = yield* logs.read(pointer.log, pointer.seq - 1, 1)
    const entry = Option.map(batch, ({ bytes }) => Entry.decodeAt(bytes, 0))
    if (
      Option.isNone(entry) ||
      entry.value.namespace !== pointer.namespace ||
      entry.value.key !== pointer.key ||
      HybridLogicalClock.compare(entry.value.clock, pointer.clock) !== 0
    ) {
      return yield* new StoreError({
        reason: "corrupt",
        detail: `the index points to entry ${pointer.seq} of ${pointer.log}, which is another; delete the index`
      })
    }
    const { clock, key, namespace, value } = entry.value
    // A copy: the bytes are those of the log, and a caller may do with a value as it likes.
    return Option.some<Record>({
      namespace,
      key,
      value: value.slice(),
      writeId: WriteId.make(pointer.log, pointer.seq),
      clock
    })
  })

  const arrival = (writeId: WriteId.WriteId, withinMillis: number) => {
    const { log, seq } = WriteId.place(writeId)
    const arrived = () => logs.head(log).seq >= seq
    return Effect.callback<void>((resume) => {
      if (arrived()) return resume(Effect.void)
      const wake = () => {
        if (!arrived()) return
        waiters.delete(wake)
        resume(Effect.void)
      }
      waiters.add(wake)
      return Effect.sync(() => waiters.delete(wake))
    }).pipe(
      Effect.timeoutOrElse({
        duration: withinMillis,
        orElse: () => Effect.fail(new NotYetVisible({ writeId }))
      })
    )
  }

  return Records.of({
    read: Effect.fnUntraced(function* (namespace, key, options) {
      if (options?.atLeast !== undefined) yield* arrival(options.atLeast, options.withinMillis ?? 2000)
      return yield* resolve(yield* pointerOf(namespace, key))
    }),
    page: Effect.fnUntraced(function* ({ after, limit }) {
      drain()
      // Captured before the scan: what is merged into the index meanwhile is in one of the two.
      const overlays = [flushing, recent]
      const indexed = yield* index.scan({ after, limit })
      const end = indexed.length < limit ? undefined : indexed[indexed.length - 1]!
      const found = new Map<string, RecordIndex.Pointer>()
      for (const source of [
        indexed,
        ...overlays.map((overlay) => overlay?.pointers.within(after, end, limit + 1) ?? [])
      ]) {
        for (const pointer of source) {
          const id = RecordIndex.keyOf(pointer.namespace, pointer.key)
          found.set(id, newer(found.get(id), pointer)!)
        }
      }
      const keys = Array.from(found.values()).sort(RecordIndex.compareKeys)
      const pointers = keys.slice(0, limit)
      const last = pointers[pointers.length - 1]
      const done = last === undefined || (end === undefined && keys.length <= limit)
      const records: Array<Record> = []
      for (const pointer of pointers) {
        const record = yield* resolve(pointer)
        if (Option.isSome(record)) records.push(record.value)
      }
      return { records, next: done ? Option.none() : Option.some({ namespace: last.namespace, key: last.key }) }
    })
  })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(Records, make)

// ---------------------------------------------------------------------------------------------------------------------

/** Pointers that the index does not have yet, and how far the logs are covered with them. */
interface Overlay {
  readonly pointers: PointerTable.PointerTable
  readonly progress: Map<LogId.LogId, number>
}

const noProgress: RecordIndex.Progress = new Map()

const makeOverlay = (progress: RecordIndex.Progress): Overlay => ({
  pointers: PointerTable.make(),
  progress: new Map(progress)
})

const isFull = ({ pointers }: Overlay): boolean => pointers.size() >= maxPointers || pointers.bytes() >= maxPointerBytes

const addBatch = (overlay: Overlay, batch: EntryBatch.EntryBatch): void => {
  overlay.pointers.add(batch)
  overlay.progress.set(batch.log, EntryBatch.last(batch))
}

const newer = (
  a: RecordIndex.Pointer | undefined,
  b: RecordIndex.Pointer | undefined
): RecordIndex.Pointer | undefined =>
  a === undefined ? b : b === undefined ? a : RecordIndex.compare(a, b) >= 0 ? a : b
