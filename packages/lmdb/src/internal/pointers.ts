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

/** The pointer of a key and its value. */
export const decode = (key: Buffer, value: Buffer): RecordIndex.Pointer => {
  const end = key.indexOf(0)
  return {
    namespace: key.toString("utf8", 0, end),
    key: key.toString("utf8", end + 1),
    log: value.toString("latin1", headBytes) as LogId.LogId,
    seq: value.readUIntBE(0, 6),
    clock: { wallTime: value.readUIntBE(6, 6), logical: value.readUInt32BE(12) },
    tie: value.toString("hex", 17, headBytes) as RunId.RunId,
    deleted: value[16] === 1
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const headBytes = 25
