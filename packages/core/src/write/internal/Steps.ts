/**
 * The steps of one write: durable here, its outcome, and whoever else holds it later.
 */
import { Effect, Option, Queue, Stream } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { WriteId } from "../../identity/WriteId.ts"
import type { QuorumNotMet } from "../../quorum/QuorumError.ts"
import type { CommitError } from "../WriteOptions.ts"
import type { Progress, Receipt, WriteStatus } from "../Receipt.ts"

/** What a write is followed with. */
export interface Sources {
  /** Commits the write, and calls `onDurable` with how its status is asked, as soon as it is durable here. */
  readonly commit: (
    onDurable: (step: Progress, status: () => WriteStatus) => void
  ) => Effect.Effect<Receipt, CommitError>
  /** How the status of a write is asked that was written before, by a stamp or under a key; not where it cannot be read. */
  readonly statusOf: (writeId: WriteId) => Effect.Effect<Option.Option<() => WriteStatus>>
  /** Calls `listener` whenever something was learnt of a peer. Returns how to stop it. */
  readonly listen: (listener: () => void) => () => void
  /** The replica is closed: every write has its outcome, and nothing is learnt any more. */
  readonly closed: Effect.Effect<void>
}

/** Follows a write. Ends when all replicas hold it, or when its replica is closed; fails when nothing was written, or when that is not known. */
export const make = ({
  closed,
  commit,
  listen,
  statusOf
}: Sources): Stream.Stream<Progress, Exclude<CommitError, QuorumNotMet>> =>
  Stream.callback<Progress, Exclude<CommitError, QuorumNotMet>>((queue) =>
    Effect.gen(function* () {
      /** The replicas that were told of; nobody is, before the outcome is. */
      const told = new Set<ReplicaId>()
      let isDecided = false
      let status: (() => WriteStatus) | undefined
      const look = (): void => {
        if (!isDecided || status === undefined) return
        const now = status()
        for (const replica of now.holders) {
          if (told.has(replica)) continue
          told.add(replica)
          const late = now.verdicts[replica]?._tag === "late"
          Queue.offerUnsafe(queue, { _tag: "Held", replica, late, status: now })
        }
        if (now.holders.length === now.n) Queue.endUnsafe(queue)
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => listen(look)),
        (stop) => Effect.sync(stop)
      )
      let isClosed = false
      const onClosed = Effect.sync(() => {
        isClosed = true
        // Otherwise the outcome is on its way.
        if (isDecided) Queue.endUnsafe(queue)
      })
      yield* Effect.forkScoped(Effect.andThen(closed, onClosed))
      const durable = commit((step, current) => {
        Queue.offerUnsafe(queue, step)
        status = current
      })
      const { acked, step, writeId } = yield* Effect.catchTag(Effect.map(durable, committed), "QuorumNotMet", notMet)
      Queue.offerUnsafe(queue, step)
      for (const replica of acked) told.add(replica)
      status ??= Option.getOrUndefined(yield* statusOf(writeId))
      isDecided = true
      if (status === undefined) return Queue.endUnsafe(queue)
      look()
      if (isClosed) Queue.endUnsafe(queue)
    })
  )

// ---------------------------------------------------------------------------------------------------------------------

const committed = (receipt: Receipt) => {
  const step: Progress = { _tag: "Committed", receipt }
  return { step, acked: receipt.acked.map(({ replica }) => replica), writeId: receipt.writeId }
}

const notMet = (error: QuorumNotMet) => {
  const step: Progress = { _tag: "NotMet", error }
  const acked = (Object.keys(error.verdicts) as Array<ReplicaId>).filter((id) => error.verdicts[id]!._tag === "acked")
  return Effect.succeed({ step, acked, writeId: error.writeId })
}
