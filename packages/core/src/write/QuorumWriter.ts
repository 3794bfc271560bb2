/**
 * Commits writes: appends them to the own log, and answers when W replicas hold them durably.
 *
 * Writes that come while an append is under way go into the next batch together (group commit), and a batch never waits
 * for the acks of the one before. One tracker and one timer serve a whole batch.
 */
import { Context, Effect, type Exit, Latch, Layer, type Stream } from "effect"
import * as WriteId from "../identity/WriteId.ts"
import * as Tracing from "../events/Tracing.ts"
import type * as Entry from "../log/Entry.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type * as ReplicaStore from "../log/ReplicaStore.ts"
import { Membership } from "../peer/Membership.ts"
import { Peers } from "../peer/Peers.ts"
import * as QuorumError from "../quorum/QuorumError.ts"
import type * as QuorumPolicy from "../quorum/QuorumPolicy.ts"
import type { ReadRejected } from "../record/ReadRejected.ts"
import type { RecordKey } from "../record/RecordKey.ts"
import type { Progress, Receipt, Verification, WriteStatus } from "./Receipt.ts"
import * as Admission from "./internal/Admission.ts"
import * as Appender from "./internal/Appender.ts"
import type { Commit } from "./internal/CommitQueue.ts"
import * as Drawing from "./internal/Drawing.ts"
import * as HeldWrites from "./internal/HeldWrites.ts"
import * as InFlight from "./internal/InFlight.ts"
import * as Intake from "./internal/Intake.ts"
import { Policies } from "../read/Policies.ts"
import * as Steps from "./internal/Steps.ts"
import * as Verifying from "./internal/Verifying.ts"
import type * as StampToken from "./StampToken.ts"
import { type CommitError, refusalOfResume, type ResumeError, type WriteOptions } from "./WriteOptions.ts"

