/**
 * A replica's HTTP server, composed: what peers need, what clients need, or both on one port.
 *
 * Each layer needs an `HttpServer`, which a platform provides, and the services of `Replica.layer`.
 */
import type { ClientSessions, QuorumWriter, Records, ReplicaStatus } from "@quorum/core"
import { type PeerHandler, ReplicaServer } from "@quorum/core/adapter"
import { Layer } from "effect"
import type { HttpServer } from "effect/http"
import * as ClientApiServer from "./api/ClientApiServer.ts"
import * as HttpPeerServer from "./peer/HttpPeerServer.ts"

/** The services of a replica that clients are answered from. */
type ClientServices =
  | QuorumWriter.QuorumWriter
  | Records.Records
  | ClientSessions.ClientSessions
  | ReplicaStatus.ReplicaStatus

/** Routes for peers and for clients on one port. */
export const layer = (
  options?: HttpPeerServer.Options
): Layer.Layer<never, never, HttpServer.HttpServer | PeerHandler.PeerHandler | ClientServices> =>
  ReplicaServer.serve(Layer.mergeAll(HttpPeerServer.layer(options), ClientApiServer.layer))

/** Routes for peers only, for a port that clients do not reach. */
export const layerPeers = (
  options?: HttpPeerServer.Options
): Layer.Layer<never, never, HttpServer.HttpServer | PeerHandler.PeerHandler> =>
  ReplicaServer.serve(HttpPeerServer.layer(options))

/** Routes for clients only. */
export const layerClients: Layer.Layer<never, never, HttpServer.HttpServer | ClientServices> = ReplicaServer.serve(
  ClientApiServer.layer
)
