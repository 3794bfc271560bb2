/**
 * Reads: the newest value of a key, as far as this replica holds the logs.
 *
 * The record index is filled behind the logs, in large sorted steps and off the path of a commit. What it does not
 * cover yet is kept in memory as pointers, so a read sees everything that is durably appended here.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import type * as LogId from "../identity/LogId.ts"
import * as WriteId from "../identity/WriteId.ts"
import * as Arrival from "../log/Arrival.ts"
import * as Chain from "../log/Chain.ts"
import * as Entry from "../log/Entry.ts"
import * as Erased from "../log/Erased.ts"
import type * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import { contains, type DamagedRange } from "../log/DamagedRange.ts"
import { StoreError } from "../log/ReplicaStore.ts"
import * as Version from "../log/Version.ts"
import { WriteReplaced } from "../quorum/QuorumError.ts"
import * as IndexFollower from "./IndexFollower.ts"
import * as Parts from "./internal/Parts.ts"
import { NotYetVisible } from "./NotYetVisible.ts"
import { ReadRejected } from "./ReadRejected.ts"
import * as RecordIndex from "./RecordIndex.ts"
import * as RecordKey from "./RecordKey.ts"

export { NotYetVisible } from "./NotYetVisible.ts"
export { ReadRejected } from "./ReadRejected.ts"

/** The newest write of a key. */
export interface Record extends RecordKey.RecordKey {
  readonly value: Uint8Array
  /** What the writer said the value is; absent when nothing was said. */
  readonly contentType?: string
  readonly writeId: WriteId.WriteId
  readonly clock: HybridLogicalClock.HybridLogicalClock
}

/** The newest write of a key as this replica holds it, a delete too. */
export interface Newest extends Record, Entry.Stamp {
  readonly deleted: boolean
}

/** A record that exists and cannot be read here: what this replica holds of its newest write is damaged. */
export interface DamagedRecord extends RecordKey.RecordKey {
  /** The place of that write. Its id cannot be told: the check in it is of what is damaged. */
  readonly log: LogId.LogId
  readonly seq: number
}

/** A part of all records, in the order of (namespace, key). */
export interface Page {
  readonly records: ReadonlyArray<Record>
  /** The records of this part that cannot be read here. Another replica may have them. */
  readonly damaged: ReadonlyArray<DamagedRecord>
  /**
   * Damaged entries of which nobody here knows the keys, as after the index was built again: records may be missing on
   * any page because of them, or be older than they should. Another replica may have them.
   */
  readonly unreadable: ReadonlyArray<DamagedRange>
  /** Where to go on; none on the last page. */
  readonly next: Option.Option<RecordKey.RecordKey>
}

/** What a read waits for. */
export interface ReadOptions {
  /** The write that has to be visible here first. */
  readonly atLeast?: WriteId.WriteId
  /** How long it may take until it is, in milliseconds; 2,000 unless given. */
  readonly withinMillis?: number
}

/** Which records are meant. */
export interface Part {
  /** Their namespace; all unless given. */
  readonly namespace?: string
  /** What their keys begin with, in a namespace. */
  readonly prefix?: string
  /** The first key that is meant, in a namespace. */
  readonly from?: string
  /** The first key after it that is not, in a namespace. */
  readonly to?: string
}

/** Which part of all records a page is. */
export interface PageOptions extends Part {
  /** From the last record to the first. */
  readonly reverse?: boolean
  /** The key that it comes after: `next` of the page before. From the first record on unless given. */
  readonly after?: RecordKey.RecordKey
  /** How many keys it covers, at least one. */
  readonly limit: number
}

/** The keys of a part of all records. */
export interface KeysPage {
  readonly keys: ReadonlyArray<RecordKey.RecordKey>
  /** As of {@link Page}. */
  readonly unreadable: ReadonlyArray<DamagedRange>
  /** Where to go on; none on the last page. */
  readonly next: Option.Option<RecordKey.RecordKey>
}

/** How many records there are. */
export interface Count {
  readonly count: number
  /** As of {@link Page}. */
  readonly unreadable: ReadonlyArray<DamagedRange>
}

/** Names of namespaces that have records. */
export interface NamespacesPage {
  readonly namespaces: ReadonlyArray<string>
  /** As of {@link Page}. */
  readonly unreadable: ReadonlyArray<DamagedRange>
  /** Where to go on; none on the last page. */
  readonly next: Option.Option<string>
}

/** Which namespaces a page has: those after one, by the bytes of their names, and how many at most. */
export interface NamespacesOptions {
  readonly after?: string
  readonly limit: number
}

