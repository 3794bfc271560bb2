/**
 * JSON of which no number is rounded. A number that JavaScript cannot hold, as an id of 64 bits, is kept as it is spelled,
 * and `JSON.stringify` spells it so again. Pure.
 */

/** Takes a text apart. Throws what `JSON.parse` throws. */
export const parse = (text: string): unknown =>
  mayBeRounded.test(text) ? (JSON.parse as Parse)(text, exact) : JSON.parse(text)

/** Whether it is a number that is kept as it is spelled. */
export const isSpelled = (value: unknown): boolean => exactly.isRawJSON(value)

// ---------------------------------------------------------------------------------------------------------------------

/** What the runtime has, and the types of the language do not have yet. */
const exactly = JSON as unknown as {
  readonly rawJSON: (text: string) => unknown
  readonly isRawJSON: (value: unknown) => boolean
}

type Parse = (text: string, reviver: typeof exact) => unknown

/** Few lines have such digits, and to look at each number of a line takes several times as long. */
const mayBeRounded = /\d{16}|\d[eE]/

const exact = (_: string, value: unknown, { source }: { readonly source?: string }): unknown =>
  typeof value !== "number" || source === undefined || isKept(value, source) ? value : exactly.rawJSON(source)

/** Fractions are as near as they get. */
const isKept = (value: number, source: string): boolean =>
  Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value)) || String(value) === source
