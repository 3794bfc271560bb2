/**
 * Commits writes: appends them to the own log, and answers when W replicas hold them durably.
 *
 * Writes that come while an append is under way go into the next batch together (group commit), and a batch never waits
 * for the acks of the one before. One tracker and one timer serve a whole batch.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Latch, Layer, Option, Result } from "effect"
import * as Entry from "../log/Entry.ts"
import * as InFlight from "./internal/InFlight.ts"
import * as Limits from "../log/Limits.ts"
import * as WriteId from "../identity/WriteId.ts"
import { type Link, Peers } from "../peer/Peers.ts"
import * as QuorumError from "../quorum/QuorumError.ts"
import * as QuorumPolicy from "../quorum/QuorumPolicy.ts"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import type { Receipt, WriteStatus } from "../quorum/Receipt.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import { Replication } from "../peer/Replication.ts"
import type { StoreError } from "../log/ReplicaStore.ts"

/** Why a commit was not answered with a receipt. */
export type CommitError =
  | QuorumError.QuorumUnavailable
  | QuorumError.LocalWriteFailed
  | QuorumError.WriteRejected
  | QuorumError.Overloaded
  | QuorumError.ReplicaClosing
  | QuorumError.NotReady
  | QuorumError.WriteUncertain
  | QuorumError.QuorumNotMet
  | QuorumError.InvalidPolicy

/** Commits writes on this replica. */
export class QuorumWriter extends Context.Service<
  QuorumWriter,
  {
    /** The policy of writes whose namespace has none of its own. */
    readonly policy: QuorumPolicy.QuorumPolicy
    /** The policy of writes to a namespace for which none is given. */
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
      options?: { readonly w?: QuorumPolicy.W }
    ) => Effect.Effect<Receipt, CommitError>
    /**
     * Waits for the quorum of a write that is already held here, with a new deadline: after `QuorumNotMet`, or to
     * reach further than a receipt says by a greater `w`. Without `w` it is that of the namespace: a write that was
     * committed with a `w` of its own needs it here too.
     */
    readonly resume: (
      writeId: WriteId.WriteId,
      options?: { readonly w?: QuorumPolicy.W }
    ) => Effect.Effect<Receipt, QuorumError.QuorumNotMet | QuorumError.InvalidPolicy | QuorumError.WriteUnknown>
    /**
     * What is known now about a write that is held here, by the policy of its namespace. Waits for nobody; a peer that
     * cannot be reached is no holder, whatever it said before.
     */
    readonly status: (writeId: WriteId.WriteId) => Effect.Effect<WriteStatus, QuorumError.WriteUnknown>
  }
>()("@quorum/core/QuorumWriter") {}

/** The most writes that wait for an append or for acks before further ones are rejected as overloaded. */
const maxWaitingWrites = 65_536

/** The most bytes of values that wait for an append; once appended, the log has them. */
const maxPendingBytes = 64 * 1024 * 1024

/**
 * How long, beyond its deadline's worth, a write waits for a replica that has just started and may not append yet, in
 * milliseconds. Peers that are silent, and what they hold of its log, take some seconds.
 */
