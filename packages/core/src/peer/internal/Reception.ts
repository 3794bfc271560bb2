/**
 * Who is let in: the answer to a handshake, and the sessions by which its callers are known afterwards.
 */
import { Clock, Context, Effect, Option, Random, Result } from "effect"
import * as Tracing from "../../events/Tracing.ts"
import * as Life from "../../identity/Life.ts"
import * as LogId from "../../identity/LogId.ts"
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import { printable } from "../../log/Detail.ts"
import * as Limits from "../../log/Limits.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import { Membership } from "../Membership.ts"
import { type Caller, PeerCaller } from "../PeerCaller.ts"
import type * as PeerMethods from "../PeerMethods.ts"
import * as PeerProtocol from "../PeerProtocol.ts"
import { Peers } from "../Peers.ts"
import * as Refusals from "../Refusals.ts"
import { Sweeps } from "../Sweeps.ts"
import { type Agreement, negotiate, offer } from "./negotiate.ts"
import * as Sessions from "./Sessions.ts"

/** Nobody has a session yet. */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const members = yield* ReplicaSet
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const turnAway = yield* Refusals.make
  const membership = yield* Membership
  const peers = yield* Peers
  const sweeps = yield* Sweeps
  const ours = offer(yield* Limits.Limits, yield* Tracing.make)
  const sessions = Sessions.make(sessionHeartbeats * (yield* PeerProtocol.HeartbeatInterval))

  const accept = (
    hello: PeerProtocol.Hello,
    proven: Option.Option<ReplicaId.ReplicaId>
  ): Result.Result<Agreement, PeerProtocol.HandshakeRefused> => {
    const refuse = (reason: PeerProtocol.HandshakeRefused["reason"], detail: string) =>
      Result.fail(new PeerProtocol.HandshakeRefused({ reason, detail }))
    if (hello.cluster !== members.cluster) {
      return refuse("wrong_cluster", `this replica belongs to another replica set than ${printable(hello.cluster)}`)
    }
    if (hello.replica === members.self) return refuse("self", `${hello.replica} is the replica that was called`)
    if (!members.peers.includes(hello.replica)) return refuse("stranger", `${hello.replica} is not a member`)
    if (Option.isSome(proven) && proven.value !== hello.replica) {
      return refuse("identity_mismatch", `the connection proves ${proven.value}, the caller claims ${hello.replica}`)
    }
    const agreement = negotiate(ours, hello)
    if (Result.isFailure(agreement)) return agreement
    const life = lifeOf(hello)
    const newest = Life.of(membership.lives(), hello.replica)
    if (newest !== undefined && Life.compare(life, newest) < 0) {
      const detail = `a newer life of ${hello.replica} is known, ${newest.incarnation}`
      return Result.fail(new PeerProtocol.HandshakeRefused({ reason: "stale_incarnation", detail, newest }))
    }
    return sessions.isTaken(hello.replica, life, Monotonic.millis(clock))
      ? refuse("duplicate", `another live process has the id ${hello.replica}`)
      : agreement
  }

  /** The session of a request, when it was opened on its connection, and that proves nothing else than its owner. */
  const enter = (id: string) =>
    Effect.contextWith(
      (context: Context.Context<never>): Effect.Effect<Sessions.Session, PeerProtocol.SessionUnknown> => {
        const proven = Option.getOrUndefined(Context.get(context, PeerProtocol.ProvenIdentity))
        const session = sessions.enter(id, Context.get(context, PeerCaller), proven, Monotonic.millis(clock))
        return session === undefined ? Effect.fail(new PeerProtocol.SessionUnknown()) : Effect.succeed(session)
      }
    )

  /** Takes in whom the caller is and knows, durably, before it is answered. */
  const meet = (hello: PeerProtocol.Hello) =>
    Effect.mapError(
      membership.meet(hello),
      ({ message }) => new PeerProtocol.HandshakeRefused({ reason: "not_stored", detail: message })
    )

  /**
   * What the caller says of its own log counts as an ack, where the chain here is the same: it says so when it has made
   * durable what it had pushed before. That it does not vote counts at once; that it does, when it is asked.
   */
  const hear = (hello: PeerProtocol.Hello): Effect.Effect<void> => {
    const { incarnation, replica: peer, voting } = hello
    if (!voting) peers.votes(peer, false)
    const log = LogId.make(peer, incarnation)
    const watermark = hello.vector.find((said) => said.log === log)
    if (watermark === undefined) return Effect.void
    return Effect.map(Effect.option(logs.chainAt(log, watermark.seq)), (found) => {
      if (Option.getOrUndefined(Option.flatten(found)) !== watermark.chain) return
      const monotonicMillis = Monotonic.millis(clock)
      peers.report({ _tag: "Ack", peer, incarnation, watermark, how: "vector", monotonicMillis })
    })
  }

  const refused = (error: PeerProtocol.HandshakeRefused, { replica }: PeerProtocol.Hello, { address }: Caller) => {
    const peer = members.peers.includes(replica) ? replica : undefined
    return Effect.andThen(turnAway(error.reason, address, peer), Effect.fail(error))
  }

  /** Answers a handshake: takes in who the caller is and what it knows, and opens a session for it. */
  const hello: PeerMethods.PeerMethods<never>["hello"] = (hello) =>
    Effect.contextWith((context: Context.Context<never>) => {
      const proven = Context.get(context, PeerProtocol.ProvenIdentity)
      const caller = Context.get(context, PeerCaller)
      const receivedAt = clock.currentTimeMillisUnsafe()
      const accepted = accept(hello, proven)
      if (Result.isFailure(accepted)) return refused(accepted.failure, hello, caller)
      return Effect.matchEffect(meet(hello), {
        onFailure: (error) => refused(error, hello, caller),
        onSuccess: () => {
          sweeps.heard(hello)
          const now = Monotonic.millis(clock)
          const rival = sessions.rivalOf(hello.replica, lifeOf(hello), now)
          const session = sessions.open(hello.replica, lifeOf(hello), caller, now, () =>
            Math.floor(random.nextDoubleUnsafe() * Number.MAX_SAFE_INTEGER).toString(36)
          )
          return Effect.as(hear(hello), {
            ...accepted.success,
            ...membership.says(hello.replica),
            swept: sweeps.own(),
            everSwept: sweeps.ever(),
            stale: membership.isStale(),
            limits: ours.limits,
            cluster: members.cluster,
            replica: members.self,
            vector: membership.vector(hello.replica),
            session: session.id,
            ...(rival === undefined ? {} : { rival }),
            receivedAt,
            sentAt: clock.currentTimeMillisUnsafe()
          })
        }
      })
    })

  return { enter, hello }
})

// ---------------------------------------------------------------------------------------------------------------------

/** How many heartbeats a silent peer keeps its session, and with it its id. */
const sessionHeartbeats = 3

const lifeOf = ({ incarnation, run, startedAt, starts }: PeerProtocol.Hello) => ({
  incarnation,
  run,
  startedAt,
  starts
})
