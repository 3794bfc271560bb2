/**
 * One write as a log holds it, and its bytes.
 *
 * The bytes are made once, when the write is committed; the log stores them, the wire carries them and the chain
 * checksum runs over them, all unchanged. Layout, numbers big-endian:
 *
 * | bytes | field |
 * |---|---|
 * | 4 | length of all that follows |
 * | 1 | layout: 2 |
 * | 1 | flags: 1 unprobed; all others 0 |
 * | 6 | wall time of the clock, milliseconds since the epoch |
 * | 4 | logical part of the clock |
 * | 8 | tie |
 * | … | the records, one or more |
 *
 * and each record:
 *
 * | bytes | field |
 * |---|---|
 * | 1 | kind: 1 put, 2 delete |
 * | 1 | length of the content type in bytes |
 * | 4 | length of the value in bytes |
 * | 1 | length of the namespace in bytes |
 * | 2 | length of the key in bytes |
 * | … | namespace, key (UTF-8), content type (ASCII), value (empty for a delete) |
 *
 * An entry of several records is atomic: it is held, and read, whole or not at all. Clock and tie lie side by side, so
 * the order of versions is that of their bytes.
 */
import { Result, Schema } from "effect"
import type { RunId } from "../identity/RunId.ts"
import * as Bytes from "./Bytes.ts"
import * as Chain from "./Chain.ts"
import type * as HybridLogicalClock from "./HybridLogicalClock.ts"
import type { Version } from "./Version.ts"

/** A write to a key: the new value, or a delete. Namespace and key are text, the value is bytes. */
export interface Write {
  readonly kind: "put" | "delete"
  readonly namespace: string
  readonly key: string
  /** The value of a put; empty for a delete. */
  readonly value: Uint8Array
  /** What the value is, as HTTP says it, for example `application/json`; absent when nobody said. */
  readonly contentType?: string
}

/** What one entry does: a write, or several that are one. */
export type Writes = Write | readonly [Write, ...ReadonlyArray<Write>]

/** When an entry was written, as all replicas order it. */
export interface Stamp extends Version {
  /** Stamped without asking a majority for its clocks. */
  readonly unprobed: boolean
}

/** What a record says before its content type and value: all that an index needs. */
export interface Header {
  readonly kind: "put" | "delete"
  readonly namespace: string
  readonly key: string
}

/** An entry, decoded. */
export interface Entry extends Stamp {
  readonly records: ReadonlyArray<Write>
}

/** Bytes that are not an entry. `offset` is where, counted from the start of the bytes. */
export class MalformedEntry extends Schema.TaggedError<MalformedEntry>()("MalformedEntry", {
  offset: Schema.Int,
  detail: Schema.String
}) {
  override get message(): string {
    return `malformed entry at byte ${this.offset}: ${this.detail}`
  }
}

/** The longest namespace and the longest key that the layout can hold, in bytes of UTF-8. */
export const maxNamespaceBytes = 0xff
/** The longest key that the layout can hold, in bytes of UTF-8. */
export const maxKeyBytes = 0xffff
/** The longest content type that the layout can hold, in bytes. */
export const maxContentTypeBytes = 0xff

/**
 * The most records of one entry, since an entry is taken in at once: very many that are tiny would hold the event loop of
 * every replica. It is enough for an atomic batch of 10,000 lines and what is written beside it.
 */
export const maxRecords = 10_240

/** Bytes of an entry before its first record, the length field included. */
export const headerBytes = 24
/** Bytes of a record before its namespace. */
export const recordHeaderBytes = 9
/** Where in an entry its clock and its tie are, and how many bytes they take. */
export const versionAt = 6
/** Bytes of a clock and a tie. */
export const versionBytes = 18
/** Where in a record the part begins that is about its key alone: two lengths, then the text. */
export const keyPartAt = 6

/**
 * Makes a put from text or bytes. Text that is none, because it has half a surrogate pair, is left as it is, and rejected by
 * who is to write it: as bytes it would be other text.
 */
export const put = (
  namespace: string,
  key: string,
  value: Uint8Array | string,
  options?: { readonly contentType?: string }
): Write => ({
  kind: "put",
  namespace,
  key,
  value: typeof value === "string" && value.isWellFormed() ? Bytes.ofText(value) : (value as Uint8Array),
  ...(options?.contentType === undefined ? {} : { contentType: options.contentType })
})

/** Makes a delete. */
export const remove = (namespace: string, key: string): Write => ({ kind: "delete", namespace, key, value: noBytes })

