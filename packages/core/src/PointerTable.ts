/**
 * The newest write of each of many keys, in memory and without an object per key: what the record index does not have
 * yet. Taking in an entry costs a hash of its key and, when the key is new, a copy of the entry without its value.
 *
 * A hash table with open addressing and linear probing (Knuth, The Art of Computer Programming, volume 3, section 6.4,
 * algorithm L) over the bytes of the entries; the keys come out in order by a quicksort (C. A. R. Hoare, 1962) that
 * sorts no more than what is asked for.
 */
import * as Entry from "./Entry.ts"
import * as EntryBatch from "./EntryBatch.ts"
import type * as Log from "./Log.ts"
import { compareKeys, type Pointer } from "./RecordIndex.ts"

/** A key, as {@link PointerTable.within} takes it. */
export interface Key {
  readonly namespace: string
  readonly key: string
}

/** The newest write of each of many keys. */
export interface PointerTable {
  /** How many keys. */
  readonly size: () => number
  /** Takes in the entries of a batch: of two writes of a key the newer stays, by `RecordIndex.compare`. */
  readonly add: (batch: EntryBatch.EntryBatch) => void
  /** The newest write of a key that was taken in. */
  readonly get: (namespace: string, key: string) => Pointer | undefined
  /**
   * All pointers in the order of `RecordIndex.compareKeys`, sorted as they are taken. Nothing may be added meanwhile.
   */
  readonly inOrder: () => Generator<Pointer, void>
  /** The pointers whose keys come after `after` and not after `end`, in no order. */
  readonly within: (after: Key | undefined, end: Key | undefined) => ReadonlyArray<Pointer>
}

