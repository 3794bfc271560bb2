/**
 * What is written, whatever order its records were given in: they are of different keys, so the order makes no difference,
 * and a caller who sends a write again may have made its list anew.
 */
import * as Entry from "./Entry.ts"

/** The records of a write in the order of their names. */
export const sorted = (writes: Entry.Writes): Entry.Writes => {
  if ("kind" in writes || writes.length === 1) return writes
  const [first, ...others] = Array.from(writes).sort(byName)
  return [first!, ...others]
}

/** The bytes of an entry in which its records are in the order of their names. */
export const encode = (writes: Entry.Writes, stamp: Entry.Stamp): Uint8Array => {
  const bytes = new Uint8Array(Entry.maxSize(writes))
  return bytes.subarray(0, Entry.encodeInto(bytes, 0, sorted(writes), stamp))
}

// ---------------------------------------------------------------------------------------------------------------------

const byName = (a: Entry.Write, b: Entry.Write): number => compare(a.namespace, b.namespace) || compare(a.key, b.key)

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
