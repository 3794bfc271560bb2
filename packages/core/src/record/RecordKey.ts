/**
 * The key of a record: its namespace and its name in it, and their order.
 */
import * as Entry from "../log/Entry.ts"

export { keyOf } from "../log/KeyText.ts"

/** Where a record is. Both are well-formed Unicode text, not empty and without NUL. */
export interface RecordKey {
  readonly namespace: string
  readonly key: string
}

/**
 * Whether a record of this key can exist: text that is not well-formed would be looked up as other text, and what is longer
 * than any name would not fit into a question to a peer, which would end the connection.
 */
export const isWellFormed = ({ key, namespace }: RecordKey): boolean =>
  isName(namespace, Entry.maxNamespaceBytes) && isName(key, Entry.maxKeyBytes)

/** Order of keys: namespace, then key, by their UTF-8 bytes (code points). */
export const compare = (a: RecordKey, b: RecordKey): number =>
  compareText(a.namespace, b.namespace) || compareText(a.key, b.key)

/** Keys that follow one another: `from` is the first that may be among them, `to` the first after them. */
export interface Range {
  readonly from?: RecordKey | undefined
  readonly to?: RecordKey | undefined
}

/** The keys of a namespace, those of them that begin with a prefix if one is given. */
export const rangeOf = (namespace: string, prefix = ""): Range => {
  const end = afterAll(prefix)
  return {
    from: { namespace, key: prefix },
    to: end === undefined ? { namespace: `${namespace}${least}`, key: "" } : { namespace, key: end }
  }
}

/** What two ranges have in common. */
export const common = (a: Range, b: Range): Range => ({
  from: a.from === undefined || (b.from !== undefined && compare(b.from, a.from) > 0) ? b.from : a.from,
  to: a.to === undefined || (b.to !== undefined && compare(b.to, a.to) < 0) ? b.to : a.to
})

/** The keys of all namespaces after this one. */
export const afterNamespace = (namespace: string): Range => ({ from: { namespace: `${namespace}${least}`, key: "" } })

/** Whether a key is in a range. */
export const isWithin = ({ from, to }: Range, key: RecordKey): boolean =>
  (from === undefined || compare(key, from) >= 0) && (to === undefined || compare(key, to) < 0)

/** A range up to a key, which is in it, in the order in which it is gone through. */
export const upTo = ({ from, to }: Range, { key, namespace }: RecordKey, reverse: boolean): Range =>
  reverse ? { from: { namespace, key }, to } : { from, to: { namespace, key: `${key}${least}` } }

/** What follows a key in a range; or comes before it, from the last to the first. */
export const beyond = ({ from, to }: Range, { key, namespace }: RecordKey, reverse: boolean): Range => {
  if (reverse) return { from, to: to === undefined || compare({ namespace, key }, to) < 0 ? { namespace, key } : to }
  const next = { namespace, key: `${key}${least}` }
  return { from: from === undefined || compare(next, from) > 0 ? next : from, to }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Bytes are at least as many as characters. */
const isName = (name: unknown, maxBytes: number): boolean =>
  typeof name === "string" && name.length <= maxBytes && name.isWellFormed()

/** The least character: nothing is between a text and the text with it. */
const least = "\u0000"

/** The first text that comes after all that begin with a prefix, by code points; nothing when none does. */
const afterAll = (prefix: string): string | undefined => {
  const points = Array.from(prefix, (character) => character.codePointAt(0)!)
  while (points.length > 0) {
    const last = points.pop()!
    if (last === 0x10ffff) continue
    // There is no text with a lone surrogate.
    return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
  }
  return undefined
}

/** UTF-16 order differs from UTF-8 order only where surrogates meet U+E000 … U+FFFF. */
const compareText = (a: string, b: string): number => {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return fixSurrogate(x) - fixSurrogate(y)
  }
  return a.length - b.length
}

const fixSurrogate = (unit: number): number => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit)
