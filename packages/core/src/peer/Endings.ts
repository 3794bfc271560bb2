/**
 * Connections that the server of a replica ended, because they cost more than they may (law L63): told as events, for
 * metrics and for a log.
 */
import { Effect } from "effect"
import { EventSink } from "../events/EventSink.ts"

/**
 * By which bound a connection was ended.
 *
 * - `too_many_clients`, `too_many_silent`, `too_many_unproven`: there are more connections of its kind than may be, and its
 *   address has most of them; see `ServerConnections`
 * - `too_many_requests`: more requests on it have no answer that was read than may be
 * - `too_many_bodies`: the bodies under way come to more bytes than may be
 * - `slow_body`: a body did not come in time
 * - `small_pieces`: a body came in pieces that cost more than their bytes are worth
 * - `unread`: more bytes of answers wait to be read than may
 */
export type Reason =
  | "too_many_clients"
  | "too_many_silent"
  | "too_many_unproven"
  | "too_many_requests"
  | "too_many_bodies"
  | "slow_body"
  | "small_pieces"
  | "unread"

/** Tells that a connection was ended: by which bound, and from which address it came. */
export type Endings = (reason: Reason, address: string | undefined) => void

/** Tells nobody. */
export const untold: Endings = () => undefined

/** Tells whoever listens to the events of the replica. */
export const make: Effect.Effect<Endings> = Effect.map(EventSink, (sink) => (reason, address) => {
  if (sink.active()) sink.tell({ _tag: "ConnectionEnded", reason, address })
})
