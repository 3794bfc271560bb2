/**
 * AtomicRegister: majority writes and linearizable reads of a key take effect one after the other, each between its
 * question and its answer; a write of which nobody knows the outcome once or never.
 */
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"
import * as Linearizability from "../Linearizability.ts"

export const check = ({ history, majority, order }: Evidence): ReadonlyArray<string> => {
  if (order === "clock") return []
  const keys = new Set(history.operations.map(({ key }) => key).filter((key) => !History.isWeak(key)))
  return Array.from(keys).flatMap((key) => {
    const operations = history.operations.flatMap((each) => (each.key === key ? asRegister(each, majority) : []))
    const fits = Linearizability.isLinearizable(operations)
    if (fits === "yes") return []
    // What is not known would pass for a promise that was kept.
    return [`what was read and written of ${key} fits no order${fits === "no" ? "" : ", of as many as are tried"}`]
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/** A write that was never acknowledged, or by too few for the promise, may take effect at any time after its question. */
const asRegister = (
  { answered, asked, consistency, kind, outcome, value, w }: History.Operation,
  majority: number
): ReadonlyArray<Linearizability.Operation> => {
  if (kind === "read") {
    const isPromised = consistency === "linearizable" && outcome === "read"
    return isPromised ? [{ kind, value: value ?? "", asked, answered }] : []
  }
  const isDone = outcome === "receipt" && w >= majority
  return [{ kind, value: value ?? "", asked, answered: isDone ? answered : undefined }]
}
