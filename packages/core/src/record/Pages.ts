/**
 * Pages of records: all of them, or a part, in the order of their keys, and as many at a time as are asked for.
 */
import { Effect, Option } from "effect"
import type * as LogId from "../identity/LogId.ts"
import type { DamagedRange } from "../log/DamagedRange.ts"
import type { StoreError } from "../log/ReplicaStore.ts"
import type * as IndexFollower from "./IndexFollower.ts"
import * as Parts from "./internal/Parts.ts"
import type { ReadRejected } from "./ReadRejected.ts"
import { type Newest, type Record, recordOf } from "./Record.ts"
import type * as RecordIndex from "./RecordIndex.ts"
import * as RecordKey from "./RecordKey.ts"

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

/** Reads of many records at once. */
export interface Pages {
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
}

/** Makes pages of what the index knows, and of the writes that its pointers lead to. */
export const make = ({
  follower,
  resolve
}: {
  readonly follower: Pick<IndexFollower.IndexFollower["Service"], "isBuilding" | "scan" | "unindexed" | "unreadable">
  /** The write that a pointer leads to; nothing where it was a delete that is forgotten. */
  readonly resolve: (pointer: RecordIndex.Pointer) => Effect.Effect<Newest | undefined, StoreError>
}): Pages => {
  /** Goes through the keys that a page covers, a step of them at a time, until `take` has enough. */
  const walk = Effect.fnUntraced(function* (
    { limit, ...options }: PageOptions,
    take: (pointer: RecordIndex.Pointer) => Effect.Effect<boolean, StoreError>
  ): Effect.fn.Return<Option.Option<RecordKey.RecordKey>, StoreError> {
    const { after, reverse = false } = options
    let range = Parts.rangeOf(options)
    let last = after
    for (let left = limit, step = 0; left > 0; left -= step) {
      if (last !== undefined) range = RecordKey.beyond(range, last, reverse)
      step = Math.min(left, follower.unindexed() > fewKeys ? stepBesideMany : stepKeys)
      const { isLast, pointers } = yield* follower.scan({ ...range, reverse, limit: step })
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

  /** What may be missing of an answer that begins now: what is mended before it ends may be missing of it all the same. */
  const missing = (): (() => ReadonlyArray<DamagedRange>) => {
    const before = follower.unreadable()
    return () => {
      const now = follower.unreadable()
      return now === before ? now : Array.from(new Set([...before, ...now]))
    }
  }

  const page = Effect.fnUntraced(function* (options: PageOptions): Effect.fn.Return<Page, StoreError | ReadRejected> {
    const rejected = Parts.faultOfPage(options)
    if (rejected !== undefined) return yield* rejected
    const unreadable = missing()
    const records: Array<Record> = []
    const damaged: Array<DamagedRecord> = []
    let bytes = 0
    const next = yield* walk(options, (pointer) =>
      Effect.matchEffect(resolve(pointer), {
        onFailure: (error) => {
          // What an index says that is thrown away is no damage of a record, and nothing of it is answered.
          if (!isDamage(error) || follower.isBuilding()) return Effect.fail(error)
          const { key, log, namespace, seq } = pointer
          damaged.push({ namespace, key, log, seq })
          return Effect.succeed(false)
        },
        onSuccess: (newest) => {
          const found = recordOf(newest)
          if (Option.isNone(found)) return Effect.succeed(false)
          records.push(found.value)
          const before = bytes
          bytes += found.value.value.length
          const isEnough = bytes >= pageBytes
          // Others have their turn while large values are read.
          return Math.floor(before / turnBytes) === Math.floor(bytes / turnBytes)
            ? Effect.succeed(isEnough)
            : Effect.as(Effect.yieldNow, isEnough)
        }
      })
    )
    return { records, damaged, unreadable: unreadable(), next }
  })

  const keys = Effect.fnUntraced(function* (
    options: PageOptions
  ): Effect.fn.Return<KeysPage, StoreError | ReadRejected> {
    const rejected = Parts.faultOfPage(options)
    if (rejected !== undefined) return yield* rejected
    const unreadable = missing()
    const found: Array<RecordKey.RecordKey> = []
    const next = yield* walk(options, ({ key, namespace }) => {
      found.push({ namespace, key })
      return Effect.succeed(false)
    })
    return { keys: found, unreadable: unreadable(), next }
  })

  const count = Effect.fnUntraced(function* (part: Part): Effect.fn.Return<Count, StoreError | ReadRejected> {
    const rejected = Parts.faultOfPage({ ...part, limit: 1 })
    if (rejected !== undefined) return yield* rejected
    const unreadable = missing()
    let count = 0
    yield* walk({ ...part, limit: Number.MAX_SAFE_INTEGER }, () => {
      count++
      return Effect.succeed(false)
    })
    return { count, unreadable: unreadable() }
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
    const unreadable = missing()
    const found: Array<string> = []
    let first = yield* firstAfter(after)
    while (first !== undefined && found.length < limit) {
      found.push(first.namespace)
      first = yield* firstAfter(first.namespace)
    }
    const next = first === undefined ? Option.none() : Option.fromNullishOr(found.at(-1))
    return { namespaces: found, unreadable: unreadable(), next }
  })

  return { page, keys, count, namespaces }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Bytes of values after which a page ends. */
const pageBytes = 4 * 1024 * 1024

/**
 * How many keys are looked up at once for a page: half a millisecond of work. More of them where the index does not have many
 * keys yet, since all of those are passed over each time.
 */
const stepKeys = 128
const stepBesideMany = 1000
const fewKeys = 5000

/** After how many keys of a page others have their turn, and after how many bytes of values. */
const turnKeys = 16
const turnBytes = 256 * 1024

/** Damage costs the record that it is in. Whatever else a store cannot do, it cannot do for the next record either. */
const isDamage = ({ reason }: StoreError): boolean => reason === "corrupt"
