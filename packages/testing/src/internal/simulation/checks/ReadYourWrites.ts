/**
 * ReadYourWrites: a read with a receipt sees that write, or a newer one of its key, on any replica; and nothing is read
 * that nobody wrote.
 */
import { compare, type Evidence } from "../Evidence.ts"

export const check = ({ all, history }: Evidence): ReadonlyArray<string> =>
  history.operations.flatMap(({ answered, atLeast, id, key, kind, outcome, value, writeId }) => {
    if (kind !== "read" || outcome !== "read") return []
    const writer = history.operations.find(
      (each) => each.kind === "write" && each.value === value && value !== undefined
    )
    if (value !== undefined && (writer === undefined || writer.key !== key || writer.asked > answered!)) {
      return [`operation ${id} read ${value} of ${key}, which nobody had written`]
    }
    const wanted = atLeast === undefined ? undefined : all.get(atLeast)
    const record = wanted?.entry.records.find((each) => each.key === key)
    if (wanted === undefined || record === undefined) return []
    if (writeId === undefined) {
      // Nothing is there: right when the write, or a newer one, deletes it.
      const isDeleted = Array.from(all.values()).some(
        (held) =>
          compare(held, wanted) >= 0 && held.entry.records.some((each) => each.key === key && each.kind === "delete")
      )
      return isDeleted ? [] : [`operation ${id} had to see ${atLeast} of ${key}, and saw nothing`]
    }
    const seen = all.get(writeId)
    if (seen !== undefined && compare(seen, wanted) >= 0) return []
    return [`operation ${id} had to see ${atLeast} of ${key}, and saw ${writeId}`]
  })
