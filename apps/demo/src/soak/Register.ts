/**
 * Whether a history of one key is that of an atomic register: whether there is an order of its operations, each at some
 * moment between its begin and its end, in which every read finds what was written last (Wing and Gong; in the manner
 * of Lowe, operations take effect as late as they can).
 *
 * All puts write different values. A write of which nobody knows what became of it may take effect once, at any moment
 * after its begin, or never.
 */

/** A write or a read of one key. Values are numbers; `undefined` is that there is none, after a delete and at first. */
export interface Operation {
  readonly kind: "write" | "read"
  readonly value: number | undefined
  readonly begun: number
  /** `undefined` for a write that may or may not take effect. */
  readonly ended: number | undefined
}

/** What was found out: `at` is the operation that cannot be explained. */
export type Outcome =
  | { readonly _tag: "Atomic" }
  | { readonly _tag: "NotAtomic"; readonly at: Operation }
  /** There were too many possibilities. */
  | { readonly _tag: "GaveUp"; readonly at: Operation }

/** Looks for an order. */
export const check = (history: ReadonlyArray<Operation>): Outcome => {
  const steps = stepsOf(history)
  /** The operations that have begun and not ended, and those of no end. */
  const open = new Set<Operation>()
  let states: ReadonlyMap<string, State> = new Map([["", { value: undefined, done: new Set(), unknown: 0 }]])
  const seen = new Set(history.flatMap(({ kind, value }) => (kind === "read" && value !== undefined ? [value] : [])))
  let unknown = 0

  /** A put that nobody reads. */
  const isBlind = ({ value }: Operation): boolean => value !== undefined && !seen.has(value)

  const settle = (state: State): State => {
    // A read that finds its value takes nothing from anybody, nor does a put that nobody reads right before another write.
    for (const operation of open) {
      if (state.done.has(operation)) continue
      if (operation.kind === "read" ? operation.value === state.value : isBlind(operation)) state.done.add(operation)
    }
    return state
  }

  const after = (state: State, write: Operation | undefined): State =>
    settle({
      value: write?.value,
      done: write === undefined ? new Set(state.done) : new Set(state.done).add(write),
      unknown: state.unknown + (write === undefined ? 1 : 0)
    })

  for (const { isEnd, operation } of steps) {
    if (!isEnd) {
      if (operation.ended === undefined) unknown++
      else open.add(operation)
      if (operation.kind === "read") {
        for (const state of states.values()) if (state.value === operation.value) state.done.add(operation)
      }
      continue
    }
    const next = new Map<string, State>()
    const visited = new Map<string, number>()
    const queue = Array.from(states.values())
    for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
      const key = keyOf(state)
      if ((visited.get(key) ?? Number.POSITIVE_INFINITY) <= state.unknown) continue
      visited.set(key, state.unknown)
      if (visited.size > mostStates) return { _tag: "GaveUp", at: operation }
      if (state.done.has(operation)) {
        const done = new Set(state.done)
        done.delete(operation)
        const kept = { ...state, done }
        const before = next.get(keyOf(kept))
        if (before === undefined || before.unknown > kept.unknown) next.set(keyOf(kept), kept)
        continue
      }
      for (const write of open) {
        if (write.kind === "read" || state.done.has(write)) continue
        if (write === operation || !isBlind(write)) queue.push(after(state, write))
      }
      if (state.unknown < unknown && state.value !== undefined) queue.push(after(state, undefined))
    }
    open.delete(operation)
    if (next.size === 0) return { _tag: "NotAtomic", at: operation }
    states = next
  }
  return { _tag: "Atomic" }
}

// ---------------------------------------------------------------------------------------------------------------------

interface State {
  readonly value: number | undefined
  /** Which of the open operations have taken effect. */
  readonly done: Set<Operation>
  /** How many deletes of no end have taken effect. */
  readonly unknown: number
}

const mostStates = 200_000

interface Step {
  readonly at: number
  readonly isEnd: boolean
  readonly operation: Operation
}

/** Begins and ends in order. A put of no end took effect before the first read of it ended; one that nobody reads need not. */
const stepsOf = (history: ReadonlyArray<Operation>): ReadonlyArray<Step> => {
  const firstRead = new Map<number, number>()
  for (const { ended, kind, value } of history) {
    if (kind === "read" && value !== undefined && ended !== undefined) {
      firstRead.set(value, Math.min(ended, firstRead.get(value) ?? Number.POSITIVE_INFINITY))
    }
  }
  return history
    .flatMap((operation): ReadonlyArray<Step> => {
      const { begun, kind, value } = operation
      if (kind === "read" && operation.ended === undefined) return []
      const read = value === undefined ? undefined : firstRead.get(value)
      if (operation.ended === undefined && value !== undefined && read === undefined) return []
      const known = operation.ended ?? (kind === "write" ? read : undefined)
      const step: Operation = { kind, value, begun, ended: known }
      const begins: Step = { at: begun, isEnd: false, operation: step }
      return known === undefined ? [begins] : [begins, { at: known, isEnd: true, operation: step }]
    })
    .sort((a, b) => a.at - b.at || Number(a.isEnd) - Number(b.isEnd))
}

/** Operations get their numbers as they are met. */
const numbers = new WeakMap<Operation, number>()
let nextNumber = 0
const numberOf = (operation: Operation): number => {
  const known = numbers.get(operation) ?? nextNumber++
  numbers.set(operation, known)
  return known
}

const keyOf = ({ done, value }: State): string =>
  `${value ?? ""} ${Array.from(done, numberOf)
    .sort((a, b) => a - b)
    .join(",")}`