const startMillis = 10_000

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
    /** When it was submitted, by the clock of deadlines; 0 when nothing holds appends back. */
    readonly at: number
    /** Absent once it is appended. */
    write: Entry.Write | undefined
    readonly policy: QuorumPolicy.QuorumPolicy
    readonly resume: (effect: Effect.Effect<Receipt, CommitError>) => void
  }
  let pending: Array<Commit> = []
  let pendingBytes = 0
  /** Taken from `pending` and not yet in flight: an append is under way. */
  let appending: ReadonlyArray<Commit> = []
  let closing = false
  /** Whether appends may begin. */
  let recovered = false
  /** Set when it is not known whether an append took place. */
  let broken: QuorumError.LocalWriteFailed | undefined
  const more = Latch.makeUnsafe(false)
  const idle = Latch.makeUnsafe(true)
  const inFlight = yield* InFlight.make(() => restIfIdle())
  const restIfIdle = (): void => {
    if (pending.length === 0 && appending.length === 0 && inFlight.size() === 0) idle.openUnsafe()
  }

  const refusal = (write: Entry.Write, policy: QuorumPolicy.QuorumPolicy): CommitError | undefined => {
    if (closing) return new QuorumError.ReplicaClosing()
    if (broken !== undefined) return broken
    const waiting = pending.length + appending.length + inFlight.waiting()
    return (
      Limits.check(write, limits) ??
      (waiting >= maxWaitingWrites || pendingBytes + write.value.length > maxPendingBytes
        ? new QuorumError.Overloaded({ detail: `${waiting} writes wait already` })
        : undefined) ??
      unavailable(policy)
    )
  }

  /** Known before writing that too few are alive: down for longer than a write would wait, or drifted. */
  const unavailable = (policy: QuorumPolicy.QuorumPolicy): QuorumError.QuorumUnavailable | undefined => {
    if (policy.w === 1) return undefined
    const isGone = (link: Link) =>
      link._tag === "Down" && link.at < inFlight.now() - Duration.toMillis(policy.ackTimeout)
    let alive = 1
    for (const { drifted, link, rejected } of peers.all()) {
      if (!drifted.has(logs.own) && !rejected.has(logs.own) && !isGone(link)) alive++
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
      const size = Entry.maxSize(commit.write!)
      if (batch.length > 0 && bytes + size > maxBatchBytes) break
      bytes += size
      pendingBytes -= commit.write!.value.length
      if (!commit.cancelled) batch.push(commit)
    }
    pending = pending.slice(i)
    return batch
  }

  const append = Effect.fnUntraced(function* (batch: ReadonlyArray<Commit>) {
    if (broken !== undefined) {
      for (const commit of batch) commit.resume(Effect.fail(broken))
      return
    }
    appending = batch
    const startedAt = inFlight.now()
    const writes = batch.map(({ write }) => write!)
    const appended = yield* Effect.exit(logs.appendWrites(writes, clock.currentTimeMillisUnsafe()))
    appending = []
    if (Exit.isFailure(appended)) return yield* notAppended(batch, appended.cause)
    const { from } = appended.value
    const byPolicy = new Map<QuorumPolicy.QuorumPolicy, Array<Commit>>()
    for (let i = 0; i < batch.length; i++) {
      const commit = batch[i]!
      commit.seq = from + i
      // The log has it now; what waits for acks needs no copy.
      commit.write = undefined
      const members = byPolicy.get(commit.policy)
      if (members === undefined) byPolicy.set(commit.policy, [commit])
      else members.push(commit)
    }
    for (const [policy, waiters] of byPolicy) inFlight.watch(logs.own, policy, waiters, startedAt)
  })

  /**
   * Only a typed error of the store says that nothing was written. After anything else the writes may be there, so
   * they are answered as not known, and this replica takes no further ones: it does not know where its log ends.
   */
  const notAppended = (batch: ReadonlyArray<Commit>, cause: Cause.Cause<StoreError>): Effect.Effect<void> => {
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    const detail = error === undefined ? Cause.pretty(cause) : error.message
    if (error !== undefined && error.reason !== "uncertain") {
      const failed = new QuorumError.LocalWriteFailed({ detail, cause: error })
      for (const commit of batch) commit.resume(Effect.fail(failed))
      return Effect.void
    }
    broken = new QuorumError.LocalWriteFailed({ detail: `an earlier append failed, restart this replica: ${detail}` })
    unknown(batch, detail)
    return Effect.logError(broken.message)
  }

  /** Answers writes of which it is not known whether they were appended. */
  const unknown = (batch: ReadonlyArray<Commit>, detail: string): void => {
    const uncertain = new QuorumError.WriteUncertain({ detail })
    for (const { resume } of batch) resume(Effect.fail(uncertain))
  }

  /** Answers writes that have waited for long while this replica may not append yet. */
  const refuseWaiting = Effect.sync(() => {
    const now = inFlight.now()
    const overdue = pending.filter(({ at, policy }) => now - at > startMillis + Duration.toMillis(policy.ackTimeout))
    pending = pending.filter((commit) => !overdue.includes(commit))
    const detail = "it has not fetched the rest of its own log from its peers yet"
    for (const { resume, write } of overdue) {
      pendingBytes -= write!.value.length
      resume(Effect.fail(new QuorumError.NotReady({ detail })))
    }
    restIfIdle()
  })

  const appender = Effect.gen(function* () {
    yield* Effect.raceFirst(replication.recovered, Effect.forever(Effect.andThen(Effect.sleep(100), refuseWaiting)))
    recovered = true
    while (true) {
      if (pending.length === 0) {
        restIfIdle()
        more.closeUnsafe()
        yield* more.await
      }
      // One turn, in which acks are heard, and writers that wake together come into the same batch.
      yield* Effect.yieldNow
      const batch = take()
      if (batch.length > 0) yield* append(batch)
    }
  })
  yield* Effect.forkScoped(appender)

  const submit = (write: Entry.Write, policy: QuorumPolicy.QuorumPolicy): Effect.Effect<Receipt, CommitError> =>
    Effect.callback((resume) => {
      const refused = refusal(write, policy)
      if (refused !== undefined) return resume(Effect.fail(refused))
      const at = recovered ? 0 : inFlight.now()
      const commit: Commit = { at, write, policy, resume, seq: 0, cancelled: false }
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
            inFlight.close()
            unknown(appending, "this replica was closed while it was appended")
            const gone = new QuorumError.ReplicaClosing()
            for (const commit of pending) commit.resume(Effect.fail(gone))
            pending = []
          })
        )
      )
    })
  )

  /** A policy with another `w`; the same one is the same object, because writes are grouped by it. */
  const policies = new Map<QuorumPolicy.QuorumPolicy, Map<number, QuorumPolicy.QuorumPolicy>>()
  const policyFor = (base: QuorumPolicy.QuorumPolicy, w: QuorumPolicy.W | undefined) => {
    if (w === undefined || w === base.w) return Result.succeed(base)
    const made = QuorumPolicy.withW(base, w)
    if (Result.isFailure(made)) return made
    const known = policies.get(base) ?? new Map<number, QuorumPolicy.QuorumPolicy>()
    policies.set(base, known)
    const same = known.get(made.success.w) ?? made.success
    known.set(same.w, same)
    return Result.succeed(same)
  }

  const policyOf = (namespace: string) => namespaces.get(namespace) ?? options.policy

  /** The place of a write that is held here, and the policy of its namespace. */
  const held = Effect.fnUntraced(function* (writeId: WriteId.WriteId) {
    const { log, seq } = WriteId.place(writeId)
    if (seq > logs.head(log).seq) return yield* new QuorumError.WriteUnknown({ writeId })
    const batch = yield* Effect.orDie(logs.read(log, seq - 1, 1))
    if (Option.isNone(batch)) return yield* new QuorumError.WriteUnknown({ writeId })
    return { log, seq, policy: policyOf(Entry.headerAt(batch.value.bytes, 0).namespace) }
  })

  return QuorumWriter.of({
    policy: options.policy,
    policyOf,
    limits,
    commit: (write, overrides) => {
      const policy = policyFor(policyOf(write.namespace), overrides?.w)
      return Result.isFailure(policy) ? Effect.fail(policy.failure) : submit(write, policy.success)
    },
    resume: Effect.fnUntraced(function* (writeId, overrides) {
      const { log, policy: usual, seq } = yield* held(writeId)
      const policy = yield* Effect.fromResult(policyFor(usual, overrides?.w))
      return yield* Effect.callback<Receipt, QuorumError.QuorumNotMet>((resume) => {
        const waiter: InFlight.Waiter = { resume, seq, cancelled: false }
        idle.closeUnsafe()
        inFlight.watch(log, policy, [waiter], inFlight.now())
        restIfIdle()
        return Effect.sync(() => {
          waiter.cancelled = true
        })
      })
    }),
    status: Effect.fnUntraced(function* (writeId) {
      const { log, policy, seq } = yield* held(writeId)
      const { n, w } = policy
      const { holders, verdicts } = inFlight.holders(log, seq, policy)
      return { writeId, committed: holders.length >= w, holders, w, n, verdicts }
    })
  })
})

/** {@link make} as a layer. */
export const layer = (options: Parameters<typeof make>[0]) => Layer.effect(QuorumWriter, make(options))
