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
  const clock = yield* Clock.Clock
  const sessionMillis = sessionHeartbeats * (yield* PeerProtocol.HeartbeatInterval)
  interface Session {
    readonly id: string
    readonly peer: ReplicaId.ReplicaId
    readonly incarnation: LogId.Incarnation
    lastSeen: number
  }
  const sessions = new Map<string, Session>()
  const sessionOf = new Map<ReplicaId.ReplicaId, Session>()

  const refusal = (
    hello: PeerProtocol.Hello,
    proven: Option.Option<ReplicaId.ReplicaId>,
    now: number
  ): PeerProtocol.HandshakeRefused | undefined => {
    const refuse = (reason: PeerProtocol.HandshakeRefused["reason"], detail: string) =>
      new PeerProtocol.HandshakeRefused({ reason, detail })
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
    const known = sessionOf.get(hello.replica)
    if (known !== undefined && known.incarnation !== hello.incarnation && now - known.lastSeen <= sessionMillis) {
      return refuse("duplicate", `another live replica uses the id ${hello.replica}`)
    }
    return undefined
  }

  const open = Effect.fnUntraced(function* (hello: PeerProtocol.Hello, now: number) {
    const known = sessionOf.get(hello.replica)
    if (known !== undefined) {
      if (known.incarnation === hello.incarnation) {
        known.lastSeen = now
        return known
      }
      sessions.delete(known.id)
    }
    const session: Session = {
      id: (yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)).toString(36),
      peer: hello.replica,
      incarnation: hello.incarnation,
      lastSeen: now
    }
    sessions.set(session.id, session)
    sessionOf.set(hello.replica, session)
    return session
  })

  /** The session of a request, when the connection proves nothing else than the session's owner. */
  const enter = (id: string) =>
    Effect.flatMap(PeerProtocol.ProvenIdentity, (proven): Effect.Effect<Session, PeerProtocol.SessionUnknown> => {
      const session = sessions.get(id)
      if (session === undefined || (Option.isSome(proven) && proven.value !== session.peer)) {
        return Effect.fail(new PeerProtocol.SessionUnknown())
      }
      session.lastSeen = Monotonic.millis(clock)
      return Effect.succeed(session)
    })

  return PeerHandler.of({
    hello: (hello) =>
      Effect.gen(function* () {
        const receivedAt = clock.currentTimeMillisUnsafe()
        const refused = refusal(hello, yield* PeerProtocol.ProvenIdentity, Monotonic.millis(clock))
        if (refused !== undefined) return yield* Effect.fail(refused)
        const session = yield* open(hello, Monotonic.millis(clock))
        return {
          cluster: members.cluster,
          replica: members.self,
          incarnation: logs.identity.incarnation,
          vector: logs.vector(),
          session: session.id,
          receivedAt,
          sentAt: clock.currentTimeMillisUnsafe()
        }
      }),
    push: ({ batch, session: id }) =>
      Effect.flatMap(enter(id), (session): Effect.Effect<PeerProtocol.Ack, PeerProtocol.PushError> => {
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
      }),
    pull: ({ after, log, maxBytes, session: id }) =>
      Effect.flatMap(enter(id), (): Effect.Effect<PeerProtocol.Pulled, PeerProtocol.PullError> => {
        return Effect.mapBoth(logs.read(log, after, Math.min(maxBytes, PeerProtocol.maxBatchBytes)), {
          onSuccess: (batch) => ({ batch: Option.getOrNull(batch) }),
          onFailure: withoutCause
        })
      })
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
