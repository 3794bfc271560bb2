/**
 * Who was turned away by those who answer peers: told as events, for metrics and for a log.
 */
import { Effect } from "effect"
import { EventSink } from "../events/EventSink.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import type * as PeerProtocol from "./PeerProtocol.ts"

/**
 * Why a caller was turned away: its handshake was refused, or it did not come so far.
 *
 * - `unproven`: it does not prove who it is, or what it says
 * - `not_the_protocol`: what it sent is not the protocol, or larger than that allows
 * - `silent`: it said no hello in time
 * - `web_page`: it is the page of a browser
 */
export type Reason = PeerProtocol.HandshakeRefused["reason"] | "unproven" | "not_the_protocol" | "silent" | "web_page"

/** Tells that a caller was turned away: why, from which address, and who it claims to be, if that is a member. */
export const make = Effect.map(
  EventSink,
  (sink) =>
    (reason: Reason, address: string | undefined, peer?: ReplicaId): Effect.Effect<void> =>
      Effect.sync(() => {
        if (sink.active()) sink.tell({ _tag: "HandshakeRefused", direction: "incoming", peer, reason, address })
      })
)

/** Tells that a caller was turned away. */
export type Refusals = Effect.Success<typeof make>
