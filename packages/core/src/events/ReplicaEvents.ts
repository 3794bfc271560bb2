/**
 * What happens on a replica, told as values to whoever listens: metrics, traces, a log, a test.
 *
 * Listeners cannot take part: they get values, answer nothing, and what they throw is swallowed. Telling costs nothing
 * while nobody listens, and is done per batch, per peer or per change of state, never per write that goes well.
 */
import { Context, Effect, Latch, Layer, Queue, Stream } from "effect"
import type { Incarnation, LogId } from "../identity/LogId.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import type { RunId } from "../identity/RunId.ts"
import type { Reason } from "../quorum/QuorumError.ts"
import { EventSink } from "./EventSink.ts"

/** How a commit ended: with a receipt, or with the error of this name. */
export type CommitOutcome =
  | "committed"
  | "quorum_not_met"
  | "quorum_unavailable"
  | "local_write_failed"
  | "write_uncertain"
  | "write_rejected"
  | "overloaded"
  | "disk_low"
  | "not_ready"
  | "replica_closing"
  | "invalid_policy"

/** What a peer answered about the writes of one batch. */
export type PeerAnswer = "ack" | "late" | "id_drift" | "rejected" | "failed"

/** Something that happened. Durations are milliseconds of a monotonic clock, sizes bytes of entries. */
export type ReplicaEvent =
  /** Commits that were answered together. `durationMillis` runs from the append on; 0 when it was refused before. */
  | {
      readonly _tag: "CommitsEnded"
      readonly outcome: CommitOutcome
      /** Only of `quorum_not_met`. */
      readonly reason: Reason | undefined
      readonly writes: number
      readonly durationMillis: number
    }
  /**
   * A batch is durable here. `own` is whether this replica wrote it, `seq` the place of its last entry, `syncMillis` the
   * part of `durationMillis` in which the store made it durable, where the store knows that.
   */
  | {
      readonly _tag: "Appended"
      readonly log: LogId
      readonly own: boolean
      readonly seq: number
      readonly entries: number
      readonly bytes: number
      readonly durationMillis: number
      readonly syncMillis: number | undefined
    }
  /** An append failed. `reason` is the store's. */
  | { readonly _tag: "AppendFailed"; readonly log: LogId; readonly reason: string; readonly detail: string }
  /** A peer's answer about writes that wait, or that have their answer already (`late`). */
  | {
      readonly _tag: "PeerAnswered"
      readonly peer: ReplicaId
      readonly answer: PeerAnswer
      readonly writes: number
      readonly afterMillis: number
    }
  /** A peer is known to hold a log durably up to `seq`. */
  | { readonly _tag: "Acked"; readonly peer: ReplicaId; readonly log: LogId; readonly seq: number }
  /** A peer's copy of a log differs from the one here. */
  | { readonly _tag: "Drifted"; readonly peer: ReplicaId; readonly log: LogId }
  /** A peer will not take an entry, and so none after it. */
  | {
      readonly _tag: "Rejected"
      readonly peer: ReplicaId
      readonly log: LogId
      readonly seq: number
      readonly detail: string
    }
  /** A peer can be reached, or cannot any more. */
  | { readonly _tag: "LinkChanged"; readonly peer: ReplicaId; readonly link: "up" | "down"; readonly detail: string }
  /**
   * A handshake was refused: ours by a peer (`peer` is whom we called), or a caller's here (`peer` is who it claims to be,
   * if a member), which may not have come so far as to make one. `reason` is of `Refusals`, `address` the caller's.
   */
  | {
      readonly _tag: "HandshakeRefused"
      readonly direction: "incoming" | "outgoing"
      readonly peer: ReplicaId | undefined
      readonly reason: string
      readonly address: string | undefined
    }
  /**
   * The server of this replica ended a connection that cost more than it may. `reason` is of `Endings`, `address` that of
   * who had it, where the transport knows it.
   */
  | { readonly _tag: "ConnectionEnded"; readonly reason: string; readonly address: string | undefined }
  /** A peer has refused another live process that goes by the id of this replica. */
  | { readonly _tag: "RivalRefused"; readonly peer: ReplicaId; readonly run: RunId }
  /** A peer's clock minus this replica's, from the four timestamps of a handshake. */
  | {
      readonly _tag: "SkewMeasured"
      readonly peer: ReplicaId
      readonly skewMillis: number
      readonly roundTripMillis: number
    }
  /**
   * The own clock is beyond its bound from the middle of all clocks from now on, and is not followed: by how much, above
   * 0 when it is ahead, below when it is behind. 0: it is within the bound again.
   */
  | { readonly _tag: "ClockHeld"; readonly heldMillis: number }
  /** Entries were pulled from a peer. */
  | {
      readonly _tag: "CaughtUp"
      readonly peer: ReplicaId
      readonly log: LogId
      readonly entries: number
      readonly bytes: number
      readonly durationMillis: number
    }
  /** Pointers were merged into the record index. */
  | { readonly _tag: "IndexMerged"; readonly pointers: number; readonly durationMillis: number }
  /** Entries that were held cannot be read any more. */
  | { readonly _tag: "DamageFound"; readonly log: LogId; readonly from: number; readonly to: number }
  /** Entries that were damaged can be read again: they came from a peer. */
  | { readonly _tag: "DamageMended"; readonly log: LogId; readonly from: number; readonly to: number }
  /**
   * Entries of a log were committed again under the own log, since the log does not lead to the others with them: it
   * forked, or a part of it is lost.
   */
  | {
      readonly _tag: "CommittedAgain"
      readonly log: LogId
      /** The entries after this one, up to `upTo`. */
      readonly after: number
      readonly upTo: number
      /**
       * `fork`: `peer` holds other entries there, with which the log goes on; `lost`: no member has what is before; `away`:
       * nobody else held them when this replica came back.
       */
      readonly because: "fork" | "lost" | "away"
      readonly peer: ReplicaId | null
      /** How many of them were not committed again, and are gone: a delete that is forgotten may have come after them. */
      readonly dropped: number
    }
  /** A majority has marked this life of a member as away too long: it holds nothing back any more, and is not met again. */
  | { readonly _tag: "LeftOut"; readonly peer: ReplicaId; readonly incarnation: Incarnation }
  /** All that is stored of the logs was read again and compared with their chains. */
  | { readonly _tag: "Scrubbed"; readonly entries: number; readonly durationMillis: number }
  /** Not all of it could be read, and it is begun again in a minute. `reason` is the store's. */
  | { readonly _tag: "ScrubFailed"; readonly reason: string }
  /** A round took out of the logs what nobody needs any more; of entries, bytes that went, that are live, and that wait. */
  | {
      readonly _tag: "Compacted"
      readonly durationMillis: number
      readonly erasedBytes: number
      readonly liveBytes: number
      readonly waitingBytes: number
    }
  /** This replica may append now: it has asked its peers what it may lack, and votes. */
  | { readonly _tag: "Recovered" }
  /** What a peer acked before counts no more: it has another life, or does not vote. */
  | { readonly _tag: "TakenBack"; readonly peer: ReplicaId }
  /** This replica has another incarnation, and writes another log. */
  | { readonly _tag: "Renewed"; readonly incarnation: Incarnation; readonly because: string }
  /** This replica counts for a quorum from now on: the replica set begins, or it holds all that it may have acked. */
  | { readonly _tag: "VotingBegan"; readonly because: "founded" | "recovered" }

