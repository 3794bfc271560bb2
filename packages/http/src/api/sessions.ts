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
  let session = of(headers)
  return (outcomes: ReadonlyArray<Outcome>): Effect.Effect<ClientSession.ClientSession> =>
    Effect.map(sessions.afterWrites(session, outcomes.flatMap(writtenBy)), (after) => (session = after))
}

// ---------------------------------------------------------------------------------------------------------------------

/** The write of a line that is durable here, whether or not it has met its quorum. */
const writtenBy = (outcome: Outcome): ReadonlyArray<ClientSessions.Written> => {
  if (Result.isSuccess(outcome)) return [outcome.success]
  return outcome.failure instanceof QuorumError.QuorumNotMet ? ["unmet"] : []
}
