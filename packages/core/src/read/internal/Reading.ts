/**
 * One read of several replicas, over all its questions: what they have said so far, and what is answered when that is not
 * enough.
 */
import { Result } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { NewestWrite } from "../../peer/KeyReader.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type { RecordKey } from "../../record/RecordKey.ts"
import * as Questions from "./Questions.ts"

/** One read. */
export interface Reading {
  readonly key: RecordKey
  readonly verdicts: Map<ReplicaId, QuorumError.Verdict>
  /** When it ends, in milliseconds of a monotonic clock. */
  readonly until: number
  /** What was said when they were asked last. */
  answers: Map<ReplicaId, NewestWrite | undefined>
  /** How many there are of what is needed: replicas that have answered, or that hold what is to be answered. */
  counted: () => number
}

/** Nobody was asked. */
export const make = (key: RecordKey, until: number): Reading => {
  const reading = { key, verdicts: new Map(), until, answers: new Map(), counted: () => 0 }
  begin(reading)
  return reading
}

/** All are asked, once more perhaps: answers are counted. */
export const begin = (reading: Reading): void => {
  reading.answers = new Map()
  reading.counted = () => reading.answers.size
}

/** Keeps what a replica said. */
export const note = (reading: Reading, { replica, result }: Questions.Said): void => {
  if (Result.isSuccess(result)) reading.answers.set(replica, result.success.newest)
  reading.verdicts.set(replica, Result.isSuccess(result) ? acked : result.failure)
}

/** Too few of the replicas have answered, or hold what is to be answered. */
export const unavailable = (
  { counted, verdicts }: Reading,
  replicas: ReadonlyArray<ReplicaId>,
  needed: number,
  reason: "timeout" | "unreachable"
): QuorumError.ReadUnavailable =>
  new QuorumError.ReadUnavailable({
    answered: counted(),
    needed,
    reason,
    verdicts: Object.fromEntries(replicas.map((id) => [id, verdicts.get(id) ?? Questions.silent]))
  })

// ---------------------------------------------------------------------------------------------------------------------

const acked: QuorumError.Verdict = { _tag: "acked" }
