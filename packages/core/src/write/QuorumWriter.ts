/**
 * Commits writes: appends them to the own log, and answers when W replicas hold them durably.
 *
 * Writes that come while an append is under way go into the next batch together (group commit), and a batch never waits
 * for the acks of the one before. One tracker and one timer serve a whole batch.
 */
import { Context, Effect, Latch, Layer, Option, Result, Schema } from "effect"
import { EventSink } from "../events/EventSink.ts"
import * as Tracing from "../events/Tracing.ts"
import type { CommitOutcome } from "../events/ReplicaEvents.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as WriteId from "../identity/WriteId.ts"
import * as Chain from "../log/Chain.ts"
import * as Entry from "../log/Entry.ts"
import * as Limits from "../log/Limits.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import * as ReplicaStore from "../log/ReplicaStore.ts"
import { Peers } from "../peer/Peers.ts"
import * as QuorumError from "../quorum/QuorumError.ts"
import type * as QuorumPolicy from "../quorum/QuorumPolicy.ts"
import type { Receipt, WriteStatus } from "./Receipt.ts"
import * as Admission from "./internal/Admission.ts"
import * as Appender from "./internal/Appender.ts"
import type { Commit } from "./internal/CommitQueue.ts"
import * as InFlight from "./internal/InFlight.ts"
import { Policies } from "../read/Policies.ts"

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

/** Why the quorum of an earlier write was not answered with a receipt. `StoreError`: its log cannot be read here. */
export type ResumeError =
  | QuorumError.QuorumNotMet
  | QuorumError.InvalidPolicy
  | QuorumError.WriteUnknown
  | QuorumError.WriteReplaced
  | ReplicaStore.StoreError

/** What one write asks for, where it is not what the policy of its namespace says. */
export interface WriteOptions {
  /** How many replicas have to hold it. */
  readonly w?: QuorumPolicy.W
}

/** Commits writes on this replica. */
export class QuorumWriter extends Context.Service<
  QuorumWriter,
  {
    /** The policy of writes whose namespace has none of its own. */
    readonly policy: QuorumPolicy.QuorumPolicy
    /** How many writes wait for an append or for acks. */
    readonly waiting: () => number
    /** Bytes of the values that wait for an append. */
    readonly waitingBytes: () => number
    /** How much may wait; further writes are refused as `Overloaded`. */
    readonly caps: { readonly writes: number; readonly bytes: number }
    /**
     * Commits a write. Succeeds when W replicas hold it durably, this one included.
     *
     * Several writes in a list are one entry with one version: on every replica they are held all or not at all, now and
     * after any crash. They are of different keys, and together no longer than the longest write may be. `w` and the
     * timeout are the greatest of the policies of their namespaces. It is not a transaction: each key is ordered by
     * itself, so a read of one key may show this write while another key shows a later one already.
     *
     * Interrupting it before the append takes the write back; later the write stays, and only the waiting ends.
     * Writes of one replica take effect in the order in which they were committed. The bytes of a value must not be
     * changed before the commit is answered.
     */
    readonly commit: (write: Entry.Writes, options?: WriteOptions) => Effect.Effect<Receipt, CommitError>
    /**
     * Waits for the quorum of a write that is already held here, with a new deadline: after `QuorumNotMet`, or to
     * reach further than a receipt says by a greater `w`. Without `w` it is that of the namespace: a write that was
     * committed with a `w` of its own needs it here too.
     */
    readonly resume: (writeId: WriteId.WriteId, options?: WriteOptions) => Effect.Effect<Receipt, ResumeError>
    /**
     * What is known now about a write that is held here, by the policy of its namespace. Waits for nobody; a peer that
     * cannot be reached is no holder, whatever it said before. A late ack makes a holder too, and its verdict stays
     * `late` as long as this replica remembers that the quorum was not met: of the last 65,536 such writes.
     *
     * This replica counts itself, here and in `resume`, as it would be counted by its peers: not for what follows damage
     * of a log.
     */
    readonly status: (
      writeId: WriteId.WriteId
    ) => Effect.Effect<WriteStatus, QuorumError.WriteUnknown | QuorumError.WriteReplaced | ReplicaStore.StoreError>
  }
>()("@quorum/core/QuorumWriter") {}

/**
 * Builds a writer.
 *
 * When the scope closes, new commits are refused, commits under way have until their deadline, and then it is closed.
 */
