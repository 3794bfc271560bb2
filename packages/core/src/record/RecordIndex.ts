/**
 * The port for the record index: which write of a key is the newest. Its in-memory twin is below.
 *
 * The index is derived: it can be thrown away and built again from the logs, so it needs no fsync. It holds pointers
 * (key → place in a log), never values.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import * as LogId from "../identity/LogId.ts"
import * as RecordKey from "./RecordKey.ts"
import type { StoreError } from "../log/ReplicaStore.ts"
import * as Version from "../log/Version.ts"

/** The newest known write of a key: its place, its version, and whether it is a delete. */
export const Pointer = Schema.Struct({
  namespace: Schema.String,
  key: Schema.String,
  log: LogId.LogId,
  seq: LogId.Sequence,
  ...Version.Version.fields,
  deleted: Schema.Boolean
})

/** The newest known write of a key. */
export type Pointer = typeof Pointer.Type

/** What a scan asks for. */
export interface Scan extends RecordKey.Range {
  readonly reverse?: boolean | undefined
  readonly limit: number
}

/** How far the index covers the logs: log → sequence. */
export type Progress = ReadonlyMap<LogId.LogId, number>

/**
 * Order of the writes of one key: last write wins by version. Copies of one write, which have one version, are ordered
 * by the name of their log (its owner and incarnation, as text), then by sequence. Total over distinct places, and a function of the entries alone, so every
 * replica that holds the same entries picks the same winner. Positive when `a` is newer.
 */
export const compare = (
  a: Omit<Pointer, "namespace" | "key" | "deleted">,
  b: Omit<Pointer, "namespace" | "key" | "deleted">
): number => Version.compare(a, b) || (a.log === b.log ? a.seq - b.seq : a.log < b.log ? -1 : 1)

/**
 * A checksum of a pointer, its key included, from 0 to 2^32 - 1. Two that differ in one character, or in one half of a number,
 * never have the same: the function of G. Fowler, L. C. Noll and K.-P. Vo (FNV-1a), over 16 or 32 bits at a time.
 */
export const checkOf = ({ clock, deleted, key, log, namespace, seq, tie }: Pointer): number => {
  const place = foldNumber(foldNumber(foldText(foldText(basis, namespace), key), ofName(log)), seq)
  const stamp = foldNumber(foldNumber(place, clock.wallTime), clock.logical)
  return foldNumber(foldNumber(stamp, ofName(tie)), deleted ? 1 : 0) >>> 0
}

/** A checksum of how far a log is covered, as {@link checkOf}. */
export const checkOfProgress = (log: LogId.LogId, seq: number): number => foldNumber(foldText(basis, log), seq) >>> 0

/**
 * The newest write per key.
 *
 * Duties of an implementation:
 * - `merge` is atomic: pointers and progress together, or neither. It keeps the newer of two pointers of a key by
 *   {@link compare}, whatever order they come in. `forget` may be called while a `merge` is under way: each takes place
 *   after the other, as if nothing went on beside it.
 * - What `merge` wrote may be lost in a crash, but `progress` must then be lost with it.
 * - `progress` never runs ahead of the logs: an index that may outlive its logs compares them when it is opened, and
 *   starts empty when it is ahead.
 * - What is found damaged fails with `corrupt`, and stops nothing: after `reset` it goes on with what is merged then.
 * - A pointer, and how far a log is covered, is what was merged, or is found damaged: what an index says decides what a read
 *   answers and what a log may erase. A file keeps {@link checkOf} and {@link checkOfProgress} beside them.
 */
