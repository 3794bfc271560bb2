/**
 * Whether what clients saw of one register fits an order in which its operations take effect one at a time, each between
 * its question and its answer.
 *
 * Source: J. Wing, C. Gong, "Testing and Verifying Concurrent Objects" (JPDC 17, 1993), with the memory of G. Lowe,
 * "Testing for linearizability" (2017): what was done and what the register holds decide what can follow.
 */

/** An operation on a register that holds nothing, the empty text, at the beginning. */
export interface Operation {
  readonly kind: "write" | "read"
  readonly value: string
  readonly asked: number
  /** Absent when it was never answered: a write may then have taken effect, or may still, or never. */
  readonly answered: number | undefined
}

/** The most states that are looked at before it is given up as not known. */
const mostStates = 300_000

/** Looks for an order. */
export const isLinearizable = (all: ReadonlyArray<Operation>): "yes" | "no" | "unknown" => {
  const seen = new Set(all.flatMap(({ kind, value }) => (kind === "read" ? [value] : [])))
  // A write that was not answered and that nobody read explains nothing, and one that deletes may have been overwritten.
  const operations = all
    .filter(({ answered, kind, value }) => answered !== undefined || (kind === "write" && seen.has(value)))
    .sort((a, b) => a.asked - b.asked)
  const count = operations.length
  const done = new Uint8Array(count)
  const visited = new Set<string>()
  let left = operations.filter(({ answered }) => answered !== undefined).length
  let states = 0

  /** Tries all that may come next; `from` is the first that is not done. */
  const search = (from: number, value: string): boolean => {
    if (left === 0) return true
    while (from < count && done[from] === 1) from++
    let end = Number.POSITIVE_INFINITY
    let open = ""
    for (let i = from; i < count; i++) {
      const { answered, asked } = operations[i]!
      if (asked > end) break
      if (done[i] === 1) open += `,${i}`
      else if (answered !== undefined && answered < end) end = answered
    }
    const state = `${from}${open}=${value}`
    if (visited.has(state)) return false
    visited.add(state)
    if (++states > mostStates) return false
    // A read that fits comes next wherever it would come: it changes nothing for what follows.
    for (let i = from; i < count && operations[i]!.asked <= end; i++) {
      const { kind, value: seen } = operations[i]!
      if (done[i] === 0 && kind === "read" && seen === value) return comesNext(i, from, value)
    }
    for (let i = from; i < count && operations[i]!.asked <= end; i++) {
      const { kind, value: next } = operations[i]!
      if (done[i] === 0 && kind === "write" && comesNext(i, from, next)) return true
    }
    return false
  }

  /** Whether an order is found in which this operation comes next. */
  const comesNext = (i: number, from: number, value: string): boolean => {
    const isAnswered = operations[i]!.answered !== undefined
    done[i] = 1
    if (isAnswered) left--
    if (search(from, value)) return true
    done[i] = 0
    if (isAnswered) left++
    return false
  }

  if (search(0, "")) return "yes"
  return states > mostStates ? "unknown" : "no"
}
