/**
 * Looking for damage in a log, and putting sound entries in its place.
 */
import { type Chain, EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import type * as Environment from "./environment.ts"
import * as HeldLog from "./heldLog.ts"
import * as Rows from "./rows.ts"

/** Reads rows again, each of which has to follow the one before. Returns the last entry that was looked at. */
export const check = (log: HeldLog.HeldLog, after: number, maxBytes: number): number => {
  const { chain: last, seq: head } = log.head
  let end = after
  let chain: Chain.Chain | undefined
  for (let room = maxBytes; room > 0 && end < head;) {
    const known = HeldLog.damageAt(log, end + 1)
    if (known !== undefined) {
      end = known.to
      chain = undefined
      continue
    }
    chain ??= chainAfter(log, end)
    const row = Rows.rowAfter(log, end)
    const batch = row && Rows.batchOf(log, row)
    const isNext = batch !== undefined && batch.from <= end + 1 && EntryBatch.last(batch) <= head
    const isWhole = isNext && Rows.hasItsMarks(row!, batch)
    const follows = isWhole && (chain === undefined || EntryBatch.after(batch, end).prevChain === chain)
    const isEnd = follows && EntryBatch.last(batch) === head && log.damagedEnd === undefined
    if (!follows || (isEnd && batch.chain !== last)) {
      HeldLog.noteDamage(log, end + 1)
      continue
    }
    end = EntryBatch.last(batch)
    chain = batch.chain
    room -= batch.bytes.length
  }
  return Math.min(end, head)
}

/**
 * Stores a batch, which was decided to fit, in the place of the rows that it covers, inside a commit. Of a row that it covers
 * in part the rest is stored again, where that can be read.
 */
export const replace = (
  environment: Environment.Environment,
  log: HeldLog.HeldLog,
  batch: EntryBatch.EntryBatch,
  mends: boolean
): void => {
  const before = HeldLog.soundRow(log, batch.from - 1)
  const after = HeldLog.soundRow(log, EntryBatch.last(batch) + 1)
  // Beside what is damaged no more is touched than has to be.
  const whole = ReplicaStore.withEdges(batch, before, after, mends ? 0 : Rows.maxRowBytes)
  for (const last of Rows.endsWithin(log, whole.from, EntryBatch.last(whole))) {
    environment.remove(log.table, Rows.keyOf(batch.log, last))
  }
  Rows.put(environment, log, whole)
}

/** Where a log ends without its damaged end, and that end. */
export const soundEnd = (log: HeldLog.HeldLog) => {
  const { log: name, seq: to } = log.head
  let seq = to
  while (seq > 0) {
    const range = HeldLog.damageAt(log, seq)
    if (range !== undefined) seq = range.from - 1
    else if (HeldLog.soundRow(log, seq) !== undefined) break
    else HeldLog.noteDamage(log, seq)
  }
  const head = seq === 0 ? Watermark.none(name) : HeldLog.watermarkAt(log, seq)
  return { head, damaged: { log: name, from: seq + 1, to } }
}

/** Where a log ends without what is after an entry, and that. */
export const endAt = (log: HeldLog.HeldLog, seq: number) => {
  const { log: name, seq: to } = log.head
  return { head: HeldLog.watermarkAt(log, seq), damaged: { log: name, from: seq + 1, to } }
}

/**
 * Removes the entries from one on, inside a commit: their rows, and of a row that begins before them what is not before. Of
 * the others no bytes are read, which may be many.
 */
export const removeFrom = (environment: Environment.Environment, log: HeldLog.HeldLog, from: number): void => {
  const row = Rows.rowAfter(log, from - 1)
  const batch = row && Rows.batchOf(log, row)
  for (const last of Rows.endsWithin(log, from, log.head.seq)) {
    environment.remove(log.table, Rows.keyOf(log.head.log, last))
  }
  if (batch !== undefined && batch.from < from) Rows.put(environment, log, EntryBatch.upTo(batch, from - 1))
}

// ---------------------------------------------------------------------------------------------------------------------

/** The chain after an entry; `undefined` where that is damaged, as looking at it shows. */
const chainAfter = (log: HeldLog.HeldLog, seq: number): Chain.Chain | undefined => {
  try {
    return HeldLog.chainAt(log, seq)
  } catch (cause) {
    if (HeldLog.damageAt(log, seq) === undefined) throw cause
    return undefined
  }
}
