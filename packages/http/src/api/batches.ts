/**
 * Batches: the lines of a request as writes, and what became of them as lines.
 */
import {
  type ClientSession,
  Entry,
  Limits,
  QuorumError,
  type QuorumWriter,
  type Receipt,
  type StampToken
} from "@quorum/core"
import { Monotonic } from "@quorum/core/adapter"
import { Cause, Deferred, Effect, Exit, Option, Result, Semaphore, Stream } from "effect"
import * as Answers from "./answers.ts"
import { type Forbidden, InvalidRequest, type Unauthorized } from "./ApiErrors.ts"
import { lineOf } from "./batchLines.ts"
import { inTurns } from "./pieces.ts"
import { endOf, invalid } from "./requestLines.ts"

/** How many chunks of the body are under way at once: their lines share appends and pushes, and no more is read ahead. */
const concurrency = 4

/** The most lines of an atomic batch. */
const maxAtomicLines = 10_000

/** What a line fails with. */
type LineError =
  | Exclude<QuorumWriter.CommitError, QuorumError.InvalidPolicy>
  | InvalidRequest
  | Unauthorized
  | Forbidden

/** Commits writes that are one entry, under a stamp if they have one. */
type Commit = (
  writes: Entry.Writes,
  stamp: StampToken.StampToken | undefined
) => Effect.Effect<Receipt.Receipt, LineError>

/** {@link Commit} without a fiber: `done` is called with what became of it. Returns how to end the waiting. */
type CommitUnsafe = (
  writes: Entry.Writes,
  stamp: StampToken.StampToken | undefined,
  done: (outcome: Exit.Exit<Receipt.Receipt, LineError>) => void
) => () => void

/** Says for the operator what went wrong. */
type Report = (error: LineError) => Effect.Effect<void>

/** What the session of the client is after these answers and all before, which come in their order. */
type Session = (answers: ReadonlyArray<Answers.Outcome>) => Effect.Effect<ClientSession.ClientSession>

/** Each line is a write of its own. What ends the lines, as one that is no JSON, is the last answer. */
export const each = (
  lines: Stream.Stream<unknown, unknown>,
  commit: CommitUnsafe,
  report: Report,
  session: Session
): Stream.Stream<string> => {
  let count = 0
  /** Later lines come after earlier ones, whose turn it may not be yet. */
  let last: Effect.Effect<void> = Effect.void
  return lines.pipe(
    Stream.chunks,
    Stream.mapEffect(
      (chunk) => {
        const taken = Deferred.makeUnsafe<void>()
        const before = last
        last = Deferred.await(taken)
        return commitEach(chunk, commit, report, before, () => Deferred.doneUnsafe(taken, Exit.void))
      },
      { concurrency }
    ),
    Stream.mapEffect((outcomes) =>
      Effect.map(session(outcomes), (after) => {
        const first = count + 1
        count += outcomes.length
        return Answers.textsOf(first, outcomes, after)
      })
    ),
    Stream.flatMap(inTurns),
    Stream.catch((cause) => Stream.suspend(() => Stream.succeed(Answers.lineOf(count + 1, Result.fail(endOf(cause))))))
  )
}

/**
 * All lines are one write, under one stamp. No more of them is kept than one write may be: what is longer is refused before
 * the rest of it is read (law L63).
 */
