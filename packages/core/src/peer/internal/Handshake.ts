/**
 * The handshake, from both ends: what is refused, and why; what the two clocks say.
 */
import { Clock, Effect, Option } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import { type Members, ReplicaSet } from "../../identity/ReplicaSet.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as PeerProtocol from "../PeerProtocol.ts"
import { Peers } from "../Peers.ts"

/** Why the handshake of a caller is refused; `isTaken` is whether another live replica has its id. */
export const refusalOf = (
  hello: PeerProtocol.Hello,
  members: Members,
  proven: Option.Option<ReplicaId>,
  isTaken: boolean
): PeerProtocol.HandshakeRefused | undefined => {
  if (hello.version !== PeerProtocol.version) {
    return refuse("version", `protocol version ${hello.version}, here it is ${PeerProtocol.version}`)
  }
  if (hello.cluster !== members.cluster) {
    return refuse("wrong_cluster", `this replica belongs to ${members.cluster}, the caller to ${hello.cluster}`)
  }
  if (hello.replica === members.self) return refuse("self", `${hello.replica} is the replica that was called`)
  if (!members.peers.includes(hello.replica)) return refuse("stranger", `${hello.replica} is not a member`)
  if (Option.isSome(proven) && proven.value !== hello.replica) {
    return refuse("identity_mismatch", `the connection proves ${proven.value}, the caller claims ${hello.replica}`)
  }
  return isTaken ? refuse("duplicate", `another live replica uses the id ${hello.replica}`) : undefined
}

/** Why a caller does not accept the answer to its handshake. */
export const refusalOfWelcome = (
  welcome: PeerProtocol.Welcome,
  peer: ReplicaId,
  { cluster }: Members
): PeerProtocol.HandshakeRefused | undefined =>
  welcome.replica === peer && welcome.cluster === cluster
    ? undefined
    : refuse(
        "wrong_replica",
        `${welcome.replica} of ${welcome.cluster} answers where ${peer} of ${cluster} was expected`
      )

/** The other's clock minus ours: four timestamps, as in NTP (RFC 5905, section 8); half the round trip cancels out. */
export const skewOf = (sentAt: number, receivedAt: number, answeredAt: number, backAt: number): number =>
  (receivedAt - sentAt + (answeredAt - backAt)) / 2

/** Makes the handshakes of this replica with its peers. */
export const make = Effect.gen(function* () {
  const members = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const sink = yield* EventSink
  const clock = yield* Clock.Clock
  const clockSkewWarn = yield* PeerProtocol.ClockSkewWarn
  /** The peers whose clock is known to differ by too much: said once each time it begins. */
  const skewed = new Set<ReplicaId>()

  const measured = (peer: ReplicaId, skewMillis: number, roundTripMillis: number) =>
    Effect.suspend(() => {
      peers.reportSkew(peer, skewMillis)
      if (sink.active()) sink.tell({ _tag: "SkewMeasured", peer, skewMillis, roundTripMillis })
      const differs = Math.abs(skewMillis) > clockSkewWarn
      const isNews = differs && !skewed.has(peer)
      if (differs) skewed.add(peer)
      else skewed.delete(peer)
      const by = Math.round(skewMillis)
      return isNews
        ? Effect.logWarning(`the clock of ${peer} differs by ${by} ms; check the clocks of both`)
        : Effect.void
    })

  const ask = Effect.fnUntraced(function* (peer: ReplicaId, client: PeerProtocol.PeerClient) {
    const sentAt = clock.currentTimeMillisUnsafe()
    const welcome = yield* client.hello({
      version: PeerProtocol.version,
      cluster: members.cluster,
      replica: members.self,
      incarnation: logs.identity.incarnation,
      vector: logs.vector(),
      sentAt
    })
    const backAt = clock.currentTimeMillisUnsafe()
    const refused = refusalOfWelcome(welcome, peer, members)
    if (refused !== undefined) return yield* refused
    const skew = skewOf(sentAt, welcome.receivedAt, welcome.sentAt, backAt)
    yield* measured(peer, skew, backAt - sentAt - (welcome.sentAt - welcome.receivedAt))
    return welcome
  })

  return (peer: ReplicaId, client: PeerProtocol.PeerClient) =>
    Effect.tapError(ask(peer, client), (error) =>
      Effect.sync(() => {
        if (error._tag !== "HandshakeRefused" || !sink.active()) return
        sink.tell({ _tag: "HandshakeRefused", direction: "outgoing", peer, reason: error.reason })
      })
    )
})

// ---------------------------------------------------------------------------------------------------------------------

const refuse = (reason: PeerProtocol.HandshakeRefused["reason"], detail: string) =>
  new PeerProtocol.HandshakeRefused({ reason, detail })
