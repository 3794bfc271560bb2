/**
 * The state of this replica, to be read and not to be changed: who it is, what it holds, how its peers are.
 */
import { Context, Effect, Layer, Schema } from "effect"
import * as Life from "./identity/Life.ts"
import * as LogId from "./identity/LogId.ts"
import * as ReplicaId from "./identity/ReplicaId.ts"
import { BackupOrigin } from "./log/BackupOrigin.ts"
import * as Limits from "./log/Limits.ts"
import * as HybridLogicalClock from "./log/HybridLogicalClock.ts"
import { ReplicaClock } from "./log/ReplicaClock.ts"
import { ReplicaLogs } from "./log/ReplicaLogs.ts"
import * as ReplicaStore from "./log/ReplicaStore.ts"
import { Room, RoomStatus } from "./log/Room.ts"
import * as Watermark from "./log/Watermark.ts"
import * as Compaction from "./upkeep/Compaction.ts"
import * as Scrub from "./upkeep/Scrub.ts"
import * as Frontier from "./peer/Frontier.ts"
import * as GivenUp from "./peer/GivenUp.ts"
import * as PeerProtocol from "./peer/PeerProtocol.ts"
import { Membership } from "./peer/Membership.ts"
import type { RecoveryRefused } from "./peer/Recovery.ts"
import { Insecure } from "./peer/PeerSecret.ts"
import { Peers, type PeerState } from "./peer/Peers.ts"
import * as StableTime from "./peer/StableTime.ts"
import { PeerTransport } from "./peer/PeerTransport.ts"
import { Replication } from "./peer/Replication.ts"
import * as QuorumError from "./quorum/QuorumError.ts"
import * as QuorumPolicy from "./quorum/QuorumPolicy.ts"
import { IndexFollower } from "./record/IndexFollower.ts"
import { QuorumWriter } from "./write/QuorumWriter.ts"

export { RecoveryRefused } from "./peer/Recovery.ts"

/** What a replica knows about one of its peers. Times are milliseconds since the epoch. */
export const PeerStatus = Schema.Struct({
  replica: ReplicaId.ReplicaId,
  link: Schema.Literals(["connecting", "up", "down"]),
  /** Since when the link is up, or when the first of the failed tries in a row was; null while connecting. */
  since: Schema.NullOr(Schema.Finite),
  /** Why the link is down; null otherwise. */
  verdict: Schema.NullOr(QuorumError.Verdict),
  detail: Schema.NullOr(Schema.String),
  /** Whether it counts for a quorum, as it said last. */
  voting: Schema.Boolean,
  /** How far the peer holds the log of the replica that answers, and how many entries it is behind. */
  watermark: LogId.Sequence,
  lag: LogId.Sequence,
  /** The logs of which the peer's copy differs, until one of the two has given its side up; see `givenUp`. */
  drifted: Schema.Array(LogId.LogId),
  /** The peer's clock minus this replica's; null before the first handshake. */
  clockSkewMillis: Schema.NullOr(Schema.Finite),
  /** Pushes to the peer that have no answer yet, and the bytes of their entries. */
  pushes: Schema.Int,
  pushBytes: Schema.Int,
  /**
   * `marked`: this replica has marked it as away too long. `left_out`: a majority has, so it holds nothing back, and
   * recovers when it comes back. null when it is neither.
   */
  away: Schema.NullOr(Schema.Literals(["marked", "left_out"])),
  /** Bytes of requests that wait in the connection to the peer; null when its transport cannot know it. */
  connectionBytes: Schema.NullOr(Schema.Int)
})

/** What a replica knows about one of its peers. */
export type PeerStatus = typeof PeerStatus.Type

