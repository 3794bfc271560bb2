/**
 * Writes without their values in memory, one after the other and without an object for each. A write is known by where it
 * starts.
 */
import type * as LogId from "../../identity/LogId.ts"
import * as RunId from "../../identity/RunId.ts"
import * as Chain from "../../log/Chain.ts"
import * as Entry from "../../log/Entry.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import type { Pointer } from "../RecordIndex.ts"
import * as RecordKey from "../RecordKey.ts"

/** Packed writes. */
export type PackedWrites = ReturnType<typeof make>

/** No writes. */
export const make = () => {
  /**
   * Of every write: the number of its log (4 bytes), its sequence (8) and its version (18), then the record as the log has
   * it, up to its value. Together, because all of them are larger than what a processor has at hand.
   */
  let records = new Uint8Array(4096)
  let view = Chain.viewOf(records)
  let used = 0
  const names: Array<LogId.LogId> = []

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

  const isSamePlace = (start: number, log: number, seq: number): boolean =>
    view.getUint32(start) === log && view.getFloat64(start + 4) === seq

  const pointer = (start: number): Pointer => {
    const { key, kind, namespace } = Entry.headerAt(records, start + beforeRecord)
    const log = names[view.getUint32(start)]!
    const { clock, tie } = Entry.readVersion(records, start + placeBytes)
    return { namespace, key, log, seq: view.getFloat64(start + 4), clock, tie, deleted: kind === "delete" }
  }

  return {
    /** How many bytes they take, and where the next one will start. */
    bytes: (): number => used,
    /** The number that stands for a log. */
    logNumber: (log: LogId.LogId): number => {
      const known = names.indexOf(log)
      return known >= 0 ? known : names.push(log) - 1
    },
    /** Adds the write of a log's number and a sequence, whose version and record of this head are there in the bytes. */
    add: (log: number, seq: number, bytes: Uint8Array, version: number, at: number, length: number): void => {
      if (used + beforeRecord + length > records.length) {
        const room = new Uint8Array((used + beforeRecord + length) * 2)
        room.set(records)
        records = room
        view = Chain.viewOf(records)
      }
      put(used, log, seq, bytes, version, at, length)
      used += beforeRecord + length
    },
    /** Puts a write of the same key in the place of one that is not newer. */
    renew: (start: number, log: number, seq: number, bytes: Uint8Array, version: number, at: number): void => {
      // Of two records of a key in one entry the later counts.
      if (isNewer(start, log, seq, bytes, version) || isSamePlace(start, log, seq)) {
        put(start, log, seq, bytes, version, at, Entry.keyPartAt)
      }
    },
    /** Whether a write is of the key in the head of a record. Equal lengths in two heads make equal ends. */
    isSameKey: (start: number, bytes: Uint8Array, offset: number, length: number): boolean => {
      const record = start + beforeRecord
      for (let i = Entry.keyPartAt; i < length; i++) if (bytes[offset + i] !== records[record + i]) return false
      return true
    },
    /** Reads a little of a write, for nothing but that it comes nearer. */
    touch: (start: number): number => records[start]! + records[start + beforeRecord + Entry.recordHeaderBytes]!,
    /** Where the write after this one starts. */
    after: (start: number): number => start + beforeRecord + Entry.headLength(records, start + beforeRecord),
    /** A write as the index knows it. */
    pointer,
    /** A part of its key as a number; see `Entry.keyPart`. */
    part: (start: number, index: number): number => Entry.keyPart(records, start + beforeRecord, index),
    /** Order of the keys of two writes. */
    compare: (a: number, b: number): number => Entry.compareKeys(records, a + beforeRecord, records, b + beforeRecord),
    /** Order of the keys of writes and the given one. */
    comparedWith: (key: RecordKey.RecordKey): ((start: number) => number) => {
      const head = headOf(key)
      return head === undefined
        ? (start) => RecordKey.compare(pointer(start), key)
        : (start) => Entry.compareKeys(records, start + beforeRecord, head, 0)
    }
  }
}

/** A key as the head of a record; `undefined` when it is longer than a record can hold. */
export const headOf = ({ key, namespace }: RecordKey.RecordKey): Uint8Array | undefined => {
  const write = Entry.remove(namespace, key)
  const bytes = new Uint8Array(Entry.maxSize(write))
  const length = Entry.encodeInto(bytes, 0, write, noStamp)
  const at = Entry.firstRecord(0)
  return at + Entry.headLength(bytes, at) === length ? bytes.subarray(at, length) : undefined
}

// ---------------------------------------------------------------------------------------------------------------------

/** Bytes before a version: its place. */
const placeBytes = 12

/** Bytes before a record: the place and the version of its entry. */
const beforeRecord = placeBytes + Entry.versionBytes

const noStamp: Entry.Stamp = { clock: HybridLogicalClock.zero, tie: RunId.none, unprobed: false }
