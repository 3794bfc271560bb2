/**
 * Core's errors as those of `@quorum/client`, which have a `code`.
 */
import * as Client from "@quorum/client"
import { Predicate, Record, Schema } from "effect"
import { QuorumError } from "@quorum/core"

/** The same error, with the fields that it has. What is none of core's is passed on. */
export const errorOf = (error: Error): Error => {
  const { message } = error
  if (!Predicate.hasProperty(error, "_tag")) return error
  const fields = fieldsOf(error)
  switch (error._tag) {
    case "ReadRejected":
      return new Client.InvalidRequest({ message, ...fields })
    case "InvalidPolicy":
      return new Client.InvalidRequest({ message, field: "w", detail: message })
    case "StoreError":
      return new Client.StoreFailed({ message, ...fields, cause: error })
    case "TimeoutError":
      return new Client.TimedOut({ message: "there was no answer in time" })
    default: {
      const known = classes[String(error._tag) as keyof typeof classes]
      return known === undefined ? error : new known({ message, ...fields })
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const classes = {
  ChangesForgotten: Client.ChangesForgotten,
  DiskLow: Client.DiskLow,
  IdempotencyKeyReused: Client.IdempotencyKeyReused,
  IdempotencyUnknown: Client.IdempotencyUnknown,
  LocalWriteFailed: Client.LocalWriteFailed,
  LogDamaged: Client.LogDamaged,
  NotReady: Client.NotReady,
  NotYetVisible: Client.NotYetVisible,
  Overloaded: Client.Overloaded,
  QuorumNotMet: Client.QuorumNotMet,
  QuorumUnavailable: Client.QuorumUnavailable,
  ReadUnavailable: Client.ReadUnavailable,
  ReplicaClosing: Client.ReplicaClosing,
  StampReused: Client.StampReused,
  TooOldToKnow: Client.TooOldToKnow,
  WriteCompacted: Client.WriteCompacted,
  WriteRejected: Client.WriteRejected,
  WriteReplaced: Client.WriteReplaced,
  WriteUncertain: Client.WriteUncertain,
  WriteUnknown: Client.WriteUnknown
}

const encodeVerdicts = Schema.encodeSync(QuorumError.Verdicts)

/** What every error has, and the class of a client says in its own way. */
const saidApart = new Set(["_tag", "name", "stack", "message"])

/** Its own fields; what is known of each replica as it travels. */
const fieldsOf = (error: Error): { readonly [field: string]: unknown } => {
  const fields = Record.filter(Object.fromEntries<unknown>(Object.entries(error)), (_, name) => !saidApart.has(name))
  const verdicts = fields["verdicts"] as QuorumError.Verdicts | undefined
  return Record.filter(
    verdicts === undefined ? fields : { ...fields, verdicts: encodeVerdicts(verdicts) },
    Predicate.isNotUndefined
  )
}
