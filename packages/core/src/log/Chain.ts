/**
 * The chain checksum of a log: 64 bits that cover every entry from 1 to S, in order.
 *
 * `chain(0)` is all zeros and `chain(s)` is a hash of the bytes of entry `s`, seeded with `chain(s - 1)`. Two replicas
 * with the same chain at S hold the same prefix, so one comparison per ack detects drift. It finds accidents (a
 * restored backup, a cloned store, a flipped bit); it is not a defence against somebody who forges entries.
 *
 * The hash is the body and the finaliser of MurmurHash3 (Austin Appleby, 2011; the constants of its `x86_32` and
 * `x86_128` variants) in two 32-bit lanes that are mixed at the end of every entry.
 */
import { Schema } from "effect"

/** A chain checksum: 16 lower-case hexadecimal digits. */
export const Chain = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{16}$/, { message: "a chain checksum is 16 lower-case hexadecimal digits" })
).pipe(Schema.brand("@quorum/core/Chain"))

/** A chain checksum. */
export type Chain = typeof Chain.Type

/** The chain of an empty log. */
export const empty: Chain = "0000000000000000" as Chain

/** A chain being computed: two unsigned 32-bit lanes, changed in place. */
export interface State {
  high: number
  low: number
}

/** Starts from a known chain. */
export const state = (from: Chain): State => ({
  high: Number.parseInt(from.slice(0, 8), 16),
  low: Number.parseInt(from.slice(8), 16)
})

/** Bytes as {@link extend} reads them: whole words at any place, several times as fast as from single bytes. */
export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Extends the chain by one entry: the bytes from `start` up to, not including, `end`. */
export const extend = (chain: State, bytes: DataView, start: number, end: number): void => {
  let high = chain.high
  let low = chain.low
  const length = end - start
  const whole = start + (length & ~3)
  let i = start
  for (; i < whole; i += 4) {
    const word = bytes.getInt32(i, true)
    high ^= Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593)
    high = (Math.imul(rotate(high, 13), 5) + 0xe6546b64) | 0
    low ^= Math.imul(rotate(Math.imul(word, 0x239b961b), 16), 0xab0e9789)
    low = (Math.imul(rotate(low, 17), 5) + 0x561ccd1b) | 0
  }
  let tail = 0
  for (let shift = 0; i < end; i++, shift += 8) tail |= bytes.getUint8(i) << shift
  high ^= Math.imul(rotate(Math.imul(tail, 0xcc9e2d51), 15), 0x1b873593) ^ length
  low ^= Math.imul(rotate(Math.imul(tail, 0x239b961b), 16), 0xab0e9789) ^ length
  high = (high + low) | 0
  low = (low + high) | 0
  high = finish(high)
  low = finish(low)
  high = (high + low) | 0
  low = (low + high) | 0
  chain.high = high >>> 0
  chain.low = low >>> 0
}

/** The first half of a chain as a number: the short check of a write id. */
export const check = (chain: Chain): number => Number.parseInt(chain.slice(0, 8), 16)

/** The chain as text. */
export const format = ({ high, low }: State): Chain => (word(high) + word(low)) as Chain

// ---------------------------------------------------------------------------------------------------------------------

/** Every byte as text: three times as fast as the whole word at once. */
const bytesAsText = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

const word = (x: number): string =>
  bytesAsText[x >>> 24]! + bytesAsText[(x >>> 16) & 255]! + bytesAsText[(x >>> 8) & 255]! + bytesAsText[x & 255]!

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by))

const finish = (x: number): number => {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}
