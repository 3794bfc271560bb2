/** Answers writes that are not appended: those that have waited for too long, and all of them when their replica closes. */
import { Duration, Effect } from "effect"
import type { Membership } from "../../peer/Membership.ts"
import type { Replication } from "../../peer/Replication.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type * as Appends from "./Appends.ts"
import type * as CommitQueue from "./CommitQueue.ts"
import type * as InFlight from "./InFlight.ts"
import type * as Probing from "./Probing.ts"

/**
 * For how long, in milliseconds, a replica has just started: while it may not append yet, the time of a write begins after
 * that. Peers that are silent, and what they hold of its log, take some seconds. A recovery may take for ever.
 */
const startMillis = 10_000

/** The replica has just started. `onIdle` is called when nobody may be left who waits. */
export const make = ({
  appends,
  inFlight,
  membership,
  onIdle,
  probing,
  queue,
  replication
}: {
  readonly appends: Appends.Appends
  readonly inFlight: InFlight.InFlight
  readonly membership: Membership["Service"]
  readonly probing: Probing.Probing
  readonly queue: CommitQueue.CommitQueue
  readonly replication: Replication["Service"]
  readonly onIdle: () => void
}) => {
  const startedUntil = inFlight.monotonicMillis() + startMillis
  const { refuse } = appends

  const takeOverdue = (isOverdue: (commit: CommitQueue.Commit) => boolean): ReadonlyArray<CommitQueue.Commit> => [
    ...probing.takeOverdue(isOverdue),
    ...queue.takeOverdue(isOverdue)
  ]

  return {
    /** Answers writes that have waited for long while this replica may not append yet. */
    refuseWaiting: Effect.sync(() => {
      const at = inFlight.monotonicMillis()
      const detail = membership.obstacle() ?? "it has not asked all of its peers yet what they know of it"
      const isOverdue = ({ monotonicMillis, policy }: CommitQueue.Commit): boolean =>
        replication.wasReady() || at - Math.max(monotonicMillis, startedUntil) > Duration.toMillis(policy.ackTimeout)
      refuse(takeOverdue(isOverdue), "not_ready", new QuorumError.NotReady({ detail }))
      onIdle()
    }),
    /** Answers writes that have waited for long while the store does not answer an append. */
    refuseStalled: Effect.sync(() => {
      const stall = appends.refuseStalled()
      if (stall === undefined) return
      const { detail, isOverdue } = stall
      refuse(queue.takeOverdue(isOverdue), "not_ready", new QuorumError.NotReady({ detail }))
    }),
    /** Answers everybody whose write is not appended. */
    close: (): void => {
      appends.close()
      refuse(
        takeOverdue(() => true),
        "replica_closing",
        new QuorumError.ReplicaClosing()
      )
    }
  }
}
