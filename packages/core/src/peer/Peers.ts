/**
 * What is known about each peer: whether it can be reached, what it holds, and where its copy differs.
 *
 * The replicators write it; the writer and the status read it and listen to it.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { EventSink } from "../events/EventSink.ts"
import type * as LogId from "../identity/LogId.ts"
import type * as QuorumError from "../quorum/QuorumError.ts"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as Listeners from "../log/Listeners.ts"
import * as Monotonic from "../log/Monotonic.ts"
import type { Watermark } from "../log/Watermark.ts"
import * as Known from "./internal/Known.ts"

/** Whether a peer can be reached. */
export type Link =
  /** Not tried to the end yet. */
  | { readonly _tag: "Connecting" }
  /** The handshake was accepted. */
  | { readonly _tag: "Up"; readonly sinceWallMillis: number }
  /** The last try failed; since when the tries have failed, by the wall clock and by a monotonic one. */
  | {
      readonly _tag: "Down"
      readonly sinceWallMillis: number
      readonly sinceMonotonicMillis: number
      readonly verdict: QuorumError.Verdict
      readonly detail: string
    }

/** What is known about one peer. */
export interface PeerState {
  readonly id: ReplicaId.ReplicaId
  readonly link: Link
  /** The newest incarnation of it that is known. */
  readonly incarnation?: LogId.Incarnation | undefined
  /** Whether it counts for a quorum: as it said last. */
  readonly voting: boolean
  /** Since when it does not, by a monotonic clock; `undefined` while it does. */
  readonly notVotingSinceMillis: number | undefined
  /** How far it durably holds each log, as far as it said and the chain agreed. */
  readonly watermarks: ReadonlyMap<LogId.LogId, Watermark>
  /** How the newest of them became known. */
  readonly heard: ReadonlyMap<LogId.LogId, Heard>
  /** The logs of which its copy differs from ours. */
  readonly drifted: ReadonlySet<LogId.LogId>
  /** The first entry of a log that it rejected; it takes nothing of that log from there on. */
  readonly rejected: ReadonlyMap<LogId.LogId, { readonly seq: number; readonly detail: string }>
  /** Its clock minus ours in milliseconds, measured at the last handshake; `undefined` before the first. */
  readonly clockSkewMillis: number | undefined
  /** The pushes to it that have no answer yet, and the bytes of their entries. */
  readonly pushes: Pushes
}

/** How a watermark became known: by a push, its ack or that of the log's owner, or by comparing version vectors. */
export type Heard = "push" | "vector"

/** Pushes that are under way. */
export interface Pushes {
  readonly count: number
  readonly bytes: number
}

/** Something that was learnt about a peer, and when, by a monotonic clock. */
export type PeerEvent = { readonly peer: ReplicaId.ReplicaId; readonly monotonicMillis: number } &
  /** From which incarnation of the peer it came: that of a former life counts for nothing. */
  (
    | {
        readonly _tag: "Ack"
        readonly watermark: Watermark
        readonly how: Heard
        readonly incarnation: LogId.Incarnation
      }
    /** All that the peer acked before is taken back: it has another life, or does not vote. */
    | { readonly _tag: "TakenBack" }
    | { readonly _tag: "Drift"; readonly log: LogId.LogId }
    /** Other entries of a log are held here after a place: what was known of the peer's copy was of those before. */
    | { readonly _tag: "Replaced"; readonly log: LogId.LogId; readonly after: number }
    /** The entry that was rejected, and with it all that follow. */
    | { readonly _tag: "Rejected"; readonly log: LogId.LogId; readonly seq: number; readonly detail: string }
    | { readonly _tag: "Link"; readonly link: Link }
  )

