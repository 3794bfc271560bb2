/**
 * The receiving side of the peer protocol: the handshake, pushes into the store, pulls out of it.
 */
import { Clock, Context, Effect, Layer, Option, Random, Result, Tracer } from "effect"
import * as Tracing from "../events/Tracing.ts"
import * as Life from "../identity/Life.ts"
import * as LogId from "../identity/LogId.ts"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import { printable } from "../log/Detail.ts"
import * as Arrival from "../log/Arrival.ts"
import * as EntryBatch from "../log/EntryBatch.ts"
import * as Limits from "../log/Limits.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaClock } from "../log/ReplicaClock.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import * as ReplicaStore from "../log/ReplicaStore.ts"
import * as Version from "../log/Version.ts"
import type * as Watermark from "../log/Watermark.ts"
import { Connections } from "./Connections.ts"
import { type Agreement, negotiate, offer } from "./internal/negotiate.ts"
import * as Copies from "./Copies.ts"
import * as Sessions from "./internal/Sessions.ts"
import type * as PeerFrame from "./PeerFrame.ts"
import { type Caller, PeerCaller } from "./PeerCaller.ts"
import { UndecidedKeys } from "./UndecidedKeys.ts"
import { KeyReader, type NewestWrite } from "./KeyReader.ts"
import { Membership } from "./Membership.ts"
import type * as PeerMethods from "./PeerMethods.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import { Peers } from "./Peers.ts"
import { Sweeps } from "./Sweeps.ts"
import * as Refusals from "./Refusals.ts"

/** Answers peers. A transport's server calls it, one method per request of the protocol. */
export class PeerHandler extends Context.Service<PeerHandler, PeerMethods.PeerMethods<never>>()(
  "@quorum/core/PeerHandler"
) {}

/** How many heartbeats a silent peer keeps its session, and with it its id. */
const sessionHeartbeats = 3

/** The longest that a question waits for what it is about, in milliseconds; the caller gives up after `RequestTimeout`. */
const maxFetchMillis = 1500

/** Builds the handler on the logs of this replica. */
export const make: Effect.Effect<
  PeerHandler["Service"],
  never,
  ReplicaLogs | ReplicaClock | ReplicaSet | Membership | KeyReader | UndecidedKeys | Connections | Peers | Sweeps
> = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const members = yield* ReplicaSet
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const turnAway = yield* Refusals.make
  const membership = yield* Membership
  const reader = yield* KeyReader
  const undecided = yield* UndecidedKeys
  const ownClock = yield* ReplicaClock
  const connections = yield* Connections
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

  /** Whether a write is held here, after what is missing was fetched. */
  const fetched = Effect.fnUntraced(function* ({ withinMillis, writeId }: NonNullable<PeerProtocol.Read["confirm"]>) {
    if (yield* Arrival.isHeld(logs, writeId)) return true
    connections.fetchNow()
    yield* Effect.timeoutOption(Arrival.reached(logs, writeId), Math.min(withinMillis, maxFetchMillis))
    return yield* Arrival.isHeld(logs, writeId)
  })

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

  return PeerHandler.of({
    hello: (hello) =>
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
            const rival = sessions.rivalOf(hello.replica, lifeOf(hello), Monotonic.millis(clock))
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
              vector: membership.vector(),
              session: session.id,
              ...(rival === undefined ? {} : { rival }),
              receivedAt,
              sentAt: clock.currentTimeMillisUnsafe()
            })
          }
        })
      }),
    push: ({ batch, durable, session: id, traces = [] }) =>
      Effect.flatMap(enter(id), (session): Effect.Effect<PeerProtocol.Ack, PeerProtocol.PushError> => {
        if (batch.log !== LogId.make(session.peer, session.life.incarnation)) {
          const detail = `${session.peer} may push its own log only, not ${batch.log}`
          return Effect.fail(new PeerProtocol.PushRejected({ detail }))
        }
        const valid = EntryBatch.validateForeign(batch)
        if (Result.isFailure(valid)) {
          return Effect.fail(new PeerProtocol.PushRejected({ detail: valid.failure.message }))
        }
        const append = logs.append(batch, traces.map(Tracer.externalSpan))
        return Effect.mapBoth(membership.receive(session.peer, session.life.incarnation, append), {
          onSuccess: (watermark) => {
            // What it pushes it holds, as far as it says: it may still be syncing the rest.
            const { peer } = session
            const said = heldBySender(batch, durable)
            const { incarnation } = session.life
            const monotonicMillis = Monotonic.millis(clock)
            if (said !== undefined) {
              peers.report({ _tag: "Ack", peer, incarnation, watermark: said, how: "push", monotonicMillis })
            }
            return {
              ...watermark,
              replica: members.self,
              incarnation: logs.identity.incarnation,
              members: membership.hash(),
              clock: logs.clock(),
              voting: membership.isVoting()
            }
          },
          onFailure: withoutCause
        })
      }),
    pull: ({ after, log, maxBytes, session: id }) =>
      Effect.flatMap(enter(id), (): Effect.Effect<PeerProtocol.Pulled, PeerProtocol.PullError> => {
        return Effect.mapBoth(logs.read(log, after, Math.min(maxBytes, PeerProtocol.maxBatchBytes)), {
          onSuccess: (batch) => ({ batch: Option.getOrNull(batch) }),
          onFailure: withoutCause
        })
      }),
    read: ({ confirm, have, key, namespace, session: id }) =>
      Effect.gen(function* () {
        yield* enter(id)
        const confirmed = confirm !== null && (yield* fetched(confirm))
        // Asked first: what is decided by then is found.
        if (undecided.has(namespace, key)) return yield* undecidedNow
        const newest = yield* reader.newest(namespace, key)
        // Asked last: it may have begun to recover meanwhile.
        if (!membership.isVoting()) return yield* new PeerProtocol.NotVoting()
        const { incarnation } = logs.identity
        return {
          head: { incarnation, members: membership.hash(), newest: headOf(newest), confirmed },
          value: valueOf(newest, have)
        }
      }).pipe(Effect.mapError(withoutCause)),
    probe: ({ keys, session: id }) =>
      Effect.flatMap(enter(id), (): Effect.Effect<PeerProtocol.Probed, PeerProtocol.ProbeError> => {
        if (!membership.isVoting()) return Effect.fail(new PeerProtocol.NotVoting())
        const versions: Array<PeerProtocol.Probed["versions"][number]> = []
        for (const [index, key] of keys.entries()) {
          const version = ownClock.far(key)
          if (version !== undefined) versions.push({ index, clock: version })
        }
        const members = membership.hash()
        return Effect.succeed({ clock: ownClock.current(), members, far: ownClock.isFar(), versions })
      }),
    verify: ({ session: id, ...asked }) =>
      Effect.gen(function* () {
        yield* enter(id)
        const found = yield* Copies.stateOf(logs, reader, membership.kept.all(), asked)
        if (!membership.isVoting()) return yield* new PeerProtocol.NotVoting()
        return { ...found, members: membership.hash() }
      }).pipe(Effect.mapError(withoutCause))
  })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(PeerHandler, make)