/** The state of a replica. */
export class Status extends Schema.Opaque<Status>()(
  Schema.Struct({
    identity: ReplicaStore.StoreIdentity,
    /** The log that this replica writes. */
    log: LogId.LogId,
    /** The versions of the peer protocol that this replica speaks. */
    protocolVersions: Schema.Array(Schema.Int),
    /** The policy of writes whose namespace has none of its own. */
    policy: QuorumPolicy.QuorumPolicy,
    limits: Limits.LimitsJson,
    /** Whether this replica may append: it votes, and has asked its peers since it started what they know of it. */
    recovered: Schema.Boolean,
    /** Whether it counts for a quorum and serves reads: it holds all that it was ever counted for. */
    voting: Schema.Boolean,
    /** Whether its store was created empty, and nobody has told it since whether that was a first start or a loss. */
    blank: Schema.Boolean,
    /**
     * The backup that its store was filled from, unless it has recovered from members since; null when there is none. Of
     * members that begin together all have to have the same.
     */
    restoredFrom: Schema.NullOr(BackupOrigin),
    /** Whether reads are answered: not while the record index, which was damaged, is built again from the logs. */
    readable: Schema.Boolean,
    /** Why it does not vote, or must not write; null when it may. */
    obstacle: Schema.NullOr(Schema.String),
    /**
     * How many entries it has to fetch before it votes, as far as members have answered, those that they have erased
     * included; 0 when it votes.
     */
    toFetch: Schema.Int,
    /** Whether peers prove nothing to it, so that whoever reaches its port can be one. */
    insecure: Schema.Boolean,
    /** What was in doubt when its store was opened. */
    doubt: ReplicaStore.Doubt,
    /** The newest life of each member that it knows of, its own among them. */
    members: Life.Lives,
    /**
     * Why the store or its index failed last, as long as it has not worked since; null when both work. What could not be
     * read is tried again every second.
     */
    storeFault: Schema.NullOr(Schema.Struct({ reason: ReplicaStore.StoreErrorReason, detail: Schema.String })),
    /**
     * For how many milliseconds the disk of this replica has not answered an append, of its own writes or of a peer's, once
     * that is a second; 0 while it answers.
     */
    diskStalledMillis: Schema.Finite,
    /** Entries that are held here and cannot be read any more. They do not count as held, and are fetched from peers. */
    damaged: Schema.Array(ReplicaStore.DamagedRange),
    /** What of it no member has: all of them have said so, and it is not waited for any more. */
    lost: Schema.Array(ReplicaStore.DamagedRange),
    /**
     * What was committed again here, under this replica's own log, because the log that held it forked and goes on with
     * the entries of another member, or has lost what is before; the newest last.
     */
    givenUp: Schema.Array(GivenUp.GivenUp),
    /** When all that is stored was read again last. */
    scrub: Scrub.ScrubStatus,
    /** What of the logs is live, what was taken out of them last, and what may go. */
    compaction: Compaction.CompactionStatus,
    /** How much room the store has, and whether puts are refused because there is too little. */
    room: RoomStatus,
    /** Where the clock of this replica is: every later stamp comes after it. */
    clock: HybridLogicalClock.HybridLogicalClock,
    /**
     * By how many milliseconds this replica's wall clock is beyond its bound from the middle of all clocks, and is not
     * followed: above 0 when it is ahead, below when it is behind, 0 when all is well.
     */
    clockHeldMillis: Schema.Finite,
    /** Keys whose newest version was stamped by a clock so far ahead that it is not followed. */
    farKeys: Schema.Int,
    /** How far this replica holds every log. */
    vector: Watermark.VersionVector,
    /** How far every member holds each log, and who holds that back. */
    frontier: Schema.Array(Frontier.LogFrontier),
    /** At or before which clock nothing unknown can appear, and who holds that back. */
    stableTime: StableTime.Stable,
    peers: Schema.Array(PeerStatus),
    /** Writes that wait for an append or for acks. */
    waitingWrites: Schema.Int,
    /** Bytes of the values that wait for an append. */
    waitingBytes: Schema.Int,
    /** How much may wait before further writes are refused, and how many pushes may be under way to one peer. */
    caps: Schema.Struct({ waitingWrites: Schema.Int, waitingBytes: Schema.Int, pushes: Schema.Int }),
    /** Keys whose newest write the record index does not have yet; reads see them all the same. */
    unindexedKeys: Schema.Int
  })
) {}

/** The state of this replica. Every call looks anew. */
export class ReplicaStatus extends Context.Service<
  ReplicaStatus,
  {
    readonly current: () => Status
    /** What would be lost, in words, if these members were given up by `recover`. Changes nothing. */
    readonly lossOf: (givenUp: ReadonlyArray<ReplicaId.ReplicaId>) => Effect.Effect<string, RecoveryRefused>
    /**
     * Has a replica that does not vote wait no longer for the members that are given up: a replica set of which only some
     * begin, or of which too many were lost at once. What only those members hold is lost; what that means is said in
     * the log first, and answered. It holds until this process ends, and for each of them until it votes again.
     */
    readonly recover: (givenUp: ReadonlyArray<ReplicaId.ReplicaId>) => Effect.Effect<string, RecoveryRefused>
    /** Reads all that is stored of the logs again now, and waits for the end. What is damaged shows in `damaged`. */
    readonly scrub: Effect.Effect<Scrub.ScrubStatus, ReplicaStore.StoreError>
    /** Compacts the logs now, without the pauses of what goes on in the background, and waits for the end. */
    readonly compact: Effect.Effect<Compaction.CompactionStatus, ReplicaStore.StoreError>
  }
