/**
 * One write as a log holds it, and its bytes.
 *
 * The bytes are made once, when the write is committed; the log stores them, the wire carries them and the chain
 * checksum runs over them, all unchanged. Layout, numbers big-endian:
 *
 * | bytes | field |
 * |---|---|
 * | 4 | length of all that follows |
 * | 1 | kind: 1 put, 2 delete |
 * | 6 | wall time of the clock, milliseconds since the epoch |
 * | 4 | logical part of the clock |
 * | 1 | length of the namespace in bytes |
 * | 2 | length of the key in bytes |
 * | … | namespace, key (UTF-8), value (the rest; empty for a delete) |
 */
import { Result, Schema } from "effect"
import type * as HybridLogicalClock from "./HybridLogicalClock.ts"

/** A write to a key: the new value, or a delete. Namespace and key are text, the value is bytes. */
export interface Write {
  readonly kind: "put" | "delete"
  readonly namespace: string
  readonly key: string
  /** The value of a put; empty for a delete. */
  readonly value: Uint8Array
}

/** What the fixed part of an entry and its key say: all that an index needs. */
export interface Header {
  readonly kind: "put" | "delete"
  readonly namespace: string
  readonly key: string
  readonly clock: HybridLogicalClock.HybridLogicalClock
}

/** A write with the clock of its commit. */
export interface Entry extends Write {
  readonly clock: HybridLogicalClock.HybridLogicalClock
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

/** Bytes of an entry before the namespace, the length field included. */
export const headerBytes = 18

/** Makes a put from text or bytes. */
export const put = (namespace: string, key: string, value: Uint8Array | string): Write => ({
  kind: "put",
  namespace,
  key,
  value: typeof value === "string" ? encoder.encode(value) : value
})

/** Makes a delete. */
export const remove = (namespace: string, key: string): Write => ({ kind: "delete", namespace, key, value: noBytes })

/** An upper bound of the bytes that a write takes in a log. */
export const maxSize = (write: Write): number =>
  headerBytes + 3 * (write.namespace.length + write.key.length) + write.value.length

/**
 * Writes an entry at `offset` and returns the offset after it. The caller has checked the lengths and has made room
 * for `maxSize(write)` bytes.
 */
export const encodeInto = (
  target: Uint8Array,
  offset: number,
  write: Write,
  clock: HybridLogicalClock.HybridLogicalClock
): number => {
  let at = offset + headerBytes
  const namespaceBytes = encodeText(target, at, write.namespace)
  at += namespaceBytes
  const keyBytes = encodeText(target, at, write.key)
  at += keyBytes
  target.set(write.value, at)
  at += write.value.length
  writeUint32(target, offset, at - offset - 4)
  target[offset + 4] = write.kind === "put" ? 1 : 2
  const wallTimeHigh = Math.floor(clock.wallTime / 0x1_0000_0000)
  target[offset + 5] = wallTimeHigh >>> 8
  target[offset + 6] = wallTimeHigh
  writeUint32(target, offset + 7, clock.wallTime)
  writeUint32(target, offset + 11, clock.logical)
  target[offset + 15] = namespaceBytes
  target[offset + 16] = keyBytes >>> 8
  target[offset + 17] = keyBytes
  return at
}

/**
 * The offset after the entry that starts at `offset`, or why the bytes there are not an entry. Looks at the lengths
 * and the kind, not at the text.
 */
export const end = (bytes: Uint8Array, offset: number): Result.Result<number, MalformedEntry> => {
  const fail = (detail: string) => Result.fail(new MalformedEntry({ offset, detail }))
  if (offset + headerBytes > bytes.length) return fail("the header is cut off")
  const after = offset + 4 + readUint32(bytes, offset)
  if (after > bytes.length) return fail("the entry is cut off")
  const kind = bytes[offset + 4]!
  if (kind !== 1 && kind !== 2) return fail(`unknown kind ${kind}`)
  const value = offset + headerBytes + bytes[offset + 15]! + readUint16(bytes, offset + 16)
  if (value > after) return fail("the namespace and the key are longer than the entry")
  if (kind === 2 && value < after) return fail("a delete carries a value")
  return Result.succeed(after)
}

/**
 * Why a well-formed entry cannot be taken from a peer: what a client may not name a record by, a peer may not either. A
 * name is not empty, well-formed UTF-8, and without NUL.
 */
export const badName = (bytes: Uint8Array, offset: number): MalformedEntry | undefined => {
  const key = offset + headerBytes + bytes[offset + 15]!
  const fail = (what: string) => new MalformedEntry({ offset, detail: `the ${what} is not a name` })
  if (!isName(bytes, offset + headerBytes, key)) return fail("namespace")
  return isName(bytes, key, key + readUint16(bytes, offset + 16)) ? undefined : fail("key")
}

/** Whether bytes are the name of a namespace or a key. Plain ASCII, which most names are, is looked at once. */
const isName = (bytes: Uint8Array, start: number, end: number): boolean => {
  if (start === end) return false
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0) return false
    if (byte > 0x7f) return isText(bytes.subarray(start, end))
  }
  return true
}

