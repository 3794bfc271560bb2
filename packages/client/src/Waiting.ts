/**
 * Calls that wait to share a request: who is told what became of each, until when it may take, and which go together.
 */
import type { CallOptions } from "./Calls.ts"
import * as Failover from "./Failover.ts"
import { onAbort } from "./Signals.ts"

/** Who is told what became of a call. */
interface Caller<A> {
  readonly resolve: (answer: A) => void
  readonly reject: (error: unknown) => void
}

/** A call that waits for its answer. */
export interface Waiting<A> extends Caller<A> {
  /** Until when it may take, by `performance.now()`. */
  readonly deadline: number
  /** That of a write, once it has one. */
  stamp: string | undefined
  /** What its attempts said so far. */
  history: Failover.History | undefined
  /** Whether its caller has an answer, or wants none any more. */
  readonly isSettled: () => boolean
  /** Called when its caller wants none any more. */
  onGivenUp: () => void
}

/** How a call is made. */
interface Limits {
  readonly signal: AbortSignal | undefined
  readonly deadline: number
  readonly stamp?: string | undefined
}

/** A call that waits, for what is asked, until it is answered or its signal is aborted. */
export const make = <A, Asked extends object>(
  asked: Asked,
  { deadline, signal, stamp }: Limits,
  caller: Caller<A>
): Waiting<A> & Asked => {
  let isSettled = false
  const settle = (answer: () => void): void => {
    if (isSettled) return
    isSettled = true
    forget()
    answer()
  }
  const forget = onAbort(signal, () => {
    settle(() => caller.reject(signal?.reason))
    one.onGivenUp()
  })
  const one: Waiting<A> & Asked = {
    ...asked,
    deadline,
    stamp,
    history: undefined,
    isSettled: () => isSettled,
    onGivenUp: () => {},
    resolve: (answer) => settle(() => caller.resolve(answer)),
    reject: (error) => settle(() => caller.reject(error))
  }
  return one
}

/**
 * The next group of those that wait, of so many at most, and the others. Who was given up before it was sent is in neither.
 * `lengthOf` says how many characters one is.
 */
export const take = <W extends Waiting<never>>(
  queue: ReadonlyArray<W>,
  maxLines: number,
  lengthOf: (waiting: W) => number
) => {
  const group: Array<W> = []
  let length = 0
  let i = 0
  for (; i < queue.length && group.length < maxLines && length < maxLength; i++) {
    const next = queue[i]!
    if (next.isSettled()) continue
    if (group.length > 0 && next.deadline > group[0]!.deadline + maxApartMillis) break
    group.push(next)
    length += lengthOf(next)
  }
  return { group, rest: queue.slice(i) }
}

/** Those that have time left. The others are told that they were not sent. */
export const unexpired = <W extends Waiting<never>>(queue: ReadonlyArray<W>): Array<W> => {
  const now = performance.now()
  for (const each of queue) if (each.deadline <= now) each.reject(Failover.conclude(undefined, undefined))
  return queue.filter((each) => !each.isSettled())
}

/**
 * How much time a group has left, which is that of the first, who waits longest; and what is aborted when nobody of it wants
 * an answer any more.
 */
export const limitsOf = (group: ReadonlyArray<Waiting<never>>) => {
  const givenUp = new AbortController()
  const onGivenUp = (): void => {
    if (group.every((each) => each.isSettled())) givenUp.abort()
  }
  for (const each of group) each.onGivenUp = onGivenUp
  const { deadline } = group[0]!
  return (): CallOptions => ({
    signal: givenUp.signal,
    timeoutMillis: Math.max(1, deadline - performance.now())
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/** About how many characters a group has at most. */
const maxLength = 256 * 1024

/** How much sooner the time of a group may end than that of one of its calls, in milliseconds. */
const maxApartMillis = 500
