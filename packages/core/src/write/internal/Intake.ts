/**
 * How writes come in: each is looked at once, and refused, or given to who appends it with the clock, the stamp or the key
 * that it asks for.
 */
import { Effect, Exit, Result } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import * as Tracing from "../../events/Tracing.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as Entry from "../../log/Entry.ts"
import * as Limits from "../../log/Limits.ts"
import { ReplicaClock } from "../../log/ReplicaClock.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import { Room } from "../../log/Room.ts"
import { Membership } from "../../peer/Membership.ts"
import { Peers } from "../../peer/Peers.ts"
import { Probes } from "../../peer/Probes.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"
import { Policies } from "../../read/Policies.ts"
import { type CommitError, keyIn, stampIn, type WriteOptions } from "../WriteOptions.ts"
import * as Admission from "./Admission.ts"
import * as After from "./After.ts"
import type * as Appender from "./Appender.ts"
import type { Commit } from "./CommitQueue.ts"
import type * as HeldWrites from "./HeldWrites.ts"
import type * as InFlight from "./InFlight.ts"
import * as InSession from "./InSession.ts"
import * as Keyed from "./Keyed.ts"
import * as Outcomes from "./Outcomes.ts"
import * as Situation from "./Situation.ts"
import * as Stamped from "./Stamped.ts"

/** Gives writes to `appender`. `onTaken` is called after each that was taken in. */
export const make = Effect.fnUntraced(function* ({
  appender,
  heldWrites,
  inFlight,
  isClosing,
  onTaken
}: {
  readonly inFlight: InFlight.InFlight
  readonly appender: Appender.Appender
  /** Completes the write of a stamp or a key that is held already. */
  readonly heldWrites: Pick<Effect.Success<ReturnType<typeof HeldWrites.make>>, "resume">
  readonly isClosing: () => boolean
  readonly onTaken: () => void
}) {
  const { self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const membership = yield* Membership
  const probes = yield* Probes
  const clock = yield* ReplicaClock
  const limits = yield* Limits.Limits
  const room = yield* Room
  const sink = yield* EventSink
  const tracing = yield* Tracing.make
  const policies = yield* Policies

  /** Says to listeners why a write was refused, and refuses it. */
  const refuse = (error: CommitError): Exit.Exit<never, CommitError> => {
    if (sink.active()) {
      const outcome = Outcomes.of(error)
      sink.tell({ _tag: "CommitsEnded", outcome, reason: undefined, writes: 1, durationMillis: 0 })
    }
    return Exit.fail(error)
  }

  /** Made once, not for every write. */
  const situation = Situation.of({ self, limits, logs, peers, membership, room, appender, inFlight, isClosing })
  const stamped = yield* Stamped.make
  const keyed = yield* Keyed.make
  const runApart = yield* Tracing.runApart
  const { atOnce, inSession } = yield* InSession.make(refuse, () => clock.latest([]))

  /** Takes a write in, or refuses it. Returns how to take it back, if it was taken in. */
  const offer = (
    write: unknown,
    options: WriteOptions | undefined,
    resume: Commit["resume"],
    how: Partial<Pick<Commit, "after" | "drawn" | "onDrawn" | "onDurable" | "onNotWritten" | "span">>
  ): (() => void) | undefined => {
    const admitted = Admission.admit(write, options, policies.resolve, situation)
    if (!Admission.isAdmitted(admitted)) return void resume(refuse(admitted))
    const after = After.read(options, () => clock.latest(Entry.listOf(admitted.write)))
    if (Result.isFailure(after)) return void resume(refuse(after.failure))
    const { valueBytes, write: sound } = admitted
    // What its stamp was drawn by is in the entry, whoever could be asked now.
    const policy = how.drawn?.unprobed === true ? QuorumPolicy.byClocks(admitted.policy) : admitted.policy
    const commit: Commit = {
      monotonicMillis: appender.needsTime(policy) ? inFlight.monotonicMillis() : 0,
      mark: probes.mark(),
      after: After.later(after.success, how.after),
      unprobed: !QuorumPolicy.isRealTime(policy),
      write: sound,
      valueBytes,
      policy,
      span: how.span ?? tracing.current(),
      resume,
      drawn: how.drawn,
      onDrawn: how.onDrawn,
      onDurable: how.onDurable,
      onNotWritten: how.onNotWritten,
      seq: 0,
      check: 0,
      version: undefined,
      cancelled: false
    }
    appender.offer(commit)
    onTaken()
    return () => void (commit.cancelled = true)
  }

  /** {@link begin} under a key that the caller invented. Members are asked about it, and that takes a fiber. */
  const beginKeyed = (...[write, options, after, resume, onDurable, span]: Parameters<typeof begin>) => {
    if (isClosing()) return void resume(refuse(new QuorumError.ReplicaClosing()))
    const ways: Keyed.Ways = {
      refuse,
      append: (marked, onDecided) =>
        Effect.callback((done) => {
          const how = { after, onDurable: both(onDecided, onDurable), onNotWritten: onDecided, span }
          offer(marked, options, done, how)
        }),
      resume: (writeId) => heldWrites.resume(writeId, options)
    }
    const fiber = runApart(keyed(write, options, ways))
    const forget = fiber.addObserver(resume)
    return () => {
      forget()
      fiber.interruptUnsafe()
    }
  }

  /** {@link offer} after a clock, and under the stamp or the key that the write asks for, if it asks for one. */
  const begin = (
    write: unknown,
    options: WriteOptions | undefined,
    after: Commit["after"],
    resume: Commit["resume"],
    onDurable?: Commit["onDurable"],
    span = tracing.current()
  ): (() => void) | undefined => {
    const token = stampIn(options)
    if (keyIn(options) !== undefined) return beginKeyed(write, options, after, resume, onDurable, span)
    if (token === undefined) {
      const how =
        onDurable === undefined && after === undefined && span === undefined ? asUsual : { after, onDurable, span }
      return offer(write, options, resume, how)
    }
    const ways: Stamped.Ways = {
      refuse,
      append: (sound, drawn, onAppended, done) =>
        offer(sound, options, done, { drawn, onDurable: both(onAppended, onDurable), span }),
      resume: (writeId) => heldWrites.resume(writeId, options)
    }
    return stamped(write, token, ways, resume)
  }

  return { offer, begin, atOnce, inSession, currentSpan: tracing.current }
})

// ---------------------------------------------------------------------------------------------------------------------

/** Of a write that asks for nothing. */
const asUsual = {}

const both =
  (onAppended: () => void, onDurable: Commit["onDurable"]): Commit["onDurable"] =>
  (durable) => {
    onAppended()
    onDurable?.(durable)
  }
