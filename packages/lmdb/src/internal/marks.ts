/**
 * Marks within a row: where some of its entries begin, and the chain there, so that whoever reads one entry checks what lies
 * between two marks, and not the whole row. In the row they stand one after the other, after how many they are, which is a
 * byte; numbers big-endian:
 *
 * | bytes | field |
 * |---|---|
 * | 2 | where the entry begins in the bytes of the row |
 * | 6 | its sequence |
 * | 8 | the chain before it |
 */
import { Chain, EntryBatch } from "@quorum/core/adapter"

/** How many bytes the marks of a row take at most, if its entries take so many. */
export const mostBytes = (rowBytes: number): number => 1 + Math.floor(rowBytes / apart) * size

/** The marks of a row, as they stand in it: of a single entry there are none. */
export const of = (row: EntryBatch.EntryBatch): Buffer => {
  const marks = Buffer.alloc(mostBytes(row.count === 1 ? 0 : row.bytes.length))
  let count = 0
  let last = 0
  const before = Chain.state(row.prevChain)
  EntryBatch.forEachElement(row, ({ chain: { high, low }, from, offset }) => {
    if (offset - last >= apart) {
      const at = 1 + count * size
      marks.writeUInt16BE(offset, at)
      marks.writeUIntBE(from, at + 2, 6)
      marks.writeUInt32BE(before.high, at + 8)
      marks.writeUInt32BE(before.low, at + 12)
      count++
      last = offset
    }
    before.high = high
    before.low = low
  })
  marks[0] = count
  return marks.subarray(0, 1 + count * size)
}

/** How many bytes the marks take that begin there. */
export const lengthAt = (row: Buffer, at: number): number => 1 + row[at]! * size

/**
 * The part of a row between two marks that an entry of it is in, unchecked. It is in order only if both marks are: one that
 * names another entry, or another chain, leaves it with an entry or a chain that it has not.
 */
export const around = (row: EntryBatch.EntryBatch, marks: Buffer, seq: number): EntryBatch.EntryBatch => {
  const sequence = (mark: number): number => marks.readUIntBE(mark + 2, 6)
  let next = 1
  while (next < marks.length && sequence(next) <= seq) next += size
  const mark = next - size
  const isFirst = next === 1
  const isLast = next === marks.length
  const from = isFirst ? row.from : sequence(mark)
  return {
    log: row.log,
    from,
    count: (isLast ? row.from + row.count : sequence(next)) - from,
    prevChain: isFirst ? row.prevChain : chainAt(marks, mark),
    chain: isLast ? row.chain : chainAt(marks, next),
    bytes: row.bytes.subarray(
      isFirst ? 0 : marks.readUInt16BE(mark),
      isLast ? row.bytes.length : marks.readUInt16BE(next)
    )
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** How many bytes of entries lie between two marks, or a little more. */
const apart = 512

/** Bytes of a mark. */
const size = 16

const chainAt = (marks: Buffer, mark: number): Chain.Chain =>
  marks.toString("hex", mark + 8, mark + size) as Chain.Chain
