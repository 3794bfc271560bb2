/**
 * The caller's side of a handshake: who is there, what it speaks, and how its clock differs.
 */
import { Clock, Effect, Result } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as Limits from "../../log/Limits.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as PeerMethods from "../PeerMethods.ts"
import { Peers } from "../Peers.ts"
import * as PeerProtocol from "../PeerProtocol.ts"
import { negotiate } from "./negotiate.ts"

/** Makes the handshakes of one replica. */
export const make = Effect.gen(function* () {
  const { cluster, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const clock = yield* Clock.Clock
  const sink = yield* EventSink
  const clockSkewWarn = yield* PeerProtocol.ClockSkewWarn
  const ours = { versions: PeerProtocol.versions, features: PeerProtocol.features, limits: yield* Limits.Limits }
  const now = () => clock.currentTimeMillisUnsafe()
  /** The peers whose clock is known to differ by too much: said once each time it begins. */
  const skewed = new Set<ReplicaId.ReplicaId>()

  const measured = (peer: ReplicaId.ReplicaId, skew: number, roundTrip: number) => {
    peers.reportSkew(peer, skew)
    if (sink.active()) sink.tell({ _tag: "SkewMeasured", peer, skewMillis: skew, roundTripMillis: roundTrip })
    const differs = Math.abs(skew) > clockSkewWarn
    const isNews = differs && !skewed.has(peer)
    if (differs) skewed.add(peer)
    else skewed.delete(peer)
    return isNews
      ? Effect.logWarning(`the clock of ${peer} differs by ${Math.round(skew)} ms; check the clocks of both`)
      : Effect.void
  }

  /** Why what answers is not the peer that was asked for, or speaks otherwise. */
  const objection = (peer: ReplicaId.ReplicaId, welcome: PeerProtocol.Welcome) => {
    if (welcome.replica !== peer || welcome.cluster !== cluster) {
      const detail = `${welcome.replica} of ${welcome.cluster} answers where ${peer} of ${cluster} was expected`
      return new PeerProtocol.HandshakeRefused({ reason: "wrong_replica", detail })
    }
    const agreement = negotiate(ours, welcome)
    return Result.isFailure(agreement) ? agreement.failure : undefined
  }

  const exchange = Effect.fnUntraced(function* (peer: ReplicaId.ReplicaId, client: PeerMethods.PeerClient) {
    const sentAt = now()
    const welcome = yield* client.hello({
      version: PeerProtocol.versions[0],
      ...ours,
      cluster,
      replica: self,
      incarnation: logs.identity.incarnation,
      vector: logs.vector(),
      sentAt
    })
    const refused = objection(peer, welcome)
    if (refused !== undefined) return yield* refused
    // Four timestamps, as in NTP (RFC 5905, section 8): half the round trip cancels out.
    const receivedAt = now()
    const skew = (welcome.receivedAt - sentAt + (welcome.sentAt - receivedAt)) / 2
    yield* measured(peer, skew, receivedAt - sentAt - (welcome.sentAt - welcome.receivedAt))
    return welcome
  })

  return (peer: ReplicaId.ReplicaId, client: PeerMethods.PeerClient) =>
    Effect.tapError(exchange(peer, client), (error) =>
      Effect.sync(() => {
        if (error._tag !== "HandshakeRefused" || !sink.active()) return
        sink.tell({ _tag: "HandshakeRefused", direction: "outgoing", peer, reason: error.reason })
      })
    )
})

/** Makes a handshake with a peer. */
export type Handshake = Effect.Success<typeof make>
