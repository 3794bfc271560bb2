/**
 * Numbers of JSON that were rounded when it was taken apart. Pure.
 */

/**
 * Whether there may be one: a whole number that is spelled by its digits and has more of them than are kept, as ids of 64
 * bits have, or one that is too large for any, in whose place there would be `null`.
 */
export const mayBeRounded = (json: unknown): boolean => {
  if (typeof json === "number") return !Number.isFinite(json) || (isDigits(json) && !Number.isSafeInteger(json))
  if (typeof json !== "object" || json === null) return false
  for (const inner of Array.isArray(json) ? json : Object.values(json)) if (mayBeRounded(inner)) return true
  return false
}

// ---------------------------------------------------------------------------------------------------------------------

/** From here on numbers are spelled with an exponent, and nobody means each digit. */
const digitsEnd = 1e21

const isDigits = (number: number): boolean => Number.isInteger(number) && Math.abs(number) < digitsEnd
