/** SessionOrder: what one client wrote with the clock of its last write is newer than that, for any W. */
import { compare, type Evidence } from "../Evidence.ts"

export const check = ({ all, history }: Evidence): ReadonlyArray<string> =>
  history.operations.flatMap(({ after, id, outcome, writeId }) => {
    if (after === undefined || outcome !== "receipt") return []
    const [earlier, later] = [all.get(after), all.get(writeId!)]
    return earlier === undefined || later === undefined || compare(later, earlier) > 0
      ? []
      : [`operation ${id} was to come after ${after}, and does not`]
  })
