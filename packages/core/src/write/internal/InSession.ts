/**
 * What the writes of a session come after.
 *
 * Everything in a session is at or before its clock, so a write that is stamped after that is later than all of it, at
 * whatever replica and for any W. A clock that is further ahead than clocks may be is not followed: then everything in the
 * session has to be here first, and a stamp comes after what is here of its keys.
 */
import { Duration, Effect } from "effect"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import * as ClientSession from "../../read/ClientSession.ts"
import { ClientSessions } from "../../read/ClientSessions.ts"
import { Policies } from "../../read/Policies.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import { type CommitError, sessionIn, type WriteOptions } from "../WriteOptions.ts"

/** Waits as long as acks are waited for by the usual policy. `refuse` says to listeners why nothing was written. */
export const make = Effect.fnUntraced(function* (
  refuse: (error: CommitError) => Effect.Effect<never, CommitError>,
  latest: () => HybridLogicalClock.HybridLogicalClock
) {
  const sessions = yield* ClientSessions
  const { usual } = yield* Policies

  /** The sessions that were found to be some: many writes are of one. */
  const sound = new WeakSet<ClientSession.ClientSession>()
  const isSession = (session: unknown): session is ClientSession.ClientSession => {
    if (typeof session === "object" && session !== null && sound.has(session as ClientSession.ClientSession))
      return true
    if (!ClientSession.is(session)) return false
    sound.add(session)
    return true
  }

  const clockOf = (session: unknown): Effect.Effect<HybridLogicalClock.HybridLogicalClock | undefined, CommitError> => {
    if (!isSession(session)) {
      const detail = "it is not what a client did and saw"
      return refuse(new QuorumError.WriteRejected({ field: "session", reason: "invalid", detail }))
    }
    if (HybridLogicalClock.compare(session.clock, latest()) <= 0) return Effect.succeed(session.clock)
    return sessions.arrived(session, Duration.toMillis(usual.ackTimeout)).pipe(
      Effect.as(undefined),
      Effect.catch(({ message }) =>
        refuse(new QuorumError.NotReady({ detail: `what the client saw is not here: ${message}` }))
      )
    )
  }

  return {
    /** Goes on with the clock that the session of a write asks for, when that may be followed. */
    inSession: <A>(
      options: WriteOptions | undefined,
      next: (after: HybridLogicalClock.HybridLogicalClock | undefined) => Effect.Effect<A, CommitError>
    ): Effect.Effect<A, CommitError> => {
      const session = sessionIn(options)
      return session === undefined ? next(undefined) : Effect.flatMap(clockOf(session), next)
    },
    /** That clock, in a list of one, where it is known at once. */
    atOnce: (
      options: WriteOptions | undefined
    ): readonly [HybridLogicalClock.HybridLogicalClock | undefined] | undefined => {
      const session = sessionIn(options)
      if (session === undefined) return unasked
      return isSession(session) && HybridLogicalClock.compare(session.clock, latest()) <= 0
        ? [session.clock]
        : undefined
    }
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** Of a write that is in no session. */
const unasked = [undefined] as const
