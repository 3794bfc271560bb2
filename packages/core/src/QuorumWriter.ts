/**
 * Commits writes: appends them to the own log, and answers when W replicas hold them durably.
 *
 * Writes that come while an append is under way go into the next batch together (group commit), and a batch never waits
 * for the acks of the one before. One tracker and one timer serve a whole batch.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Latch, Layer, Option, Schema } from "effect"
import * as Entry from "./Entry.ts"
import * as InFlight from "./InFlight.ts"
import * as Limits from "./Limits.ts"
import * as Log from "./Log.ts"
import { Peers } from "./Peers.ts"
import * as QuorumError from "./QuorumError.ts"
import * as QuorumPolicy from "./QuorumPolicy.ts"
import type * as ReplicaId from "./ReplicaId.ts"
import type { Receipt, WriteStatus } from "./Receipt.ts"
import { ReplicaLogs } from "./ReplicaLogs.ts"
import { ReplicaSet } from "./ReplicaSet.ts"
import { Replication } from "./Replication.ts"
import { StoreError } from "./ReplicaStore.ts"

/** This replica does not hold the write. It may exist on the replica that its id names, or may never have existed. */
export class WriteUnknown extends Schema.TaggedError<WriteUnknown>()("WriteUnknown", { writeId: Schema.String }) {
  override get message(): string {
    return `the write ${this.writeId} is not held by this replica`
  }
}

/** Why a commit was not answered with a receipt. */
export type CommitError =
  | QuorumError.QuorumUnavailable
  | QuorumError.LocalWriteFailed
  | QuorumError.WriteRejected
  | QuorumError.QuorumNotMet
  | QuorumError.InvalidPolicy

/** Commits writes on this replica. */
export class QuorumWriter extends Context.Service<
  QuorumWriter,
  {
    /** The policy of writes for which none is given, by namespace. */
    readonly policyOf: (namespace: string) => QuorumPolicy.QuorumPolicy
    readonly limits: Limits.Limits
    /**
     * Commits a write. Succeeds when W replicas hold it durably, this one included.
     *
     * Interrupting it before the append takes the write back; later the write stays, and only the waiting ends.
     * Writes of one replica take effect in the order in which they were committed.
     */
    readonly commit: (
      write: Entry.Write,
      options?: { readonly policy?: QuorumPolicy.QuorumPolicy }
    ) => Effect.Effect<Receipt, CommitError>
    /**
     * Waits for the quorum of a write that is already held here, with a new deadline: after `QuorumNotMet`, or to
     * reach further than a receipt says by a policy with a greater W.
     */
    readonly resume: (
      writeId: Log.WriteId,
      options?: { readonly policy?: QuorumPolicy.QuorumPolicy }
    ) => Effect.Effect<Receipt, QuorumError.QuorumNotMet | QuorumError.InvalidPolicy | WriteUnknown>
    /** What is known now about a write that is held here. Waits for nobody. */
    readonly status: (writeId: Log.WriteId) => Effect.Effect<WriteStatus, WriteUnknown>
  }
>()("@quorum/core/QuorumWriter") {}

/** The most writes and bytes that wait for an append before further ones are rejected as overloaded. */
const maxPendingWrites = 65_536
const maxPendingBytes = 64 * 1024 * 1024

/** The most bytes in one batch of the own log, unless one write is larger. */
const maxBatchBytes = 512 * 1024

/**
 * Builds a writer. `policy.n` has to be the size of the replica set, and so in every policy given later; otherwise
 * `InvalidPolicy`. A policy whose `w` was clamped is used as clamped, with a warning in the log.
 *
 * When the scope closes, new commits are rejected, commits under way have until their deadline, and then it is closed.
 */