/** The writes of an entry, one after the other. */
export const listOf = (writes: Writes): ReadonlyArray<Write> => ("kind" in writes ? [writes] : writes)

/** An upper bound of the bytes that an entry takes in a log. */
export const maxSize = (writes: Writes): number => {
  if ("kind" in writes) return headerBytes + maxRecordSize(writes)
  let size = headerBytes
  for (const write of writes) size += maxRecordSize(write)
  return size
}

/** The bytes that a write takes in an entry, beside those of the other writes and of {@link headerBytes}. */
export const recordSize = ({ contentType, key, namespace, value }: Write): number =>
  recordHeaderBytes + Bytes.sizeOfText(namespace) + Bytes.sizeOfText(key) + (contentType?.length ?? 0) + value.length

/** The bytes of the values. */
export const valueSize = (writes: Writes): number => {
  if ("kind" in writes) return writes.value.length
  let size = 0
  for (const { value } of writes) size += value.length
  return size
}

/** The bytes of the longest entry of one write by these limits. Several writes in one entry may not be longer. */
export const longest = (limits: {
  readonly namespaceBytes: number
  readonly keyBytes: number
  readonly valueBytes: number
}): number =>
  headerBytes + recordHeaderBytes + limits.namespaceBytes + limits.keyBytes + maxContentTypeBytes + limits.valueBytes

/**
 * Writes an entry at `offset` and returns the offset after it. The caller has checked the lengths and has made room
 * for `maxSize(writes)` bytes.
 */
export const encodeInto = (target: Uint8Array, offset: number, writes: Writes, stamp: Stamp): number => {
  let at = offset + headerBytes
  if ("kind" in writes) at = encodeRecord(target, at, writes)
  else for (const write of writes) at = encodeRecord(target, at, write)
  Bytes.writeUint32(target, offset, at - offset - 4)
  target[offset + 4] = layout
  target[offset + 5] = stamp.unprobed ? unprobedFlag : 0
  const { clock } = stamp
  const wallTimeHigh = Math.floor(clock.wallTime / 0x1_0000_0000)
  target[offset + 6] = wallTimeHigh >>> 8
  target[offset + 7] = wallTimeHigh
  Bytes.writeUint32(target, offset + 8, clock.wallTime)
  Bytes.writeUint32(target, offset + 12, clock.logical)
  const tie = tieOf(stamp.tie)
  Bytes.writeUint32(target, offset + 16, tie.high)
  Bytes.writeUint32(target, offset + 20, tie.low)
  return at
}

/**
 * The offset after the entry that starts at `offset`, or why the bytes there are not an entry. Looks at the lengths,
 * the flags and the kinds, not at the text.
 */
export const end = (bytes: Uint8Array, offset: number): Result.Result<number, MalformedEntry> => {
  const fault = faultAt(bytes, offset)
  return fault === undefined ? Result.succeed(endUnsafe(bytes, offset)) : Result.fail(fault)
}

/** Why the bytes at `offset` are not an entry; `undefined` when they are one. See {@link end}. */
export const faultAt = (bytes: Uint8Array, offset: number): MalformedEntry | undefined => {
  if (offset + headerBytes > bytes.length) return malformed(offset, "the header is cut off")
  const after = endUnsafe(bytes, offset)
  if (after > bytes.length) return malformed(offset, "the entry is cut off")
  if (bytes[offset + 4] !== layout) return malformed(offset, `unknown layout ${bytes[offset + 4]!}`)
  if ((bytes[offset + 5]! & ~unprobedFlag) !== 0) return malformed(offset, `unknown flags ${bytes[offset + 5]!}`)
  let at = offset + headerBytes
  if (at >= after) return malformed(offset, "it has no record")
  while (at < after) {
    if (at + recordHeaderBytes > after) return malformed(at, "a record is cut off")
    const kind = bytes[at]!
    if (kind !== putKind && kind !== deleteKind) return malformed(at, `unknown kind ${kind}`)
    if (kind === deleteKind && valueLength(bytes, at) + bytes[at + 1]! > 0)
      return malformed(at, "a delete carries a value")
    const next = nextRecord(bytes, at)
    if (next > after) return malformed(at, "a record is longer than its entry")
    at = next
  }
  return undefined
}

/**
 * Why a well-formed entry cannot be taken from a peer: what a client may not name a record by, a peer may not either. A
 * name is not empty, well-formed UTF-8, and without NUL.
 */
