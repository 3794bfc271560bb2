/**
 * All services of a replica, those that applications never see among them.
 */
import { type Context, Duration, Effect, Layer } from "effect"
import * as ReplicaEvents from "../events/ReplicaEvents.ts"
import * as Backup from "../log/Backup.ts"
import * as ReplicaClock from "../log/ReplicaClock.ts"
import * as ReplicaLogs from "../log/ReplicaLogs.ts"
import * as Room from "../log/Room.ts"
import * as Compaction from "../upkeep/Compaction.ts"
import * as Scrub from "../upkeep/Scrub.ts"
import * as Connections from "../peer/Connections.ts"
import * as Frontier from "../peer/Frontier.ts"
import * as Membership from "../peer/Membership.ts"
import * as PeerHandler from "../peer/PeerHandler.ts"
import * as PeerProtocol from "../peer/PeerProtocol.ts"
import * as Peers from "../peer/Peers.ts"
import * as Probes from "../peer/Probes.ts"
import * as StableTime from "../peer/StableTime.ts"
import * as Sweeps from "../peer/Sweeps.ts"
import * as UndecidedKeys from "../peer/UndecidedKeys.ts"
import * as Replication from "../peer/Replication.ts"
import * as IndexFollower from "../record/IndexFollower.ts"
import * as LocalRecords from "../record/LocalRecords.ts"
import * as ClientSessions from "../read/ClientSessions.ts"
import * as Policies from "../read/Policies.ts"
import * as Records from "../read/Records.ts"
import * as ReplicaStatus from "../ReplicaStatus.ts"
import * as QuorumWriter from "../write/QuorumWriter.ts"

/** How a replica is built. */
export interface Options extends Policies.Options {
  /** How far a peer's clock may differ before that is said in the log; 30 seconds unless given. */
  readonly clockSkewWarn?: Duration.Input
  /**
   * How far this replica's clock may be from the middle of the members' clocks before it is held back, and how far it
   * follows a clock that it hears of; 60 seconds unless given.
   */
  readonly clockBound?: Duration.Input
  /** How often all that is stored is read again and compared with its checksums; once a day unless given. */
  readonly scrubEvery?: Duration.Input
  /**
   * How much of the time logs may be compacted in while writes come in, from 0 to 1: a tenth unless given, and 0 for never.
   * Without writes it works as fast as it can.
   */
  readonly compactionShare?: number
  /**
   * How many bytes of room are kept for deletes, compaction and what peers bring: with less left, puts are refused
   * (`DiskLow`). Unless given, 64 MiB, or a sixteenth of the disk, or of the most that the store may grow to, where that is
   * less; 0 for none.
   */
  readonly reserveBytes?: number
  /**
   * How long a member may be away before this replica marks it, so that the others go on without it when a majority has:
   * 7 days unless given, and `"Infinity"` for never. Counted from when it was heard of last, or from the start of this replica.
   */
  readonly awayAfter?: Duration.Input
  /** How many bytes may be appended here while a member is away before it is marked all the same; no bound unless given. */
  readonly awayBytes?: number
}

/**
 * The services of a replica. When its scope closes, the writer stops taking writes and finishes those under way, then
 * replication stops, then the index is brought up to the logs.
 */
export const parts = ({
  awayAfter,
  awayBytes,
  clockBound,
  clockSkewWarn,
  compactionShare,
  reserveBytes,
  scrubEvery,
  ...options
}: Options = {}) =>
  ReplicaStatus.layer.pipe(
    Layer.provideMerge(QuorumWriter.layer),
    Layer.provideMerge(Records.layer),
    Layer.provideMerge(ClientSessions.layer),
    Layer.provideMerge(Policies.layer(options)),
    Layer.provideMerge(Replication.layer),
    Layer.provideMerge(PeerHandler.layer),
    Layer.provideMerge(Probes.layer),
    Layer.provideMerge(Records.layerKeyReader),
    Layer.provideMerge(Layer.mergeAll(LocalRecords.layer, Connections.layer, UndecidedKeys.layer)),
    Layer.provideMerge(
      Compaction.layer.pipe(
        Layer.provideMerge(Sweeps.layer),
        Layer.provideMerge(StableTime.layer),
        Layer.provideMerge(Frontier.layer)
      )
    ),
    Layer.provideMerge(Membership.layer),
    Layer.provideMerge(Peers.layer),
    Layer.provideMerge(Scrub.layer),
    Layer.provideMerge(IndexFollower.layer),
    Layer.provideMerge(Layer.mergeAll(Backup.layer, Room.layer)),
    Layer.provideMerge(ReplicaLogs.layer),
    Layer.provideMerge(ReplicaEvents.layer),
    Layer.provide(
      Layer.mergeAll(
        millisOf(PeerProtocol.ClockSkewWarn, clockSkewWarn),
        millisOf(ReplicaClock.ClockBound, clockBound),
        millisOf(Scrub.ScrubInterval, scrubEvery),
        millisOf(Membership.AwayAfter, awayAfter),
        awayBytes === undefined ? Layer.empty : Layer.succeed(Membership.AwayBytes, awayBytes),
        compactionShare === undefined ? Layer.empty : Layer.succeed(Compaction.CompactionShare, compactionShare),
        reserveBytes === undefined ? Layer.empty : Layer.succeed(Room.Reserve, reserveBytes)
      )
    ),
    // Several replicas in one program must not share any of it, as layers that are used twice would.
    Layer.fresh
  )

// ---------------------------------------------------------------------------------------------------------------------

/** Sets a number of milliseconds when a duration is given. */
const millisOf = (reference: Context.Reference<number>, duration: Duration.Input | undefined): Layer.Layer<never> =>
  duration === undefined
    ? Layer.empty
    : Layer.effect(
        reference,
        Effect.sync(() => Duration.toMillis(Duration.fromInputUnsafe(duration)))
      )
