/**
 * One log in the table of entries: what is held of it, and reading it back.
 *
 * A row has the entries of one append, or a part of them: no more than fit into a page, so that whoever reads one entry
 * reads and checks little beside it. Its key is the name of the log and the sequence of its last entry; its value the
 * first sequence, a check of that name, the chain before it and after it, and the bytes of the entries. Nothing that was
 * read is taken for granted: a row is checked against its key, its chain and its neighbours. One that is under a name that is
 * not its own is no row of a log; where it should be, the log lacks it.
 */
import { Entry, type LogId } from "@quorum/core"
import { Chain, CheckedBatch, EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Result } from "effect"
import { crc32 } from "node:zlib"
import * as Environment from "./environment.ts"

/** The damage of all logs of a store that was found and is not mended, in the order in which it was found. */
export interface Found {
  ranges: ReadonlyArray<ReplicaStore.DamagedRange>
}

/** A log as it is durably held. */
export interface HeldLog {
  readonly file: string
  readonly table: Environment.Table
  /** No key of a row of the log comes after it. */
  readonly end: Buffer
  /** What its rows have as the check of its name. */
  readonly mark: number
  readonly found: Found
  head: Watermark.Watermark
  /** Why nothing can be appended: the end of the log is damaged, so nobody can tell what it ends with. */
  damagedEnd: ReplicaStore.StoreError | undefined
}

/** A log of which nothing is known to be held. */
export const make = (file: string, table: Environment.Table, name: LogId.LogId, found: Found): HeldLog => ({
  file,
  table,
  end: keyOf(name, maxSequence),
  mark: markOf(name),
  found,
  head: Watermark.none(name),
  damagedEnd: undefined
})

/** The names of the logs that have rows of their own, in the order of their bytes. */
export const names = (table: Environment.Table): ReadonlyArray<LogId.LogId> => {
  const found: Array<LogId.LogId> = []
  let start = Buffer.alloc(0)
  while (true) {
    const [first] = Array.from(table.getRange({ start, limit: 1 }))
    if (first === undefined) return found
    const { key, value } = first
    const name = key.subarray(0, Math.max(0, key.length - 7)).toString("latin1") as LogId.LogId
    const isOwn = key[name.length] === 0 && value.length > headBytes && value.readUInt32BE(6) === markOf(name)
    if (isOwn) found.push(name)
    // After a row that is not, rows of the log that is called so may follow.
    start = isOwn ? Buffer.from(`${name}\x01`, "latin1") : Buffer.concat([key, Buffer.alloc(1)])
  }
}

/**
 * Finds the head: the end of the newest row, which has to fit its own chain and the row before it. When its bytes do not
 * fit, the log still ends there, as its key says, and takes no more; the rows before it are as good as ever.
 */
export const findHead = (log: HeldLog): void => {
  const row = newest(log)
  if (row === undefined) return
  const batch = batchOf(log, row)
  if (batch === undefined) {
    log.head = { ...log.head, seq: row.last, chain: Chain.empty }
    log.damagedEnd = noteDamage(log, row.last)
    return
  }
  log.head = EntryBatch.watermark(batch)
  const before = endBefore(log, log.head.seq)
  if (before.last !== batch.from - 1 || before.chain !== batch.prevChain) noteDamage(log, Math.max(1, batch.from - 1))
}

/** Writes a batch, inside a commit. */
export const put = (environment: Environment.Environment, log: HeldLog, batch: EntryBatch.EntryBatch): void => {
  for (const row of EntryBatch.split(batch, maxRowBytes)) {
    const value = Buffer.allocUnsafe(headBytes + row.bytes.length)
    value.writeUIntBE(row.from, 0, 6)
    value.writeUInt32BE(log.mark, 6)
    value.write(row.prevChain, prevChainAt, "hex")
    value.write(row.chain, chainStart, "hex")
    value.set(row.bytes, headBytes)
    environment.put(log.table, keyOf(batch.log, EntryBatch.last(row)), value)
  }
}

/**
 * The chain after an entry that is held: from its row, or from the row after it, which begins with that chain; `undefined`
 * where it is erased together with the next.
 */
