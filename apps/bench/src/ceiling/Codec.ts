/**
 * Bytes of the ceiling. An entry has a header of 18 bytes, as Quorum's has, so that the disks write as much.
 */
import type { Batch } from "./Log.ts"

/** A write. */
export interface Write {
  readonly key: string
  readonly value: Uint8Array
}

const entryHeader = 18
const batchHeader = 10

/** Encodes writes as the entries from `first` on: length, key length, time, key, value. */
export const encodeEntries = (writes: ReadonlyArray<Write>, first: number): Batch => {
  let room = 0
  for (const { key, value } of writes) room += entryHeader + 3 * key.length + value.length
  const bytes = Buffer.allocUnsafeSlow(room)
  const now = Date.now()
  let at = 0
  for (const { key, value } of writes) {
    const keyLength = bytes.write(key, at + entryHeader)
    const length = entryHeader + keyLength + value.length
    bytes.writeUInt32BE(length, at)
    bytes.writeUIntBE(keyLength, at + 4, 6)
    bytes.writeDoubleBE(now, at + 10)
    bytes.set(value, at + entryHeader + keyLength)
    at += length
  }
  return { first, count: writes.length, bytes: bytes.subarray(0, at) }
}

/** The keys of encoded entries. */
export const keysOf = ({ bytes }: Batch): ReadonlyArray<string> => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const keys: Array<string> = []
  for (let at = 0; at < buffer.length; at += buffer.readUInt32BE(at)) {
    keys.push(buffer.toString("utf8", at + entryHeader, at + entryHeader + buffer.readUIntBE(at + 4, 6)))
  }
  return keys
}

/** One message for batches that follow each other. */
export const encodeMessage = (batches: ReadonlyArray<Batch>): Buffer => {
  const header = Buffer.allocUnsafe(batchHeader)
  header.writeUIntBE(batches[0]!.first, 0, 6)
  header.writeUInt32BE(
    batches.reduce((count, batch) => count + batch.count, 0),
    6
  )
  return Buffer.concat([header, ...batches.map(({ bytes }) => bytes)])
}

/** {@link encodeMessage}, read back as one batch. */
export const decodeMessage = (message: Buffer): Batch => ({
  first: message.readUIntBE(0, 6),
  count: message.readUInt32BE(6),
  bytes: message.subarray(batchHeader)
})

/** "I hold everything up to `seq`." */
export const encodeAck = (seq: number): Buffer => {
  const bytes = Buffer.allocUnsafe(6)
  bytes.writeUIntBE(seq, 0, 6)
  return bytes
}

/** {@link encodeAck}, read back. */
export const decodeAck = (message: Buffer): number => message.readUIntBE(0, 6)
