/**
 * The caller's side of the handshake: who is there, what both speak, and how far the two clocks differ.
 */
import { Clock, Effect, Option, Result } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import * as Tracing from "../../events/Tracing.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { RunId } from "../../identity/RunId.ts"
import { type Members, ReplicaSet } from "../../identity/ReplicaSet.ts"
import { printable } from "../../log/Detail.ts"
import type { Reading } from "../../log/EffectiveTime.ts"
import * as Limits from "../../log/Limits.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { ReplicaClock } from "../../log/ReplicaClock.ts"
import { Membership } from "../Membership.ts"
import * as OwnStore from "./OwnStore.ts"
import type * as PeerMethods from "../PeerMethods.ts"
import * as PeerProtocol from "../PeerProtocol.ts"
import { Peers } from "../Peers.ts"
import { StableTime } from "../StableTime.ts"
import { Sweeps } from "../Sweeps.ts"
import { negotiate, offer } from "./negotiate.ts"

/** Why a caller does not accept the answer to its handshake: another replica answers, or they do not fit together. */
export const refusalOf = (
  welcome: PeerProtocol.Welcome,
  peer: ReplicaId,
  { cluster }: Members,
  ours: Parameters<typeof negotiate>[0]
): PeerProtocol.HandshakeRefused | undefined => {
  if (welcome.replica === peer && welcome.cluster === cluster) {
    return Option.getOrUndefined(Result.getFailure(negotiate(ours, welcome)))
  }
  const detail = `${welcome.replica} of ${printable(welcome.cluster)} answers where ${peer} of ${cluster} was expected`
  return new PeerProtocol.HandshakeRefused({ reason: "wrong_replica", detail })
}

/**
 * The other's clock when its answer is back, in milliseconds since the epoch: since it answered, half of what the way there
 * and back took has passed. As with the four timestamps of NTP (RFC 5905, section 8), but the round trip is told by a clock
 * that nobody sets: half of a jump of the own wall clock would be in the measure otherwise.
 */
export const clockOf = (
  { receivedAt, sentAt }: Pick<PeerProtocol.Welcome, "receivedAt" | "sentAt">,
  roundTripMillis: number
): number => sentAt + wayOf({ receivedAt, sentAt }, roundTripMillis) / 2

/** What the way there and back took. The other's clock may have been set between its two times. */
const wayOf = (
  { receivedAt, sentAt }: Pick<PeerProtocol.Welcome, "receivedAt" | "sentAt">,
  roundTripMillis: number
): number => roundTripMillis - Math.min(Math.max(0, sentAt - receivedAt), roundTripMillis)

/** How long an answer took in all, and what the own clocks were when it was back. */
interface Back extends Reading {
  readonly roundTripMillis: number
}

/** A life of a peer answers of which a newer one is known: nothing is taken from it (see `Floors`). */
const formerLife = ({ incarnation, replica }: PeerProtocol.Welcome) =>
  new PeerProtocol.HandshakeRefused({
    reason: "stale_incarnation",
    detail: `${replica} answers as ${incarnation}, and a newer life of it is known`
  })

/** Compares what a peer holds with what is held here, before what it says counts for anything. */
type Compare = (welcome: PeerProtocol.Welcome) => Effect.Effect<void>

