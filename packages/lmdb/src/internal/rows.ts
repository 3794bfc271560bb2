/**
 * The rows of a log in the table of entries, as they are stored and found. What is in them is checked by who reads it.
 *
 * A row has the entries of one append, or a part of them: no more than fit into a page. Its key is the name of the log and the
 * sequence of its last entry. Its value, numbers big-endian:
 *
 * | bytes | field |
 * |---|---|
 * | 6 | the first sequence |
 * | 4 | a check of the name of the log |
 * | 8 | the chain before the first entry |
 * | 8 | the chain after the last |
 * | 1 and more | marks, see `marks.ts` |
 * | the rest | the entries |
 */
import type { LogId } from "@quorum/core"
import { Chain, EntryBatch } from "@quorum/core/adapter"
import { Result } from "effect"
import { crc32 } from "node:zlib"
import * as Environment from "./environment.ts"
import * as Marks from "./marks.ts"

/** The table of entries. */
export interface Entries {
  readonly table: Environment.Table
  readonly rows: Environment.Borrowed<RowKey>
}

/** What the key of a row says: the length of the name of the log, and the last entry. */
interface RowKey {
  readonly nameLength: number
  readonly last: number
}

/** The table of entries of an environment. */
export const entriesOf = (environment: Environment.Environment): Entries => ({
  table: environment.table(tableName),
  rows: environment.borrowed(tableName, rowKeyIn)
})

/** The rows of a log. */
export interface LogRows extends Entries {
  readonly name: LogId.LogId
  /** No key of a row of the log comes after it. */
  readonly end: Buffer
  /** What its rows have as the check of its name. */
  readonly check: number
}

/** The rows of a log in the table. */
export const of = (entries: Entries, name: LogId.LogId): LogRows => ({
  ...entries,
  name,
  end: keyOf(name, maxSequence),
  check: checkOf(name)
})

/** The names of the logs that have rows of their own, in the order of their bytes. */
export const names = ({ table }: Entries): ReadonlyArray<LogId.LogId> => {
  const found: Array<LogId.LogId> = []
  let start = Buffer.alloc(0)
  while (true) {
    const [first] = Array.from(table.getRange({ start, limit: 1 }))
    if (first === undefined) return found
    const { key, value } = first
    const name = key.subarray(0, Math.max(0, key.length - 7)).toString("latin1") as LogId.LogId
    const isOwn = key[name.length] === 0 && value.length > headBytes && value.readUInt32BE(6) === checkOf(name)
    if (isOwn) found.push(name)
    // After a row that is not, rows of the log that is called so may follow.
    start = isOwn ? Buffer.from(`${name}\x01`, "latin1") : Buffer.concat([key, Buffer.alloc(1)])
  }
}

/** Writes a batch, inside a commit. */
export const put = (environment: Environment.Environment, log: LogRows, batch: EntryBatch.EntryBatch): void => {
  for (const row of EntryBatch.split(batch, maxRowBytes)) {
    const marks = Marks.of(row)
    const value = Buffer.allocUnsafe(headBytes + marks.length + row.bytes.length)
    value.writeUIntBE(row.from, 0, 6)
    value.writeUInt32BE(log.check, 6)
    value.write(row.prevChain, prevChainAt, "hex")
    value.write(row.chain, chainStart, "hex")
    value.set(marks, headBytes)
    value.set(row.bytes, headBytes + marks.length)
    environment.put(log.table, keyOf(batch.log, EntryBatch.last(row)), value)
  }
}

/** Where the rows end whose last entries are in a range. */
export const endsWithin = ({ name, table }: LogRows, from: number, to: number): ReadonlyArray<number> =>
  Array.from(table.getKeys({ start: keyOf(name, from), end: keyOf(name, to + 1) }))
    .filter((key) => isKeyIn(name, key))
    .map(sequenceOf)

/** A row as it is stored. */
export interface Row {
  readonly last: number
  readonly value: Buffer
}

/** First sequence, the check of the name, chain before and chain after. */
const prevChainAt = 10
const chainStart = 18
const headBytes = 26

/** The most bytes of entries in a row, unless one entry is larger: what a page of LMDB has room for beside its head. */
export const maxRowBytes = Environment.pageSize - 24 - headBytes - Marks.mostBytes(Environment.pageSize)

