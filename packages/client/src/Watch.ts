/**
 * Follows what is written, at one replica after another: each goes on where the one before ended.
 */
import { errorOf, unexpected } from "./Answers.ts"
import type { Learn } from "./Attempt.ts"
import { type Answered, type Lines, linesOf } from "./Body.ts"
import { type CallOptions, type Calls, pause } from "./Calls.ts"
import { pauseMillis, verdictOf } from "./Failover.ts"
import { QuorumError } from "./QuorumError.ts"
import { type Change, type Clock, type Place, QuorumRecord } from "./Record.ts"
import { bytesOf } from "./Value.ts"

/** What is followed. */
export interface WatchOptions extends CallOptions {
  /** Only keys that begin so. */
  readonly prefix?: string
  /** The position of an earlier change: what came after it. From the beginning unless given. */
  readonly since?: string
  /** Ends with what is there, instead of waiting for what is written later. */
  readonly until?: "now"
  /** Ends it, with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** How long to look for a replica that answers, in milliseconds, at the begin and after every break. */
  readonly timeoutMillis?: number | undefined
}

/**
 * The changes of a namespace, each at least once: what a replica had shown since the last position is shown again by the
 * next one. Fails when no replica can be reached for the time of a call, and may then be begun anew at that position.
 */
export const make = (calls: Calls, closing: AbortSignal) =>
  async function* (namespace: string, options: WatchOptions = {}): AsyncGenerator<Change, void> {
    const { prefix, timeoutMillis, until } = options
    const signal = options.signal === undefined ? closing : AbortSignal.any([options.signal, closing])
    let since = options.since
    for (let breaks = 0; ; breaks++) {
      if (breaks > 0) await pause(pauseMillis(breaks, Math.random()), signal)
      const query = { namespace, prefix, since, until }
      const call: CallOptions = { signal, timeoutMillis }
      // What cannot be followed at all is said in the first line, and is then asked of another replica.
      const feed = await calls.call(
        { request: () => ({ method: "GET", path: "/v1/changes", query, headers }), read: open },
        call
      )
      const { first, lines, url } = feed
      const onAbort = (): void => lines.cancel()
      signal.addEventListener("abort", onAbort, { once: true })
      try {
        for (let some = first; some !== undefined; some = await nextOf(lines)) {
          for (const line of some) {
            signal.throwIfAborted()
            if (line.problem !== undefined) {
              // Who reads the records then comes after all that is before the position that is given.
              feed.learn(line.problem.session)
              throw errorOf(503, line.problem, url)
            }
            // What ends without saying so was cut off by something in between.
            if (line.done === true) return
            if (line.key !== undefined) yield changeOf(line as ChangeLine)
            if (line.position === undefined) continue
            since = line.position
            breaks = 0
          }
        }
        signal.throwIfAborted()
      } catch (error) {
        signal.throwIfAborted()
        // What broke off goes on elsewhere; only what every replica would say ends it.
        if (error instanceof QuorumError && verdictOf(error) === "final") throw error
      } finally {
        signal.removeEventListener("abort", onAbort)
        lines.cancel()
      }
    }
  }

// ---------------------------------------------------------------------------------------------------------------------

/** How long nothing may come: a replica says every 15 seconds that it is there. */
const silenceMillis = 40_000

const headers = { accept: "application/x-ndjson" }

/** A line of a feed. */
interface FeedLine extends Partial<Omit<ChangeLine, "position">> {
  readonly position?: string
  readonly problem?: { readonly session?: string }
  readonly done?: true
}

/** A line that is a change. */
interface ChangeLine extends Place {
  readonly value?: string
  readonly text?: string
  readonly json?: unknown
  readonly contentType?: string
  readonly delete?: true
  readonly writeId: string
  readonly clock: Clock
  readonly tie: string
  readonly position?: string
}

/** Of these each line of a feed has one. */
const fields = ["key", "position", "problem", "done"] satisfies ReadonlyArray<keyof FeedLine>

type Some = ReadonlyArray<FeedLine> | undefined

const open = async (answered: Answered, url: string, learn: Learn) => {
  const lines = linesOf(answered, url)
  const first = (await lines.next()) as Some
  const [line] = first ?? []
  const isLine = typeof line === "object" && line !== null && fields.some((field) => field in line)
  if (!isLine) throw unexpected(answered.status, url, "it is no feed")
  const { problem } = line
  if (problem !== undefined) {
    learn(problem.session)
    throw errorOf(503, problem, url)
  }
  return { first, lines, learn, url }
}

/** The next lines; what is silent for too long has broken off, whatever the connection says. */
const nextOf = async (lines: Lines): Promise<Some> => {
  const timer = setTimeout(lines.cancel, silenceMillis)
  try {
    return (await lines.next()) as Some
  } finally {
    clearTimeout(timer)
  }
}

const changeOf = ({ clock, contentType, key, namespace, position, tie, writeId, ...line }: ChangeLine): Change => {
  const bytes =
    line.value !== undefined ? bytesOf(line.value) : utf8.encode(line.text ?? JSON.stringify(line.json ?? null))
  const record = line.delete === true ? undefined : new QuorumRecord({ namespace, key, bytes, contentType, writeId })
  return { namespace, key, record, writeId, clock, tie, position }
}

const utf8 = new TextEncoder()
