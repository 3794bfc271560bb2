/**
 * What may still be asked of a store: everything, until it is closed, its files are gone, or nobody knows what it holds.
 */
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect } from "effect"
import * as Database from "./database.ts"
import * as Files from "./files.ts"

/** Guards a file that is open, with its write-ahead log. */
export const make = (file: string) => {
  const log = Files.walOf(file)
  const isGone = Files.watchPlace(file)
  const isLogGone = Files.watchPlace(log)
  /** Why nothing works any more. */
  let refusal: ReplicaStore.StoreError | undefined

  /** From now on every call fails: it was never tried, so it is not itself uncertain. */
  const refuse = (detail: string, cause?: unknown): ReplicaStore.StoreError =>
    (refusal = new ReplicaStore.StoreError({ reason: "unavailable", detail, cause }))

  /** Whether a file is where a restart looks for it; fails when not. */
  const check = (name: string, isGone: () => boolean): void => {
    if (!isGone()) return
    throw refuse(`${name} was removed, renamed or replaced while it was open; put it back, then restart this replica`)
  }

  /** Says of what was written that nobody knows whether it is held, and ends everything. */
  const uncertain = (subject: string, what: string, remedy: string, cause?: unknown): ReplicaStore.StoreError => {
    refuse(`${what} at an earlier append; ${remedy}`, cause)
    const detail = `${what}, so whether ${subject} are held is not known; ${remedy}`
    return new ReplicaStore.StoreError({ reason: "uncertain", detail, cause })
  }

  return {
    uncertain,
    checkPlace: (): void => check(file, isGone),
    /** Before something is said of what was written earlier; what is written is looked for when it was synced. */
    checkLogPlace: (): void => check(log, isLogGone),
    /** What was written to a log that went before or meanwhile: a restart may find it, where it is now, or not. */
    whyLost: (): ReplicaStore.StoreError | undefined =>
      isLogGone()
        ? uncertain(unsynced, `${log} was removed, renamed or replaced while it was open`, "put it back, then restart")
        : undefined,
    /** After a sync that failed nobody knows what of it reached the disk, and to try it again would not tell. */
    syncFailed: (cause: Error): ReplicaStore.StoreError => {
      Files.markUnsynced(file)
      return uncertain(unsynced, `syncing ${file} failed (${cause.message})`, "check the disk, then restart", cause)
    },
    /** Runs a call; what it throws becomes a `StoreError`. */
    call: <A, E = never>(f: () => Effect.Effect<A, E>): Effect.Effect<A, E | ReplicaStore.StoreError> =>
      Effect.suspend((): Effect.Effect<A, E | ReplicaStore.StoreError> => {
        if (refusal !== undefined) return Effect.fail(refusal)
        try {
          return f()
        } catch (cause) {
          return Effect.fail(Database.storeError(file, cause))
        }
      }),
    /** Nothing more is let in. */
    close: (): void => {
      refusal = Database.closed(file)
    },
    /** What a call that was not an append says when it cannot be made durable. */
    refusedInstead: (error: ReplicaStore.StoreError): ReplicaStore.StoreError =>
      error.reason === "uncertain" && refusal !== undefined ? refusal : error
  }
}

/** What may still be asked. */
export type Guard = ReturnType<typeof make>

// ---------------------------------------------------------------------------------------------------------------------

const unsynced = "the entries that were written since the last sync"