export const chainAt = (log: HeldLog, seq: number): Chain.Chain | undefined => {
  if (seq === 0) return Chain.empty
  if (seq === log.head.seq) {
    // Whatever may still be found behind it.
    if (log.damagedEnd !== undefined) throw log.damagedEnd
    return log.head.chain
  }
  const batch = damageAt(log, seq) === undefined ? batchAfter(log, seq - 1) : undefined
  if (batch !== undefined && batch.from <= seq) return EntryBatch.chainAt(batch, seq)
  const next = damageAt(log, seq + 1) === undefined ? batchAfter(log, seq) : undefined
  if (next?.from === seq + 1) return next.prevChain
  throw noteDamage(log, seq)
}

/** The watermark of a log that is to end with an entry, which is none that is erased together with the next. */
export const watermarkAt = (log: HeldLog, seq: number): Watermark.Watermark => {
  const chain = chainAt(log, seq)
  if (chain !== undefined) return { ...log.head, seq, chain }
  const detail = `a log cannot end among erased entries: ${seq} of ${log.head.log} is one`
  throw new ReplicaStore.StoreError({ reason: "unavailable", detail })
}

/**
 * The entries after `after`, at least one of which is held, as many as fit in `maxBytes` but at least one. Damage ends
 * what is read before it, and is what fails when the reader goes on from there.
 */
export const read = (log: HeldLog, after: number, maxBytes: number): EntryBatch.EntryBatch => {
  const row = damageAt(log, after + 1) === undefined ? rowAfter(log, after) : undefined
  const batch = row && uncheckedOf(log, row)
  // Most who read little find it in one row.
  const part = batch && CheckedBatch.cut(batch, after + 1, maxBytes)
  if (part === undefined) return readOn(log, after, maxBytes)
  const end = EntryBatch.last(part)
  const isAll = end < row!.last || end === log.head.seq || part.bytes.length >= maxBytes
  return isAll ? part : readOn(log, after, maxBytes)
}

const readOn = (log: HeldLog, after: number, maxBytes: number): EntryBatch.EntryBatch => {
  const found: Array<EntryBatch.EntryBatch> = []
  let end = after
  let room = maxBytes
  for (const row of rowsAfter(log, after)) {
    const previous = found[found.length - 1]
    // A row that is in order by itself, and does not fit its neighbours, is damaged too.
    const whole = damageAt(log, end + 1) === undefined ? batchOf(log, row) : undefined
    const batch = whole !== undefined && whole.from <= end + 1 ? EntryBatch.after(whole, end) : undefined
    if (batch === undefined || (previous !== undefined && previous.chain !== batch.prevChain)) {
      const error = noteDamage(log, end + 1)
      if (previous === undefined) throw error
      break
    }
    if (previous !== undefined && Entry.endUnsafe(batch.bytes, 0) > room) break
    const part = EntryBatch.take(batch, room)
    found.push(part)
    room -= part.bytes.length
    end = EntryBatch.last(part)
    if (part.count < batch.count || room <= 0) break
  }
  if (found.length === 0) throw noteDamage(log, after + 1)
  return EntryBatch.concat(found as [EntryBatch.EntryBatch])
}

/** The row with an entry; `undefined` where there is none that can be read and fits its neighbours, as far as is known. */
export const soundRow = (log: HeldLog, seq: number): EntryBatch.EntryBatch | undefined => {
  if (seq < 1 || seq > log.head.seq || damageAt(log, seq) !== undefined) return undefined
  const batch = batchAfter(log, seq - 1)
  return batch !== undefined && batch.from <= seq ? batch : undefined
}

/** Where the rows end whose last entries are in a range. */
export const endsWithin = ({ head: { log }, table }: HeldLog, from: number, to: number): ReadonlyArray<number> =>
  Array.from(table.getKeys({ start: keyOf(log, from), end: keyOf(log, to + 1) }))
    .filter((key) => isKeyIn(log, key))
    .map(sequenceOf)

/** The damage that an entry is in, as far as it was found and is not mended. */
export const damageAt = (log: HeldLog, seq: number): ReplicaStore.DamagedRange | undefined =>
  log.found.ranges.find((range) => range.log === log.head.log && range.from <= seq && seq <= range.to)

// ---------------------------------------------------------------------------------------------------------------------

const covers = (range: ReplicaStore.DamagedRange, other: ReplicaStore.DamagedRange): boolean =>
  range.log === other.log && range.from <= other.from && other.to <= range.to

/** A row as it is stored. */
export interface Row {
  readonly last: number
  readonly value: Buffer
}

/** First sequence, the check of the name, chain before and chain after. */
const prevChainAt = 10
const chainStart = 18
const headBytes = 26

const markOf = (name: LogId.LogId): number => crc32(name)

