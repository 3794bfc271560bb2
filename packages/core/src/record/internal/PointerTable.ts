/**
 * The newest write of each of many keys, in memory and without an object per key: what the record index does not have
 * yet. Taking in an entry costs a hash of its key and, when the key is new, a copy of the entry without its value.
 *
 * A hash table with open addressing and linear probing (Knuth, The Art of Computer Programming, volume 3, section 6.4,
 * algorithm L) over the bytes of the entries. Keys are chosen by clients, so the hash has a secret of this process
 * (HalfSipHash-1-3, after J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF", 2012).
 */
import * as Chain from "../../log/Chain.ts"
import * as Entry from "../../log/Entry.ts"
import type * as EntryBatch from "../../log/EntryBatch.ts"
import * as Erased from "../../log/Erased.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import type * as LogId from "../../identity/LogId.ts"
import * as RunId from "../../identity/RunId.ts"
import type { Pointer, Scan } from "../RecordIndex.ts"
import * as RecordKey from "../RecordKey.ts"
import * as FirstOf from "./FirstOf.ts"
import * as KeySort from "./KeySort.ts"

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
  let count = 0
  /**
   * One after the other, for every key its newest write: the number of its log (4 bytes), its sequence (8) and its
   * version (18), then the record as the log has it, up to its value. Together, because a table is larger than what a
   * processor has at hand.
   */
  let records = new Uint8Array(4096)
  let view = Chain.viewOf(records)
  let used = 0
  const names: Array<LogId.LogId> = []
  /** By hash, two numbers: the hash, and 1 + where the record starts; 0 is free. Never more than half full. */
  let slots = new Int32Array(256)

  const grow = (): void => {
    const before = slots
    slots = new Int32Array(before.length * 2)
    for (let i = 0; i < before.length; i += 2) {
      if (before[i + 1] === 0) continue
      let slot = firstSlot(before[i]!)
      while (slots[slot + 1] !== 0) slot = (slot + 2) & (slots.length - 1)
      slots[slot] = before[i]!
      slots[slot + 1] = before[i + 1]!
    }
  }

  const firstSlot = (hash: number): number => (hash << 1) & (slots.length - 1)

  /** The slot of the key of the entry at `offset`: the one that has it, or the free one where it belongs. */
  const find = (bytes: Uint8Array, offset: number, length: number, hash: number): number => {
    let slot = firstSlot(hash)
    while (true) {
      const start = slots[slot + 1]! - 1
      if (start < 0) return slot
      if (slots[slot] === hash && isSameKey(bytes, offset, records, start + beforeRecord, length)) return slot
      slot = (slot + 2) & (slots.length - 1)
    }
  }

  const logNumber = (log: LogId.LogId): number => {
    const known = names.indexOf(log)
    return known >= 0 ? known : names.push(log) - 1
  }

  /** `version` and `at` are where in the bytes the version and the record are; `length` is what is taken of the record. */
  const put = (
    start: number,
    log: number,
    seq: number,
    bytes: Uint8Array,
    version: number,
    at: number,
    length: number
  ): void => {
    view.setUint32(start, log)
    view.setFloat64(start + 4, seq)
    // Heads are short, and a loop beats the call that copies a range.
    for (let i = 0; i < Entry.versionBytes; i++) records[start + placeBytes + i] = bytes[version + i]!
    for (let i = 0; i < length; i++) records[start + beforeRecord + i] = bytes[at + i]!
  }

  const isNewer = (start: number, log: number, seq: number, bytes: Uint8Array, version: number): boolean => {
    const order = Entry.compareVersions(bytes, version, records, start + placeBytes)
    if (order !== 0) return order > 0
    const heldLog = view.getUint32(start)
    return log === heldLog ? seq > view.getFloat64(start + 4) : names[log]! > names[heldLog]!
  }

  const add = (bytes: Uint8Array, version: number, at: number, hash: number, log: number, seq: number): void => {
    const length = Entry.headLength(bytes, at)
    const slot = find(bytes, at, length, hash)
    const held = slots[slot + 1]! - 1
    if (held >= 0) {
      // Of two records of a key in one entry the later counts.
      if (isNewer(held, log, seq, bytes, version) || isSamePlace(held, log, seq)) {
        put(held, log, seq, bytes, version, at, Entry.keyPartAt)
      }
      return
    }
    if (used + beforeRecord + length > records.length) {
      const room = new Uint8Array((used + beforeRecord + length) * 2)
      room.set(records)
      records = room
      view = Chain.viewOf(records)
    }
    put(used, log, seq, bytes, version, at, length)
    slots[slot] = hash
    slots[slot + 1] = used + 1
    used += beforeRecord + length
    count++
    if (count * 4 > slots.length) grow()
  }

  /**
   * Reads what the next records will be compared with, for nothing but that it comes nearer: reads that do not wait for
   * one another wait for memory together.
   */
  const fetch = (count: number): number => {
    let sum = 0
    for (let i = 0; i < count; i++) sum += slots[firstSlot(next.hash[i]!) + 1]!
    for (let i = 0; i < count; i++) {
      const start = slots[firstSlot(next.hash[i]!) + 1]! - 1
      if (start >= 0) sum += records[start]! + records[start + beforeRecord + Entry.recordHeaderBytes]!
    }
    return sum
  }

  /** Takes in the next records, which are of entries of one log that follow `from`. */
  const addNext = (bytes: Uint8Array, count: number, log: number, from: number): void => {
    next.fetched = fetch(count)
    for (let i = 0; i < count; i++) {
      add(bytes, next.version[i]!, next.record[i]!, next.hash[i]!, log, from + next.entry[i]!)
    }
  }

  const pointer = (start: number): Pointer => {
    const { key, kind, namespace } = Entry.headerAt(records, start + beforeRecord)
    const log = names[view.getUint32(start)]!
    const { clock, tie } = Entry.readVersion(records, start + placeBytes)
    return { namespace, key, log, seq: view.getFloat64(start + 4), clock, tie, deleted: kind === "delete" }
  }

  const isSamePlace = (start: number, log: number, seq: number): boolean =>
    view.getUint32(start) === log && view.getFloat64(start + 4) === seq

  const starts = (): Uint32Array => {
    const found = new Uint32Array(count)
    for (let i = 0, at = 0; i < count; i++) {
      found[i] = at
      at += beforeRecord + Entry.headLength(records, at + beforeRecord)
    }
    return found
  }

  const part = (start: number, index: number): number => Entry.keyPart(records, start + beforeRecord, index)

  const compareRecords = (a: number, b: number): number =>
    Entry.compareKeys(records, a + beforeRecord, records, b + beforeRecord)

  /** Asks about the order of a key of the table and the given one. */
  const comparison = (key: RecordKey.RecordKey, is: (order: number) => boolean): ((start: number) => boolean) => {
    const head = headOf(key)
    return head === undefined
      ? (start) => is(RecordKey.compare(pointer(start), key))
      : (start) => is(Entry.compareKeys(records, start + beforeRecord, head, 0))
  }

  return {
    size: () => count,
    bytes: () => used,
    add: (batch) => {
      const { bytes, count, from } = batch
      const log = logNumber(batch.log)
      let found = 0
      let at = 0
      for (let i = 0; i < count; i++) {
        if (Erased.is(bytes, at)) {
          i += Erased.countAt(bytes, at) - 1
          at += Erased.size
          continue
        }
        const after = Entry.endUnsafe(bytes, at)
        const version = at + Entry.versionAt
        for (at = Entry.firstRecord(at); at < after; at = Entry.nextRecord(bytes, at)) {
          next.record[found] = at
          next.version[found] = version
          next.entry[found] = i
          next.hash[found] = hashKey(bytes, at, Entry.headLength(bytes, at))
          if (++found < maxAtOnce) continue
          addNext(bytes, found, log, from)
          found = 0
        }
      }
      addNext(bytes, found, log, from)
    },
    get: (namespace, key) => {
      if (count === 0) return undefined
      const head = headOf({ namespace, key })
      if (head === undefined) return undefined
      const start = slots[find(head, 0, head.length, hashKey(head, 0, head.length)) + 1]! - 1
      return start < 0 ? undefined : pointer(start)
    },
    inOrder: () => {
      const sort = KeySort.make(starts(), part, random)
      return (count) => sort.next(count).map(pointer)
    },
    *within({ from, limit, reverse = false, to }) {
      const isFrom = from === undefined ? () => true : comparison(from, (order) => order >= 0)
      const isTo = to === undefined ? () => true : comparison(to, (order) => order < 0)
      const first = FirstOf.make(limit, reverse ? (a, b) => compareRecords(b, a) : compareRecords)
      const end = used
      for (let start = 0, passed = 1; start < end; passed++) {
        if (first.isWanted(start) && isFrom(start) && isTo(start)) first.add(start)
        start += beforeRecord + Entry.headLength(records, start + beforeRecord)
        if (passed % sliceKeys === 0) yield
      }
      return first.inOrder().map(pointer)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** How many keys are passed over at once: well below a millisecond of work. */
const sliceKeys = 4096

/** Bytes before a version: its place. */
const placeBytes = 12

/** Bytes before a record: the place and the version of its entry. */
const beforeRecord = placeBytes + Entry.versionBytes

/** A key as the head of a record; `undefined` when it is longer than a record can hold. */
const headOf = ({ key, namespace }: RecordKey.RecordKey): Uint8Array | undefined => {
  const write = Entry.remove(namespace, key)
  const bytes = new Uint8Array(Entry.maxSize(write))
  const length = Entry.encodeInto(bytes, 0, write, noStamp)
  const at = Entry.firstRecord(0)
  return at + Entry.headLength(bytes, at) === length ? bytes.subarray(at, length) : undefined
}

const noStamp: Entry.Stamp = { clock: HybridLogicalClock.zero, tie: RunId.none, unprobed: false }

/** Whether two heads have the same key; `length` is that of the first. Equal lengths in them make equal ends. */
const isSameKey = (a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): boolean => {
  for (let i = Entry.keyPartAt; i < length; i++) if (a[aAt + i] !== b[bAt + i]) return false
  return true
}

/** The secret of the hash. Nothing that a table says depends on it. */
const secret = crypto.getRandomValues(new Int32Array(2))

/** HalfSipHash-1-3 of the key part, 32 bits. */
const hashKey = (bytes: Uint8Array, offset: number, length: number): number => {
  let v0 = secret[0]!
  let v1 = secret[1]!
  let v2 = v0 ^ 0x6c796765
  let v3 = v1 ^ 0x74656462
  const left = length - Entry.keyPartAt
  const words = left >>> 2
  let at = offset + Entry.keyPartAt
  // The last word has what is left and the length; the three rounds after it take in nothing.
  for (let i = 0; i <= words + 3; i++) {
    let word = 0
    if (i < words) {
      word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      at += 4
    } else if (i === words) {
      word = left << 24
      for (let shift = 0; at < offset + length; shift += 8) word |= bytes[at++]! << shift
    } else if (i === words + 1) v2 ^= 0xff
    v3 ^= word
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= word
  }
  return v1 ^ v3
}

/** How many records are looked up at once, so that what they need fits into the cache that is nearest. */
const maxAtOnce = 128

/** The records that are taken in next: where they and their versions are, the number of their entry, and the hash. */
const next = {
  record: new Int32Array(maxAtOnce),
  version: new Int32Array(maxAtOnce),
  entry: new Int32Array(maxAtOnce),
  hash: new Int32Array(maxAtOnce),
  /** A sum of what was read ahead, which is kept so that nobody leaves the reading out as being of no use. */
  fetched: 0
}
