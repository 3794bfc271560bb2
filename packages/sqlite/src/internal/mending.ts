/**
 * Looking for damage in a log, and giving up its end.
 */
import { type Chain, DamagedRange, EntryBatch, Watermark } from "@quorum/core/adapter"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Database from "./database.ts"
import * as HeldLog from "./heldLog.ts"
import * as Part from "./part.ts"
import * as Rows from "./rows.ts"

/** Reads rows again, each of which has to follow the one before. Returns the last entry that was looked at. */
export const check = (log: Rows.HeldLog, after: number, maxBytes: number): number => {
  const { chain: last, seq: end } = log.durable
  let at = after
  let chain: Chain.Chain | undefined
  for (let room = maxBytes; room > 0 && at < end;) {
    const known = Rows.damageAt(log, at + 1)
    if (known !== undefined) {
      at = known.to
      chain = undefined
      continue
    }
    chain ??= chainAfter(log, at)
    const row = Rows.storedRow(log, at + 1)
    const batch = row && EntryBatch.after(row.batch, at)
    const follows = batch !== undefined && (chain === undefined || batch.prevChain === chain)
    const isEnd = follows && EntryBatch.last(batch) === end && log.damagedEnd === undefined
    if (!follows || (isEnd && batch.chain !== last)) {
      Rows.noteDamage(log, at + 1)
      continue
    }
    at = EntryBatch.last(batch)
    chain = batch.chain
    room -= batch.bytes.length
  }
  return Math.min(at, end)
}

/**
 * Gives up the end of a log: what is after an entry, or what is damaged, to go on after the last sound entry before that.
 * Returns the log as it is then: what is synced of it was handed over before, and says nothing of its new end.
 */
export const cut = (db: DatabaseSync, log: Rows.HeldLog, after?: number): Rows.HeldLog => {
  const { log: name, seq: to } = log.head
  const end = after === undefined ? soundEnd(log) : HeldLog.watermarkAt(log, after)
  const { seq } = end
  // A row that goes on beyond the end is stored again without that.
  const row = seq === 0 ? undefined : Rows.rowWith(log, seq)?.batch
  const isLonger = row !== undefined && EntryBatch.last(row) > seq
  const upTo = isLonger ? row.from - 1 : seq
  const table = Part.nextTable(db)
  const part = Database.transaction(db, () => {
    Part.close(db, name, upTo)
    const part = Part.create(db, table, name, log.parts.length)
    if (isLonger) Part.insert(part, EntryBatch.upTo(row, seq))
    return part
  })
  part.isUsed = isLonger
  log.found.ranges = DamagedRange.without(log.found.ranges, { log: name, from: seq + 1, to })
  const closed = log.parts.map((each) => ({ ...each, upTo: Math.min(each.upTo, upTo) }))
  const durable = seq < log.durable.seq ? end : log.durable
  return { ...Rows.make(log.file, name, [...closed, part], log.found), head: end, durable }
}

// ---------------------------------------------------------------------------------------------------------------------

/** The chain after an entry; `undefined` where that is damaged, as looking at it shows. */
const chainAfter = (log: Rows.HeldLog, seq: number): Chain.Chain | undefined => {
  try {
    return HeldLog.chainAt(log, seq)
  } catch (cause) {
    if (Rows.damageAt(log, seq) === undefined) throw cause
    return undefined
  }
}

/** Where a log ends without its damaged end. */
const soundEnd = (log: Rows.HeldLog): Watermark.Watermark => {
  const { log: name } = log.head
  let { seq } = log.head
  while (seq > 0) {
    const range = Rows.damageAt(log, seq)
    const row = range === undefined ? Rows.rowWith(log, seq) : undefined
    if (row !== undefined) return HeldLog.watermarkAt(log, seq)
    if (range === undefined) Rows.noteDamage(log, seq)
    else seq = range.from - 1
  }
  return Watermark.none(name)
}