/** What happens on this replica. */
export class ReplicaEvents extends Context.Service<
  ReplicaEvents,
  {
    /**
     * Calls `listener` for every event, in order, from inside the work that it tells of: it has to be quick. What it
     * throws is swallowed. Returns how to stop it.
     */
    readonly listen: (listener: (event: ReplicaEvent) => void) => () => void
    /**
     * The events from now on, until the replica is closed. A reader that is slower than what happens misses the oldest of
     * more than 4,096.
     */
    readonly stream: Stream.Stream<ReplicaEvent>
  }
>()("@quorum/core/ReplicaEvents") {}

/** Both sides: what the rooms of core tell, and what listeners hear. */
export const layer: Layer.Layer<ReplicaEvents> = Layer.effectContext(
  Effect.gen(function* () {
    const listeners = new Set<(event: ReplicaEvent) => void>()
    const closed = Latch.makeUnsafe()
    yield* Effect.addFinalizer(() => closed.open)
    const sink = EventSink.of({
      active: () => listeners.size > 0,
      tell: (event) => {
        for (const listener of listeners) {
          try {
            listener(event)
          } catch {
            // A listener cannot take part, and so cannot fail what it listens to.
          }
        }
      }
    })
    const listen = (listener: (event: ReplicaEvent) => void): (() => void) => {
      // Each call is a listener of its own, also with the same function.
      const own = (event: ReplicaEvent): void => listener(event)
      listeners.add(own)
      return () => void listeners.delete(own)
    }
    const stream = Stream.callback<ReplicaEvent>(
      Effect.fnUntraced(function* (queue) {
        yield* Effect.acquireRelease(
          Effect.sync(() => listen((event) => void Queue.offerUnsafe(queue, event))),
          (stop) => Effect.sync(stop)
        )
        yield* closed.await
        yield* Queue.end(queue)
      }),
      { bufferSize: streamBuffer, strategy: "sliding" }
    )
    return Context.make(EventSink, sink).pipe(Context.add(ReplicaEvents, ReplicaEvents.of({ listen, stream })))
  })
)

// ---------------------------------------------------------------------------------------------------------------------

/** Events that wait for one slow reader of the stream. */
const streamBuffer = 4096
