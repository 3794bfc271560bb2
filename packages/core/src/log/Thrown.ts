/**
 * What somebody else's code threw, as text.
 */

/** Never fails: even an object that cannot become text may be thrown. */
export const textOf = (thrown: unknown): string => {
  try {
    return String(thrown)
  } catch {
    return "something that cannot be shown as text"
  }
}