/** Makes the handshakes of this replica with its peers. */
export const make = Effect.gen(function* () {
  const members = yield* ReplicaSet
  const peers = yield* Peers
  const membership = yield* Membership
  const stableTime = yield* StableTime
  const sweeps = yield* Sweeps
  const store = OwnStore.make(yield* PeerProtocol.HeartbeatInterval)
  const sink = yield* EventSink
  const clock = yield* Clock.Clock
  const ownClock = yield* ReplicaClock
  const clockSkewWarn = yield* PeerProtocol.ClockSkewWarn
  const ours = offer(yield* Limits.Limits, yield* Tracing.make)
  /** The peers whose clock is known to differ by too much: said once each time it begins. */
  const skewed = new Set<ReplicaId>()
  /** The runs of other processes with this id that peers have told of last. */
  const rivals = new Map<ReplicaId, RunId>()

  const measured = (peer: ReplicaId, welcome: PeerProtocol.Welcome, back: Back) =>
    Effect.suspend(() => {
      const wallMillis = clockOf(welcome, back.roundTripMillis)
      const skewMillis = wallMillis - back.wallMillis
      peers.reportSkew(peer, skewMillis)
      ownClock.measured(peer, { wallMillis, monotonicMillis: back.monotonicMillis })
      if (sink.active()) {
        sink.tell({ _tag: "SkewMeasured", peer, skewMillis, roundTripMillis: wayOf(welcome, back.roundTripMillis) })
      }
      const differs = Math.abs(skewMillis) > clockSkewWarn
      const isNews = differs && !skewed.has(peer)
      if (differs) skewed.add(peer)
      else skewed.delete(peer)
      const by = Math.round(skewMillis)
      const warning = `the clock of ${peer} differs by ${by} ms; check the clocks of both`
      return Effect.andThen(isNews ? Effect.logWarning(warning) : Effect.void, ownClock.report)
    })

  /** Another process goes by this replica's id. It was refused, so this one goes on. */
  const heardOf = (peer: ReplicaId, rival: RunId | undefined) =>
    Effect.suspend(() => {
      if (rivals.get(peer) === rival) return Effect.void
      if (rival === undefined) return Effect.sync(() => void rivals.delete(peer))
      rivals.set(peer, rival)
      if (sink.active()) sink.tell({ _tag: "RivalRefused", peer, run: rival })
      return Effect.logError(`another live process has the id ${members.self}: ${peer} has refused it; stop that one`)
    })

  const ask = Effect.fnUntraced(function* (peer: ReplicaId, client: PeerMethods.PeerClient, compare: Compare) {
    const began = Monotonic.millis(clock)
    const said = membership.says(peer)
    const welcome = yield* client.hello({
      ...ours,
      version: PeerProtocol.versions[0],
      cluster: members.cluster,
      replica: members.self,
      ...said,
      swept: sweeps.own(),
      everSwept: sweeps.ever(),
      stale: membership.isStale(),
      vector: membership.vector(peer),
      sentAt: clock.currentTimeMillisUnsafe()
    })
    const monotonicMillis = Monotonic.millis(clock)
    const back = {
      wallMillis: clock.currentTimeMillisUnsafe(),
      monotonicMillis,
      roundTripMillis: monotonicMillis - began
    }
    const refused = refusalOf(welcome, peer, members, ours)
    if (refused !== undefined) return yield* refused
    if (membership.isFormer(peer, welcome.incarnation)) return yield* formerLife(welcome)
    yield* store.patiently("note the lives of the members", membership.meet(welcome))
    // Before what it holds is counted: it may have committed something again to hold that.
    stableTime.heard(welcome)
    sweeps.heard(welcome)
    peers.votes(peer, welcome.voting)
    yield* compare(welcome)
    if (!membership.isVoting()) yield* store.patiently("note how far the members have swept", sweeps.noted)
    yield* store.patiently("note who is there again", membership.answered(said, welcome))
    yield* heardOf(peer, welcome.rival)
    yield* measured(peer, welcome, back)
    return welcome
  })

  return (peer: ReplicaId, client: PeerMethods.PeerClient, compare: Compare) =>
    Effect.tapError(ask(peer, client, compare), (error) =>
      Effect.suspend(() => {
        if (error._tag !== "HandshakeRefused") return Effect.void
        if (sink.active()) {
          sink.tell({ _tag: "HandshakeRefused", direction: "outgoing", peer, reason: error.reason, address: undefined })
        }
        return store.patiently("take another life", membership.refused(peer, error))
      })
    )
})