export class RecordIndex extends Context.Service<
  RecordIndex,
  {
    /** How far the logs are covered. Empty for a new index. */
    readonly progress: Effect.Effect<Progress, StoreError>
    /** Merges pointers, at most one per key, and records how far the logs are covered then. */
    readonly merge: (pointers: ReadonlyArray<Pointer>, progress: Progress) => Effect.Effect<void, StoreError>
    /**
     * Removes the keys whose newest write is still at exactly these places; of others nothing changes. For deletes that
     * nothing older is left of, so that they are not remembered for ever. Like what `merge` wrote, it may be lost in a
     * crash: whoever finds such a key then finds that its entry is erased.
     */
    readonly forget: (pointers: ReadonlyArray<Pointer>) => Effect.Effect<void, StoreError>
    /**
     * Throws away all that the index holds, whether or not it can be read: from then on it is an empty one, after a
     * restart too. Where there can be no new file yet, `merge` fails until there can. Nothing else is called meanwhile
     * but `get`, `getAll` and `scan`, whose answers nobody uses.
     */
    readonly reset: Effect.Effect<void>
    /** The newest write of a key; none when the index knows no write of it. Deleted keys have a pointer too. */
    readonly get: (namespace: string, key: string) => Effect.Effect<Option.Option<Pointer>, StoreError>
    /** What `get` says of each of some keys, in their order; one may come again. */
    readonly getAll: (
      keys: ReadonlyArray<RecordKey.RecordKey>
    ) => Effect.Effect<ReadonlyArray<Pointer | undefined>, StoreError>
    /**
     * The first pointers of a range of keys, deleted ones included, in the order of (namespace, key) by UTF-8 bytes, or
     * with `reverse` from the last on; `limit` at most.
     */
    readonly scan: (scan: Scan) => Effect.Effect<ReadonlyArray<Pointer>, StoreError>
  }
>()("@quorum/core/RecordIndex") {}

/** An index in memory. */
export const makeMemory: Effect.Effect<RecordIndex["Service"]> = Effect.sync(() => {
  const pointers = new Map<string, Pointer>()
  const progress = new Map<LogId.LogId, number>()
  return RecordIndex.of({
    progress: Effect.sync(() => new Map(progress)),
    merge: (updates, to) =>
      Effect.sync(() => {
        for (const pointer of updates) {
          const id = RecordKey.keyOf(pointer.namespace, pointer.key)
          const held = pointers.get(id)
          if (held === undefined || compare(pointer, held) > 0) pointers.set(id, pointer)
        }
        for (const [log, seq] of to) progress.set(log, seq)
      }),
    forget: (gone) =>
      Effect.sync(() => {
        for (const { key, log, namespace, seq } of gone) {
          const id = RecordKey.keyOf(namespace, key)
          const held = pointers.get(id)
          if (held?.log === log && held.seq === seq) pointers.delete(id)
        }
      }),
    reset: Effect.sync(() => {
      pointers.clear()
      progress.clear()
    }),
    get: (namespace, key) => Effect.sync(() => Option.fromNullishOr(pointers.get(RecordKey.keyOf(namespace, key)))),
    getAll: (keys) =>
      Effect.sync(() => keys.map(({ key, namespace }) => pointers.get(RecordKey.keyOf(namespace, key)))),
    scan: (scan) =>
      Effect.sync(() => {
        const found = Array.from(pointers.values()).filter((pointer) => RecordKey.isWithin(scan, pointer))
        found.sort(RecordKey.compare)
        return (scan.reverse === true ? found.reverse() : found).slice(0, scan.limit)
      })
  })
})

/** {@link makeMemory} as a layer; a new index each time it is built. */
export const layerMemory: Layer.Layer<RecordIndex> = Layer.fresh(Layer.effect(RecordIndex, makeMemory))

// ---------------------------------------------------------------------------------------------------------------------

const basis = 0x811c9dc5
const prime = 0x01000193

const foldText = (hash: number, text: string): number => {
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), prime)
  // Where a text ends counts; and what the highest bits say gets into the lowest.
  hash = Math.imul(hash ^ text.length, prime)
  return hash ^ (hash >>> 15)
}

const foldNumber = (hash: number, number: number): number => {
  hash = Math.imul(hash ^ number, prime)
  hash = Math.imul(hash ^ (number / 0x1_0000_0000), prime)
  return hash ^ (hash >>> 15)
}

/** The names of logs and ties, which are few, and what they come to: going over them anew takes half of the time. */
const names = new Map<string, number>()

const ofName = (name: string): number => {
  const known = names.get(name)
  if (known !== undefined) return known
  if (names.size >= 256) names.clear()
  const found = foldText(basis, name)
  names.set(name, found)
  return found
}
