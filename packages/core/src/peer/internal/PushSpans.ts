/**
 * A push as a call that is traced: within a span in each of the traces of its batch, which are said to a peer that goes on
 * with them.
 */
import type { Tracer } from "effect"
import * as Tracing from "../../events/Tracing.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as PeerMethods from "../PeerMethods.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import { judge } from "./PushAnswers.ts"

/** What it needs to know of a connection. */
export interface Here {
  readonly peer: ReplicaId
  readonly client: PeerMethods.PeerClient
  readonly logs: Pick<ReplicaLogs["Service"], "tracesOf">
  readonly tracing: Tracing.Tracing
  /** Whether the peer goes on with the traces that it is told. */
  readonly speaksTraces: boolean
}

/** How to push over a connection. */
export const make =
  ({ client, logs, peer, speaksTraces, tracing }: Here) =>
  (said: PeerProtocol.Push) => {
    const { batch } = said
    const within = logs.tracesOf(batch)
    if (within.length === 0) return client.push(said)
    const attributes = { "quorum.peer": peer, ...Tracing.attributesOf(batch) }
    const spans = tracing.start("quorum.push", within, { kind: "client", attributes })
    const traces = speaksTraces ? spans.flatMap(contextOf) : []
    const call = client.push(traces.length === 0 ? said : { ...said, traces })
    return tracing.within(spans, call, (ack) => errorOf(judge(peer, batch, ack)))
  }

// ---------------------------------------------------------------------------------------------------------------------

/** A span as a peer may go on with it. Its ids are hexadecimal digits unless a tracer has its own way. */
const contextOf = ({ spanId, traceId }: Tracer.Span): ReadonlyArray<PeerProtocol.TraceContext> => {
  const context = { traceId: traceId.padStart(32, "0"), spanId }
  return isId(32, context.traceId) && isId(16, spanId) ? [context] : []
}

const isId = (length: number, id: string): boolean => id.length === length && /^[0-9a-f]*[1-9a-f][0-9a-f]*$/.test(id)

/** What is wrong with an answer, in a word. */
const errorOf = (worth: ReturnType<typeof judge>): string | undefined =>
  worth === "ack" ? undefined : worth === "drift" ? "id_drift" : "invalid_answer"
