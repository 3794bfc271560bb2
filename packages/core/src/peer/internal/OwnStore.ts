/**
 * The work of this replica's own store on behalf of a peer. What fails in it is this replica's fault: it is logged as
 * such, tried again after a pause, and never said of the peer, which did nothing wrong.
 */
import { Effect, Result } from "effect"
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
    work.pipe(
      Effect.catchDefect((defect) => Effect.fail(new ReplicaStore.StoreError(broken(defect)))),
      Effect.result,
      Effect.flatMap((result): Effect.Effect<Result.Result<A, E | OwnFault>> => {
        if (Result.isSuccess(result)) {
          said.delete(what)
          return Effect.succeed(Result.succeed(result.success))
        }
        const error = result.failure
        if (!(error instanceof ReplicaStore.StoreError)) return Effect.succeed(Result.fail(error))
        return Effect.as(fault(what, error), Result.fail(new OwnFault()))
      })
    )

  return {
    once,
    /** Tries until the store does it, with pauses. */
    patiently: Effect.fnUntraced(function* <A>(what: string, work: Effect.Effect<A, ReplicaStore.StoreError>) {
      while (true) {
        const result = yield* once(what, work)
        if (Result.isSuccess(result)) return result.success
        yield* Effect.sleep(pauseMillis)
      }
    })
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const broken = (defect: unknown) => ({
  reason: "unavailable" as const,
  detail: `the store broke: ${Thrown.textOf(defect)}`
})
