/**
 * The receiving side of the peer protocol: the handshake, pushes into the store, pulls out of it.
 */
import { Clock, Context, Effect, Layer, Option, Random, Result } from "effect"
import * as EntryBatch from "../log/EntryBatch.ts"
import * as Monotonic from "../log/Monotonic.ts"
import * as LogId from "../identity/LogId.ts"
import type * as PeerFrame from "./PeerFrame.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import { EventSink } from "../events/EventSink.ts"
import type { ReplicaEvent } from "../events/ReplicaEvents.ts"
import * as Handshake from "./internal/Handshake.ts"
import * as Sessions from "./internal/Sessions.ts"
import * as ReplicaStore from "../log/ReplicaStore.ts"

/** Answers peers. A transport's server calls it, one method per request of the protocol. */
export class PeerHandler extends Context.Service<PeerHandler, PeerProtocol.PeerProtocol<never>>()(
  "@quorum/core/PeerHandler"
) {}

/** How many heartbeats a silent peer keeps its session, and with it its id. */
const sessionHeartbeats = 3

/** Builds the handler on the logs of this replica. */
export const make: Effect.Effect<PeerHandler["Service"], never, ReplicaLogs | ReplicaSet> = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const members = yield* ReplicaSet
  const sink = yield* EventSink
  const clock = yield* Clock.Clock
  const sessions = Sessions.make(sessionHeartbeats * (yield* PeerProtocol.HeartbeatInterval))

  const enter = (id: string) =>
    Effect.flatMap(PeerProtocol.ProvenIdentity, (proven): Effect.Effect<Sessions.Session, SessionUnknown> => {
      const session = sessions.enter(id, proven, Monotonic.millis(clock))
      return session === undefined ? Effect.fail(new SessionUnknown()) : Effect.succeed(session)
    })

  const hello = Effect.fnUntraced(function* (said: PeerProtocol.Hello) {
    const receivedAt = clock.currentTimeMillisUnsafe()
    const monotonicMillis = Monotonic.millis(clock)
    const { incarnation, replica: peer } = said
    const isTaken = sessions.isTaken(peer, incarnation, monotonicMillis)
    const refused = Handshake.refusalOf(said, members, yield* PeerProtocol.ProvenIdentity, isTaken)
    if (refused !== undefined) {
      if (sink.active()) sink.tell(refusalEvent(refused, members.peers.includes(peer) ? peer : undefined))
      return yield* refused
    }
    const id = (yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)).toString(36)
    return {
      cluster: members.cluster,
      replica: members.self,
      incarnation: logs.identity.incarnation,
      vector: logs.vector(),
      session: sessions.open({ id, peer, incarnation }, monotonicMillis).id,
      receivedAt,
      sentAt: clock.currentTimeMillisUnsafe()
    }
  })

  const pushed = (
    session: Sessions.Session,
    batch: EntryBatch.EntryBatch
  ): Effect.Effect<PeerProtocol.Ack, PeerProtocol.PushError> => {
    if (batch.log !== LogId.make(session.peer, session.incarnation)) {
      const detail = `${session.peer} may push its own log only, not ${batch.log}`
      return Effect.fail(new PeerProtocol.PushRejected({ detail }))
    }
    const valid = EntryBatch.validate(batch)
    if (Result.isFailure(valid)) {
      return Effect.fail(new PeerProtocol.PushRejected({ detail: valid.failure.message }))
    }
    return Effect.mapBoth(logs.append(batch), {
      onSuccess: (watermark) => ({ replica: members.self, ...watermark }),
      onFailure: withoutCause
    })
  }

  return PeerHandler.of({
    hello,
    push: ({ batch, session }) => Effect.flatMap(enter(session), (entered) => pushed(entered, batch)),
    pull: ({ after, log, maxBytes, session }) =>
      Effect.flatMap(enter(session), (): Effect.Effect<PeerProtocol.Pulled, PeerProtocol.PullError> =>
        Effect.mapBoth(logs.read(log, after, Math.min(maxBytes, PeerProtocol.maxBatchBytes)), {
          onSuccess: (batch) => ({ batch: Option.getOrNull(batch) }),
          onFailure: withoutCause
        })
      )
  })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<PeerHandler, never, ReplicaLogs | ReplicaSet> = Layer.effect(PeerHandler, make)

/** Has a request of a frame answered, for a transport that carries frames. */
export const answer = (
  handler: PeerHandler["Service"],
  request: PeerFrame.Request
): Effect.Effect<PeerFrame.Answer> => {
  switch (request._tag) {
    case "hello":
      return Effect.map(Effect.result(handler.hello(request.payload)), (result) => ({ _tag: "hello", result }))
    case "push":
      return Effect.map(Effect.result(handler.push(request.payload)), (result) => ({ _tag: "push", result }))
    case "pull":
      return Effect.map(Effect.result(handler.pull(request.payload)), (result) => ({ _tag: "pull", result }))
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const { SessionUnknown } = PeerProtocol
type SessionUnknown = PeerProtocol.SessionUnknown

const refusalEvent = (
  { reason }: PeerProtocol.HandshakeRefused,
  peer: ReplicaId.ReplicaId | undefined
): ReplicaEvent => ({ _tag: "HandshakeRefused", direction: "incoming", peer, reason })

/** The cause of a store error names files of this machine; a peer gets the reason and not the cause. */
const withoutCause = <E extends { readonly _tag: string }>(
  error: E | ReplicaStore.StoreError
): E | ReplicaStore.StoreError =>
  error._tag === "StoreError"
    ? new ReplicaStore.StoreError({
        reason: (error as ReplicaStore.StoreError).reason,
        detail: (error as ReplicaStore.StoreError).detail
      })
    : error
