/**
 * What may still be asked of a store: everything, until it is closed, its file is gone, or nobody knows what it holds.
 */
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect, Semaphore } from "effect"
import * as Environment from "./environment.ts"
import * as Files from "./files.ts"

/** Guards an environment that was opened on a file. */
export const make = (file: string, environment: Environment.Environment) => {
  const isGone = Files.watchPlace(file)
  /** What changes something comes one after the other. */
  const changing = Semaphore.makeUnsafe(1)
  /** Why nothing works any more. */
  let refusal: ReplicaStore.StoreError | undefined
  let isLost = false

  const refuse = (detail: string, cause?: unknown): ReplicaStore.StoreError =>
    (refusal = new ReplicaStore.StoreError({ reason: "unavailable", detail, cause }))

  const checkPlace = (): void => {
    if (!isGone()) return
    throw refuse(`${file} was removed, renamed or replaced while it was open; put it back, then restart this replica`)
  }

  /** Runs a call; what it throws becomes a `StoreError`. */
  const call = <A, E = never>(f: () => Effect.Effect<A, E>): Effect.Effect<A, E | ReplicaStore.StoreError> =>
    Effect.suspend((): Effect.Effect<A, E | ReplicaStore.StoreError> => {
      if (refusal !== undefined) return Effect.fail(refusal)
      try {
        return f()
      } catch (cause) {
        return Effect.fail(Environment.storeError(file, cause))
      }
    })

  return {
    call,
    /** Fails when a restart would not find the file (law L59). */
    checkPlace,
    /** A call that changes something: in its turn, and where a restart will find it. Once begun it is not interrupted. */
    change: <A, E = never>(f: () => Effect.Effect<A, E>) =>
      changing.withPermit(
        Effect.uninterruptible(
          call(() => {
            checkPlace()
            return f()
          })
        )
      ),
    /**
     * Commits `what`, of so many bytes. Fails with `disk_full` when nothing of it is held: LMDB writes its pages first,
     * syncs them, and then writes the one page that makes it a commit, and without room it gives up before that. After
     * anything else, and when the file went meanwhile, nobody knows what a restart will find: this fails with
     * `uncertain`, and every later call with `unavailable`. LMDB must not be asked any more then; it may never answer, or
     * end the process.
     */
    commit: (what: string, bytes: number, write: () => void): Effect.Effect<void, ReplicaStore.StoreError> => {
      const uncertain = (happened: string, remedy: string, cause?: unknown) => {
        refuse(`${happened} at an earlier write; ${remedy}`, cause)
        const detail = `${happened}, so whether ${what} are held is not known; ${remedy}`
        return new ReplicaStore.StoreError({ reason: "uncertain", detail, cause })
      }
      return Effect.matchEffect(environment.commit(write), {
        onFailure: (cause) => {
          if (Environment.isFull(file, cause, 2 * bytes)) return Effect.fail(Environment.diskFull(file, cause))
          isLost = true
          return Effect.fail(uncertain(`writing ${file} failed`, "check the disk, then restart", cause))
        },
        onSuccess: () =>
          isGone()
            ? Effect.fail(uncertain(`${file} was removed, renamed or replaced`, "put it back, then restart"))
            : Effect.void
      })
    },
    /** Waits for what is under way, and lets nothing more in. */
    close: Effect.suspend(() => {
      refusal ??= Environment.closed(file)
      return changing.withPermit(Effect.suspend(() => (isLost ? Effect.void : Effect.promise(environment.close))))
    })
  }
}

/** What may still be asked. */
export type Guard = ReturnType<typeof make>