export const make = Effect.gen(function* () {
  const { self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const limits = yield* Limits.Limits
  const sink = yield* EventSink
  const tracing = yield* Tracing.make
  const policies = yield* Policies
  let closing = false
  const idle = Latch.makeUnsafe(true)
  const restIfIdle = (): void => {
    if (appender.waiting() === 0 && inFlight.size() === 0) idle.openUnsafe()
  }
  const inFlight: InFlight.InFlight = yield* InFlight.make(() => restIfIdle())
  const appender: Appender.Appender = yield* Appender.make(inFlight, () => restIfIdle())
  const waiting = () => appender.waiting() + inFlight.waiting()

  /** Says to listeners why a write was refused, and refuses it. */
  const refuse = (error: CommitError): Effect.Effect<never, CommitError> => {
    if (sink.active()) {
      const outcome = outcomeOf[error._tag]
      sink.tell({ _tag: "CommitsEnded", outcome, reason: undefined, writes: 1, durationMillis: 0 })
    }
    return Effect.fail(error)
  }

  /** Made once, not for every write. */
  const situation: Admission.Situation = {
    self,
    own: logs.own,
    limits,
    peers: peers.all(),
    get closing() {
      return closing
    },
    get broken() {
      return appender.broken()
    },
    get waiting() {
      return waiting()
    },
    get pendingBytes() {
      return appender.bytes()
    },
    get monotonicMillis() {
      return inFlight.now()
    }
  }

  const commit = (write: Entry.Writes, options?: WriteOptions): Effect.Effect<Receipt, CommitError> =>
    Effect.callback((resume) => {
      const admitted = Admission.admit(write, (writes) => policies.resolve(writes, options), situation)
      if (Result.isFailure(admitted)) return resume(refuse(admitted.failure))
      const { policy, valueBytes, write: sound } = admitted.success
      const commit: Commit = {
        monotonicMillis: appender.isHeldBack() ? inFlight.now() : 0,
        write: sound,
        valueBytes,
        policy,
        span: tracing.current(),
        resume,
        seq: 0,
        check: 0,
        version: undefined,
        cancelled: false
      }
      appender.offer(commit)
      idle.closeUnsafe()
      return Effect.sync(() => {
        commit.cancelled = true
      })
    })

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closing = true
      return Effect.andThen(
        Effect.timeoutOption(idle.await, policies.longestTimeoutMillis + closeMillis),
        Effect.sync(() => {
          inFlight.close()
          appender.close()
        })
      )
    })
  )

  /** The place of a write that is held here, and the policy of its namespace. */
  const held = Effect.fnUntraced(function* (writeId: WriteId.WriteId, options?: WriteOptions) {
    if (!isWriteId(writeId)) return yield* noSuchWrite(writeId)
    const { check, log, seq } = WriteId.place(writeId)
    if (seq > logs.head(log).seq) return yield* noSuchWrite(writeId)
    // The newest own entries are in memory too, and what is damaged on disk is not held all the same.
    const damage = logs.damageAt(log, seq)
    if (damage !== undefined) {
      const detail = `entries ${damage.from} to ${damage.to} of ${log} are damaged here`
      return yield* new ReplicaStore.StoreError({ reason: "corrupt", detail })
    }
    const batch = yield* logs.read(log, seq - 1, 1)
    if (Option.isNone(batch)) return yield* noSuchWrite(writeId)
    const { bytes, chain } = batch.value
    if (Chain.check(chain) !== check) {
      return yield* new QuorumError.WriteReplaced({ writeId, held: WriteId.make(log, seq, Chain.check(chain)) })
    }
    const selfLagsBy = Math.max(0, seq - logs.announced(log))
    const { records } = Entry.decodeAt(bytes, 0)
    const version = Entry.stampAt(bytes, 0)
    return {
      log,
      seq,
      check,
      version,
      selfLagsBy,
      policy: yield* Effect.fromResult(policies.resolve(records, options))
    }
  })

  return QuorumWriter.of({
    policy: policies.usual,
    waiting,
    waitingBytes: appender.bytes,
    caps: { writes: Admission.maxWaitingWrites, bytes: Admission.maxPendingBytes },
    commit,
    resume: Effect.fnUntraced(function* (writeId, options) {
      const { check, log, policy, selfLagsBy, seq, version } = yield* held(writeId, options)
      return yield* Effect.callback<Receipt, QuorumError.QuorumNotMet>((resume) => {
        const waiter: InFlight.Waiter = { resume, seq, check, version, cancelled: false }
        idle.closeUnsafe()
        inFlight.watch(log, policy, [waiter], inFlight.now(), false, selfLagsBy)
        restIfIdle()
        return Effect.sync(() => {
          waiter.cancelled = true
        })
      })
    }),
    status: (writeId) =>
      Effect.map(Effect.catchTag(held(writeId), "InvalidPolicy", Effect.die), ({ log, policy, selfLagsBy, seq }) => {
        const { n, w } = policy
        const { holders, verdicts } = inFlight.holders(log, seq, policy, selfLagsBy)
        return { writeId, committed: holders.length >= w, holders, w, n, verdicts }
      })
  })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(QuorumWriter, make)

// ---------------------------------------------------------------------------------------------------------------------

/** How long closing waits beyond the longest deadline, in milliseconds. */
const closeMillis = 1000

const isWriteId = Schema.is(WriteId.WriteId)

/** Text that is no id is the id of no write, whatever place could be made of it. */
const noSuchWrite = (writeId: unknown) =>
  new QuorumError.WriteUnknown({ writeId: String(writeId) as WriteId.WriteId }, { disableChecks: true })

const outcomeOf: Record<CommitError["_tag"], CommitOutcome> = {
  InvalidPolicy: "invalid_policy",
  LocalWriteFailed: "local_write_failed",
  NotReady: "not_ready",
  Overloaded: "overloaded",
  QuorumNotMet: "quorum_not_met",
  QuorumUnavailable: "quorum_unavailable",
  ReplicaClosing: "replica_closing",
  WriteRejected: "write_rejected",
  WriteUncertain: "write_uncertain"
}