const isText = (bytes: Uint8Array): boolean => {
  try {
    return !strict.decode(bytes).includes("\0")
  } catch {
    return false
  }
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The offset after an entry that is known to be well-formed. */
export const endUnsafe = (bytes: Uint8Array, offset: number): number => offset + 4 + readUint32(bytes, offset)

/** Bytes of a well-formed entry before its value. */
export const headLength = (bytes: Uint8Array, offset: number): number =>
  headerBytes + bytes[offset + 15]! + readUint16(bytes, offset + 16)

/** Order of the keys of two well-formed entries: namespace, then key, by their bytes. */
export const compareKeys = (a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number => {
  const namespaces = compareBytes(a, aAt + headerBytes, a[aAt + 15]!, b, bAt + headerBytes, b[bAt + 15]!)
  if (namespaces !== 0) return namespaces
  const aKey = aAt + headerBytes + a[aAt + 15]!
  const bKey = bAt + headerBytes + b[bAt + 15]!
  return compareBytes(a, aKey, readUint16(a, aAt + 16), b, bKey, readUint16(b, bAt + 16))
}

/** Order of the clocks of two well-formed entries: their bytes order as the clocks do. */
export const compareClocks = (a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number =>
  compareBytes(a, aAt + 5, 10, b, bAt + 5, 10)

/** The clock of a well-formed entry. */
export const clockAt = (bytes: Uint8Array, offset: number): HybridLogicalClock.HybridLogicalClock => ({
  wallTime: readUint16(bytes, offset + 5) * 0x1_0000_0000 + readUint32(bytes, offset + 7),
  logical: readUint32(bytes, offset + 11)
})

/** Kind, key and clock of a well-formed entry, without its value. */
export const headerAt = (bytes: Uint8Array, offset: number): Header => {
  const namespaceStart = offset + headerBytes
  const keyStart = namespaceStart + bytes[offset + 15]!
  return {
    kind: bytes[offset + 4] === 1 ? "put" : "delete",
    namespace: decodeText(bytes, namespaceStart, keyStart),
    key: decodeText(bytes, keyStart, keyStart + readUint16(bytes, offset + 16)),
    clock: clockAt(bytes, offset)
  }
}

/** A well-formed entry with its value; the value shares memory with `bytes`. */
export const decodeAt = (bytes: Uint8Array, offset: number): Entry => ({
  ...headerAt(bytes, offset),
  value: bytes.subarray(offset + headLength(bytes, offset), endUnsafe(bytes, offset))
})

// ---------------------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const noBytes = new Uint8Array(0)

const encodeText = (target: Uint8Array, offset: number, text: string): number => {
  // Short ASCII text is the common case, and a loop beats the call into the encoder there.
  if (text.length <= 64) {
    let i = 0
    for (; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) break
      target[offset + i] = code
    }
    if (i === text.length) return i
  }
  return encoder.encodeInto(text, target.subarray(offset)).written
}

const decodeText = (bytes: Uint8Array, start: number, end: number): string => {
  if (end - start <= 32) {
    let text = ""
    let i = start
    for (; i < end; i++) {
      const byte = bytes[i]!
      if (byte > 0x7f) break
      text += String.fromCharCode(byte)
    }
    if (i === end) return text
  }
  return decoder.decode(bytes.subarray(start, end))
}

const compareBytes = (
  a: Uint8Array,
  aAt: number,
  aLength: number,
  b: Uint8Array,
  bAt: number,
  bLength: number
): number => {
  const length = Math.min(aLength, bLength)
  for (let i = 0; i < length; i++) {
    const difference = a[aAt + i]! - b[bAt + i]!
    if (difference !== 0) return difference
  }
  return aLength - bLength
}

const writeUint32 = (target: Uint8Array, offset: number, value: number): void => {
  target[offset] = value >>> 24
  target[offset + 1] = value >>> 16
  target[offset + 2] = value >>> 8
  target[offset + 3] = value
}

const readUint32 = (bytes: Uint8Array, offset: number): number =>
  bytes[offset]! * 0x100_0000 + ((bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!)

const readUint16 = (bytes: Uint8Array, offset: number): number => (bytes[offset]! << 8) | bytes[offset + 1]!