export type { CommitError, ResumeError, WriteOptions } from "./WriteOptions.ts"

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
     * after any crash. They are of different keys, `Entry.maxRecords` at most, and together no longer than the longest
     * write may be. `w` and the timeout are the greatest of the policies of their namespaces. It is not a transaction:
     * each key is ordered by itself, so a read of one key may show this write while another key shows a later one
     * already.
     *
     * With an `idempotencyKey` that this or another replica holds, it is completed, however much came after it, and other
     * content is `IdempotencyKeyReused`. It is written for the first time only when every member says that it holds no
     * write of that key; where one cannot be asked, the answer is `IdempotencyUnknown`, and nothing is written. A write by
     * a stamp needs but a majority. Beside the write stands its mark, a record whose key is that of the caller in the
     * namespace of the write, the first by name where there are several, with `.idempotency` at its end: the key is known
     * until somebody deletes it.
     *
     * Interrupting it before the append takes the write back, unless it has such a key; later the write stays, and only the waiting ends.
     * Writes of one replica take effect in the order in which they were committed. The bytes of a value must not be
     * changed before the commit is answered.
     */
    readonly commit: (write: Entry.Writes, options?: WriteOptions) => Effect.Effect<Receipt, CommitError>
    /**
     * {@link commit} without a fiber, for who has many under way at once: `done` is called once with the outcome, within
     * this call when the write is refused. It must be quick; that it throws is logged, and nothing else is made of it.
     *
     * Returns how to end the waiting, which is what an interruption of `commit` does: before the append it takes the
     * write back, later the write stays. `done` is not called after that.
     */
    readonly commitUnsafe: (
      write: Entry.Writes,
      done: (outcome: Exit.Exit<Receipt, CommitError>) => void,
      options?: WriteOptions
    ) => () => void
    /**
     * `commit`, step by step: durable here, committed or not, and then every replica that is known to hold it later.
     *
     * A quorum that was not met is a step, and the acks after it are late. The stream ends when all replicas hold the
     * write, or this one is closed; whoever does not want to wait for one that is gone takes what is wanted. It fails only when nothing was
     * written, or when that is not known.
     */
    readonly progress: (
      write: Entry.Writes,
      options?: WriteOptions
    ) => Stream.Stream<Progress, Exclude<CommitError, QuorumError.QuorumNotMet>>
    /**
     * Draws a stamp for one write of these keys: the first of two steps of a write that may be
     * repeated.
     *
     * `commit(write, { stamp })` may then be called any number of times, at any replica, before and after restarts. All
     * copies have the stamp's version, so they are one write, which takes effect between the call of `stamp` and its
     * first receipt: a repeat overwrites nothing that came after. Where the write is held it is completed, so what is
     * answered is its outcome; other content under the stamp is `StampReused` there. A stamp is good for a day, and for
     * whatever is held; an older one is `TooOldToKnow`.
     */
    readonly stamp: (
      keys: RecordKey | ReadonlyArray<RecordKey>,
      options?: Pick<WriteOptions, "session">
    ) => Effect.Effect<StampToken.StampToken, CommitError>
    /**
     * {@link stamp} for each of many writes, of a key each, in their order: a majority is asked once for all of them.
     * What one of them fails with is the answer.
     */
    readonly stampEach: (
      keys: ReadonlyArray<RecordKey>,
      options?: Pick<WriteOptions, "session">
    ) => Effect.Effect<ReadonlyArray<StampToken.StampToken>, CommitError>
    /**
     * Waits for the quorum of a write, with a new deadline: after `QuorumNotMet`, and on any replica, after any restart.
     * One that is not held here yet is waited for as long as acks are by the usual policy, if a member may still bring
     * it; then it is `WriteUnknown`, which does not say that it does not exist. Without `w` it is that of the namespace:
     * a write that was committed with a `w` of its own needs it here too. What else a write may ask for was decided when it
     * was made, and is refused with `InvalidPolicy`.
     */
    readonly resume: (
      writeId: WriteId.WriteId,
      options?: Pick<WriteOptions, "w">
    ) => Effect.Effect<Receipt, ResumeError>
    /** Waits until `w` replicas hold a committed write: {@link resume}, to reach further than the receipt says. */
    readonly upgrade: (receipt: Receipt, w: QuorumPolicy.W) => Effect.Effect<Receipt, ResumeError>
    /**
     * Asks the replicas of today whether they hold what a receipt says. Unlike `status`, which tells what is known here,
     * each looks at its own store. Those that do not answer in the time of a request are `unknown`. `ReadRejected` says
     * what is missing of a receipt, or is not that of one.
     */
    readonly verify: (receipt: Receipt) => Effect.Effect<Verification, QuorumError.WriteUnknown | ReadRejected>
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
    ) => Effect.Effect<
      WriteStatus,
      QuorumError.WriteUnknown | QuorumError.WriteReplaced | QuorumError.WriteCompacted | ReplicaStore.StoreError
    >
  }
>()("@quorum/core/QuorumWriter") {}

