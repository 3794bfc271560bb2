/**
 * Receipts as answers, and the answers of a batch as lines. They say what the schemas `Receipt` and `BatchAnswer` would,
 * without going through them for every write: what the receipts of one group share is made into text once.
 */
import { ClientSession, QuorumError, QuorumPolicy, Receipt } from "@quorum/core"
import { Result, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { withoutDetails } from "./ErrorTravel.ts"
import { problemOf } from "./ProblemTable.ts"

/** What became of the write of a line. */
export type Outcome = Result.Result<Receipt.Receipt, Error>

/** Answers to lines from one on. The last of them says what the session of the client is after it and all before. */
export function* textsOf(
  first: number,
  outcomes: ReadonlyArray<Outcome>,
  session: ClientSession.ClientSession
): Generator<string, void> {
  for (const [i, outcome] of outcomes.entries()) {
    yield lineOf(first + i, outcome, i === outcomes.length - 1 ? sessionText(session) : "")
  }
}

/** What became of a line, by its number, as a line of text. Of a receipt it says what a client may see. */
export const lineOf = (line: number, outcome: Outcome, more = ""): string => {
  if (Result.isSuccess(outcome)) {
    return `{"line":${line},"status":201,"receipt":${receiptText(outcome.success)}${more}}\n`
  }
  return problemLine(line, outcome.failure, more)
}

/** What went wrong with a line, by its number, as a line of text. */
export const problemLine = (line: number, error: Error, more = ""): string => {
  const { problem, status } = problemOf(error)
  return `{"line":${line},"status":${status},"problem":${JSON.stringify(problem)}${more}}\n`
}

/** What the session of the client is, as the last field of a line. */
export const sessionText = (session: ClientSession.ClientSession): string =>
  `,"session":"${ClientSession.encode(session)}"`

/** A receipt as the answer to a write of its own. */
export const ofReceipt =
  (status: 200 | 201) =>
  (receipt: Receipt.Receipt): HttpServerResponse.HttpServerResponse =>
    HttpServerResponse.text(receiptText(receipt), { status, contentType: "application/json" })

// ---------------------------------------------------------------------------------------------------------------------

/** Text of values that come many times in a row: made again when another one comes. */
const remembered = <A extends object>(textOf: (value: A) => string): ((value: A) => string) => {
  let known: A | undefined
  let text = ""
  return (value) => {
    if (value !== known) {
      text = textOf(value)
      known = value
    }
    return text
  }
}

const codecText = <A>(codec: Schema.Codec<A, unknown>) => {
  const encode = Schema.encodeSync(Schema.toCodecJson(codec))
  return (value: A): string => JSON.stringify(encode(value))
}

const policyText = remembered(codecText<QuorumPolicy.QuorumPolicy>(QuorumPolicy.QuorumPolicy))

const ackedText = remembered(codecText<Receipt.Receipt["acked"]>(Schema.Array(Receipt.Acked)))

const verdictsText = codecText<QuorumError.Verdicts>(QuorumError.Verdicts)

const missingText = remembered((missing: QuorumError.Verdicts) => verdictsText(withoutDetails(missing)))

const receiptText = ({ acked, clock, durationMillis, missing, policy, tie, writeId }: Receipt.Receipt): string =>
  `{"writeId":"${writeId}","clock":{"wallTime":${clock.wallTime},"logical":${clock.logical}},"tie":"${tie}",` +
  `"policy":${policyText(policy)},"acked":${ackedText(acked)},"missing":${missingText(missing)},` +
  `"durationMillis":${durationMillis}}`