export const make = Effect.fnUntraced(function* (options: {
  readonly policy: QuorumPolicy.QuorumPolicy
  /** Policies of single namespaces. */
  readonly namespaces?: Readonly<Record<string, QuorumPolicy.QuorumPolicy>>
  readonly limits?: Limits.Limits
}) {
  const { peers: peerIds, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const replication = yield* Replication
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const limits = options.limits ?? Limits.defaults
  const n = peerIds.length + 1
  const namespaces = new Map(Object.entries(options.namespaces ?? {}))

  const misfit = (policy: QuorumPolicy.QuorumPolicy): QuorumError.InvalidPolicy | undefined =>
    policy.n === n
      ? undefined
      : new QuorumError.InvalidPolicy({ detail: `n is ${policy.n}, and the replica set has ${n} members` })

  for (const policy of [options.policy, ...namespaces.values()]) {
    const invalid = misfit(policy)
    if (invalid !== undefined) return yield* invalid
    if (QuorumPolicy.isClamped(policy)) {
      yield* Effect.logWarning(`w = ${policy.requestedW} was asked for, and w = ${policy.w} of ${policy.n} is used`)
    }
  }

  interface Commit extends InFlight.Waiter {
    readonly write: Entry.Write
    readonly policy: QuorumPolicy.QuorumPolicy
    readonly resume: (effect: Effect.Effect<Receipt, CommitError>) => void
  }
  let pending: Array<Commit> = []
  let pendingBytes = 0
  let closing = false
  const more = Latch.makeUnsafe(false)
  const idle = Latch.makeUnsafe(true)
  const inFlight = yield* InFlight.make(() => {
    if (pending.length === 0) idle.openUnsafe()
  })

  const rejected = (field: string, reason: QuorumError.WriteRejected["reason"], detail: string) =>
    new QuorumError.WriteRejected({ field, reason, detail })

  const refusal = (write: Entry.Write, policy: QuorumPolicy.QuorumPolicy): CommitError | undefined => {
    if (closing) return rejected("replica", "overloaded", "this replica is closing; use another one")
    return (
      Limits.check(write, limits) ??
      (pending.length >= maxPendingWrites || pendingBytes + write.value.length > maxPendingBytes
        ? rejected("pending", "overloaded", `${pending.length} writes wait already; try again later`)
        : undefined) ??
      misfit(policy) ??
      unavailable(policy)
    )
  }

  /** Known before writing that too few are alive: down for longer than a write would wait, or drifted. */
  const unavailable = (policy: QuorumPolicy.QuorumPolicy): QuorumError.QuorumUnavailable | undefined => {
    if (policy.w === 1) return undefined
    const since = now() - Duration.toMillis(policy.ackTimeout)
    let alive = 1
    for (const { drifted, link } of peers.all()) {
      if (!drifted.has(logs.own) && !(link._tag === "Down" && link.since < since)) alive++
    }
    if (alive >= policy.w) return undefined
    const verdicts: Record<ReplicaId.ReplicaId, QuorumError.Verdict> = { [self]: { _tag: "not_tried" } }
    for (const { drifted, id, link } of peers.all()) {
      verdicts[id] = drifted.has(logs.own)
        ? { _tag: "drifted" }
        : link._tag === "Down"
          ? link.verdict
          : { _tag: "not_tried" }
    }
    return new QuorumError.QuorumUnavailable({ alive, needed: policy.w, verdicts })
  }

  const take = (): Array<Commit> => {
    const batch: Array<Commit> = []
    let bytes = 0
    let i = 0
    for (; i < pending.length; i++) {
      const commit = pending[i]!
      const size = Entry.maxSize(commit.write)
      if (batch.length > 0 && bytes + size > maxBatchBytes) break
      bytes += size
      pendingBytes -= commit.write.value.length
      if (!commit.cancelled) batch.push(commit)
    }
    pending = pending.slice(i)
    return batch
  }

  const append = Effect.fnUntraced(function* (batch: Array<Commit>) {
    const startedAt = now()
    const appended = yield* Effect.exit(
      logs.appendWrites(
        batch.map(({ write }) => write),
        startedAt
      )
    )
    if (Exit.isFailure(appended)) {
      const error = Option.getOrUndefined(Cause.findErrorOption(appended.cause))
      const failed = new QuorumError.LocalWriteFailed({
        detail: error instanceof StoreError ? error.message : Cause.pretty(appended.cause),
        cause: Cause.squash(appended.cause)
      })
      for (const commit of batch) commit.resume(Effect.fail(failed))
      return
    }
    const { from } = appended.value
    const byPolicy = new Map<QuorumPolicy.QuorumPolicy, Array<Commit>>()
    for (let i = 0; i < batch.length; i++) {
      const commit = batch[i]!
      commit.seq = from + i
      const members = byPolicy.get(commit.policy)
      if (members === undefined) byPolicy.set(commit.policy, [commit])
      else members.push(commit)
    }
    idle.closeUnsafe()
    for (const [policy, waiters] of byPolicy) inFlight.watch(logs.own, policy, waiters, startedAt)
  })

  const appender = Effect.gen(function* () {
    yield* replication.recovered
    while (true) {
      const batch = take()
      if (batch.length > 0) {
        yield* append(batch)
        // Lets the replicators send what was appended before the next append takes the thread.
        yield* Effect.yieldNow
      } else if (pending.length === 0) {
        if (inFlight.size() === 0) idle.openUnsafe()
        more.closeUnsafe()
        yield* more.await
      }
    }
  })
  yield* Effect.forkScoped(appender)

  const submit = (write: Entry.Write, policy: QuorumPolicy.QuorumPolicy): Effect.Effect<Receipt, CommitError> =>
    Effect.callback((resume) => {
      const refused = refusal(write, policy)
      if (refused !== undefined) return resume(Effect.fail(refused))
      const commit: Commit = { write, policy, resume, seq: 0, cancelled: false }
      pending.push(commit)
      pendingBytes += write.value.length
      idle.closeUnsafe()
      more.openUnsafe()
      return Effect.sync(() => {
        commit.cancelled = true
      })
    })

  // Registered last, so that it runs first: the appender and the timer still work during the grace.
  const grace = Math.max(
    ...[options.policy, ...namespaces.values()].map(({ ackTimeout }) => Duration.toMillis(ackTimeout))
  )
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closing = true
      return Effect.timeoutOption(idle.await, grace + 1000).pipe(
        Effect.andThen(
          Effect.sync(() => {
            inFlight.abandon()
            const gone = rejected("replica", "overloaded", "this replica was closed before the write was appended")
            for (const commit of pending) commit.resume(Effect.fail(gone))
            pending = []
          })
        )
      )
    })
  )

  const policyOf = (namespace: string) => namespaces.get(namespace) ?? options.policy

  const held = (writeId: Log.WriteId) =>
    Effect.suspend(() => {
      const place = Log.place(writeId)
      return place.seq <= logs.head(place.log).seq ? Effect.succeed(place) : new WriteUnknown({ writeId })
    })

  return QuorumWriter.of({
    policyOf,
    limits,
    commit: (write, overrides) => submit(write, overrides?.policy ?? policyOf(write.namespace)),
    resume: Effect.fnUntraced(function* (writeId, overrides) {
      const { log, seq } = yield* held(writeId)
      const policy = overrides?.policy ?? options.policy
      const invalid = misfit(policy)
      if (invalid !== undefined) return yield* invalid
      return yield* Effect.callback<Receipt, QuorumError.QuorumNotMet>((resume) => {
        const waiter: InFlight.Waiter = { resume, seq, cancelled: false }
        idle.closeUnsafe()
        inFlight.watch(log, policy, [waiter], now())
        return Effect.sync(() => {
          waiter.cancelled = true
        })
      })
    }),
    status: Effect.fnUntraced(function* (writeId) {
      const { log, seq } = yield* held(writeId)
      const { n, w } = options.policy
      const { holders, verdicts } = inFlight.holders(log, seq, options.policy)
      return { writeId, committed: holders.length >= w, holders, w, n, verdicts }
    })
  })
})

/** {@link make} as a layer. */
export const layer = (options: Parameters<typeof make>[0]) => Layer.effect(QuorumWriter, make(options))
