/**
 * What the handlers have in common: what a request asks of core, and what of the answers travels.
 */
import { QuorumError, Records, type StampToken } from "@quorum/core"
import { Effect } from "effect"
import * as ClientApiErrors from "./ClientApiErrors.ts"
import * as Sessions from "./sessions.ts"

/** The one policy that a request can get wrong is `?w=`. */
export const namedW = <E>(error: E): Exclude<E, QuorumError.InvalidPolicy> | ClientApiErrors.InvalidRequest =>
  error instanceof QuorumError.InvalidPolicy
    ? new ClientApiErrors.InvalidRequest({ field: "w", detail: error.detail })
    : (error as Exclude<E, QuorumError.InvalidPolicy>)

/** {@link namedW} of what an effect fails with. */
export const namingW = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.mapError(effect, namedW)

/** What core rejects in a read, by the name that the parameter has here too. */
export const namingParameter = <A, E, R>(effect: Effect.Effect<A, E | Records.ReadRejected, R>) =>
  Effect.catch(
    effect,
    (error): Effect.Effect<never, Exclude<E, Records.ReadRejected> | ClientApiErrors.InvalidRequest> =>
      error instanceof Records.ReadRejected
        ? Effect.fail(new ClientApiErrors.InvalidRequest({ field: error.field, detail: error.detail }))
        : Effect.fail(error as Exclude<E, Records.ReadRejected>)
  )

/** What a request says beside its parameters. */
interface Headers extends Sessions.Asked {
  readonly "idempotency-key"?: string
}

/** What a request asks of `w`, by which stamp or key and in which session, for core to decide. */
export const asked = (w: number | undefined, stamp?: StampToken.StampToken, headers: Headers = {}) => ({
  ...Sessions.option(headers),
  ...(headers["idempotency-key"] === undefined ? {} : { idempotencyKey: headers["idempotency-key"] }),
  ...(w === undefined ? {} : { w }),
  ...(stamp === undefined ? {} : { stamp })
})

/** What went wrong in the store is for the operator; the client is told that it did. Once per failure of a batch. */
export const makeReport = () => {
  const reported = new WeakSet<object>()
  return (error: { readonly _tag: string; readonly message: string }): Effect.Effect<void> => {
    if ((error._tag !== "LocalWriteFailed" && error._tag !== "StoreError") || reported.has(error)) return Effect.void
    reported.add(error)
    return Effect.logError(error.message)
  }
}