/** What is known about the peers. */
export class Peers extends Context.Service<
  Peers,
  {
    /** The state of a peer. */
    readonly get: (peer: ReplicaId.ReplicaId) => PeerState
    /** The states of all peers, in the order of the replica set. */
    readonly all: () => ReadonlyArray<PeerState>
    /** Records what was learnt and tells the listeners. An ack that says nothing new is dropped. */
    readonly report: (event: PeerEvent) => void
    /** Records the measured difference of the clocks. */
    readonly reportSkew: (peer: ReplicaId.ReplicaId, millis: number) => void
    /** Records which pushes are under way. */
    readonly reportPushes: (peer: ReplicaId.ReplicaId, pushes: Pushes) => void
    /** A peer is known to have this incarnation now. What another acked is taken back. */
    readonly met: (peer: ReplicaId.ReplicaId, incarnation: LogId.Incarnation) => void
    /** A peer says whether it votes. While it does not, its acks count for nothing. */
    readonly votes: (peer: ReplicaId.ReplicaId, voting: boolean) => void
    /**
     * Forgets what a peer holds and where it differs. Called on every new connection, before what the peer says there
     * is reported: it may have been wiped, restored or mended since.
     */
    readonly reset: (peer: ReplicaId.ReplicaId) => void
    /** Calls `listener` for every event, in order. It must not throw and must be quick. Returns how to stop it. */
    readonly listen: (listener: (event: PeerEvent) => void) => () => void
  }
>()("@quorum/core/Peers") {}

/** Starts with every peer `Connecting`. */
export const make: Effect.Effect<Peers["Service"], never, ReplicaSet> = Effect.gen(function* () {
  const { peers } = yield* ReplicaSet
  const sink = yield* EventSink
  const clock = yield* Clock.Clock
  const states = new Map<ReplicaId.ReplicaId, Known.Known>()
  for (const id of peers) states.set(id, Known.nothing(id))
  const all = Array.from(states.values())
  const events = Listeners.make<PeerEvent>()
  const report = (event: PeerEvent): void => {
    const state = states.get(event.peer)
    if (state === undefined) return
    const before = state.link._tag
    if (!Known.learn(state, event)) return
    events.tell(event)
    // A peer that cannot be reached again and again changes nothing.
    if (sink.active() && !(event._tag === "Link" && event.link._tag === before)) tell(sink, event)
  }
  const takeBack = (peer: ReplicaId.ReplicaId): void =>
    report({ _tag: "TakenBack", peer, monotonicMillis: Monotonic.millis(clock) })
  return Peers.of({
    get: (peer) => states.get(peer)!,
    all: () => all,
    report,
    met: (peer, incarnation) => {
      const state = states.get(peer)
      if (state === undefined || state.incarnation === incarnation) return
      const isFirst = state.incarnation === undefined
      state.incarnation = incarnation
      if (!isFirst) takeBack(peer)
    },
    votes: (peer, voting) => {
      const state = states.get(peer)
      if (state === undefined || state.voting === voting) return
      state.voting = voting
      state.notVotingSinceMillis = voting ? undefined : Monotonic.millis(clock)
      if (!voting) takeBack(peer)
    },
    reportSkew: (peer, millis) => {
      const state = states.get(peer)
      if (state !== undefined) state.clockSkewMillis = millis
    },
    reportPushes: (peer, pushes) => {
      const state = states.get(peer)
      if (state !== undefined) state.pushes = pushes
    },
    reset: (peer) => {
      states.get(peer)?.watermarks.clear()
      states.get(peer)?.drifted.clear()
      states.get(peer)?.rejected.clear()
    },
    listen: events.listen
  })
})

/** Tells listeners what was learnt. */
const tell = (sink: EventSink, event: PeerEvent): void => {
  const { peer } = event
  switch (event._tag) {
    case "Ack":
      return sink.tell({ _tag: "Acked", peer, log: event.watermark.log, seq: event.watermark.seq })
    case "TakenBack":
      return sink.tell({ _tag: "TakenBack", peer })
    case "Drift":
      return sink.tell({ _tag: "Drifted", peer, log: event.log })
    // Told once, and not for each peer.
    case "Replaced":
      return
    case "Rejected":
      return sink.tell({ _tag: "Rejected", peer, log: event.log, seq: event.seq, detail: event.detail })
    case "Link":
      switch (event.link._tag) {
        case "Up":
          return sink.tell({ _tag: "LinkChanged", peer, link: "up", detail: "" })
        case "Down":
          return sink.tell({ _tag: "LinkChanged", peer, link: "down", detail: event.link.detail })
      }
  }
}

/** {@link make} as a layer. */
export const layer: Layer.Layer<Peers, never, ReplicaSet> = Layer.effect(Peers, make)
