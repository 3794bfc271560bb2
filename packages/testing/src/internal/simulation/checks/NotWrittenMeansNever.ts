/** NotWrittenMeansNever: a write that failed with "nothing was written" is visible nowhere. */
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ all, history }: Evidence): ReadonlyArray<string> => {
  const written = new Set<string>()
  for (const { entry } of all.values()) for (const { value } of entry.records) written.add(History.textOf(value))
  return history.operations.flatMap(({ id, kind, outcome, value }) =>
    kind === "write" && value !== undefined && History.nothingWritten.has(outcome ?? "") && written.has(value)
      ? [`operation ${id} ended with ${outcome}, and ${value} is in a log`]
      : []
  )
}
