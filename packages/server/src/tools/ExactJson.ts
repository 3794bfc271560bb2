/**
 * JSON of which no number is rounded. A number that JavaScript cannot hold, as an id of 64 bits or an amount of many digits,
 * is kept as it is spelled, and `JSON.stringify` spells it so again. Pure.
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

/** Few lines have such digits, before and after a point, and to look at each number of a line takes several times as long. */
const mayBeRounded = /\d(?:\.?\d){15}|\d[eE]/

const exact = (_: string, value: unknown, { source }: { readonly source?: string }): unknown =>
  typeof value !== "number" || source === undefined || isKept(value, source) ? value : exactly.rawJSON(source)

/** So many digits every number keeps that is neither too large nor too near to nothing. */
const keptDigits = 15

const isKept = (value: number, source: string): boolean => {
  if (String(value) === source) return true
  const digits = source
    .replace(/[eE].*/, "")
    .replaceAll(/[-.]/g, "")
    .replace(/^0+/, "")
  if (digits === "") return true
  return digits.length <= keptDigits && Number.isFinite(value) && Math.abs(value) >= smallest
}

/** From here on numbers have all their digits. */
const smallest = 2 ** -1022