export const atomic = (
  lines: Stream.Stream<unknown, unknown>,
  commit: Commit,
  session: Session,
  stamp: StampToken.StampToken | undefined,
  limits: Limits.Limits
): Stream.Stream<string> => {
  let count = 0
  let bytes = 0
  const kept: Array<Entry.Write> = []
  const take = (json: unknown): Result.Result<unknown, InvalidRequest | QuorumError.WriteRejected> => {
    count++
    if (count > maxAtomicLines) return Result.fail(invalid(`an atomic batch has ${maxAtomicLines} lines at most`))
    const read = lineOf(json)
    if (Result.isFailure(read)) return Result.fail(read.failure)
    const { stamp, write } = read.success
    if (stamp !== undefined) {
      return Result.fail(invalid("the stamp of an atomic batch is in the header Quorum-Stamp"))
    }
    kept.push(write)
    bytes += Entry.recordSize(write)
    return bytes > Entry.longest(limits) ? Limits.checkWrites(kept, limits) : read
  }
  const writes = lines.pipe(
    Stream.runForEach((json) => Effect.fromResult(take(json))),
    Effect.mapError((cause) =>
      cause instanceof InvalidRequest || cause instanceof QuorumError.WriteRejected ? cause : endOf(cause)
    ),
    Effect.map(() => kept),
    Effect.flatMap(([first, ...rest]) =>
      first === undefined ? Effect.fail(invalid("there is no line")) : Effect.succeed([first, ...rest] as const)
    )
  )
  return Stream.fromEffect(
    Effect.flatMap(Effect.result(Effect.flatMap(writes, (all) => commit(all, stamp))), (outcome) =>
      Effect.map(session([outcome]), (after) => Answers.textsOf(Math.max(1, count), [outcome], after))
    )
  ).pipe(Stream.flatMap(inTurns))
}

// ---------------------------------------------------------------------------------------------------------------------

/** How long lines are taken one after the other before others have their turn, in milliseconds. */
const turnMillis = 5

/** Of all batches one takes lines at a time: of many, each with a turn of its own, nobody else would have one for seconds. */
const oneAtATime = Semaphore.makeUnsafe(1).withPermits(1)

/**
 * Commits lines, once those before are taken, and answers when all have their answers. One fiber waits for them;
 * interrupted, it ends their waiting. Very many short lines, or few long ones, take a while only to be looked at, so others
 * have their turn among them.
 */
const commitEach = (
  lines: ReadonlyArray<unknown>,
  commit: CommitUnsafe,
  report: Report,
  before: Effect.Effect<void>,
  onTaken: () => void
): Effect.Effect<ReadonlyArray<Answers.Outcome>> =>
  Effect.clockWith((clock) => {
    const outcomes: Array<Answers.Outcome> = []
    const errors: Array<LineError> = []
    const endings: Array<() => void> = []
    const all = Deferred.makeUnsafe<void>()
    let left = lines.length
    const answer = (i: number, outcome: Answers.Outcome): void => {
      outcomes[i] = outcome
      if (--left === 0) Deferred.doneUnsafe(all, Exit.void)
    }
    const take = (json: unknown, i: number): void => {
      const read = lineOf(json)
      if (Result.isFailure(read)) return answer(i, Result.fail(read.failure))
      const { stamp, write } = read.success
      const ending = commit(write, stamp, (outcome) => {
        if (Exit.isSuccess(outcome)) return answer(i, Result.succeed(outcome.value))
        const error = Option.getOrUndefined(Exit.findErrorOption(outcome))
        if (error === undefined) return void Deferred.doneUnsafe(all, Exit.die(Cause.squash(outcome.cause)))
        errors.push(error)
        answer(i, Result.fail(error))
      })
      endings.push(ending)
    }
    const taken = Effect.gen(function* () {
      // To parse a long line took a turn.
      yield* Effect.yieldNow
      let until = Monotonic.millis(clock) + turnMillis
      for (const [i, json] of lines.entries()) {
        if (Monotonic.millis(clock) > until) {
          yield* Effect.yieldNow
          until = Monotonic.millis(clock) + turnMillis
        }
        take(json, i)
      }
      onTaken()
    })
    return before.pipe(
      Effect.andThen(oneAtATime(taken)),
      Effect.andThen(Deferred.await(all)),
      Effect.andThen(Effect.suspend(() => Effect.forEach(errors, report, { discard: true }))),
      Effect.as(outcomes),
      Effect.onInterrupt(() => Effect.sync(() => endings.forEach((end) => end())))
    )
  })
