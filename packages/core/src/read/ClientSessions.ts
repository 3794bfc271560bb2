/**
 * The sessions of clients as this replica sees them: what has to be here before they are answered, and what they are
 * after an answer.
 */
import { Context, Effect, Layer, Option } from "effect"
import type { LogId } from "../identity/LogId.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as WriteId from "../identity/WriteId.ts"
import * as Arrival from "../log/Arrival.ts"
import * as Chain from "../log/Chain.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { ReplicaClock } from "../log/ReplicaClock.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type { StoreError } from "../log/ReplicaStore.ts"
import { Connections } from "../peer/Connections.ts"
import { Membership } from "../peer/Membership.ts"
import { Peers } from "../peer/Peers.ts"
import type { WriteReplaced } from "../quorum/QuorumError.ts"
import * as LocalRecords from "../record/LocalRecords.ts"
import type { NotYetVisible } from "../record/NotYetVisible.ts"
import type { Newest } from "../record/Record.ts"
import * as ClientSession from "./ClientSession.ts"

/** Why what a client has seen is not here. */
export type NotArrived = NotYetVisible | WriteReplaced | StoreError

/**
 * What is known of a write of the client: the place and clock of its receipt; neither when it has not met its quorum. What
 * comes later comes after it all the same, and reads do not wait for it: nobody has promised that it is anywhere else.
 */
export type Written =
  | { readonly writeId: WriteId.WriteId; readonly clock: HybridLogicalClock.HybridLogicalClock }
  | "unmet"

/** Sessions of clients. What is known to be held by every member is left out of what they are answered. */
export class ClientSessions extends Context.Service<
  ClientSessions,
  {
    /**
     * Waits until everything in a session is visible here, for so many milliseconds at most, and has it fetched from
     * whoever has it.
     */
    readonly arrived: (session: ClientSession.ClientSession, withinMillis: number) => Effect.Effect<void, NotArrived>
    /** A session after writes on this replica. */
    readonly afterWrites: (
      session: ClientSession.ClientSession,
      writes: ReadonlyArray<Written>
    ) => Effect.Effect<ClientSession.ClientSession>
    /** A session after a read of a key of which this was the newest write, as `Records.newest` says it: a delete is seen too. */
    readonly afterRead: (
      session: ClientSession.ClientSession,
      newest: Option.Option<Newest>
    ) => Effect.Effect<ClientSession.ClientSession>
    /** A session after a page: everything that is visible here may have been seen in it. */
    readonly afterPage: (session: ClientSession.ClientSession) => Effect.Effect<ClientSession.ClientSession>
  }
>()("@quorum/core/ClientSessions") {}

/** Builds them on the logs, and on what is known of the peers. */
export const make = Effect.gen(function* () {
  const { peers: peerIds } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const clock = yield* ReplicaClock
  const peers = yield* Peers
  const connections = yield* Connections
  const { remembered } = yield* Membership
  const local = yield* LocalRecords.LocalRecords

  /**
   * Whether a peer is known to hold a place, also by what it acked before this replica was started: of one that is down
   * since, all logs would be in every session otherwise, and those of former lives are many.
   */
  const isAt = (peer: ReplicaId, log: LogId, seq: number): boolean =>
    (peers.get(peer).watermarks.get(log)?.seq ?? 0) >= seq ||
    remembered(peer).some((acked) => acked.log === log && acked.seq >= seq)

  /** Every member is known to hold a place: whoever answers a read holds it, or is recovering and answers none. */
  const isEverywhere = (writeId: WriteId.WriteId): Effect.Effect<boolean> => {
    const { log, seq } = WriteId.place(writeId)
    const isAtPeers = peerIds.every((peer) => isAt(peer, log, seq))
    // An id that names another write here has to be answered as replaced, and not to be forgotten.
    return isAtPeers ? Effect.orElseSucceed(Arrival.isHeld(logs, writeId), () => false) : Effect.succeed(false)
  }

  /** At or after everything that is visible here. What no clock follows is beyond any: whoever writes then waits for it. */
  const latest = (): HybridLogicalClock.HybridLogicalClock =>
    clock.isFar() ? { wallTime: HybridLogicalClock.maxWallTime, logical: 0 } : clock.current()

  const settled = (session: ClientSession.ClientSession): Effect.Effect<ClientSession.ClientSession> =>
    Effect.map(
      Effect.filter(session.places, (writeId) => Effect.map(isEverywhere(writeId), (is) => !is)),
      (places) => ({ clock: session.clock, places })
    )

  const grown = (session: ClientSession.ClientSession, saw: ClientSession.ClientSession) =>
    settled(ClientSession.join(session, saw))

  return ClientSessions.of({
    arrived: ({ places }, withinMillis) =>
      Effect.clockWith((clock) => {
        const until = Monotonic.millis(clock) + withinMillis
        const left = () => Math.max(0, until - Monotonic.millis(clock))
        const isHere = (writeId: WriteId.WriteId): boolean => Arrival.isReached(logs, writeId)
        const missing = places.filter((writeId) => !isHere(writeId))
        if (missing.length > 0) connections.fetchNow()
        // All have to come, so one is waited for at a time: a token may say more of them than there are logs (law L63).
        return Effect.forEach(
          [...places.filter(isHere), ...missing],
          (writeId) => Effect.suspend(() => local.arrived(writeId, left())),
          { discard: true }
        )
      }),
    afterWrites: (session, writes) =>
      Effect.suspend(() =>
        settled(
          writes.reduce(
            (all, write) =>
              ClientSession.join(
                all,
                write === "unmet" ? { clock: clock.current(), places: [] } : ClientSession.ofWrite(write)
              ),
            session
          )
        )
      ),
    afterRead: (session, newest) =>
      Option.match(newest, {
        onNone: () => settled(session),
        onSome: (write) => grown(session, ClientSession.ofWrite(write))
      }),
    afterPage: (session) =>
      settled(
        ClientSession.join(
          session,
          logs.vector().reduce(
            (all, { chain, log, seq }) => {
              if (seq === 0) return all
              const writeId = WriteId.make(log, seq, Chain.check(chain))
              return ClientSession.join(all, { clock: all.clock, places: [writeId] })
            },
            { ...ClientSession.empty, clock: latest() }
          )
        )
      )
  })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(ClientSessions, make)