/** Answers as to a caller who has proved to be this replica, unless the connection proves an identity itself: that counts. */
export const provenBy =
  (caller: ReplicaId.ReplicaId) =>
  <A, E, R>(answered: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(PeerProtocol.ProvenIdentity, (connection) =>
      Option.isSome(connection)
        ? answered
        : Effect.provideService(answered, PeerProtocol.ProvenIdentity, Option.some(caller))
    )

/** Has a request of a frame answered, for a transport that carries frames. */
export const answer = (
  handler: PeerHandler["Service"],
  { _tag, payload }: PeerFrame.Request
): Effect.Effect<PeerFrame.Answer> =>
  Effect.map(
    Effect.result(handler[_tag](payload as never) as PeerMethods.AnyCall<never>),
    (result) => ({ _tag, result }) as PeerFrame.Answer
  )

// ---------------------------------------------------------------------------------------------------------------------

/** How far the sender of a push holds its log, where the batch shows the chain there. */
const heldBySender = (batch: EntryBatch.EntryBatch, durable: number | undefined): Watermark.Watermark | undefined => {
  if (durable === undefined || durable >= EntryBatch.last(batch)) return EntryBatch.watermark(batch)
  if (durable < Math.max(1, batch.from - 1)) return undefined
  const chain = EntryBatch.chainAt(batch, durable)
  return chain === undefined ? undefined : { log: batch.log, seq: durable, chain }
}

const headOf = (newest: NewestWrite | undefined): (typeof PeerProtocol.ReadHead.Type)["newest"] => {
  if (newest === undefined) return null
  const { clock, contentType, deleted, tie, unprobed, writeId } = newest
  return { writeId, clock, tie, unprobed, deleted, ...(contentType === undefined ? {} : { contentType }) }
}

const valueOf = (newest: NewestWrite | undefined, have: Version.Version | null): Uint8Array =>
  newest === undefined || (have !== null && Version.compare(have, newest) === 0) ? noBytes : newest.value

const noBytes = new Uint8Array(0)

const lifeOf = ({ incarnation, run, startedAt, starts }: PeerProtocol.Hello) => ({
  incarnation,
  run,
  startedAt,
  starts
})

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

const undecidedNow = new ReplicaStore.StoreError({
  reason: "unavailable",
  detail: "whether this key is written is being decided"
})
