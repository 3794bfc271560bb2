/**
 * The key of a record: its namespace and its name in it, and their order.
 */

/** Where a record is. Both are well-formed Unicode text, not empty and without NUL. */
export interface RecordKey {
  readonly namespace: string
  readonly key: string
}

/** Whether a record of this key can exist: text that is not well-formed would be looked up as other text. */
export const isWellFormed = ({ key, namespace }: RecordKey): boolean =>
  [namespace, key].every((name) => typeof name === "string" && name.isWellFormed())

/** One text for a namespace and a key; the separator cannot occur in a namespace. */
export const keyOf = (namespace: string, key: string): string => `${namespace}\u0000${key}`

/** Order of keys: namespace, then key, by their UTF-8 bytes (code points). */
export const compare = (a: RecordKey, b: RecordKey): number =>
  compareText(a.namespace, b.namespace) || compareText(a.key, b.key)

// ---------------------------------------------------------------------------------------------------------------------

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
