/**
 * The port for reaching peers. Its in-memory twin is `MemoryNetwork`.
 */
import type * as PeerMethods from "./PeerMethods.ts"
import { Context, type Effect, type Scope } from "effect"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import type * as PeerProtocol from "./PeerProtocol.ts"

/**
 * How this replica reaches its peers.
 *
 * Duties of an implementation:
 * - It carries the calls of {@link PeerMethods.PeerClient} and decides nothing: no retries, no acks of its own.
 * - It never follows a redirect, and it reads no answer beyond a limit.
 * - Pushes reach the peer in the order in which they were made, as long as no more than `maxInFlight` are under way.
 * - A connection ends with its scope and leaves nothing behind; interrupting a call abandons it.
 */
export class PeerTransport extends Context.Service<
  PeerTransport,
  {
    /** How many pushes to one peer may be under way at once. 1 when the transport does not keep their order. */
    readonly maxInFlight: number
    /**
     * Bytes of requests to a peer that were given to its connection and have not left this process. Absent where a
     * transport cannot know it.
     */
    readonly waitingBytes?: (peer: ReplicaId.ReplicaId) => number
    /** Opens a connection to a peer. It is not authenticated yet: the caller makes the handshake. */
    readonly connect: (
      peer: ReplicaId.ReplicaId
    ) => Effect.Effect<PeerMethods.PeerClient, PeerProtocol.PeerUnreachable, Scope.Scope>
  }
>()("@quorum/core/PeerTransport") {}
