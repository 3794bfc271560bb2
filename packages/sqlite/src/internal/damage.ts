/**
 * Finding one's way in a table of which some rows or pages cannot be read.
 *
 * Every look-up goes by the key, `last`, so that it touches one path of the B-tree and nothing beside it.
 */
import { Chain } from "@quorum/core/adapter"
import * as Database from "./database.ts"

/** A statement that looks one row up. */
export interface LookUp {
  readonly get: (...parameters: Array<number>) => Record<string, unknown> | undefined
}

/** The statements that look things up in the table of a log. */
export interface Table {
  /** The newest row. */
  readonly newest: LookUp
  /** The first row with entries after a sequence. */
  readonly rowAfter: LookUp
  /** Where the newest row that ends before a sequence ends. */
  readonly endBefore: LookUp
}

/** Whether a read failed because the file is damaged there: a page of SQLite, or a number that no row can hold. */
export const is = (cause: unknown): boolean =>
  ((Database.resultCode(cause) ?? 0) & 0xff) === 11 ||
  (cause instanceof Error && "code" in cause && cause.code === "ERR_OUT_OF_RANGE")

/** Whether a write failed because of what is there: a damaged page, or a row that is there already. */
export const isInTheWay = (cause: unknown): boolean => inTheWay.has((Database.resultCode(cause) ?? 0) & 0xff)

/** The newest row; `undefined` when there is none. */
export const newest = (table: Table): Record<string, unknown> | undefined | "damaged" =>
  attempt(() => table.newest.get())

/** The first row with entries after a sequence; `undefined` when there is none. */
export const rowAfter = (table: Table, after: number): Record<string, unknown> | undefined | "damaged" =>
  attempt(() => {
    const row = table.rowAfter.get(after)
    // A damaged page above leads to a row that was not asked for.
    return row === undefined || Number(row["last"]) > after ? row : "damaged"
  })

/** Where the newest row that ends before a sequence ends, and the chain there; 0 when there is none. */
export const endBefore = (table: Table, seq: number): { readonly last: number; readonly chain: unknown } | "damaged" =>
  attempt(() => {
    const row = table.endBefore.get(seq)
    if (row !== undefined && Number(row["last"]) >= seq) return "damaged"
    return { last: Number(row?.["last"] ?? 0), chain: row?.["chain"] ?? Chain.empty }
  })

/** The first entry after one that cannot be read at which a row begins that can be; one more than `head` if none. */
export const readableAfter = (table: Table, seq: number, head: number): number => {
  // Larger and larger steps, until something can be read again, and then the edge by halves.
  let bad = seq - 1
  let good = seq
  for (let step = 1; good < head && rowAfter(table, good) === "damaged"; step *= 2) {
    bad = good
    good = Math.min(head, good + step)
  }
  while (good - bad > 1) {
    const middle = Math.floor((bad + good) / 2)
    if (rowAfter(table, middle) === "damaged") bad = middle
    else good = middle
  }
  const row = good < head ? rowAfter(table, good) : undefined
  return row === undefined || row === "damaged" ? head + 1 : Math.max(good + 1, Number(row["first"]))
}

/** One more than the last entry that can be read, where the end of the table cannot. */
export const readableEnd = (table: Table): number => {
  let good = -1
  let bad = 0
  for (; rowAfter(table, bad) !== "damaged"; bad = 2 * bad + 1) {
    if (!Number.isSafeInteger(bad)) throw Database.damaged("the end of a log cannot be read, and does not show where")
    good = bad
  }
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2)
    if (rowAfter(table, middle) === "damaged") bad = middle
    else good = middle
  }
  return bad + 1
}

// ---------------------------------------------------------------------------------------------------------------------

const inTheWay = new Set([11, 19])

const attempt = <A>(f: () => A): A | "damaged" => {
  try {
    return f()
  } catch (cause) {
    if (!is(cause)) throw cause
    return "damaged"
  }
}
