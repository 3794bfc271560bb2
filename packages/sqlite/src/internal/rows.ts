/**
 * The rows of a log in its tables: finding those that are in order, and saying which are not.
 *
 * Nothing is taken for granted that was read: a row is checked against the chain checksum stored with it, and against
 * its neighbours. What is damaged costs itself, wherever the bit is: in the bytes, in a column beside them, in a page of
 * SQLite.
 */
import type { LogId } from "@quorum/core"
import { Chain, CheckedBatch, type EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import * as Damage from "./damage.ts"
import * as Database from "./database.ts"
import type * as Part from "./part.ts"

/** The damage of all logs of a store that was found and is not mended, in the order in which it was found. */
export interface Found {
  ranges: ReadonlyArray<ReplicaStore.DamagedRange>
}

/** A log as it is held. */
export interface HeldLog {
  readonly file: string
  readonly found: Found
  /** Its tables, at least one, oldest first. An entry is in the newest part that has it in order. */
  readonly parts: Array<Part.Part>
  /** How far it is written, and can be read. */
  head: Watermark.Watermark
  /** How far it is durable. */
  durable: Watermark.Watermark
  /** Rows that were read and checked lately, and where the next one goes. */
  readonly checked: Array<CheckedBatch.CheckedBatch>
  next: number
  /** Why nothing can be appended: the end of the log is damaged, so nobody can tell what it ends with. */
  damagedEnd: ReplicaStore.StoreError | undefined
}

/** A log in these tables; it looks at what is held only in {@link findHead}. */
export const make = (file: string, name: LogId.LogId, parts: ReadonlyArray<Part.Part>, found: Found): HeldLog => ({
  file,
  found,
  parts: [...parts],
  head: Watermark.none(name),
  durable: Watermark.none(name),
  checked: [],
  next: 0,
  damagedEnd: undefined
})

/** The part that takes what is appended: the first whose end is not given up. */
export const appended = ({ parts }: HeldLog): Part.Part => parts.find(({ upTo }) => upTo === Infinity)!

/** The damage that an entry is in, as far as it was found and is not mended. */
export const damageAt = (log: HeldLog, seq: number): ReplicaStore.DamagedRange | undefined =>
  log.found.ranges.find((range) => range.log === log.head.log && range.from <= seq && seq <= range.to)

/** The row with an entry; `undefined` when there is none that is in order. What was checked lately is not read again. */
export const rowWith = (log: HeldLog, seq: number): CheckedBatch.CheckedBatch | undefined => {
  // A row that is in order by itself, and does not fit its neighbours, is damaged too.
  if (damageAt(log, seq) !== undefined) return undefined
  const known = log.checked.find((row) => CheckedBatch.has(row, seq))
  if (known !== undefined) return known
  const row = storedRow(log, seq)
  if (row === undefined) return undefined
  log.checked[log.next] = row
  log.next = (log.next + 1) % rowsKept
  return row
}

/** The row with an entry as it is stored now. */
export const storedRow = (log: HeldLog, seq: number): CheckedBatch.CheckedBatch | undefined => {
  for (let i = log.parts.length - 1; i >= 0; i--) {
    const part = log.parts[i]!
    if (seq > part.upTo) continue
    const found = Damage.rowAfter(part, seq - 1)
    const row = found === "damaged" || found === undefined ? undefined : checkedOf(log, found)
    if (row !== undefined && CheckedBatch.has(row, seq)) return row
  }
  return undefined
}

/** Rows that were read are not what counts any more. */
export const forgetRows = (log: HeldLog): void => {
  log.checked.length = 0
  log.next = 0
}

/** The log goes on after what was taken for its end: nothing can be appended before that end is given up. */
export const endUnknown = (log: HeldLog): ReplicaStore.StoreError => {
  log.head = { log: log.head.log, seq: log.head.seq + 1, chain: Chain.empty }
  return (log.damagedEnd = noteDamage(log, log.head.seq))
}

/** Where the newest row that ends before a sequence ends, and the chain there; 0 when there is none. */
export const endBefore = (
  log: HeldLog,
  seq: number
): { readonly last: number; readonly chain: unknown } | "damaged" => {
  let newest: { readonly last: number; readonly chain: unknown } = { last: 0, chain: Chain.empty }
  let isDamaged = false
  for (const part of log.parts) {
    const before = Damage.endBefore(part, Math.min(seq, part.upTo + 1))
    if (before === "damaged") isDamaged = true
    else if (before.last >= newest.last) newest = before
  }
  return isDamaged && newest.last !== seq - 1 ? "damaged" : newest
}

/** Remembers the damage that an entry is in, once: all that lies between what can be read before and after it. */
export const noteDamage = (log: HeldLog, seq: number): ReplicaStore.StoreError => {
  const { log: name, seq: head } = log.head
  const before = endBefore(log, seq)
  const from = before === "damaged" ? seq : Math.min(seq, before.last + 1)
  const to = Math.max(seq, Math.min(...log.parts.map((part) => damagedUpTo(log, part, seq)), head))
  const { found } = log
  const known = found.ranges.some((range) => range.log === name && range.from <= from && to <= range.to)
  if (!known) found.ranges = [...found.ranges, { log: name, from, to }]
  forgetRows(log)
  return Database.damaged(`${log.file} is damaged at entry ${seq} of ${name}; a peer that has it mends it`)
}

/** The batch in a row; `undefined` when its bytes do not fit what the row says of them. */
export const batchOf = (log: HeldLog, row: Record<string, unknown>): EntryBatch.EntryBatch | undefined =>
  checkedOf(log, row)?.batch

// ---------------------------------------------------------------------------------------------------------------------

/** How many rows of a log are kept that were checked: few, because they are gone through one by one. */
const rowsKept = 32

/** The batch in a row; `undefined` when its bytes do not fit what the row says of them. */
const checkedOf = (log: HeldLog, row: Record<string, unknown>): CheckedBatch.CheckedBatch | undefined => {
  // A bit in the head of a row changes the types of its columns.
  if (!isRow(row) || row.first < 1 || row.first > row.last) return undefined
  if (!log.parts.some(({ id }) => id === row.part)) return undefined
  return CheckedBatch.make({
    log: log.head.log,
    from: row.first,
    count: row.last - row.first + 1,
    prevChain: row.prev_chain,
    chain: row.chain,
    bytes: row.bytes
  })
}

interface Row {
  readonly last: number
  readonly first: number
  readonly part: number
  readonly prev_chain: Chain.Chain
  readonly chain: Chain.Chain
  readonly bytes: Uint8Array
}

const isRow = (row: Record<string, unknown>): row is Record<string, unknown> & Row =>
  Number.isSafeInteger(row["last"]) &&
  Number.isSafeInteger(row["first"]) &&
  isChain(row["prev_chain"]) &&
  isChain(row["chain"]) &&
  row["bytes"] instanceof Uint8Array

const isChain = (value: unknown): value is Chain.Chain => typeof value === "string" && /^[0-9a-f]{16}$/.test(value)

const damagedUpTo = (log: HeldLog, part: Part.Part, seq: number): number => {
  const row = Damage.rowAfter(part, seq - 1)
  if (row === "damaged") return Damage.readableAfter(part, seq, log.head.seq) - 1
  if (row === undefined || Number(row["last"]) > part.upTo) return log.head.seq
  const batch = batchOf(log, row)
  // A row that begins later than it should: what is between is missing, and the row itself is in order.
  return batch !== undefined && batch.from > seq ? batch.from - 1 : Number(row["last"])
}