/** The key of the row whose last entry is this. */
export const keyOf = (log: LogId.LogId, seq: number): Buffer => {
  const key = Buffer.allocUnsafe(log.length + 7)
  key.write(log, 0, "latin1")
  key[log.length] = 0
  key.writeUIntBE(seq, log.length + 1, 6)
  return key
}

/** The rows with entries after a sequence, in order. */
export function* rowsAfter({ end, name, table }: LogRows, after: number): Generator<Row> {
  const range = table.getRange({ start: keyOf(name, after + 1), end })
  for (const { key, value } of range) if (isKeyIn(name, key)) yield { last: sequenceOf(key), value }
}

/** The first row with entries after a sequence. */
export const rowAfter = ({ end, name, table }: LogRows, after: number): Row | undefined => {
  for (const { key, value } of table.getRange({ start: keyOf(name, after + 1), end })) {
    if (isKeyIn(name, key)) return { last: sequenceOf(key), value }
  }
  return undefined
}

/** The same, not copied: its value is good until LMDB is asked for anything else. */
export const lentAfter = ({ end, name, rows }: LogRows, after: number): Row | undefined => {
  for (const { key, value } of rows.getRange({ start: keyOf(name, after + 1), end })) {
    if (key.nameLength === name.length) return { last: key.last, value }
  }
  return undefined
}

/** The newest row. */
export const newest = (log: LogRows): Row | undefined => rowUpTo(log, maxSequence)

/** Where the newest row that ends before a sequence ends, and the chain there. */
export const endBefore = (log: LogRows, seq: number): { readonly last: number; readonly chain: string } => {
  const row = seq <= 1 ? undefined : rowUpTo(log, seq - 1)
  return row === undefined
    ? { last: 0, chain: Chain.empty }
    : { last: row.last, chain: row.value.subarray(chainStart, headBytes).toString("hex") }
}

/** The batch in a row; `undefined` when its bytes do not fit what the row says of them. */
export const batchOf = (log: LogRows, row: Row): EntryBatch.EntryBatch | undefined => {
  const batch = uncheckedOf(log, row)
  return batch && Result.getOrUndefined(EntryBatch.validate(batch))
}

/** What a row says that it is; `undefined` when it cannot be one. */
export const uncheckedOf = (log: LogRows, { last, value }: Row): EntryBatch.EntryBatch | undefined => {
  if (value.length <= headBytes || value.readUInt32BE(6) !== log.check) return undefined
  const from = value.readUIntBE(0, 6)
  const start = headBytes + Marks.lengthAt(value, headBytes)
  if (from < 1 || from > last || start >= value.length) return undefined
  return {
    log: log.name,
    from,
    count: last - from + 1,
    prevChain: value.toString("hex", prevChainAt, chainStart) as Chain.Chain,
    chain: value.toString("hex", chainStart, headBytes) as Chain.Chain,
    bytes: value.subarray(start)
  }
}

/** The marks in a row. */
export const marksOf = ({ value }: Row): Buffer =>
  value.subarray(headBytes, headBytes + Marks.lengthAt(value, headBytes))

/** Whether the marks in a row are those of its batch, which is in order. */
export const hasItsMarks = (row: Row, batch: EntryBatch.EntryBatch): boolean => marksOf(row).equals(Marks.of(batch))

// ---------------------------------------------------------------------------------------------------------------------

const tableName = "entries"

const rowKeyIn = (bytes: Buffer, from: number, to: number): RowKey => ({
  nameLength: to - from - 7,
  // A key that damage made shorter is that of no row.
  last: to - from < 7 ? 0 : bytes.readUIntBE(to - 6, 6)
})

const checkOf = (name: LogId.LogId): number => crc32(name)

/** No sequence is higher. */
const maxSequence = 2 ** 48 - 1

const sequenceOf = (key: Buffer): number => key.readUIntBE(key.length - 6, 6)

/** Whether what lies between two keys of a log is one: a key that was made longer or shorter by damage may lie there too. */
const isKeyIn = (log: LogId.LogId, key: Buffer): boolean => key.length === log.length + 7

/** The newest row of which the last entry is not after a sequence. */
const rowUpTo = ({ name, table }: LogRows, seq: number): Row | undefined => {
  for (const { key, value } of table.getRange({ start: keyOf(name, seq), end: keyOf(name, 0), reverse: true })) {
    if (isKeyIn(name, key)) return { last: sequenceOf(key), value }
  }
  return undefined
}
