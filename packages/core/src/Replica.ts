/**
 * One replica, composed: the writer, the reads, the handler that answers peers, and replication.
 *
 * Give it a store, an index and a transport, each a layer, and it is complete. Swapping one of the three is swapping
 * its layer.
 */
import { Context, Effect, Layer } from "effect"
import { EventSink } from "./events/EventSink.ts"
import { ReplicaEvents } from "./events/ReplicaEvents.ts"
import * as InvalidOptions from "./internal/InvalidOptions.ts"
import { type Options, parts } from "./internal/parts.ts"
import { Backup } from "./log/Backup.ts"
import { PeerHandler } from "./peer/PeerHandler.ts"
import { ClientSessions } from "./read/ClientSessions.ts"
import { Records } from "./read/Records.ts"
import { ReplicaStatus } from "./ReplicaStatus.ts"
import { QuorumWriter } from "./write/QuorumWriter.ts"

export { InvalidOptions } from "./internal/InvalidOptions.ts"
export type { Options } from "./internal/parts.ts"

/** What a replica is to an application, and to the server that answers its peers. */
export type Services = QuorumWriter | Records | ClientSessions | ReplicaStatus | ReplicaEvents | Backup | PeerHandler

/**
 * The services of a replica. What remains to be provided: `ReplicaSet`, `ReplicaStore`, `RecordIndex` and
 * `PeerTransport`. The transport's server needs `PeerHandler`, which is among the services. What a replica is made of
 * inside is not: whoever could report an ack there could make a receipt of nothing.
 *
 * When its scope closes, the writer stops taking writes and finishes those under way, then replication stops, then the
 * index is brought up to the logs. `InvalidOptions` names an option that cannot be used; nothing is opened then.
 *
 * As any layer, this one is built once in a program, whoever it is provided to: each call makes the layer of another replica.
 * Two replicas on one store are refused, as `StoreError` with `locked`.
 */
export const layer = (options: Options = {}) =>
  Layer.effectContext(
    Effect.map(
      Effect.andThen(InvalidOptions.check(options), Layer.build(parts(options))),
      // Where the transport's server tells whom it turned away.
      Context.pick(EventSink, QuorumWriter, Records, ClientSessions, ReplicaStatus, ReplicaEvents, Backup, PeerHandler)
    )
  )
