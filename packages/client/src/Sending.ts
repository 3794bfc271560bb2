/**
 * Sends a group of calls as lines of one request, until each of them has an answer. Each has its own, and keeps what its
 * attempts said, because a part of a group may be answered before a connection breaks.
 */
import { unexpected } from "./Answers.ts"
import type { Learn, Read, Request } from "./Attempt.ts"
import { type Answered, readLines } from "./Body.ts"
import type { CallOptions, Calls } from "./Calls.ts"
import * as Failover from "./Failover.ts"
import { Forbidden, type QuorumError, RouteUnknown, WriteReplaced } from "./QuorumError.ts"
import type { Receipt, RecordJson } from "./Record.ts"
import type { Waiting } from "./Waiting.ts"

/** A line of an answer. */
export interface Answer {
  readonly line: number
  readonly status: number
  readonly receipt?: Receipt
  readonly record?: RecordJson
  readonly problem?: unknown
  readonly session?: string
}

/** What is sent, and how it is answered. */
export interface Lines<W> {
  readonly request: (sent: ReadonlyArray<W>) => Request
  /** Settles what has its answer. Returns the error that a line says; fails when it says nothing. */
  readonly settle: (waiting: W, answer: Answer, url: string) => QuorumError | undefined
  /** Sends one in a request of its own, and settles it: where many may not share one. Never fails. */
  readonly alone: (waiting: W) => Promise<void>
}

/** Settles all of a group. `onFailed` is called when an attempt has failed. */
export const send = async <W extends Waiting<never>>(
  call: Calls["call"],
  group: ReadonlyArray<W>,
  { alone, request, settle }: Lines<W>,
  limits: () => CallOptions,
  onFailed: () => void
): Promise<void> => {
  /** What was sent by the attempt that is under way, and what has no answer in it. */
  let sent: ReadonlyArray<W> = []
  let silent = new Set<W>()
  const remaining = () => group.filter((each) => !each.isSettled())
  if (remaining().length === 0) return

  /** One line of the answer. Returns its error when that is not the last word. */
  const take = (answer: Answer, status: number, url: string): QuorumError | undefined => {
    const each = sent[answer.line - 1]
    if (each === undefined) throw unexpected(status, url, "it has more lines than were sent")
    const error = settle(each, answer, url)
    silent.delete(each)
    if (error === undefined) return
    each.history = Failover.recorded(each.history, error, each.stamp !== undefined)
    // What was seen and is no write any more is forgotten for all that is asked, and not for one line.
    if (Failover.verdictOf(error) !== "final" || error instanceof WriteReplaced) return error
    each.reject(Failover.conclude(each.history, each.stamp))
  }

  const read: Read<void> = async (answered, url, learn) => {
    let again: QuorumError | undefined
    await readAnswers(answered, url, learn, (answer) => {
      again = take(answer, answered.status, url) ?? again
    })
    if (again !== undefined) throw again
    if (silent.size > 0) throw unexpected(answered.status, url, "it has fewer lines than were sent")
  }

  const failed = (error: QuorumError): void => {
    for (const each of silent) each.history = Failover.recorded(each.history, error, each.stamp !== undefined)
    onFailed()
  }
  const asked = () => {
    sent = remaining()
    silent = new Set(sent)
    return request(sent)
  }
  try {
    await call({ request: asked, read, onFailed: failed }, limits())
  } catch (error) {
    // A token of namespaces is good for their records, and for no lines, which may be of any; and a replica of a release
    // before does not know all kinds of lines.
    if (error instanceof Forbidden || error instanceof RouteUnknown) {
      await Promise.all(remaining().map(alone))
      return
    }
    for (const each of remaining()) {
      each.reject(each.history === undefined ? error : Failover.conclude(each.history, each.stamp))
    }
  }
}

/**
 * Reads the lines of an answer. Of those that belong together the last says what was done and seen by all of them: that is
 * known before one of their callers goes on, however they come.
 */
export const readAnswers = async (
  answered: Answered,
  url: string,
  learn: Learn,
  onAnswer: (answer: Answer) => void
): Promise<void> => {
  let held: Array<Answer> = []
  const tell = (): void => {
    const known = held
    held = []
    for (const answer of known) onAnswer(answer)
  }
  await readLines(answered, url, (lines) => {
    for (const line of lines as ReadonlyArray<Answer>) {
      held.push(line)
      if (line.session === undefined) continue
      learn(line.session)
      tell()
    }
  })
  tell()
}
