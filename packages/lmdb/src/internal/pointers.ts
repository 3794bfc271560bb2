/**
 * The table of the record index: which write of a key is the newest. A key is that of the record, its namespace first,
 * so that they stand in the order of their bytes; a value is a place, a version, and whether it is a delete.
 */
import type { LogId } from "@quorum/core"
import { RecordIndex, type RecordKey, type RunId } from "@quorum/core/adapter"
import { damaged, maxKeyBytes } from "./environment.ts"

/** The key of a record. Names have no NUL. */
export const keyOf = ({ key, namespace }: RecordKey.RecordKey): Buffer => Buffer.from(`${namespace}\0${key}`)

/**
 * A bound of a range of keys: where it lies among the keys of the table, and whether it had to be cut to be one. What
 * follows all of a namespace is the namespace with a NUL, which here is the end of its name.
 */
export const boundOf = ({ key, namespace }: RecordKey.RecordKey) => {
  const bytes = namespace.endsWith("\0") ? Buffer.from(`${namespace.slice(0, -1)}\u0001`) : keyOf({ key, namespace })
  return { at: bytes.subarray(0, maxKeyBytes), isCut: bytes.length > maxKeyBytes }
}

/** The value of a pointer. */
export const encode = (pointer: RecordIndex.Pointer): Buffer => {
  const { clock, deleted, log, seq, tie } = pointer
  const value = Buffer.allocUnsafe(headBytes + log.length)
  value.writeUIntBE(seq, 0, 6)
  value.writeUIntBE(clock.wallTime, 6, 6)
  value.writeUInt32BE(clock.logical, 12)
  value[16] = deleted ? 1 : 0
  value.write(tie, tieAt, "hex")
  value.writeUInt32BE(RecordIndex.checkOf(pointer), checkAt)
  value.write(log, headBytes, "latin1")
  return value
}

/** The record of a key, see {@link keyOf}, which lies among other bytes. */
export const nameIn = (bytes: Buffer, from: number, to: number): RecordKey.RecordKey => {
  const end = bytes.indexOf(0, from)
  return { namespace: bytes.toString("utf8", from, end), key: bytes.toString("utf8", end + 1, to) }
}

/** The pointer of a record, in its value. Throws where one of the two is damaged. */
export const decode = ({ key, namespace }: RecordKey.RecordKey, value: Buffer): RecordIndex.Pointer => {
  if (value.length < headBytes) throw damaged("a pointer of the record index is damaged")
  const pointer = {
    namespace,
    key,
    log: logIn(value),
    seq: value.readUIntBE(0, 6),
    clock: { wallTime: value.readUIntBE(6, 6), logical: value.readUInt32BE(12) },
    tie: tieIn(value),
    deleted: value[16] === 1
  }
  if (value.readUInt32BE(checkAt) !== RecordIndex.checkOf(pointer))
    throw damaged("a pointer of the record index is damaged")
  return pointer
}

/** How far a log is covered, as a value. */
export const encodeProgress = (log: LogId.LogId, seq: number): Buffer => {
  const value = Buffer.allocUnsafe(10)
  value.writeUIntBE(seq, 0, 6)
  value.writeUInt32BE(RecordIndex.checkOfProgress(log, seq), 6)
  return value
}

/** How far a log is covered, in its value. Throws where that is damaged. */
export const decodeProgress = (log: LogId.LogId, value: Buffer): number => {
  const seq = value.length === 10 ? value.readUIntBE(0, 6) : -1
  if (seq >= 0 && value.readUInt32BE(6) === RecordIndex.checkOfProgress(log, seq)) return seq
  throw damaged("how far the record index goes is damaged")
}

// ---------------------------------------------------------------------------------------------------------------------

const tieAt = 17
const checkAt = 25
const headBytes = 29

/** The log and the tie that were read last, as bytes too: few replicas write, so they are mostly those of the next pointer. */
const recent = { log: Buffer.alloc(0), logText: "", tie: Buffer.alloc(checkAt - tieAt), tieText: "0".repeat(16) }

const logIn = (value: Buffer): LogId.LogId => {
  if (value.length - headBytes !== recent.log.length || !isAt(value, headBytes, recent.log)) {
    recent.log = Buffer.from(value.subarray(headBytes))
    recent.logText = recent.log.toString("latin1")
  }
  return recent.logText as LogId.LogId
}

const tieIn = (value: Buffer): RunId.RunId => {
  if (!isAt(value, tieAt, recent.tie)) {
    recent.tie = Buffer.from(value.subarray(tieAt, checkAt))
    recent.tieText = recent.tie.toString("hex")
  }
  return recent.tieText as RunId.RunId
}

const isAt = (value: Buffer, at: number, bytes: Buffer): boolean => {
  for (let i = 0; i < bytes.length; i++) if (value[at + i] !== bytes[i]) return false
  return true
}