/** Reads of the records as this replica holds them. */
export class LocalRecords extends Context.Service<
  LocalRecords,
  {
    /**
     * The newest value of a key; none when it was never written or is deleted.
     *
     * With `atLeast` it waits until that write is visible here: a client reads its own writes on any replica.
     * `WriteReplaced` when its place is another write's here.
     */
    readonly read: (
      namespace: string,
      key: string,
      options?: ReadOptions
    ) => Effect.Effect<Option.Option<Record>, StoreError | NotYetVisible | WriteReplaced | ReadRejected>
    /**
     * The records in the order of (namespace, key), by UTF-8 bytes, or with `reverse` from the last on, deleted ones left
     * out, after the given key. A page covers `limit` keys, so it may hold fewer records, and ends early when its values
     * reach 4 MiB; `next` is where to go on, and is absent on the last page. A record that is damaged here is named by
     * the page, and the page goes on after it.
     */
    readonly page: (options: PageOptions) => Effect.Effect<Page, StoreError | ReadRejected>
    /** The keys alone of the records of such a page. No value is read, so none is found to be damaged. */
    readonly keys: (options: PageOptions) => Effect.Effect<KeysPage, StoreError | ReadRejected>
    /** How many records there are; all their keys are passed over, and no value is read. */
    readonly count: (part: Part) => Effect.Effect<Count, StoreError | ReadRejected>
    /** The namespaces that have records, in the order of their names. */
    readonly namespaces: (options: NamespacesOptions) => Effect.Effect<NamespacesPage, StoreError | ReadRejected>
    /**
     * Waits until a write is visible here, for so many milliseconds at most. `WriteReplaced` when its place is another
     * write's here.
     */
    readonly arrived: (
      writeId: WriteId.WriteId,
      withinMillis: number
    ) => Effect.Effect<void, StoreError | NotYetVisible | WriteReplaced>
    /**
     * The newest write of a key, a delete too; nothing when none is held. It fails with `corrupt` where that cannot be
     * known, because there is damage that may be of any key: nobody may be told that there is nothing newer here. What is
     * `lost`, because no member has it, is no write that anybody could be told of, and hides nothing.
     */
    readonly newest: (
      namespace: string,
      key: string,
      lost: ReadonlyArray<DamagedRange>
    ) => Effect.Effect<Newest | undefined, StoreError>
    /** The version of {@link newest}, by the index alone: its log is not looked at. */
    readonly version: (
      ...of: readonly [namespace: string, key: string, lost: ReadonlyArray<DamagedRange>]
    ) => Effect.Effect<Version.Version | undefined, StoreError>
  }
>()("@quorum/core/LocalRecords") {}