export const badName = (bytes: Uint8Array, offset: number): MalformedEntry | undefined => {
  const after = endUnsafe(bytes, offset)
  let count = 0
  for (let at = firstRecord(offset); at < after; at = nextRecord(bytes, at)) {
    if (++count > maxRecords) return malformed(offset, `it has more than ${maxRecords} records`)
    const key = keyStart(bytes, at)
    if (!Bytes.isName(bytes, at + recordHeaderBytes, key)) return malformed(at, "the namespace is not a name")
    const type = key + keyLength(bytes, at)
    if (!Bytes.isName(bytes, key, type)) return malformed(at, "the key is not a name")
    if (!Bytes.isVisible(bytes, type, type + bytes[at + 1]!)) return malformed(at, "the content type is not a name")
  }
  return undefined
}

const malformed = (offset: number, detail: string) => new MalformedEntry({ offset, detail })

/** The offset after an entry that is known to be well-formed. */
export const endUnsafe = (bytes: Uint8Array, offset: number): number => offset + 4 + Bytes.readUint32(bytes, offset)

/** Where the first record of an entry begins. */
export const firstRecord = (offset: number): number => offset + headerBytes

/** Where the record after the one at `at` begins: the end of the entry, when it is the last. */
export const nextRecord = (bytes: Uint8Array, at: number): number =>
  at + headLength(bytes, at) + bytes[at + 1]! + valueLength(bytes, at)

/** Bytes of a record before its content type and value. */
export const headLength = (bytes: Uint8Array, at: number): number =>
  recordHeaderBytes + bytes[at + 6]! + keyLength(bytes, at)

