/**
 * The work of this replica's own store on behalf of a peer. What fails in it is this replica's fault: it is logged as
 * such, tried again after a pause, and never said of the peer, which did nothing wrong.
 */
import { Cause, Effect, Option, Result } from "effect"
import * as ReplicaStore from "../../log/ReplicaStore.ts"
import * as Thrown from "../../log/Thrown.ts"

/** The connection cannot go on because of a fault of this replica's own store. */
export class OwnFault {
  readonly _tag = "OwnFault"
}

/** The own store, as replicators use it. */
export type OwnStore = ReturnType<typeof make>

/** `pauseMillis` is how long a store that failed is left alone before it is asked again. */
export const make = (pauseMillis: number) => {
  /** What failed last, by what was tried: said once, and again when it has worked in between. */
  const said = new Map<string, string>()

  const fault = (what: string, error: ReplicaStore.StoreError) =>
    Effect.suspend(() => {
      if (said.get(what) === error.message) return Effect.void
      said.set(what, error.message)
      return Effect.logError(`a fault of this replica: cannot ${what}: ${error.message}`)
    })

  /** Tries once. A failure, or a defect, of the store is logged; others pass. `what` completes "cannot …". */
  const once = <A, E>(
    what: string,
    work: Effect.Effect<A, E | ReplicaStore.StoreError>
  ): Effect.Effect<Result.Result<A, E | OwnFault>> =>
    // One step, because almost always all is well.
    Effect.matchCauseEffect(work, {
      onSuccess: (value): Effect.Effect<Result.Result<A, E | OwnFault>> => {
        said.delete(what)
        return Effect.succeed(Result.succeed(value))
      },
      onFailure: (cause): Effect.Effect<Result.Result<A, E | OwnFault>> => {
        const error = errorOf(cause)
        // Interrupted.
        if (error === undefined) return Effect.failCause(cause as Cause.Cause<never>)
        if (!(error instanceof ReplicaStore.StoreError)) return Effect.succeed(Result.fail(error))
        return Effect.as(fault(what, error), Result.fail(new OwnFault()))
      }
    })

  const patiently = <A>(what: string, work: Effect.Effect<A, ReplicaStore.StoreError>): Effect.Effect<A> =>
    Effect.flatMap(once(what, work), (result) =>
      Result.isSuccess(result)
        ? Effect.succeed(result.success)
        : Effect.flatMap(Effect.sleep(pauseMillis), () => patiently(what, work))
    )

  return {
    once,
    /** Tries until the store does it, with pauses. */
    patiently
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** What a cause says went wrong: a defect before an error; nothing when it is an interruption. */
const errorOf = <E>(cause: Cause.Cause<E>): E | ReplicaStore.StoreError | undefined => {
  const defect = Cause.findDefect(cause)
  if (Result.isSuccess(defect)) return new ReplicaStore.StoreError(broken(defect.success))
  return Option.getOrUndefined(Cause.findErrorOption(cause))
}

const broken = (defect: unknown) => ({
  reason: "unavailable" as const,
  detail: `the store broke: ${Thrown.textOf(defect)}`
})
