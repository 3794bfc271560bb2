/**
 * Which numbers came already, of a caller that counts: each is taken once, also when some overtake others. Pure.
 */

/** Takes a number; false when it came before, or is so old that nobody knows. */
export type Seen = (number: number) => boolean

/** How far numbers may overtake each other. */
export const span = 1024

/** Starts with no number. */
export const make = (): Seen => {
  const recent = new Set<number>()
  let highest = -1
  return (number) => {
    if (number <= highest - span || recent.has(number)) return false
    recent.add(number)
    if (number > highest) {
      const from = highest - span + 1
      highest = number
      if (number - from > 4 * span) {
        recent.clear()
        recent.add(number)
      } else for (let old = from; old <= number - span; old++) recent.delete(old)
    }
    return true
  }
}
