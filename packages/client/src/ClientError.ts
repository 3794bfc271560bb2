/**
 * The errors that the client itself says: what it was given cannot be used, what it reached was no replica, or nobody
 * answered in time.
 */
import { InvalidRequest, QuorumError } from "./QuorumError.ts"

/** An option of `createClient` cannot be used; `field` is its name. */
export class InvalidOptions extends QuorumError {
  readonly code = "invalid_options"
  declare readonly field: string
}

/** No connection, or one that broke. */
export class Unreachable extends QuorumError {
  readonly code = "unreachable"
}

/** No answer in the time of an attempt, or of the whole call. */
export class TimedOut extends QuorumError {
  readonly code = "timed_out"
}

/** An answer that no replica gives: something in between gave it, or the url leads elsewhere. */
export class UnexpectedAnswer extends QuorumError {
  readonly code = "unexpected_answer"
  declare readonly status: number
}

/**
 * Time ran out, and nobody knows whether the write took place. `stamp` is its stamp: a write of the same key with
 * `{ stamp }` sends it again, within a day, and remains one write. `cause` is what happened last.
 */
export class OutcomeUnknown extends QuorumError {
  readonly code = "outcome_unknown"
  override readonly written = "perhaps"
  declare readonly stamp: string
}

/** The client was closed. */
export class ClientClosed extends QuorumError {
  readonly code = "client_closed"
}

/** What a caller gave cannot be asked for: nothing was sent, and no replica is to blame. */
export const invalid = (field: string, detail: string): InvalidRequest =>
  new InvalidRequest({ message: `invalid request, ${field}: ${detail}`, field, detail })