/** Builds the reads on the logs and the index of this replica. */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const follower = yield* IndexFollower.IndexFollower

  const arrived = (writeId: WriteId.WriteId, withinMillis: number) =>
    Effect.timeoutOrElse(Arrival.reached(logs, writeId), {
      duration: withinMillis,
      orElse: () => Effect.fail(new NotYetVisible({ writeId }))
    }).pipe(Effect.andThen(isWhatItWas(logs, writeId)))

  /**
   * The write that a pointer leads to, or, where that was erased meanwhile, the newer one; nothing where it was a delete
   * that is forgotten. When it is another one, the index is damaged.
   */
  const resolve = (pointer: RecordIndex.Pointer): Effect.Effect<Newest | undefined, StoreError> =>
    Effect.flatMap(find(logs, pointer), (found) => {
      if (found !== "erased" && found !== undefined) return Effect.succeed(found)
      if (found === "erased") {
        if (pointer.deleted) return Effect.undefined
        return Effect.flatMap(follower.newest(pointer.namespace, pointer.key), (now) => {
          if (now === undefined) return Effect.undefined
          return RecordIndex.compare(now, pointer) > 0 ? resolve(now) : misled(pointer)
        })
      }
      return misled(pointer)
    })

  const misled = (pointer: RecordIndex.Pointer): Effect.Effect<never, StoreError> =>
    Effect.suspend(() => {
      const detail = `the index points to entry ${pointer.seq} of ${pointer.log}, which is another`
      const error = new StoreError({ reason: "corrupt", detail })
      return Effect.andThen(follower.distrust(error), Effect.fail(error))
    })

  const pointing = Effect.fnUntraced(function* (namespace: string, key: string, lost: ReadonlyArray<DamagedRange>) {
    const pointer = yield* follower.newest(namespace, key)
    const hidden = follower.unreadable().find((range) => !lost.some((gone) => contains(gone, range)))
    return hidden === undefined ? pointer : yield* hiding(hidden)
  })

  const newest: LocalRecords["Service"]["newest"] = (...of) =>
    Effect.flatMap(pointing(...of), (pointer) => (pointer === undefined ? Effect.undefined : resolve(pointer)))

  const read = Effect.fnUntraced(function* (namespace: string, key: string, options?: ReadOptions) {
    const rejected = options === undefined ? undefined : faultOfRead(options)
    if (rejected !== undefined) return yield* rejected
    if (options?.atLeast !== undefined) yield* arrived(options.atLeast, options.withinMillis ?? 2000)
    if (!RecordKey.isWellFormed({ namespace, key })) return Option.none<Record>()
    const pointer = yield* follower.newest(namespace, key)
    if (pointer === undefined || pointer.deleted) return Option.none<Record>()
    return recordOf(yield* resolve(pointer))
  })

  /** Goes through the keys that a page covers, a step of them at a time, until `take` has enough. */
  const walk = Effect.fnUntraced(function* (
    { limit, ...options }: PageOptions,
    take: (pointer: RecordIndex.Pointer) => Effect.Effect<boolean, StoreError>
  ): Effect.fn.Return<Option.Option<RecordKey.RecordKey>, StoreError> {
    const { after, reverse = false } = options
    let range = Parts.rangeOf(options)
    let last = after
    for (let left = limit; left > 0; left -= pageStep) {
      if (last !== undefined) range = RecordKey.beyond(range, last, reverse)
      const { isLast, pointers } = yield* follower.scan({ ...range, reverse, limit: Math.min(left, pageStep) })
      for (const [i, pointer] of pointers.entries()) {
        last = { namespace: pointer.namespace, key: pointer.key }
        const isEnough = !pointer.deleted && (yield* take(pointer))
        if (isEnough && !(isLast && i === pointers.length - 1)) return Option.some(last)
        // Others have their turn while a long page is made.
        if (i % turnKeys === turnKeys - 1) yield* Effect.yieldNow
      }
      if (isLast) return Option.none()
    }
    return Option.fromNullishOr(last)
  })

  const page = Effect.fnUntraced(function* (options: PageOptions): Effect.fn.Return<Page, StoreError | ReadRejected> {
    const rejected = Parts.faultOfPage(options)
    if (rejected !== undefined) return yield* rejected
    const records: Array<Record> = []
    const damaged: Array<DamagedRecord> = []
    let bytes = 0
    const next = yield* walk(options, (pointer) =>
      Effect.map(resolve(pointer), recordOf).pipe(
        Effect.catchIf(isDamage, () => {
          const { key, log, namespace, seq } = pointer
          damaged.push({ namespace, key, log, seq })
          return Effect.succeedNone
        }),
        Effect.flatMap((found) => {
          if (Option.isNone(found)) return Effect.succeed(false)
          records.push(found.value)
          const before = bytes
          bytes += found.value.value.length
          const isEnough = bytes >= pageBytes
          // Others have their turn while large values are read.
          return Math.floor(before / turnBytes) === Math.floor(bytes / turnBytes)
            ? Effect.succeed(isEnough)
            : Effect.as(Effect.yieldNow, isEnough)
        })
      )
    )
    return { records, damaged, unreadable: follower.unreadable(), next }
  })

  const keys = Effect.fnUntraced(function* (
    options: PageOptions
  ): Effect.fn.Return<KeysPage, StoreError | ReadRejected> {
    const rejected = Parts.faultOfPage(options)
    if (rejected !== undefined) return yield* rejected
    const found: Array<RecordKey.RecordKey> = []
    const next = yield* walk(options, ({ key, namespace }) => {
      found.push({ namespace, key })
      return Effect.succeed(false)
    })
    return { keys: found, unreadable: follower.unreadable(), next }
  })

  const count = Effect.fnUntraced(function* (part: Part): Effect.fn.Return<Count, StoreError | ReadRejected> {
    const rejected = Parts.faultOfPage({ ...part, limit: 1 })
    if (rejected !== undefined) return yield* rejected
    let count = 0
    yield* walk({ ...part, limit: Number.MAX_SAFE_INTEGER }, () => {
      count++
      return Effect.succeed(false)
    })
    return { count, unreadable: follower.unreadable() }
  })

  /** The first record after all of a namespace, or of all. */
  const firstAfter = Effect.fnUntraced(function* (namespace: string | undefined) {
    let range = namespace === undefined ? {} : RecordKey.afterNamespace(namespace)
    while (true) {
      const { isLast, pointers } = yield* follower.scan({ ...range, limit: turnKeys })
      const found = pointers.find(({ deleted }) => !deleted)
      const last = pointers.at(-1)
      if (found !== undefined || isLast || last === undefined) return found
      range = RecordKey.beyond(range, last, false)
      yield* Effect.yieldNow
    }
  })

  const namespaces = Effect.fnUntraced(function* ({
    after,
    limit
  }: NamespacesOptions): Effect.fn.Return<NamespacesPage, StoreError | ReadRejected> {
    const rejected = Parts.faultOfNamespaces({ after, limit })
    if (rejected !== undefined) return yield* rejected
    const found: Array<string> = []
    let first = yield* firstAfter(after)
    while (first !== undefined && found.length < limit) {
      found.push(first.namespace)
      first = yield* firstAfter(first.namespace)
    }
    const next = first === undefined ? Option.none() : Option.fromNullishOr(found.at(-1))
    return { namespaces: found, unreadable: follower.unreadable(), next }
  })

  return LocalRecords.of({ read, page, keys, count, namespaces, arrived, newest, version: pointing })
})

