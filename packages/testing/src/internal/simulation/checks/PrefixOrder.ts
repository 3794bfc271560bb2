/** PrefixOrder: every copy of a log is a prefix of the longest, but for one that was taken back and known to nobody. */
import type { Evidence, Held } from "../Evidence.ts"

export const check = ({ holdings, lost }: Evidence): ReadonlyArray<string> => {
  const places = new Map<string, Held>()
  const found = new Set<string>()
  for (const holding of [
    ...holdings.values(),
    ...lost.filter((each) => each.isForgotten !== true).map((each) => each.holding)
  ]) {
    for (const held of holding.values()) {
      const place = `${held.log}:${held.seq}`
      const before = places.get(place)
      if (before !== undefined && before.id !== held.id) found.add(`${place} is both ${before.id} and ${held.id}`)
      places.set(place, held)
    }
  }
  return Array.from(found)
}
