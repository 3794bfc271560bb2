/**
 * The writes that may not be stamped yet: a majority has not been heard of its clocks since they were called.
 */
import { Duration, Effect } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as Entry from "../../log/Entry.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import type { Key } from "../../log/ReplicaClock.ts"
import { type PeerState, Peers } from "../../peer/Peers.ts"
import { Probes } from "../../peer/Probes.ts"
import * as ProbeTracker from "../../quorum/ProbeTracker.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type { QuorumPolicy } from "../../quorum/QuorumPolicy.ts"
import type { Commit } from "./CommitQueue.ts"
import * as Deadlines from "./Deadlines.ts"

/** The most bytes of names in one question, unless one write has more. */
const maxNameBytes = 16 * 1024

/** Starts with nothing that waits. Nobody is asked, and nothing is overdue, before `begin`. */
export const make = Effect.fnUntraced(function* (options: {
  readonly monotonicMillis: () => number
  /** These writes may be stamped, in the order in which they came. */
  readonly onCovered: (commits: ReadonlyArray<Commit>) => void
  /** Too few have said their clocks until the deadline of this write. */
  readonly onUnavailable: (commit: Commit, error: QuorumError.QuorumUnavailable) => void
}) {
  const { monotonicMillis, onCovered, onUnavailable } = options
  const { self } = yield* ReplicaSet
  const peers = yield* Peers
  const probes = yield* Probes
  let pending: Array<Commit> = []
  let bytes = 0
  let begunAt = Number.POSITIVE_INFINITY

  /** Takes out the writes that were called before this mark. They came in the order of their marks. */
  const takeBefore = (mark: number): ReadonlyArray<Commit> => {
    let count = 0
    while (count < pending.length && pending[count]!.mark < mark) bytes -= pending[count++]!.valueBytes
    const taken = count === pending.length ? pending : pending.slice(0, count)
    pending = pending.slice(count)
    return taken
  }

  const take = (is: (commit: Commit) => boolean): ReadonlyArray<Commit> => {
    const taken: Array<Commit> = []
    const left: Array<Commit> = []
    for (const commit of pending) (is(commit) ? taken : left).push(commit)
    if (taken.length === 0) return taken
    pending = left
    for (const { valueBytes } of taken) bytes -= valueBytes
    return taken
  }

  const onAnswer = (): void => {
    const covered = ProbeTracker.coveredBefore(probes.tracker())
    if (pending.length > 0 && pending[0]!.mark < covered) {
      const clock = probes.clock()
      const taken = takeBefore(covered)
      for (const commit of taken) commit.after = later(commit.after, clock)
      onCovered(taken)
    }
    if (pending.length === 0) probes.rest()
  }

  const hasBegun = (): boolean => begunAt < Number.POSITIVE_INFINITY
  probes.serve({
    newest: () => (hasBegun() ? pending.at(-1)?.mark : undefined),
    oldest: () => (hasBegun() ? pending[0]?.mark : undefined),
    keys: (from) => keysFrom(pending, from),
    onAnswer
  })

  /** The timeout of a policy: most writes have that of the one before. */
  const timeoutOf = (policy: QuorumPolicy): number => {
    if (policy !== latest?.policy) latest = { policy, millis: Duration.toMillis(policy.ackTimeout) }
    return latest.millis
  }
  let latest: { readonly policy: QuorumPolicy; readonly millis: number } | undefined

  const deadlineOf = ({ monotonicMillis, policy }: Commit): number =>
    Math.max(monotonicMillis, begunAt) + timeoutOf(policy)

  const deadlines = yield* Deadlines.make(monotonicMillis, (at) => {
    for (const commit of take((each) => deadlineOf(each) < at))
      onUnavailable(commit, unavailable(commit, self, probes.tracker(), peers.all()))
    let next = Number.POSITIVE_INFINITY
    for (const commit of pending) next = Math.min(next, deadlineOf(commit))
    if (next === Number.POSITIVE_INFINITY) probes.rest()
    return next
  })

  return {
    size: () => pending.length,
    /** Bytes of the values that wait. */
    bytes: () => bytes,
    /** From now on peers are asked, and deadlines run. */
    begin: (): void => {
      begunAt = monotonicMillis()
      onAnswer()
      deadlines.look()
      probes.wake()
    },
    /** Peers are asked for its sake now; where more come at once, `wake` says that they all have. */
    offer: (commit: Commit, isLast: boolean): void => {
      pending.push(commit)
      bytes += commit.valueBytes
      if (!hasBegun()) return
      deadlines.arm(deadlineOf(commit))
      if (isLast) probes.wake()
    },
    /** All have come that come together. */
    wake: (): void => {
      if (pending.length > 0) probes.wake(true)
    },
    /** Takes out the writes that `isOverdue`. */
    takeOverdue: take
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const later = (
  a: HybridLogicalClock.HybridLogicalClock | undefined,
  b: HybridLogicalClock.HybridLogicalClock
): HybridLogicalClock.HybridLogicalClock => (a !== undefined && HybridLogicalClock.compare(a, b) > 0 ? a : b)

/** The keys of the writes from a mark on, up to a number of bytes, and the mark up to which that is. */
const keysFrom = (pending: ReadonlyArray<Commit>, from: number) => {
  const keys: Array<Key> = []
  let size = 0
  for (const { mark, write } of pending) {
    if (mark < from) continue
    const records = Entry.listOf(write!)
    const names = records.reduce((sum, { key, namespace }) => sum + 3 * (key.length + namespace.length), 0)
    if (keys.length > 0 && size + names > maxNameBytes) return { keys, upTo: mark }
    size += names
    keys.push(...records)
  }
  return { keys, upTo: Number.POSITIVE_INFINITY }
}

/** Why a write could not be stamped in time. Nothing was written. */
const unavailable = (
  { mark }: Commit,
  self: ReplicaId,
  tracker: ProbeTracker.ProbeTracker,
  peers: ReadonlyArray<PeerState>
): QuorumError.QuorumUnavailable => {
  const answered = ProbeTracker.answeredBy(tracker, mark)
  const verdicts: Record<ReplicaId, QuorumError.Verdict> = { [self]: { _tag: "not_tried" } }
  let connected = 1
  for (const { id, link } of peers) {
    // One that hangs is there, also once its connection was given up.
    if (link._tag === "Up" || (link._tag === "Down" && link.verdict._tag === "timed_out")) connected++
    const silent = link._tag === "Down" ? link.verdict : ({ _tag: "timed_out" } as const)
    verdicts[id] = answered.includes(id) ? { _tag: "not_tried" } : silent
  }
  const needed = tracker.needed + 1
  const reason = connected < needed ? "unreachable" : "timeout"
  return new QuorumError.QuorumUnavailable({ alive: answered.length + 1, needed, reason, verdicts })
}

/** The writes that may not be stamped yet. */
export type Probing = Effect.Success<ReturnType<typeof make>>
