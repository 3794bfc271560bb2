/**
 * The newest write of each of many keys, in memory and without an object per key: what the record index does not have
 * yet. Taking in an entry costs a hash of its key and, when the key is new, a copy of the entry without its value.
 */
import * as Entry from "../../log/Entry.ts"
import type * as EntryBatch from "../../log/EntryBatch.ts"
import type { Pointer, Scan } from "../RecordIndex.ts"
import * as FirstOf from "./FirstOf.ts"
import * as HashSlots from "./HashSlots.ts"
import * as KeyHash from "./KeyHash.ts"
import * as KeySort from "./KeySort.ts"
import * as PackedWrites from "./PackedWrites.ts"
import * as UpcomingKeys from "./UpcomingKeys.ts"

/** The newest write of each of many keys. */
export interface PointerTable {
  /** How many keys. */
  readonly size: () => number
  /** Bytes of memory that their writes take. */
  readonly bytes: () => number
  /** Takes in the entries of a batch: of two writes of a key the newer stays, by `RecordIndex.compare`. */
  readonly add: (batch: EntryBatch.EntryBatch) => void
  /** The newest write of a key that was taken in. */
  readonly get: (namespace: string, key: string) => Pointer | undefined
  /**
   * All pointers in the order of `RecordKey.compare`, sorted as they are taken: the next ones, as many as `count` if that
   * is not too much work at once. Fewer, or none, are no sign of the end. Nothing may be added meanwhile.
   */
  readonly inOrder: () => (count: number) => ReadonlyArray<Pointer>
  /**
   * What a scan asks for, in one pass over the table, which stops now and then so that others have their turn. What is
   * added meanwhile may be among it, or not.
   */
  readonly within: (scan: Scan) => Generator<void, ReadonlyArray<Pointer>>
}

/** An empty table. `random` draws the pivots, from 0 to below 1; what comes out does not depend on it. */
export const make = (random: () => number = Math.random): PointerTable => {
  const writes = PackedWrites.make()
  const slots = HashSlots.make(writes.isSameKey)

  /**
   * Reads what the next keys will be compared with, for nothing but that it comes nearer: reads that do not wait for one
   * another wait for memory together.
   */
  const fetch = ({ count, hash }: UpcomingKeys.UpcomingKeys): number => {
    let sum = 0
    for (let i = 0; i < count; i++) sum += slots.firstStart(hash[i]!)
    for (let i = 0; i < count; i++) {
      const start = slots.firstStart(hash[i]!)
      if (start >= 0) sum += writes.touch(start)
    }
    return sum
  }

  const add = (bytes: Uint8Array, version: number, at: number, hash: number, log: number, seq: number): void => {
    const length = Entry.headLength(bytes, at)
    const slot = slots.find(bytes, at, length, hash)
    const held = slots.startAt(slot)
    if (held >= 0) return writes.renew(held, log, seq, bytes, version, at)
    const start = writes.bytes()
    writes.add(log, seq, bytes, version, at, length)
    slots.take(slot, hash, start)
  }

  const addNext = ({ bytes, from, log }: EntryBatch.EntryBatch, keys: UpcomingKeys.UpcomingKeys): void => {
    ahead.sum = fetch(keys)
    const number = writes.logNumber(log)
    const { count, entry, hash, record, version } = keys
    for (let i = 0; i < count; i++) add(bytes, version[i]!, record[i]!, hash[i]!, number, from + entry[i]!)
  }

  return {
    size: slots.count,
    bytes: writes.bytes,
    add: (batch) => UpcomingKeys.forEach(batch, addNext),
    get: (namespace, key) => {
      if (slots.count() === 0) return undefined
      const head = PackedWrites.headOf({ namespace, key })
      if (head === undefined) return undefined
      const start = slots.startAt(slots.find(head, 0, head.length, KeyHash.ofHead(head, 0, head.length)))
      return start < 0 ? undefined : writes.pointer(start)
    },
    inOrder: () => {
      const starts = new Uint32Array(slots.count())
      for (let i = 0, at = 0; i < starts.length; i++, at = writes.after(at)) starts[i] = at
      const sort = KeySort.make(starts, writes.part, random)
      return (count) => sort.next(count).map(writes.pointer)
    },
    within: (scan) => within(writes, scan)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

function* within(
  writes: PackedWrites.PackedWrites,
  { from, limit, reverse = false, to }: Scan
): Generator<void, ReadonlyArray<Pointer>> {
  const withFrom = from === undefined ? () => 0 : writes.comparedWith(from)
  const withTo = to === undefined ? () => -1 : writes.comparedWith(to)
  const first = FirstOf.make(limit, reverse ? (a, b) => writes.compare(b, a) : writes.compare)
  const end = writes.bytes()
  for (let start = 0, passed = 1; start < end; start = writes.after(start), passed++) {
    if (first.isWanted(start) && withFrom(start) >= 0 && withTo(start) < 0) first.add(start)
    if (passed % sliceKeys === 0) yield
  }
  return first.inOrder().map(writes.pointer)
}

/** How many keys are passed over at once: well below a millisecond of work. */
const sliceKeys = 4096

/** A sum of what was read ahead, which is kept so that nobody leaves the reading out as being of no use. */
const ahead = { sum: 0 }
