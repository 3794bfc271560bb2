/**
 * The session of a client over HTTP: the header `Quorum-Session`, in a request what the client did and saw before, in an
 * answer the same and what it did and saw now. What a session is, is core's.
 */
import { ClientSession, type ClientSessions, QuorumError, type Receipt } from "@quorum/core"
import { Effect, Result, Schema } from "effect"
import { HttpEffect, type HttpServerRequest, HttpServerResponse } from "effect/http"
import type { Outcome } from "./answers.ts"

/** The name of the header. */
export const header = "quorum-session"

/** What a request may say of its session. */
export const asked = { [header]: Schema.optionalKey(ClientSession.FromText) } as const

/** What a request says of its session. */
export interface Asked {
  readonly [header]?: ClientSession.ClientSession
}

/** The session of a request: a client that says none begins one. */
export const of = ({ [header]: session = ClientSession.empty }: Asked): ClientSession.ClientSession => session

/** The session that a write or a read asks for. */
export const option = ({ [header]: session }: Asked): { readonly session?: ClientSession.ClientSession } =>
  session === undefined ? {} : { session }

/** How long a read waits, in milliseconds, unless it says. */
const usualMillis = 2000

type Sessions = ClientSessions.ClientSessions["Service"]

/** Says in the answer what the session is now. */
export const say = (
  session: ClientSession.ClientSession
): Effect.Effect<void, never, HttpServerRequest.HttpServerRequest> =>
  HttpEffect.appendPreResponseHandler((_, answer) =>
    Effect.succeed(HttpServerResponse.setHeader(answer, header, ClientSession.encode(session)))
  )

/** Says in the answer what the session is after a write, and after one that has not met its quorum. */
export const afterWrite =
  (sessions: Sessions, headers: Asked) =>
  <A extends Receipt.Receipt, E, R>(write: Effect.Effect<A, E, R>) => {
    const wrote = (written: ClientSessions.Written) => Effect.flatMap(sessions.afterWrites(of(headers), [written]), say)
    return write.pipe(
      Effect.tap(wrote),
      Effect.tapError((error) => (error instanceof QuorumError.QuorumNotMet ? wrote("unmet") : Effect.void))
    )
  }

/** What the session is after lines that are answered together, and all before. */
export const afterLines = (sessions: Sessions, headers: Asked) => {
  const after = afterMany(sessions, headers)
  return (outcomes: ReadonlyArray<Outcome>) => after(outcomes.flatMap(writtenBy))
}

/** What the session is after writes, or reads that showed them, and all before. To have seen a write is to come after it. */
export const afterMany = (sessions: Sessions, headers: Asked) => {
  let session = of(headers)
  return (writes: ReadonlyArray<ClientSessions.Written>): Effect.Effect<ClientSession.ClientSession> =>
    Effect.map(sessions.afterWrites(session, writes), (after) => (session = after))
}

/** Waits until what a client has seen is here: before many reads as long as before one, unless it is only asked again. */
export const arrived = (sessions: Sessions, headers: Asked, withinMillis = usualMillis) =>
  sessions.arrived(of(headers), withinMillis)

// ---------------------------------------------------------------------------------------------------------------------

/** The write of a line that is durable here, whether or not it has met its quorum. */
const writtenBy = (outcome: Outcome): ReadonlyArray<ClientSessions.Written> => {
  if (Result.isSuccess(outcome)) return [outcome.success]
  return outcome.failure instanceof QuorumError.QuorumNotMet ? ["unmet"] : []
}