/** The most bytes of entries in a row, unless one entry is larger: what a page of LMDB has room for beside its head. */
export const maxRowBytes = Environment.pageSize - 24 - headBytes

/** No sequence is higher. */
export const maxSequence = 2 ** 48 - 1

/** The key of the row whose last entry is this. */
export const keyOf = (log: LogId.LogId, seq: number): Buffer => {
  const key = Buffer.allocUnsafe(log.length + 7)
  key.write(log, 0, "latin1")
  key[log.length] = 0
  key.writeUIntBE(seq, log.length + 1, 6)
  return key
}

const sequenceOf = (key: Buffer): number => key.readUIntBE(key.length - 6, 6)

/** Whether what lies between two keys of a log is one: a key that was made longer or shorter by damage may lie there too. */
const isKeyIn = (log: LogId.LogId, key: Buffer): boolean => key.length === log.length + 7

/** The rows with entries after a sequence, in order. */
export function* rowsAfter({ end, head: { log }, table }: HeldLog, after: number): Generator<Row> {
  const range = table.getRange({ start: keyOf(log, after + 1), end })
  for (const { key, value } of range) if (isKeyIn(log, key)) yield { last: sequenceOf(key), value }
}

/** The first row with entries after a sequence. */
export const rowAfter = ({ end, head: { log }, table }: HeldLog, after: number): Row | undefined => {
  for (const { key, value } of table.getRange({ start: keyOf(log, after + 1), end })) {
    if (isKeyIn(log, key)) return { last: sequenceOf(key), value }
  }
  return undefined
}

/** The newest row of which the last entry is not after a sequence. */
const rowUpTo = ({ head: { log }, table }: HeldLog, seq: number): Row | undefined => {
  for (const { key, value } of table.getRange({ start: keyOf(log, seq), end: keyOf(log, 0), reverse: true })) {
    if (isKeyIn(log, key)) return { last: sequenceOf(key), value }
  }
  return undefined
}

const newest = (log: HeldLog): Row | undefined => rowUpTo(log, maxSequence)

/** Where the newest row that ends before a sequence ends, and the chain there. */
const endBefore = (log: HeldLog, seq: number): { readonly last: number; readonly chain: string } => {
  const row = seq <= 1 ? undefined : rowUpTo(log, seq - 1)
  return row === undefined
    ? { last: 0, chain: Chain.empty }
    : { last: row.last, chain: row.value.subarray(chainStart, headBytes).toString("hex") }
}

const batchAfter = (log: HeldLog, after: number): EntryBatch.EntryBatch | undefined => {
  const row = rowAfter(log, after)
  return row && batchOf(log, row)
}

/** The batch in a row; `undefined` when its bytes do not fit what the row says of them. */
export const batchOf = (log: HeldLog, row: Row): EntryBatch.EntryBatch | undefined => {
  const batch = uncheckedOf(log, row)
  return batch && Result.getOrUndefined(EntryBatch.validate(batch))
}

/** What a row says that it is; `undefined` when it cannot be one. */
const uncheckedOf = (log: HeldLog, { last, value }: Row): EntryBatch.EntryBatch | undefined => {
  if (value.length <= headBytes || value.readUInt32BE(6) !== log.mark) return undefined
  const from = value.readUIntBE(0, 6)
  if (from < 1 || from > last) return undefined
  return {
    log: log.head.log,
    from,
    count: last - from + 1,
    prevChain: value.toString("hex", prevChainAt, chainStart) as Chain.Chain,
    chain: value.toString("hex", chainStart, headBytes) as Chain.Chain,
    bytes: value.subarray(headBytes)
  }
}

/** Remembers the damage that an entry is in, once: all that lies between what can be read before and after it. */
export const noteDamage = (log: HeldLog, seq: number): ReplicaStore.StoreError => {
  const { log: name, seq: head } = log.head
  const from = Math.min(seq, endBefore(log, seq).last + 1)
  const row = rowAfter(log, seq - 1)
  const batch = row && batchOf(log, row)
  // A row that begins later than it should: what is between is missing, and the row itself is in order.
  const to = batch !== undefined && batch.from > seq ? batch.from - 1 : Math.min(row?.last ?? head, head)
  const range = { log: name, from, to: Math.max(seq, to) }
  if (!log.found.ranges.some((known) => covers(known, range))) log.found.ranges = [...log.found.ranges, range]
  return Environment.damaged(
    `${log.file} is damaged at entry ${seq} of ${name}; restore it, or delete it and let the peers fill a new one`
  )
}
