/**
 * Hashes of keys. Keys are chosen by clients, so the hash has a secret of this process (HalfSipHash-1-3, after
 * J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF", 2012).
 */
import * as Entry from "../../log/Entry.ts"

/** The secret of the hash. Nothing that a table says depends on it. */
const secret = crypto.getRandomValues(new Int32Array(2))

/** The hash, 32 bits, of the key in the head of a record that starts at `offset` and has this length. */
export const ofHead = (bytes: Uint8Array, offset: number, length: number): number => {
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
