/** LaterWins: a majority write that began after another of its key was acknowledged is newer, whatever the clocks. */
import { compare, type Evidence, type Held } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ all, history, majority, order }: Evidence): ReadonlyArray<string> => {
  if (order === "clock") return []
  const strong = History.committed(history).filter(({ key, w }) => w >= majority && !History.isWeak(key))
  return strong.flatMap((later) =>
    strong.flatMap((earlier) => {
      if (earlier.key !== later.key || earlier.answered! >= later.asked) return []
      const [a, b] = [all.get(earlier.writeId!), all.get(later.writeId!)]
      return a === undefined || b === undefined || compare(b, a) > 0
        ? []
        : [
            `operation ${later.id} of ${later.key} began after operation ${earlier.id} was acknowledged, and is older: ` +
              `${shown(b)} and ${shown(a)}`
          ]
    })
  )
}

// ---------------------------------------------------------------------------------------------------------------------

const shown = ({ clock, id, entry }: Held): string =>
  `${id} of ${clock.wallTime}.${clock.logical}${entry.unprobed ? ", not probed" : ""}`
