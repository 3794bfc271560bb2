/**
 * Has the writes that wait appended, one batch after the other: it says which of them go together, and when.
 */
import { Effect } from "effect"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import { Membership } from "../../peer/Membership.ts"
import { Replication } from "../../peer/Replication.ts"
import * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"
import * as Appends from "./Appends.ts"
import * as CommitQueue from "./CommitQueue.ts"
import type * as InFlight from "./InFlight.ts"
import * as Overdue from "./Overdue.ts"
import * as Probing from "./Probing.ts"

/** How often it is looked whether the store answers, own writes and those of peers, in milliseconds. */
const stallMillis = 500

/** Starts with nothing to append; appends in the background until the scope closes. */
export const make = Effect.fnUntraced(function* (inFlight: InFlight.InFlight, onIdle: () => void) {
  const { lookAtDisk } = yield* ReplicaLogs
  const membership = yield* Membership
  const replication = yield* Replication
  const n = (yield* ReplicaSet).peers.length + 1
  /** The writes that may be stamped. */
  const queue = CommitQueue.make()
  /** Woken, the appender goes on within the call: a latch would take one more turn of the event loop. */
  let wake = (): void => undefined
  const some = Effect.callback<void>((resume) => {
    wake = () => resume(Effect.void)
  })
  /** Set while all who wait have been waited for already: they were covered by one probe. */
  let isGathered = false
  /** Set while writers are answered: those who write again at once come together. */
  let isGathering = false
  const appends = yield* Appends.make(inFlight)
  const { refuse } = appends

  /** Whether a majority is asked for its clocks first. Alone, this replica is one. */
  const isProbed = (policy: QuorumPolicy.QuorumPolicy): boolean => n > 1 && QuorumPolicy.isRealTime(policy)

  /** A write that has its stamp already asks nobody. */
  const asks = ({ drawn, policy }: CommitQueue.Commit): boolean => drawn === undefined && isProbed(policy)

  const onCovered = (commits: ReadonlyArray<CommitQueue.Commit>): void => {
    for (const commit of commits) queue.offer(commit)
    isGathered = true
    wake()
  }
  const probing = yield* Probing.make({
    monotonicMillis: inFlight.monotonicMillis,
    onCovered,
    onUnavailable: (commit, error) => {
      const accepting = QuorumPolicy.accepting(commit.policy)
      if (accepting === undefined) {
        if (!commit.cancelled) refuse([commit], "quorum_unavailable", error)
        return onIdle()
      }
      commit.policy = accepting
      commit.unprobed = true
      onCovered([commit])
    }
  })

  const overdue = Overdue.make({ appends, inFlight, membership, probing, queue, replication, onIdle })
  const look = Effect.andThen(lookAtDisk, overdue.refuseStalled)
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(stallMillis), look)))

  yield* Effect.gen(function* () {
    let hasBegun = false
    while (true) {
      if (!replication.isReady()) {
        yield* Effect.raceFirst(
          replication.ready,
          Effect.forever(Effect.andThen(Effect.sleep(100), overdue.refuseWaiting))
        )
      }
      if (!hasBegun) probing.begin()
      hasBegun = true
      if (queue.size() === 0) {
        onIdle()
        isGathered = false
        yield* some
      }
      // One turn, in which acks are heard, and writers that wake together come into the same batch.
      if (!isGathered || inFlight.size() > 0) yield* Effect.yieldNow
      if (!replication.isReady()) continue
      const batch = queue.takeBatch()
      if (batch.length > 0) yield* appends.append(batch)
    }
  }).pipe(Effect.forkScoped)

  return {
    /** Why nothing is appended any more; `undefined` while all is well. */
    broken: appends.broken,
    /**
     * Whether it matters how long a write has waited: this replica may not append yet, asks for clocks before, or has an
     * append under way that may take long.
     */
    needsTime: (policy: QuorumPolicy.QuorumPolicy): boolean =>
      appends.size() > 0 || !replication.isReady() || isProbed(policy),
    /** How many writes wait for an append. */
    waiting: () => probing.size() + queue.size() + appends.size(),
    /** Bytes of values that wait for an append. */
    bytes: () => probing.bytes() + queue.bytes(),
    offer: (commit: CommitQueue.Commit): void => {
      if (asks(commit)) return probing.offer(commit, !isGathering)
      queue.offer(commit)
      if (!isGathering) wake()
    },
    /** Answers writers. What they write within their answers is asked for, or appended, after it and without a turn. */
    answering: (answer: () => void): void => {
      if (isGathering) return answer()
      isGathering = true
      try {
        answer()
      } finally {
        isGathering = false
        probing.wake()
        if (queue.size() > 0) {
          isGathered = true
          wake()
        }
      }
    },
    /** Answers everybody whose write is not appended. */
    close: overdue.close
  }
})

/** Appends the writes that wait. */
export type Appender = Effect.Success<ReturnType<typeof make>>