>()("@quorum/core/ReplicaStatus") {}

/** Looks at the parts of a replica. */
export const layer = Layer.effect(
  ReplicaStatus,
  Effect.gen(function* () {
    const writer = yield* QuorumWriter
    const logs = yield* ReplicaLogs
    const clock = yield* ReplicaClock
    const peers = yield* Peers
    const replication = yield* Replication
    const follower = yield* IndexFollower
    const membership = yield* Membership
    const store = yield* ReplicaStore.ReplicaStore
    const scrub = yield* Scrub.Scrub
    const frontier = yield* Frontier.Frontier
    const stableTime = yield* StableTime.StableTime
    const compaction = yield* Compaction.Compaction
    const room = yield* Room
    const limits = yield* Limits.Limits
    const transport = yield* PeerTransport
    const insecure = yield* Insecure
    const caps = {
      waitingWrites: writer.caps.writes,
      waitingBytes: writer.caps.bytes,
      pushes: transport.maxInFlight
    }
    const statusOfPeer = (peer: PeerState): PeerStatus => ({
      ...statusOf(peer, logs.own, logs.head(logs.own).seq),
      away: Life.isLeftOut(Life.of(membership.lives(), peer.id))
        ? "left_out"
        : Object.hasOwn(membership.marked(), peer.id)
          ? "marked"
          : null,
      connectionBytes: transport.waitingBytes?.(peer.id) ?? null
    })
    return ReplicaStatus.of({
      lossOf: membership.lossOf,
      recover: membership.recover,
      scrub: scrub.now,
      compact: compaction.now,
      current: () => {
        const fault = logs.fault() ?? follower.fault()
        return {
          identity: logs.identity,
          log: logs.own,
          protocolVersions: PeerProtocol.versions,
          policy: writer.policy,
          limits,
          recovered: replication.isReady(),
          voting: membership.isVoting(),
          blank: membership.isBlank(),
          restoredFrom: membership.restoredFrom() ?? null,
          readable: membership.isVoting() && !follower.isBuilding(),
          obstacle: membership.obstacle() ?? null,
          toFetch: membership.toFetch(),
          insecure,
          doubt: store.doubt,
          members: membership.lives(),
          storeFault: fault === undefined ? null : { reason: fault.reason, detail: fault.detail },
          diskStalledMillis: logs.stalledMillis(),
          damaged: logs.damaged(),
          lost: membership.lost(),
          givenUp: membership.kept.all(),
          scrub: scrub.status(),
          compaction: compaction.status(),
          room: room.status(),
          clock: clock.current(),
          clockHeldMillis: clock.time().heldMillis,
          farKeys: clock.farKeys(),
          vector: logs.vector(),
          frontier: frontier.current(),
          stableTime: stableTime.current(),
          peers: peers.all().map(statusOfPeer),
          waitingWrites: writer.waiting(),
          waitingBytes: writer.waitingBytes(),
          caps,
          unindexedKeys: follower.unindexed()
        }
      }
    })
  })
)

// ---------------------------------------------------------------------------------------------------------------------

const statusOf = (
  { clockSkewMillis, drifted, id, link, pushes, voting, watermarks }: PeerState,
  own: LogId.LogId,
  head: number
): Omit<PeerStatus, "away" | "connectionBytes"> => {
  const watermark = watermarks.get(own)?.seq ?? 0
  const down = link._tag === "Down"
  return {
    replica: id,
    voting,
    link: down ? "down" : link._tag === "Up" ? "up" : "connecting",
    since: link._tag === "Connecting" ? null : link.sinceWallMillis,
    verdict: down ? link.verdict : null,
    detail: down ? link.detail : null,
    watermark,
    lag: Math.max(0, head - watermark),
    drifted: Array.from(drifted),
    clockSkewMillis: clockSkewMillis ?? null,
    pushes: pushes.count,
    pushBytes: pushes.bytes
  }
}
