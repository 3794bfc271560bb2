/**
 * The error of a read that cannot be, whatever is held.
 */
import { Schema } from "effect"

/** What was asked of a read cannot be: `field` names the part of it. Nothing was read. */
export class ReadRejected extends Schema.TaggedError<ReadRejected>()("ReadRejected", {
  field: Schema.Literals([
    "atLeast",
    "withinMillis",
    "consistency",
    "r",
    "session",
    "namespace",
    "prefix",
    "reverse",
    "from",
    "to",
    "after",
    "limit",
    "since",
    "until",
    "idleMillis",
    "receipt"
  ]),
  detail: Schema.String
}) {
  override get message(): string {
    return `read rejected, ${this.field}: ${this.detail}`
  }
}