/**
 * Builds a writer.
 *
 * When the scope closes, new commits are refused, commits under way have until their deadline, and then it is closed.
 */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const membership = yield* Membership
  const policies = yield* Policies
  let closing = false
  const idle = Latch.makeUnsafe(true)
  const closed = Latch.makeUnsafe()
  const restIfIdle = (): void => {
    if (appender.waiting() === 0 && inFlight.size() === 0) idle.openUnsafe()
  }
  const inFlight: InFlight.InFlight = yield* InFlight.make(
    () => restIfIdle(),
    (answer) => appender.answering(answer),
    // A replica that does not vote is no holder that counts, whatever it holds.
    (log, seq) => Math.max(membership.isVoting() ? 0 : 1, seq - logs.announced(log))
  )
  const appender: Appender.Appender = yield* Appender.make(inFlight, () => restIfIdle())
  // Its own copy counts for no write that still waits, once it may lack what it acknowledged.
  yield* Effect.acquireRelease(
    Effect.sync(() => membership.listen(() => void (membership.isVoting() || inFlight.giveUp()))),
    (stop) => Effect.sync(stop)
  )
  const heldWrites = yield* HeldWrites.make({ inFlight, onWait: () => idle.closeUnsafe(), restIfIdle })
  const { atOnce, begin, currentSpan, inSession, offer } = yield* Intake.make({
    inFlight,
    appender,
    heldWrites,
    isClosing: () => closing,
    onTaken: () => idle.closeUnsafe()
  })
  const runApart = yield* Tracing.runApart

  /** {@link begin} in the session that the write asks for, as an effect: interrupted, it takes the write back. */
  const commit = (
    write: Entry.Writes,
    options: WriteOptions | undefined,
    onDurable?: Commit["onDurable"],
    span?: Commit["span"]
  ): Effect.Effect<Receipt, CommitError> =>
    inSession(options, (after) =>
      Effect.callback((resume) => {
        const takeBack = begin(write, options, after, resume, onDurable, span)
        return takeBack && Effect.sync(takeBack)
      })
    )

  const commitUnsafe = (
    write: Entry.Writes,
    done: (outcome: Exit.Exit<Receipt, CommitError>) => void,
    options: WriteOptions | undefined
  ): (() => void) => {
    // Whoever waits for the same batch has to be answered too.
    const answer = (outcome: Exit.Exit<Receipt, CommitError>): void => {
      try {
        done(outcome)
      } catch (cause) {
        runApart(Effect.logError("what was called with the outcome of a commit has thrown", cause))
      }
    }
    const after = atOnce(options)
    if (after !== undefined) return begin(write, options, after[0], answer) ?? nothing
    // What its client saw has to come first, and that takes a fiber.
    const fiber = runApart(commit(write, options, undefined, currentSpan()))
    const forget = fiber.addObserver(answer)
    return () => {
      forget()
      fiber.interruptUnsafe()
    }
  }

  const drawing = Drawing.make((write, after, refused, onDrawn) =>
    offer(write, { w: "majority" }, refused, { after, onDrawn })
  )

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closing = true
      return Effect.andThen(
        Effect.timeoutOption(idle.await, policies.longestTimeoutMillis + closeMillis),
        Effect.sync(() => {
          inFlight.close()
          appender.close()
          closed.openUnsafe()
        })
      )
    })
  )

  const progress = (write: Entry.Writes, options?: WriteOptions) =>
    Steps.make({
      closed: closed.await,
      listen: peers.listen,
      statusOf: heldWrites.follow,
      commit: (onDurable) =>
        commit(write, options, (durable) => {
          const log = logs.own
          const { clock, tie } = durable.version!
          const step = { _tag: "Durable", writeId: WriteId.make(log, durable.seq, durable.check), clock, tie } as const
          onDurable(step, () => heldWrites.statusOf({ log, ...durable }))
        })
    })

  return QuorumWriter.of({
    policy: policies.usual,
    waiting: () => appender.waiting() + inFlight.waiting(),
    waitingBytes: appender.bytes,
    caps: { writes: Admission.maxWaitingWrites, bytes: Admission.maxPendingBytes },
    commit: (write, options) => commit(write, options),
    commitUnsafe: (write, done, options) => commitUnsafe(write, done, options),
    progress,
    stamp: (keys, options) => inSession(options, (after) => drawing.stamp(keys, after)),
    stampEach: (keys, options) => inSession(options, (after) => drawing.stampEach(keys, after)),
    resume: (writeId, options) => {
      const refusal = refusalOfResume(options)
      return refusal === undefined ? heldWrites.resume(writeId, options) : Effect.fail(refusal)
    },
    upgrade: (receipt, w) => (isGiven(w) ? heldWrites.resume(HeldWrites.idIn(receipt), { w }) : Effect.fail(withoutW)),
    verify: yield* Verifying.make,
    status: heldWrites.status
  })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(QuorumWriter, make)

// ---------------------------------------------------------------------------------------------------------------------

/** How long closing waits beyond the longest deadline, in milliseconds. */
const closeMillis = 1000

const nothing = (): void => undefined

/** Without it the policy would say how far a write has to reach, as it has already. */
const withoutW = new QuorumError.InvalidPolicy({ detail: "w is missing: say how many replicas are to hold the write" })

/** Programs without types give what they like. */
const isGiven = (w: QuorumPolicy.W | undefined): boolean => w !== undefined
