/**
 * A group of writes: its stamps are drawn, and then it is sent until each of its writes has an answer. Each has its own,
 * and keeps what its attempts said, because a part of a group may be answered before a connection breaks.
 */
import { errorOf, unexpected } from "./Answers.ts"
import { type Read, readReceipt, receiptOf } from "./Attempt.ts"
import { jsonOf, readLines } from "./Body.ts"
import type { CallOptions, Calls } from "./Calls.ts"
import * as Failover from "./Failover.ts"
import { Forbidden, QuorumError } from "./QuorumError.ts"
import { pathOf, placeOf } from "./Reads.ts"
import type { Receipt } from "./Record.ts"
import { onAbort } from "./Signals.ts"
import { bytesOf } from "./Value.ts"

/** A write as a line of a batch, without its stamp. */
export interface Line {
  readonly namespace: string
  readonly key: string
  readonly text?: string
  readonly value?: string
  readonly contentType?: string
  readonly delete?: true
}

/** How a write is made. */
interface Limits {
  readonly stamp: string | undefined
  readonly signal: AbortSignal | undefined
  /** Until when it may take, by `performance.now()`. */
  readonly deadline: number
}

/** Who is told what became of a write. */
interface Caller {
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: unknown) => void
}

/** A write that waits for its answer. */
export interface Waiting extends Caller {
  readonly line: Line
  readonly deadline: number
  stamp: string | undefined
  /** What its attempts said so far. */
  history: Failover.History | undefined
  /** Whether its caller has an answer, or wants none any more. */
  readonly isSettled: () => boolean
  /** Called when its caller wants none any more. */
  onGivenUp: () => void
}

/** A write that waits, until it is answered or its signal is aborted. */
export const waiting = (line: Line, { deadline, signal, stamp }: Limits, caller: Caller): Waiting => {
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
  const one: Waiting = {
    line,
    deadline,
    stamp,
    history: undefined,
    isSettled: () => isSettled,
    onGivenUp: () => {},
    resolve: (receipt) => settle(() => caller.resolve(receipt)),
    reject: (error) => settle(() => caller.reject(error))
  }
  return one
}

/** The next group of those that wait, and the others. Who was given up before it was sent is in neither. */
export const take = (queue: ReadonlyArray<Waiting>) => {
  const group: Array<Waiting> = []
  let length = 0
  let i = 0
  for (; i < queue.length && group.length < maxLines && length < maxLength; i++) {
    const next = queue[i]!
    if (next.isSettled()) continue
    if (group.length > 0 && next.deadline > group[0]!.deadline + maxApartMillis) break
    group.push(next)
    const { key, namespace, text = "", value = "" } = next.line
    length += key.length + namespace.length + text.length + value.length
  }
  return { group, rest: queue.slice(i) }
}

/** Those that have time left. The others are told that they were not sent. */
export const unexpired = (queue: ReadonlyArray<Waiting>): Array<Waiting> => {
  const now = performance.now()
  for (const each of queue) if (each.deadline <= now) each.reject(Failover.conclude(undefined, undefined))
  return queue.filter((each) => !each.isSettled())
}

/**
 * Sends a group, and settles all of it in the time of the first, which is the one that waits longest. `onFirst` is called
 * when it has been answered once, however. Ends when everybody has given up. Never fails.
 */
export const run = async (
  calls: Calls,
  group: ReadonlyArray<Waiting>,
  w: number | undefined,
  onFirst: () => void
): Promise<void> => {
  const limits = limitsOf(group)
  try {
    await draw(calls, group, limits(), onFirst)
  } catch (error) {
    const unstamped = group.filter(({ stamp }) => stamp === undefined)
    if (group.length > 1 && isFinal(error)) {
      // One of them is to blame, and the others are not.
      onFirst()
      await Promise.all(group.map((each) => run(calls, [each], w, onFirst)))
      return
    }
    for (const each of unstamped) each.reject(error)
  }
  await send(
    calls,
    group.filter(({ stamp }) => stamp !== undefined),
    w,
    limits,
    onFirst
  )
}

// ---------------------------------------------------------------------------------------------------------------------

/** The most lines of a group, and about how many characters it has at most. */
const maxLines = 1000
const maxLength = 256 * 1024

/** How much sooner the time of a group may end than that of one of its writes, in milliseconds. */
const maxApartMillis = 500

