/**
 * One replica, composed: the writer, the reads, the handler that answers peers, and replication.
 *
 * Give it a store, an index and a transport, each a layer, and it is complete. Swapping one of the three is swapping
 * its layer.
 */
import { Duration, Layer } from "effect"
import * as PeerHandler from "./peer/PeerHandler.ts"
import * as PeerProtocol from "./peer/PeerProtocol.ts"
import * as Peers from "./peer/Peers.ts"
import * as QuorumWriter from "./write/QuorumWriter.ts"
import * as Records from "./record/Records.ts"
import * as ReplicaLogs from "./log/ReplicaLogs.ts"
import * as Replication from "./peer/Replication.ts"

/**
 * The services of a replica. What remains to be provided: `ReplicaSet`, `ReplicaStore`, `RecordIndex` and
 * `PeerTransport`. The transport's server needs `PeerHandler`, which is among the services.
 *
 * When its scope closes, the writer stops taking writes and finishes those under way, then replication stops, then the
 * index is brought up to the logs.
 */
export const layer = (options: Parameters<typeof QuorumWriter.make>[0]) =>
  QuorumWriter.layer(options).pipe(
    Layer.provideMerge(Replication.layer),
    Layer.provide(Layer.succeed(PeerProtocol.ClockSkewWarn, Duration.toMillis(options.policy.clockSkewWarn))),
    Layer.provideMerge(Layer.mergeAll(PeerHandler.layer, Peers.layer, Records.layer)),
    Layer.provideMerge(ReplicaLogs.layer),
    // Several replicas in one program must not share any of it, as layers that are used twice would.
    Layer.fresh
  )
