/**
 * The receiving side of the peer protocol: pushes into the store, pulls out of it, and what is asked about keys and writes,
 * of whoever was let in (`Reception`).
 */
import { Clock, Context, Effect, Layer, Option, Result, Tracer } from "effect"
import * as LogId from "../identity/LogId.ts"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as Arrival from "../log/Arrival.ts"
import * as EntryBatch from "../log/EntryBatch.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaClock } from "../log/ReplicaClock.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import * as ReplicaStore from "../log/ReplicaStore.ts"
import * as Version from "../log/Version.ts"
import type * as Watermark from "../log/Watermark.ts"
import { Connections } from "./Connections.ts"
import * as Copies from "./Copies.ts"
import * as Reception from "./internal/Reception.ts"
import type * as PeerFrame from "./PeerFrame.ts"
import { UndecidedKeys } from "./UndecidedKeys.ts"
import { KeyReader, type NewestWrite } from "./KeyReader.ts"
import { Membership } from "./Membership.ts"
import type * as PeerMethods from "./PeerMethods.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import { Peers } from "./Peers.ts"
import type { Sweeps } from "./Sweeps.ts"

/** Answers peers. A transport's server calls it, one method per request of the protocol. */
export class PeerHandler extends Context.Service<PeerHandler, PeerMethods.PeerMethods<never>>()(
  "@quorum/core/PeerHandler"
) {}

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
  const membership = yield* Membership
  const reader = yield* KeyReader
  const undecided = yield* UndecidedKeys
  const ownClock = yield* ReplicaClock
  const connections = yield* Connections
  const peers = yield* Peers
  const { enter, hello } = yield* Reception.make

  /** Whether a write is held here, after what is missing was fetched. */
  const fetched = Effect.fnUntraced(function* ({ withinMillis, writeId }: NonNullable<PeerProtocol.Read["confirm"]>) {
    if (yield* Arrival.isHeld(logs, writeId)) return true
    connections.fetchNow()
    yield* Effect.timeoutOption(Arrival.reached(logs, writeId), Math.min(withinMillis, maxFetchMillis))
    return yield* Arrival.isHeld(logs, writeId)
  })

  const votes = Effect.suspend((): Effect.Effect<void, PeerProtocol.NotVoting> =>
    membership.isVoting() ? Effect.void : Effect.fail(new PeerProtocol.NotVoting())
  )

  return PeerHandler.of({
    hello,
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
        // What an old copy has erased as others did may have nothing newer here yet, as if the index were damaged.
        yield* votes
        const confirmed = confirm !== null && (yield* fetched(confirm))
        // Asked first: what is decided by then is found.
        if (undecided.has(namespace, key)) return yield* undecidedNow
        const newest = yield* reader.newest(namespace, key)
        // Asked last: it may have begun to recover meanwhile.
        yield* votes
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
