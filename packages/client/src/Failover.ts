/**
 * What is done after an attempt: which replica is asked next, when, and when it is given up. Pure: time and chance are
 * arguments.
 *
 * Everything that is sent may be sent again: reads and questions change nothing, and a write has a stamp before it is
 * sent, so that it is one write at however many replicas it is tried. So an attempt that says nothing is followed by the
 * same one elsewhere.
 */
import { OutcomeUnknown, TimedOut } from "./ClientError.ts"
import type { QuorumError } from "./QuorumError.ts"

/**
 * What an error says about the next attempt.
 *
 * - `final`: every replica would answer the same
 * - `once`: another replica may know better, and each is asked once
 * - `elsewhere`: the replica works, and cannot do this now
 * - `rest`: the replica does not work, and is left alone for a while
 */
export type Verdict = "final" | "once" | "elsewhere" | "rest"

/** What the error of an attempt says about the next one. What is not known is final when the request is blamed for it. */
export const verdictOf = ({ code, ...error }: QuorumError): Verdict => {
  const known = verdicts[code]
  if (known !== undefined) return known
  const status = "status" in error ? Number(error.status) : 0
  return status >= 400 && status < 500 && status !== 404 && status !== 408 && status !== 429 ? "final" : "rest"
}

/** How a replica did lately: failures in a row, when the last one was seen, and until when it is left alone, by the caller's clock. */
export interface Health {
  readonly failures: number
  readonly failedAt: number
  readonly restUntil: number
}

/** A replica that has not failed. */
export const well: Health = { failures: 0, failedAt: 0, restUntil: 0 }

/**
 * After a failure: twice as long as after the one before, and up to half of it by chance, so that clients do not return at
 * once. What began before the last failure was seen is of the same one: many calls that fail together are no many failures.
 */
export const failed = (
  health: Health,
  attempt: { readonly begun: number; readonly now: number },
  random: number
): Health => {
  const { failures } = health
  const { begun, now } = attempt
  if (failures > 0 && begun < health.failedAt) return health
  const restUntil = now + Math.min(maxRestMillis, restMillis * 2 ** failures) * (0.5 + random / 2)
  return { failures: failures + 1, failedAt: now, restUntil }
}

/** What is known when the next replica is chosen. */
export interface Choice {
  /** By the place of the replica in the list of urls. */
  readonly health: ReadonlyArray<Health>
  /** The replica that worked last. */
  readonly preferred: number
  /** The replicas that were asked already in this round. */
  readonly tried: ReadonlySet<number>
  readonly now: number
}

/**
 * The replica to ask next: of those that are not tried and not at rest the preferred one, or the next in the list.
 * `undefined` when none is left: then a new round begins. Where all are at rest at its begin, the one whose rest ends
 * first is asked, after that long.
 */
export const choose = ({
  health,
  now,
  preferred,
  tried
}: Choice): { readonly replica: number; readonly afterMillis: number } | undefined => {
  let best: { readonly replica: number; readonly afterMillis: number } | undefined
  for (let i = 0; i < health.length; i++) {
    const replica = (preferred + i) % health.length
    if (tried.has(replica)) continue
    const afterMillis = Math.max(0, health[replica]!.restUntil - now)
    if (best === undefined || afterMillis < best.afterMillis) best = { replica, afterMillis }
  }
  return best !== undefined && best.afterMillis > 0 && tried.size > 0 ? undefined : best
}

/** How long to wait before all are asked again, after so many rounds. */
export const pauseMillis = (rounds: number, random: number): number =>
  Math.min(maxPauseMillis, firstPauseMillis * 2 ** (rounds - 1)) * (0.5 + random / 2)

/**
 * Until when the next attempt may begin. One with hardly any time left would only say that nobody answered, in place of why
 * the one before had failed; who knows of none yet has nothing to lose.
 */
export const latest = (deadline: number, history: History | undefined): number =>
  history === undefined ? deadline : deadline - leastMillis

/** What the attempts of a call say together, when there is no time for another. */
export interface History {
  /** What happened last. */
  readonly last: QuorumError
  /** What a replica answered last; that others could not be asked says less. */
  readonly answered: QuorumError | undefined
  /** That the write is durable somewhere, or that it is not known whether it is, from whichever attempt. */
  readonly doubt: QuorumError | undefined
}

/** The history with one more failed attempt, which may have written something or not. */
export const recorded = (history: History | undefined, error: QuorumError, mayHaveWritten: boolean): History => ({
  last: error,
  answered: isAnswer(error) ? error : history?.answered,
  doubt:
    error.written === "here" || (history?.doubt === undefined && mayHaveWritten && isDoubtful(error))
      ? error
      : history?.doubt
})

/**
 * What a call is answered with in the end. That nothing was written is only said when no attempt may have written: one
 * that was not answered outlives a later one that was refused.
 */
export const conclude = (history: History | undefined, stamp: string | undefined): QuorumError => {
  if (history === undefined) return new TimedOut({ message: "no replica was asked in time; nothing was written" })
  const { answered, doubt, last } = history
  if (doubt === undefined || stamp === undefined) return answered ?? last
  if (doubt.written === "here" || (doubt === last && verdictOf(last) === "final")) return doubt
  const message = `nobody knows whether the write took place (${last.message}); with its stamp it may be sent again`
  return new OutcomeUnknown({ message, stamp, cause: last })
}

// ---------------------------------------------------------------------------------------------------------------------

const restMillis = 100
const maxRestMillis = 5000
const firstPauseMillis = 40
const maxPauseMillis = 1000
const leastMillis = 20

/** Whether it is a replica that says so. */
const isAnswer = ({ code }: QuorumError): boolean =>
  code !== "unreachable" && code !== "timed_out" && code !== "unexpected_answer"

/** Whether an error of an attempt leaves open if it wrote something. */
const isDoubtful = (error: QuorumError): boolean => error.written !== "no" || !isAnswer(error)

const verdicts: Readonly<Record<string, Verdict>> = {
  invalid_request: "final",
  write_rejected: "final",
  unauthorized: "final",
  forbidden: "final",
  not_found: "final",
  route_unknown: "final",
  method_not_allowed: "final",
  write_replaced: "final",
  write_compacted: "final",
  changes_forgotten: "final",
  stamp_reused: "final",
  idempotency_key_reused: "final",
  too_old_to_know: "final",
  request_too_large: "final",
  unsupported_media_type: "final",
  host_unknown: "final",
  not_implemented: "final",
  not_acceptable: "final",
  write_unknown: "once",
  not_yet_visible: "elsewhere",
  idempotency_unknown: "elsewhere",
  log_damaged: "elsewhere",
  read_unavailable: "elsewhere",
  quorum_unavailable: "elsewhere",
  quorum_not_met: "elsewhere",
  overloaded: "rest",
  disk_low: "rest",
  rate_limited: "rest",
  internal: "rest",
  write_uncertain: "rest",
  local_write_failed: "rest",
  replica_closing: "rest",
  not_ready: "rest",
  unhealthy: "rest",
  store_failed: "rest",
  unreachable: "rest",
  timed_out: "rest"
}