/** An empty table. */
export const make = (): PointerTable => {
  let count = 0
  /** The fixed part, the namespace and the key of every entry kept, one after the other, as a log has them. */
  let heads = new Uint8Array(1024)
  let used = 0
  /** Per key: where its head starts, the hash of the key, and the place of the write. */
  let starts = new Uint32Array(32)
  let hashes = new Int32Array(32)
  let seqs = new Float64Array(32)
  let logs = new Uint32Array(32)
  const names: Array<Log.LogId> = []
  /** Key number + 1 by hash; 0 is free. Never more than half full. */
  let slots = new Int32Array(64)

  const grow = (): void => {
    starts = grown(starts, new Uint32Array(count * 2))
    hashes = grown(hashes, new Int32Array(count * 2))
    seqs = grown(seqs, new Float64Array(count * 2))
    logs = grown(logs, new Uint32Array(count * 2))
    slots = new Int32Array(count * 4)
    const mask = slots.length - 1
    for (let i = 0; i < count; i++) {
      let slot = hashes[i]! & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = i + 1
    }
  }

  /** The slot of the key of the entry at `offset`: the one that has it, or the free one where it belongs. */
  const find = (bytes: Uint8Array, offset: number, length: number, hash: number): number => {
    const mask = slots.length - 1
    let slot = hash & mask
    while (true) {
      const i = slots[slot]! - 1
      if (i < 0 || (hashes[i] === hash && isSameKey(bytes, offset, heads, starts[i]!, length))) return slot
      slot = (slot + 1) & mask
    }
  }

  const logNumber = (log: Log.LogId): number => {
    const known = names.indexOf(log)
    return known >= 0 ? known : names.push(log) - 1
  }

  const add = (bytes: Uint8Array, offset: number, log: number, seq: number): void => {
    const length = Entry.headLength(bytes, offset)
    const hash = hashKey(bytes, offset, length)
    const slot = find(bytes, offset, length, hash)
    const held = slots[slot]! - 1
    if (held >= 0) {
      const at = starts[held]!
      const order =
        Entry.compareClocks(bytes, offset, heads, at) ||
        (log === logs[held] ? seq - seqs[held]! : names[log]! < names[logs[held]!]! ? -1 : 1)
      if (order <= 0) return
      copy(bytes, offset, heads, at, length)
      seqs[held] = seq
      logs[held] = log
      return
    }
    if (used + length > heads.length) heads = grown(heads, new Uint8Array((used + length) * 2))
    copy(bytes, offset, heads, used, length)
    starts[count] = used
    hashes[count] = hash
    seqs[count] = seq
    logs[count] = log
    used += length
    slots[slot] = ++count
    if (count === starts.length) grow()
  }

  const pointer = (i: number): Pointer => {
    const { clock, key, kind, namespace } = Entry.headerAt(heads, starts[i]!)
    return { namespace, key, log: names[logs[i]!]!, seq: seqs[i]!, clock, deleted: kind === "delete" }
  }

  /** Asks about the order of a key of the table and the given one. */
  const comparison = (key: Key, is: (order: number) => boolean): ((i: number) => boolean) => {
    const head = headOf(key)
    return head === undefined
      ? (i) => is(compareKeys(pointer(i), key))
      : (i) => is(Entry.compareKeys(heads, starts[i]!, head, 0))
  }

  return {
    size: () => count,
    add: (batch) => {
      const log = logNumber(batch.log)
      let at = 0
      for (let i = 0; i < batch.count; i++) {
        add(batch.bytes, at, log, batch.from + i)
        at = Entry.endUnsafe(batch.bytes, at)
      }
    },
    get: (namespace, key) => {
      const bytes = headOf({ namespace, key })
      if (bytes === undefined) return undefined
      const i = slots[find(bytes, 0, bytes.length, hashKey(bytes, 0, bytes.length))]! - 1
      return i < 0 ? undefined : pointer(i)
    },
    *inOrder() {
      const order = Uint32Array.from({ length: count }, (_, i) => i)
      for (const i of quicksort(order, (a, b) => Entry.compareKeys(heads, starts[a]!, heads, starts[b]!))) {
        yield pointer(i)
      }
    },
    within: (after, end) => {
      const isAfter = after === undefined ? () => true : comparison(after, (order) => order > 0)
      const isWithin = end === undefined ? () => true : comparison(end, (order) => order <= 0)
      const found: Array<Pointer> = []
      for (let i = 0; i < count; i++) if (isAfter(i) && isWithin(i)) found.push(pointer(i))
      return found
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const grown = <A extends { readonly length: number }>(from: A, to: A & { set: (from: A) => void }): A => {
  to.set(from)
  return to
}

/** A key as the head of an entry; `undefined` when it is longer than an entry can hold. */
const headOf = ({ key, namespace }: Key): Uint8Array | undefined => {
  const write = Entry.remove(namespace, key)
  const bytes = new Uint8Array(Entry.maxSize(write))
  const length = Entry.encodeInto(bytes, 0, write, { wallTime: 0, logical: 0 })
  return Entry.headLength(bytes, 0) === length ? bytes.subarray(0, length) : undefined
}

/** Heads are short, and a loop beats the call that copies a range. */
const copy = (from: Uint8Array, offset: number, to: Uint8Array, at: number, length: number): void => {
  for (let i = 0; i < length; i++) to[at + i] = from[offset + i]!
}

/** From where on a head is about the key alone: its two lengths, then its text. */
const keyPart = Entry.headerBytes - 3

/** Whether two heads have the same key; `length` is that of the first. Equal lengths in them make equal ends. */
const isSameKey = (a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): boolean => {
  for (let i = keyPart; i < length; i++) if (a[aAt + i] !== b[bAt + i]) return false
  return true
}

/** FNV-1a (Fowler, Noll, Vo), 32 bits, its high bits folded into the low ones that are used. */
const hashKey = (bytes: Uint8Array, offset: number, length: number): number => {
  let hash = 0x811c9dc5 | 0
  for (let i = keyPart; i < length; i++) hash = Math.imul(hash ^ bytes[offset + i]!, 0x01000193)
  return hash ^ (hash >>> 15)
}

/** Yields distinct items in order, and sorts only as far as it is asked. */
function* quicksort(items: Uint32Array, compare: (a: number, b: number) => number): Generator<number, void> {
  const ranges: Array<readonly [start: number, end: number]> = [[0, items.length]]
  for (let range = ranges.pop(); range !== undefined; range = ranges.pop()) {
    const [start, end] = range
    if (end - start <= 8) {
      insertionSort(items, start, end, compare)
      for (let i = start; i < end; i++) yield items[i]!
      continue
    }
    const pivot = items[(start + end) >>> 1]!
    let i = start
    let j = end - 1
    while (i <= j) {
      while (compare(items[i]!, pivot) < 0) i++
      while (compare(items[j]!, pivot) > 0) j--
      if (i > j) break
      const swapped = items[i]!
      items[i++] = items[j]!
      items[j--] = swapped
    }
    // Between j and i there is at most the pivot, in its place.
    ranges.push([i, end])
    if (i - j > 1) ranges.push([j + 1, i])
    ranges.push([start, j + 1])
  }
}

const insertionSort = (
  items: Uint32Array,
  start: number,
  end: number,
  compare: (a: number, b: number) => number
): void => {
  for (let i = start + 1; i < end; i++) {
    const item = items[i]!
    let j = i
    for (; j > start && compare(items[j - 1]!, item) > 0; j--) items[j] = items[j - 1]!
    items[j] = item
  }
}
