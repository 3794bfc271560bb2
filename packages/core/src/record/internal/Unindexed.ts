/**
 * The writes that the record index does not have yet, in memory, and how far the logs are covered with them.
 */
import type * as LogId from "../../identity/LogId.ts"
import { type DamagedRange, without } from "../../log/DamagedRange.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import * as RecordIndex from "../RecordIndex.ts"
import * as RecordKey from "../RecordKey.ts"
import * as PointerTable from "./PointerTable.ts"

/** Pointers to be merged into the index, and how far it covers the logs then. */
export interface Step {
  readonly pointers: PointerTable.PointerTable
  readonly progress: RecordIndex.Progress
}

/** The writes that the index does not have yet. */
export type Unindexed = ReturnType<typeof make>

/** Beside an index that covers so much. `random` is that of the tables. */
export const make = (random: () => number, progress: RecordIndex.Progress) => {
  let recent = PointerTable.make(random)
  let merging: Step | undefined
  let covered = new Map(progress)
  let unreadable: ReadonlyArray<DamagedRange> = []
  const tables = () => (merging === undefined ? [recent] : [merging.pointers, recent])

  /** What cannot be read is looked at again after a restart: so long the progress of its log stays before it. */
  const progressOf = (log: LogId.LogId, seq: number): number =>
    unreadable.reduce((least, range) => (range.log === log ? Math.min(least, range.from - 1) : least), seq)

  return {
    /** Begins anew, beside an index that covers nothing. */
    reset: (): void => {
      recent = PointerTable.make(random)
      merging = undefined
      covered = new Map()
      unreadable = []
    },
    /** Takes in the batch that follows. */
    add: (batch: EntryBatch.EntryBatch): void => {
      recent.add(batch)
      covered.set(batch.log, EntryBatch.last(batch))
    },
    /** Goes on after entries that cannot be read. */
    skip: (range: DamagedRange): void => {
      unreadable = [...unreadable, range]
      covered.set(range.log, range.to)
    },
    /** Takes in entries that could not be read before, wherever they are. */
    mended: (batch: EntryBatch.EntryBatch): void => {
      recent.add(batch)
      unreadable = without(unreadable, { log: batch.log, from: batch.from, to: EntryBatch.last(batch) })
    },
    /** The last entry of a log that was taken in. */
    end: (log: LogId.LogId): number => covered.get(log) ?? 0,
    unreadable: (): ReadonlyArray<DamagedRange> => unreadable,
    size: (): number => tables().reduce((sum, table) => sum + table.size(), 0),
    /** Whether so much collects that it is time to merge it. */
    isFull: (): boolean => recent.size() >= maxPointers || recent.bytes() >= maxPointerBytes,
    /** What to merge next: what was taken last and is not merged yet, or all; nothing when there is nothing. */
    next: (): Step | undefined => {
      if (merging === undefined && recent.size() > 0) {
        merging = {
          pointers: recent,
          progress: new Map(Array.from(covered, ([log, seq]) => [log, progressOf(log, seq)]))
        }
        recent = PointerTable.make(random)
      }
      return merging
    },
    /** The index has what {@link next} answered last. */
    merged: (): void => void (merging = undefined),
    /** The newest write of a key that the index does not have. */
    newest: (namespace: string, key: string): RecordIndex.Pointer | undefined =>
      newer(recent.get(namespace, key), merging?.pointers.get(namespace, key)),
    /** The tables as they are now, to be joined with what the index answers later. */
    tables
  }
}

/**
 * What a scan of the index and of what it lacks asks for, the newest write of each key; `indexed` is the index's part. It
 * stops now and then, so that others have their turn.
 */
export function* joined(
  indexed: ReadonlyArray<RecordIndex.Pointer>,
  tables: ReadonlyArray<PointerTable.PointerTable>,
  scan: RecordIndex.Scan
) {
  const { limit, reverse = false } = scan
  const end = indexed.length < limit ? undefined : indexed[indexed.length - 1]!
  const upTo = end === undefined ? scan : { ...scan, ...RecordKey.upTo(scan, end, reverse) }
  const found = new Map<string, RecordIndex.Pointer>()
  const take = (source: ReadonlyArray<RecordIndex.Pointer>): void => {
    for (const pointer of source) {
      const id = RecordKey.keyOf(pointer.namespace, pointer.key)
      found.set(id, newer(found.get(id), pointer)!)
    }
  }
  take(indexed)
  for (const table of tables) take(yield* table.within({ ...upTo, limit: limit + 1 }))
  const pointers = Array.from(found.values()).sort((a, b) =>
    reverse ? RecordKey.compare(b, a) : RecordKey.compare(a, b)
  )
  const isLast = pointers.length === 0 || (end === undefined && pointers.length <= limit)
  return { pointers: pointers.slice(0, limit), isLast }
}

/** The newer of two writes of a key. */
export const newer = (
  a: RecordIndex.Pointer | undefined,
  b: RecordIndex.Pointer | undefined
): RecordIndex.Pointer | undefined =>
  a === undefined ? b : b === undefined ? a : RecordIndex.compare(a, b) >= 0 ? a : b

// ---------------------------------------------------------------------------------------------------------------------

/**
 * How many pointers, or bytes of them, collect in memory before they are merged into the index. Many at once share the
 * pages that they change, and of several writes of a key one is left to merge.
 */
const maxPointers = 131_072
const maxPointerBytes = 32 * 1024 * 1024
