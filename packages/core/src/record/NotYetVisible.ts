/**
 * The error of a read that has waited for a write in vain.
 */
import { Schema } from "effect"
import * as WriteId from "../identity/WriteId.ts"

/** The write of a receipt has not reached this replica in the time that the read was given. */
export class NotYetVisible extends Schema.TaggedError<NotYetVisible>()("NotYetVisible", { writeId: WriteId.WriteId }) {
  override get message(): string {
    return `the write ${this.writeId} has not reached this replica yet; ask another replica, or again later`
  }
}
