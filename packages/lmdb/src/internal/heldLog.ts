/**
 * One log in the table of entries: what is held of it, and reading it back.
 *
 * Nothing that was read is taken for granted: a row is checked against its key, its chain and its neighbours, and of one that
 * is read for a few entries what is between two of its marks. One that is under a name that is not its own is no row of a log;
 * where it should be, the log lacks it.
 */
import { Entry, type LogId } from "@quorum/core"
import { Chain, CheckedBatch, EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import * as Environment from "./environment.ts"
import * as Marks from "./marks.ts"
import * as Rows from "./rows.ts"

/** The damage of all logs of a store that was found and is not mended, in the order in which it was found. */
export interface Found {
  ranges: ReadonlyArray<ReplicaStore.DamagedRange>
}

/** A log as it is durably held. */
export interface HeldLog extends Rows.LogRows {
  readonly file: string
  readonly found: Found
  head: Watermark.Watermark
  /** Why nothing can be appended: the end of the log is damaged, so nobody can tell what it ends with. */
  damagedEnd: ReplicaStore.StoreError | undefined
}

/** A log of which nothing is known to be held. */
export const make = (file: string, entries: Rows.Entries, name: LogId.LogId, found: Found): HeldLog => ({
  ...Rows.of(entries, name),
  file,
  found,
  head: Watermark.none(name),
  damagedEnd: undefined
})

/**
 * Finds the head: the end of the newest row, which has to fit its own chain and the row before it. When its bytes do not
 * fit, the log still ends there, as its key says, and takes no more; the rows before it are as good as ever.
 */
export const findHead = (log: HeldLog): void => {
  const row = Rows.newest(log)
  if (row === undefined) return
  const batch = Rows.batchOf(log, row)
  if (batch === undefined) {
    log.head = { ...log.head, seq: row.last, chain: Chain.empty }
    log.damagedEnd = noteDamage(log, row.last)
    return
  }
  log.head = EntryBatch.watermark(batch)
  const before = Rows.endBefore(log, log.head.seq)
  if (before.last !== batch.from - 1 || before.chain !== batch.prevChain) noteDamage(log, Math.max(1, batch.from - 1))
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
  const row = damageAt(log, after + 1) === undefined ? Rows.lentAfter(log, after) : undefined
  const batch = row && Rows.uncheckedOf(log, row)
  if (batch === undefined) return readOn(log, after, maxBytes)
  // Most who read little find it between two marks, or in one row.
  const few = Marks.around(batch, Rows.marksOf(row!), after + 1)
  const little = CheckedBatch.cut(few, after + 1, maxBytes)
  const isWithin = little !== undefined && (little.bytes.length >= maxBytes || little.chain !== few.chain)
  const part = isWithin ? little : CheckedBatch.cut(batch, after + 1, maxBytes)
  if (part === undefined) return readOn(log, after, maxBytes)
  const end = EntryBatch.last(part)
  const isAll = end < row!.last || end === log.head.seq || part.bytes.length >= maxBytes
  return isAll ? { ...part, bytes: Buffer.from(part.bytes) } : readOn(log, after, maxBytes)
}

const readOn = (log: HeldLog, after: number, maxBytes: number): EntryBatch.EntryBatch => {
  const found: Array<EntryBatch.EntryBatch> = []
  let end = after
  let room = maxBytes
  for (const row of Rows.rowsAfter(log, after)) {
    const previous = found[found.length - 1]
    // A row that is in order by itself, and does not fit its neighbours, is damaged too.
    const whole = damageAt(log, end + 1) === undefined ? Rows.batchOf(log, row) : undefined
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

/** The damage that an entry is in, as far as it was found and is not mended. */
export const damageAt = (log: HeldLog, seq: number): ReplicaStore.DamagedRange | undefined =>
  log.found.ranges.find((range) => range.log === log.head.log && range.from <= seq && seq <= range.to)

// ---------------------------------------------------------------------------------------------------------------------

const covers = (range: ReplicaStore.DamagedRange, other: ReplicaStore.DamagedRange): boolean =>
  range.log === other.log && range.from <= other.from && other.to <= range.to

const batchAfter = (log: HeldLog, after: number): EntryBatch.EntryBatch | undefined => {
  const row = Rows.rowAfter(log, after)
  return row && Rows.batchOf(log, row)
}

/** Remembers the damage that an entry is in, once: all that lies between what can be read before and after it. */
export const noteDamage = (log: HeldLog, seq: number): ReplicaStore.StoreError => {
  const { log: name, seq: head } = log.head
  const from = Math.min(seq, Rows.endBefore(log, seq).last + 1)
  const row = Rows.rowAfter(log, seq - 1)
  const batch = row && Rows.batchOf(log, row)
  // A row that begins later than it should: what is between is missing, and the row itself is in order.
  const to = batch !== undefined && batch.from > seq ? batch.from - 1 : Math.min(row?.last ?? head, head)
  const range = { log: name, from, to: Math.max(seq, to) }
  if (!log.found.ranges.some((known) => covers(known, range))) log.found.ranges = [...log.found.ranges, range]
  return Environment.damaged(`${log.file} is damaged at entry ${seq} of ${name}; a peer that has it mends it`)
}