/** How much time a group has left, and what is aborted when nobody of it wants an answer any more. */
const limitsOf = (group: ReadonlyArray<Waiting>) => {
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

/** Draws the stamps that are missing. */
const draw = async (calls: Calls, group: ReadonlyArray<Waiting>, limits: CallOptions, onFailed: () => void) => {
  const unstamped = group.filter((each) => each.stamp === undefined && !each.isSettled())
  if (unstamped.length === 0) return
  const keys = unstamped.map(({ line: { key, namespace } }) => ({ namespace, key }))
  const stamps = await calls.call(
    {
      request: () => ({ method: "POST", path: "/v1/stamps/each", body: JSON.stringify({ keys }) }),
      read: async (answered, url) => {
        const { stamps } = ((await jsonOf(answered, url)) ?? {}) as { readonly stamps?: ReadonlyArray<string> }
        const isWhole = stamps?.length === keys.length && stamps.every((stamp) => typeof stamp === "string")
        if (!isWhole) throw unexpected(answered.status, url, "it has not as many stamps as keys")
        return stamps
      },
      onFailed
    },
    limits
  )
  for (const [i, each] of unstamped.entries()) each.stamp = stamps[i]
}

/** Sends what has no answer yet, until all has one. */
const send = async (
  calls: Calls,
  group: ReadonlyArray<Waiting>,
  w: number | undefined,
  limits: () => CallOptions,
  onFailed: () => void
): Promise<void> => {
  /** What was sent by the attempt that is under way, and what has no answer in it. */
  let sent: ReadonlyArray<Waiting> = []
  let silent = new Set<Waiting>()
  const remaining = () => group.filter((each) => !each.isSettled())
  if (remaining().length === 0) return

  const request = () => {
    sent = remaining()
    silent = new Set(sent)
    const body = sent
      .map(({ line, stamp }) => `${JSON.stringify(line).slice(0, -1)},"stamp":${JSON.stringify(stamp)}}\n`)
      .join("")
    return { method: "POST", path: "/v1/batch", query: { w }, headers, body } as const
  }

  /** One line of the answer. Returns its error when that is not the last word. */
  const settle = (answer: Answer, status: number, url: string): QuorumError | undefined => {
    const each = sent[answer.line - 1]
    if (each === undefined) throw unexpected(status, url, "it has more lines than were sent")
    if (answer.receipt !== undefined) {
      each.resolve(receiptOf(answer.receipt, { status }, url))
      return void silent.delete(each)
    }
    silent.delete(each)
    const error = errorOf(answer.status, answer.problem, url)
    each.history = Failover.recorded(each.history, error, true)
    if (Failover.verdictOf(error) !== "final") return error
    return void each.reject(Failover.conclude(each.history, each.stamp))
  }

  const read: Read<void> = async (answered, url, learn) => {
    let again: QuorumError | undefined
    await readLines(answered, url, (lines) => {
      // What was done is known before its callers go on.
      for (const line of lines) learn((line as Answer).session)
      for (const line of lines) again = settle(line as Answer, answered.status, url) ?? again
    })
    if (again !== undefined) throw again
    if (silent.size > 0) throw unexpected(answered.status, url, "it has fewer lines than were sent")
  }

  const failed = (error: QuorumError): void => {
    for (const each of silent) each.history = Failover.recorded(each.history, error, true)
    onFailed()
  }
  try {
    await calls.call({ request, read, onFailed: failed }, limits())
  } catch (error) {
    // A token of namespaces is good for their records, and for no batch, which may be of any.
    if (error instanceof Forbidden)
      return void (await Promise.all(remaining().map((each) => sendAlone(calls, each, w))))
    for (const each of remaining()) {
      each.reject(each.history === undefined ? error : Failover.conclude(each.history, each.stamp))
    }
  }
}

/** Sends a write in a request of its own. */
const sendAlone = async (calls: Calls, waiting: Waiting, w: number | undefined) => {
  const { line, reject, resolve, stamp } = waiting
  const { contentType = "application/octet-stream", value } = line
  const content = {
    headers: { "quorum-stamp": stamp!, "content-type": contentType },
    body: line.text ?? bytesOf(value ?? "")
  }
  const [method, more] =
    line.delete === true ? (["DELETE", { headers: { "quorum-stamp": stamp! } }] as const) : (["PUT", content] as const)
  try {
    const request = () => ({ method, path: pathOf(placeOf(line.namespace, line.key)), query: { w }, ...more })
    resolve(await calls.call({ request, read: readReceipt, stamp }, limitsOf([waiting])()))
  } catch (error) {
    reject(error)
  }
}

const isFinal = (error: unknown): boolean => error instanceof QuorumError && Failover.verdictOf(error) === "final"

const headers = { "content-type": "application/x-ndjson" }

/** A line of an answer. */
interface Answer {
  readonly line: number
  readonly status: number
  readonly receipt?: Receipt
  readonly problem?: unknown
  readonly session?: string
}
