/**
 * A peer that gave no answer that counts, and how what a transport has met is told as that.
 */
import { Schema } from "effect"
import * as ReplicaId from "../identity/ReplicaId.ts"
import { printable } from "../log/Detail.ts"

/**
 * A peer gave no answer that counts.
 *
 * - `refused`: nothing listens at its address, or the connection was turned away
 * - `timed_out`: no answer in time
 * - `invalid_answer`: something answered, and it was not the protocol
 */
export class PeerUnreachable extends Schema.TaggedError<PeerUnreachable>()("PeerUnreachable", {
  peer: ReplicaId.ReplicaId,
  reason: Schema.Literals(["refused", "timed_out", "invalid_answer"]),
  detail: Schema.String
}) {
  /** What answers at the address of a peer, and has proved nothing, may have written the detail. */
  override get message(): string {
    return `peer ${this.peer} unreachable (${this.reason}): ${printable(this.detail)}`
  }
}

/**
 * What is told of a peer at whose address something answered with a status that is not a replica's answer: a proxy,
 * another program, a replica that stops. The same over every transport.
 */
export const answeredWith = (peer: ReplicaId.ReplicaId, status: number): PeerUnreachable =>
  new PeerUnreachable({ peer, reason: "invalid_answer", detail: `the answer has status ${status}` })

/** What is told of a peer to which a connection could not be made, or did not last. The same over every transport. */
export const disconnected = (peer: ReplicaId.ReplicaId, error: unknown): PeerUnreachable =>
  new PeerUnreachable({ peer, reason: "refused", detail: explain(error) })

/** The messages of an error and of what caused it: where "connection refused" stands, it stands at the bottom. */
export const explain = (error: unknown): string => {
  const messages = new Set<string>()
  for (let at = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    if (at.message !== "") messages.add(at.message)
    at = beneath(at)
  }
  return Array.from(messages).join(": ")
}

// ---------------------------------------------------------------------------------------------------------------------

/** What caused an error: libraries keep it as a reason, as a cause, in the event that told of it, or in a list. */
const beneath = (error: Error): unknown => {
  const next = "reason" in error && error.reason instanceof Error ? error.reason : error.cause
  if (next instanceof AggregateError && next.message === "") return next.errors[0]
  if (next instanceof Error || typeof next !== "object" || next === null) return next
  return "error" in next ? next.error : next
}
