/**
 * Whether what clients saw of one register fits an order in which its operations take effect one at a time, each between
 * its question and its answer.
 *
 * Source: J. Wing, C. Gong, "Testing and Verifying Concurrent Objects" (JPDC 17, 1993), with the memory of G. Lowe,
 * "Testing for linearizability" (2017): what was done and what the register holds decide what can follow. That a value
 * which is written once names the write that a read saw is used as in P. Gibbons, E. Korach, "Testing Shared Memories"
 * (SIAM J. Comput. 26, 1997), section 4.
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
  const writtenOnce = onceWritten(all)
  const operations = narrowed(all, writtenOnce)
  const count = operations.length
  const done = new Uint8Array(count)
  const visited = new Set<string>()
  /** How many reads of each value are not done. */
  const toRead = new Map<string, number>()
  for (const { kind, value } of operations) if (kind === "read") toRead.set(value, (toRead.get(value) ?? 0) + 1)
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
    const writes = new Map<string, number>()
    for (let i = from; i < count && operations[i]!.asked <= end; i++) {
      if (done[i] === 1) continue
      const { answered, kind, value: next } = operations[i]!
      // A read that fits comes next wherever it would come: it changes nothing for what follows.
      if (kind === "read" && next === value) return comesNext(i, from)
      if (kind === "read" || (answered === undefined && !isToRead(next))) continue
      // Of writes of the same, the one that has to come first: where another is found it could have stood as well.
      const other = writes.get(next)
      if (other === undefined || until(i) < until(other)) writes.set(next, i)
    }
    // What one write alone can have written is gone once another comes: whoever is yet to read it will not find it.
    if (writtenOnce.has(value) && isToRead(value)) return false
    // A write that nobody is to see can come right before whichever comes next, and changes nothing for what follows.
    for (const [next, i] of writes) if (!isToRead(next)) return comesNext(i, from)
    for (const i of writes.values()) if (comesNext(i, from)) return true
    return false
  }

  const isToRead = (value: string): boolean => (toRead.get(value) ?? 0) > 0

  const until = (i: number): number => operations[i]!.answered ?? Number.POSITIVE_INFINITY

  /** Whether an order is found in which this operation comes next. */
  const comesNext = (i: number, from: number): boolean => {
    const { answered, kind, value } = operations[i]!
    done[i] = 1
    if (answered !== undefined) left--
    if (kind === "read") toRead.set(value, toRead.get(value)! - 1)
    if (search(from, value)) return true
    done[i] = 0
    if (answered !== undefined) left++
    if (kind === "read") toRead.set(value, toRead.get(value)! + 1)
    return false
  }

  if (search(0, "")) return "yes"
  return states > mostStates ? "unknown" : "no"
}

// ---------------------------------------------------------------------------------------------------------------------

/** The values that one write alone can have brought. */
const onceWritten = (all: ReadonlyArray<Operation>): ReadonlySet<string> => {
  const once = new Set<string>()
  const more = new Set([""])
  for (const { kind, value } of all) {
    if (kind !== "write") continue
    if (once.has(value)) more.add(value)
    once.add(value)
  }
  for (const value of more) once.delete(value)
  return once
}

/**
 * The operations in the order of their questions, each between the closest bounds that the others leave it: a write that
 * was read took effect before that read was answered, and a read that tells its write after that was asked. A write that
 * was not answered and that nobody read explains nothing, and one that deletes may have been overwritten.
 */
const narrowed = (all: ReadonlyArray<Operation>, writtenOnce: ReadonlySet<string>): ReadonlyArray<Operation> => {
  const writtenFrom = new Map<string, number>()
  const readUntil = new Map<string, number>()
  for (const { answered, asked, kind, value } of all) {
    if (kind === "write") writtenFrom.set(value, asked)
    else readUntil.set(value, Math.min(readUntil.get(value) ?? Number.POSITIVE_INFINITY, answered!))
  }
  return all
    .filter(({ answered, value }) => answered !== undefined || readUntil.has(value))
    .map((operation) => {
      const { answered, asked, kind, value } = operation
      if (!writtenOnce.has(value)) return operation
      if (kind === "read") return { ...operation, asked: Math.max(asked, writtenFrom.get(value)!) }
      const until = readUntil.get(value)
      return until === undefined ? operation : { ...operation, answered: Math.min(answered ?? until, until) }
    })
    .sort((a, b) => a.asked - b.asked)
}