/** Order of the keys of two records: namespace, then key, by their bytes. */
export const compareKeys = (a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number => {
  const aNamespace = aAt + recordHeaderBytes
  const bNamespace = bAt + recordHeaderBytes
  const namespaces = Bytes.compare(a, aNamespace, a[aAt + 6]!, b, bNamespace, b[bAt + 6]!)
  if (namespaces !== 0) return namespaces
  return Bytes.compare(a, keyStart(a, aAt), keyLength(a, aAt), b, keyStart(b, bAt), keyLength(b, bAt))
}

/**
 * A part of the key of a record as a number, for sorting many: of two keys the one whose first different part is smaller
 * comes first by {@link compareKeys}, and beyond a key all its parts are 0. A part is six bytes; what ends a namespace or
 * a key is below every byte.
 */
export const keyPart = (bytes: Uint8Array, at: number, index: number): number => {
  const text = at + recordHeaderBytes
  const namespaceEnd = text + bytes[at + 6]!
  const end = namespaceEnd + keyLength(bytes, at)
  let part = 0
  let place = text + index * 6
  for (let i = 0; i < 6; i++, place++) {
    // After the namespace comes its end, and the key is one place further than its bytes.
    const from = place < namespaceEnd ? place : place - 1
    part = part * 257 + (place === namespaceEnd || from >= end ? 0 : bytes[from]! + 1)
  }
  return part
}

/** Order of two versions as bytes, which an entry has at `versionAt`: by the clock, then by the tie. */
export const compareVersions = (a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number =>
  Bytes.compare(a, aAt, versionBytes, b, bAt, versionBytes)

/** The clock of a well-formed entry. */
export const clockAt = (bytes: Uint8Array, offset: number): HybridLogicalClock.HybridLogicalClock =>
  readClock(bytes, offset + versionAt)

/** A version as bytes. */
export const readVersion = (bytes: Uint8Array, at: number): Version => ({
  clock: readClock(bytes, at),
  tie: readTie(Bytes.readUint32(bytes, at + 10), Bytes.readUint32(bytes, at + 14))
})

/** When a well-formed entry was written. */
export const stampAt = (bytes: Uint8Array, offset: number): Stamp => {
  const { clock, tie } = readVersion(bytes, offset + versionAt)
  return { clock, tie, unprobed: (bytes[offset + 5]! & unprobedFlag) !== 0 }
}

/** Kind and key of a record. */
export const headerAt = (bytes: Uint8Array, at: number): Header => {
  const namespaceStart = at + recordHeaderBytes
  const keyAt = keyStart(bytes, at)
  return {
    kind: bytes[at] === putKind ? "put" : "delete",
    namespace: Bytes.decodeText(bytes, namespaceStart, keyAt),
    key: Bytes.decodeText(bytes, keyAt, keyAt + keyLength(bytes, at))
  }
}

/** What a record has beside its key; the value shares memory with `bytes`. */
export const bodyAt = (bytes: Uint8Array, at: number): Omit<Write, "key" | "namespace"> => {
  const type = at + headLength(bytes, at)
  const start = type + bytes[at + 1]!
  const kind = bytes[at] === putKind ? "put" : "delete"
  const value = bytes.subarray(start, start + valueLength(bytes, at))
  return start === type ? { kind, value } : { kind, value, contentType: Bytes.decodeText(bytes, type, start) }
}

/** A record with its value; the value shares memory with `bytes`. */
export const recordAt = (bytes: Uint8Array, at: number): Write => ({ ...headerAt(bytes, at), ...bodyAt(bytes, at) })

/** Where the record of a key is in a well-formed entry; `undefined` when it has none. The last of several counts. */
export const find = (bytes: Uint8Array, offset: number, namespace: string, key: string): number | undefined => {
  let found: number | undefined
  const after = endUnsafe(bytes, offset)
  for (let at = firstRecord(offset); at < after; at = nextRecord(bytes, at)) {
    const keyAt = keyStart(bytes, at)
    const isKey = Bytes.isOf(key, bytes, keyAt, keyAt + keyLength(bytes, at))
    if (isKey && Bytes.isOf(namespace, bytes, at + recordHeaderBytes, keyAt)) found = at
  }
  return found
}

/** A well-formed entry; the values share memory with `bytes`. */
export const decodeAt = (bytes: Uint8Array, offset: number): Entry => {
  const records: Array<Write> = []
  const after = endUnsafe(bytes, offset)
  for (let at = firstRecord(offset); at < after; at = nextRecord(bytes, at)) records.push(recordAt(bytes, at))
  return { ...stampAt(bytes, offset), records }
}

// ---------------------------------------------------------------------------------------------------------------------

const layout = 2
const unprobedFlag = 1
const putKind = 1
const deleteKind = 2

const maxRecordSize = ({ contentType, key, namespace, value }: Write): number =>
  recordHeaderBytes + 3 * (namespace.length + key.length) + (contentType?.length ?? 0) + value.length

const encodeRecord = (target: Uint8Array, offset: number, write: Write): number => {
  const { contentType, key, kind, namespace, value } = write
  let at = offset + recordHeaderBytes
  const namespaceBytes = Bytes.encodeText(target, at, namespace)
  at += namespaceBytes
  const keyBytes = Bytes.encodeText(target, at, key)
  at += keyBytes
  const typeBytes = contentType === undefined ? 0 : Bytes.encodeText(target, at, contentType)
  at += typeBytes
  target.set(value, at)
  target[offset] = kind === "put" ? putKind : deleteKind
  target[offset + 1] = typeBytes
  Bytes.writeUint32(target, offset + 2, value.length)
  target[offset + 6] = namespaceBytes
  target[offset + 7] = keyBytes >>> 8
  target[offset + 8] = keyBytes
  return at + value.length
}

/** The two halves of a tie. A replica stamps with one tie as long as it runs, so the last one is most often meant. */
const tieOf = (tie: RunId): Chain.State => {
  if (tie !== lastTie) {
    lastHalves = Chain.state(tie as string as Chain.Chain)
    lastTie = tie
  }
  return lastHalves
}
let lastTie: RunId | undefined
let lastHalves: Chain.State = { high: 0, low: 0 }

const keyLength = (bytes: Uint8Array, at: number): number => Bytes.readUint16(bytes, at + 7)
const keyStart = (bytes: Uint8Array, at: number): number => at + recordHeaderBytes + bytes[at + 6]!
const valueLength = (bytes: Uint8Array, at: number): number => Bytes.readUint32(bytes, at + 2)

const readClock = (bytes: Uint8Array, at: number): HybridLogicalClock.HybridLogicalClock => ({
  wallTime: Bytes.readUint16(bytes, at) * 0x1_0000_0000 + Bytes.readUint32(bytes, at + 2),
  logical: Bytes.readUint32(bytes, at + 6)
})

/** The tie that was read last: few replicas write, so it is mostly that of the next entry. */
const recent = { high: 0, low: 0, tie: Chain.empty as string as RunId }

const readTie = (high: number, low: number): RunId => {
  if (high !== recent.high || low !== recent.low) {
    recent.high = high
    recent.low = low
    recent.tie = Chain.format({ high, low }) as string as RunId
  }
  return recent.tie
}

const noBytes = new Uint8Array(0)
