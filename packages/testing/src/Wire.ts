/**
 * What the transport suite needs to know of a transport: how a replica is served, and how it is reached.
 */
import type { ReplicaId, ReplicaSet } from "@quorum/core"
import type { PeerHandler, PeerTransport } from "@quorum/core/adapter"
import { Context, type Effect, type Scope } from "effect"

/**
 * A transport's two ends. A layer of it is built for every case.
 *
 * The suite puts a proxy of its own between the two, so that it can cut connections, count them, send bytes that no
 * replica sends, and give a replica the same address again after a restart. A transport that does not run over TCP
 * connections from replica to replica has no port, and skips the cases that need one.
 */
export class Wire extends Context.Service<
  Wire,
  {
    /**
     * Serves a replica until the scope closes, on 127.0.0.1 and on a port that the system chose. Returns the port;
     * `undefined` when the transport has none. What the handler answers, the caller gets.
     */
    readonly serve: (
      replica: ReplicaId.ReplicaId,
      handler: PeerHandler.PeerHandler["Service"]
    ) => Effect.Effect<number | undefined, unknown, Scope.Scope>
    /**
     * The transport of a replica. It reaches every peer at 127.0.0.1 and the port that `portOf` gives, which stays the
     * same over restarts; without ports it finds them by id.
     */
    readonly transport: (
      members: ReplicaSet.Members,
      portOf: (peer: ReplicaId.ReplicaId) => number
    ) => Effect.Effect<PeerTransport.PeerTransport["Service"], unknown, Scope.Scope>
  }
>()("@quorum/testing/Wire") {}
