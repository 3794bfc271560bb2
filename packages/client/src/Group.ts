/**
 * A group of writes: its stamps are drawn, and then it is sent until each of its writes has an answer.
 */
import { errorOf, unexpected } from "./Answers.ts"
import { readReceipt, receiptOf } from "./Attempt.ts"
import { jsonOf } from "./Body.ts"
import type { CallOptions, Calls } from "./Calls.ts"
import * as Failover from "./Failover.ts"
import type { Kind } from "./Gathering.ts"
import { QuorumError } from "./QuorumError.ts"
import { pathOf, placeOf } from "./Reads.ts"
import type { Receipt } from "./Record.ts"
import * as Sending from "./Sending.ts"
import { bytesOf } from "./Value.ts"
import * as Waitings from "./Waiting.ts"

/** A write as a line of a batch, without its stamp. */
export interface Line {
  readonly namespace: string
  readonly key: string
  readonly text?: string
  readonly value?: string
  readonly contentType?: string
  readonly delete?: true
}

/** A write that waits for its answer. */
export interface Waiting extends Waitings.Waiting<Receipt> {
  readonly line: Line
}

/** How writes that ask for the same number of replicas are sent together. */
export const kindOf = (calls: Calls, w: number | undefined): Kind<Waiting> => ({
  most: maxGroups,
  take: (queue) =>
    Waitings.take(
      queue,
      maxLines,
      ({ line: { key, namespace, text = "", value = "" } }) =>
        key.length + namespace.length + text.length + value.length
    ),
  run: (group, onFirst) => run(calls, group, w, onFirst)
})

// ---------------------------------------------------------------------------------------------------------------------

/**
 * Sends a group, and settles all of it in the time of the first, which is the one that waits longest. `onFirst` is called
 * when it has been answered once, however. Ends when everybody has given up. Never fails.
 */
const run = async (
  calls: Calls,
  group: ReadonlyArray<Waiting>,
  w: number | undefined,
  onFirst: () => void
): Promise<void> => {
  const limits = Waitings.limitsOf(group)
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
  await Sending.send(
    calls.call,
    group.filter(({ stamp }) => stamp !== undefined),
    linesOf(calls, w),
    limits,
    onFirst
  )
}

/** The most lines of a group. */
const maxLines = 1000

/**
 * How many groups are under way: one for which stamps are drawn, and one that is written. With more of them each is smaller,
 * and costs as much.
 */
const maxGroups = 2

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

/** How writes are lines of a batch. */
const linesOf = (calls: Calls, w: number | undefined): Sending.Lines<Waiting> => ({
  request: (sent) => {
    const body = sent
      .map(({ line, stamp }) => `${JSON.stringify(line).slice(0, -1)},"stamp":${JSON.stringify(stamp)}}\n`)
      .join("")
    return { method: "POST", path: "/v1/batch", query: { w }, headers, body }
  },
  settle: ({ resolve }, { problem, receipt, status }, url) => {
    if (receipt === undefined) return errorOf(status, problem, url)
    return void resolve(receiptOf(receipt, { status }, url))
  },
  alone: (waiting) => sendAlone(calls, waiting, w)
})

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
    resolve(await calls.call({ request, read: readReceipt, stamp }, Waitings.limitsOf([waiting])()))
  } catch (error) {
    reject(error)
  }
}

const isFinal = (error: unknown): boolean => error instanceof QuorumError && Failover.verdictOf(error) === "final"

const headers = { "content-type": "application/x-ndjson" }