/** {@link make} as a layer, with what keeps the index up to the logs. */
export const layer = Layer.effect(LocalRecords, make)

// ---------------------------------------------------------------------------------------------------------------------

/** Bytes of values after which a page ends. */
const pageBytes = 4 * 1024 * 1024

/** How many keys are looked up at once for a page: each time all are passed over that the index does not have yet. */
const pageStep = 1000

/** After how many keys of a page others have their turn, and after how many bytes of values. */
const turnKeys = 16
const turnBytes = 256 * 1024

/** That the write at a place is the one of the id, and can be read. */
const isWhatItWas = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  writeId: WriteId.WriteId
): Effect.fn.Return<void, StoreError | WriteReplaced> {
  const { check, log, seq } = WriteId.place(writeId)
  const chain = yield* logs.chainAt(log, seq)
  // It is here and cannot be read, so nobody can say that a read shows it.
  if (logs.damageAt(log, seq) !== undefined) return yield* damagedWrite(writeId)
  // It is compacted, and what superseded it is held.
  if (Option.isNone(chain)) return
  const held = Chain.check(chain.value)
  if (held !== check) return yield* new WriteReplaced({ writeId, held: WriteId.make(log, seq, held) })
})

const damagedWrite = (writeId: WriteId.WriteId) =>
  Effect.fail(new StoreError({ reason: "corrupt", detail: `the write ${writeId} is damaged here` }))

const isWriteId = Schema.is(WriteId.WriteId)

/** A place could be made of much that is no id: of entry 0, that everybody holds, or of one that never comes. */
const faultOfRead = ({ atLeast, withinMillis }: ReadOptions): ReadRejected | undefined => {
  if (atLeast !== undefined && !isWriteId(atLeast)) {
    return new ReadRejected({ field: "atLeast", detail: `${Parts.shown(atLeast)} is not the id of a write` })
  }
  if (withinMillis !== undefined && !(typeof withinMillis === "number" && withinMillis >= 0)) {
    return new ReadRejected({
      field: "withinMillis",
      detail: `${Parts.shown(withinMillis)} is not a number of milliseconds`
    })
  }
  return undefined
}

/** Damage costs the record that it is in. Whatever else a store cannot do, it cannot do for the next record either. */
const isDamage = ({ reason }: StoreError): boolean => reason === "corrupt"

const hiding = ({ from, log, to }: DamagedRange): StoreError => {
  const detail = `entries ${from} to ${to} of ${log} are damaged, and one of them may be the newest write of the key`
  return new StoreError({ reason: "corrupt", detail })
}

/** The write that a pointer leads to, read from its log; `erased` when it is gone, and nothing when another is there. */
const find = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  pointer: RecordIndex.Pointer
): Effect.fn.Return<Newest | "erased" | undefined, StoreError> {
  const { key, namespace } = pointer
  const batch = Option.getOrUndefined(yield* logs.read(pointer.log, pointer.seq - 1, 1))
  if (batch !== undefined && Erased.is(batch.bytes, 0)) return "erased"
  const stamp = batch === undefined ? undefined : Entry.stampAt(batch.bytes, 0)
  const at =
    batch === undefined || Version.compare(stamp!, pointer) !== 0
      ? undefined
      : Entry.find(batch.bytes, 0, namespace, key)
  if (batch === undefined || at === undefined) return undefined
  const { contentType, kind, value } = Entry.recordAt(batch.bytes, at)
  const { clock, tie, unprobed } = stamp!
  const writeId = WriteId.make(pointer.log, pointer.seq, Chain.check(batch.chain))
  const type = contentType === undefined ? {} : { contentType }
  // A copy: the bytes are those of the log, and a caller may do with a value as it likes.
  return { namespace, key, writeId, clock, tie, unprobed, deleted: kind === "delete", value: value.slice(), ...type }
})

/** What a reader sees of the newest write; none of a delete. */
export const recordOf = (newest: Newest | undefined): Option.Option<Record> => {
  if (newest === undefined || newest.deleted) return Option.none()
  const { deleted: _deleted, tie: _tie, unprobed: _unprobed, ...record } = newest
  return Option.some(record)
}
