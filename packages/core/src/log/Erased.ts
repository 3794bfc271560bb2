/**
 * A range of erased entries, as it stands in a log in their place: between entries, and like them in the bytes of a batch.
 *
 * What was superseded everywhere is taken out of a log, and the log goes on as it is: its places are counted, its rows are
 * checked, and the chain after every entry that stays is what it was. For that a range says how many places it covers and
 * the chain on both sides of it. It says too whether deletes are among what was erased: who has read what they deleted,
 * and goes on behind the range, never hears of them. Layout, numbers big-endian:
 *
 * | bytes | field |
 * |---|---|
 * | 4 | length of all that follows: 24 |
 * | 1 | layout: 3 |
 * | 1 | 3 when deletes are among them, or 0: no chain covers it, so one bit alone is none of the two |
 * | 6 | how many entries it stands for, one or more |
 * | 8 | the chain before the first of them |
 * | 8 | the chain after the last of them |
 */
import * as Bytes from "./Bytes.ts"
import type * as Chain from "./Chain.ts"

/** Bytes of a range, the length field included. */
export const size = 28

/** For how many entries one range stands at most: what a batch that travels can count. */
export const maxCount = 2 ** 31 - 1

/** Whether a range of erased entries is at an offset, and no entry. */
export const is = (bytes: Uint8Array, offset: number): boolean => bytes[offset + 4] === layout

/** Whether deletes are among what the range at an offset stands for, of which nothing was left to be newer. */
export const hasDeletes = (bytes: Uint8Array, offset: number): boolean => bytes[offset + 5] === deletesFlag

/** For how many entries the range at an offset stands. */
export const countAt = (bytes: Uint8Array, offset: number): number =>
  Bytes.readUint16(bytes, offset + 6) * 0x1_0000_0000 + Bytes.readUint32(bytes, offset + 8)

/** Whether the chain before the range is this one. */
export const follows = (bytes: Uint8Array, offset: number, { high, low }: Chain.State): boolean =>
  Bytes.readUint32(bytes, offset + 12) === high && Bytes.readUint32(bytes, offset + 16) === low

/** Goes over the range: from there on the chain is the one after it. */
export const skip = (chain: Chain.State, bytes: Uint8Array, offset: number): void => {
  chain.high = Bytes.readUint32(bytes, offset + 20)
  chain.low = Bytes.readUint32(bytes, offset + 24)
}

/** A range: how many entries it stands for, the chain before the first and after the last, and whether deletes are among them. */
export interface Range {
  readonly count: number
  readonly before: Chain.State
  readonly after: Chain.State
  readonly hasDeletes: boolean
}

/** Writes a range at `offset`, and returns the offset after it. */
export const encodeInto = (target: Uint8Array, offset: number, { after, before, count, hasDeletes }: Range): number => {
  Bytes.writeUint32(target, offset, size - 4)
  target[offset + 4] = layout
  target[offset + 5] = hasDeletes ? deletesFlag : 0
  const countHigh = Math.floor(count / 0x1_0000_0000)
  target[offset + 6] = countHigh >>> 8
  target[offset + 7] = countHigh
  Bytes.writeUint32(target, offset + 8, count)
  Bytes.writeUint32(target, offset + 12, before.high)
  Bytes.writeUint32(target, offset + 16, before.low)
  Bytes.writeUint32(target, offset + 20, after.high)
  Bytes.writeUint32(target, offset + 24, after.low)
  return offset + size
}

/** What is wrong with a range whose bytes are all there; `undefined` when nothing is. */
export const faultAt = (bytes: Uint8Array, offset: number): string | undefined => {
  if (Bytes.readUint32(bytes, offset) !== size - 4) return "a range of erased entries has another length"
  if (bytes[offset + 5] !== 0 && !hasDeletes(bytes, offset))
    return `unknown flags ${bytes[offset + 5]!} of a range of erased entries`
  return countAt(bytes, offset) === 0 ? "a range of erased entries stands for none" : undefined
}

// ---------------------------------------------------------------------------------------------------------------------

const layout = 3
const deletesFlag = 3
