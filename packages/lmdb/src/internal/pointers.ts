/**
 * The table of the record index: which write of a key is the newest. A key is that of the record, its namespace first,
 * so that they stand in the order of their bytes; a value is a place, a version, and whether it is a delete.
 */
import type { LogId } from "@quorum/core"
import type { RecordIndex, RecordKey, RunId } from "@quorum/core/adapter"
import { maxKeyBytes } from "./environment.ts"

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
export const encode = ({ clock, deleted, log, seq, tie }: RecordIndex.Pointer): Buffer => {
  const value = Buffer.allocUnsafe(headBytes + log.length)
  value.writeUIntBE(seq, 0, 6)
  value.writeUIntBE(clock.wallTime, 6, 6)
  value.writeUInt32BE(clock.logical, 12)
  value[16] = deleted ? 1 : 0
  value.write(tie, 17, "hex")
  value.write(log, headBytes, "latin1")
  return value
}

/** The record of a key, see {@link keyOf}. */
export const nameOf = (key: Buffer): RecordKey.RecordKey => {
  const end = key.indexOf(0)
  return { namespace: key.toString("utf8", 0, end), key: key.toString("utf8", end + 1) }
}

/** The pointer of a record, in its value. */
export const decode = ({ key, namespace }: RecordKey.RecordKey, value: Buffer): RecordIndex.Pointer => ({
  namespace,
  key,
  log: logIn(value),
  seq: value.readUIntBE(0, 6),
  clock: { wallTime: value.readUIntBE(6, 6), logical: value.readUInt32BE(12) },
  tie: tieIn(value),
  deleted: value[16] === 1
})

// ---------------------------------------------------------------------------------------------------------------------

const headBytes = 25
const tieAt = 17

/** The log and the tie that were read last, as bytes too: few replicas write, so they are mostly those of the next pointer. */
const recent = { log: Buffer.alloc(0), logText: "", tie: Buffer.alloc(headBytes - tieAt), tieText: "0".repeat(16) }

const logIn = (value: Buffer): LogId.LogId => {
  if (value.length - headBytes !== recent.log.length || !isAt(value, headBytes, recent.log)) {
    recent.log = Buffer.from(value.subarray(headBytes))
    recent.logText = recent.log.toString("latin1")
  }
  return recent.logText as LogId.LogId
}

const tieIn = (value: Buffer): RunId.RunId => {
  if (!isAt(value, tieAt, recent.tie)) {
    recent.tie = Buffer.from(value.subarray(tieAt, headBytes))
    recent.tieText = recent.tie.toString("hex")
  }
  return recent.tieText as RunId.RunId
}

const isAt = (value: Buffer, at: number, bytes: Buffer): boolean => {
  for (let i = 0; i < bytes.length; i++) if (value[at + i] !== bytes[i]) return false
  return true
}
