/**
 * What somebody else's code threw, as text.
 */

const unshown = "something that cannot be shown as text"

/** Never fails: even an object that cannot become text may be thrown. */
export const textOf = (thrown: unknown): string => {
  try {
    return String(thrown)
  } catch {
    return unshown
  }
}

/** The message of an error, and other things as text. Never fails either. */
export const messageOf = (thrown: unknown): string => {
  try {
    return thrown instanceof Error ? String(thrown.message) : String(thrown)
  } catch {
    return unshown
  }
}
