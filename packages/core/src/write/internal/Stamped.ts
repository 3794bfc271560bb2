/**
 * Commits of writes whose version was drawn before: any number of times, one write.
 *
 * A copy that is held here is completed, never written again. Where none is, another copy is appended under the version
 * of the token: to every replica the two are one write, whatever came between. So it is never stamped anew, and it is
 * not looked for elsewhere first: a write that a majority does not know of may still come to light.
 */
import { Effect, Exit, Latch, Result } from "effect"
import * as Tracing from "../../events/Tracing.ts"
import type * as WriteId from "../../identity/WriteId.ts"
import type * as Entry from "../../log/Entry.ts"
import * as Limits from "../../log/Limits.ts"
import { StampHorizon } from "../../log/Floor.ts"
import { ReplicaClock } from "../../log/ReplicaClock.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { StoreError } from "../../log/ReplicaStore.ts"
import { KeyReader } from "../../peer/KeyReader.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type { CommitError, ResumeError } from "../WriteOptions.ts"
import type { Receipt } from "../Receipt.ts"
import * as StampedCopies from "./StampedCopies.ts"

/** Is called with what became of a write. */
type Done = (outcome: Exit.Exit<Receipt, CommitError>) => void

/** What a token's write is committed with. */
export interface Ways {
  /** Says to listeners why nothing was written, and fails with it. */
  readonly refuse: (error: CommitError) => Exit.Exit<never, CommitError>
  /** Appends it under its version; calls `onAppended` as soon as it is found here. Returns how to take it back. */
  readonly append: (
    write: Entry.Writes,
    stamp: Entry.Stamp,
    onAppended: () => void,
    done: Done
  ) => (() => void) | undefined
  readonly resume: (writeId: WriteId.WriteId) => Effect.Effect<Receipt, ResumeError>
}

/** A token whose write is looked for or being appended; others wait by the latch, which most never need. */
interface Turn {
  latch: Latch.Latch | undefined
}

/** Looks for copies in the records of this replica. */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const reader = yield* KeyReader
  const clock = yield* ReplicaClock
  const limits = yield* Limits.Limits
  const horizonMillis = yield* StampHorizon
  const { prepare, versionOf } = StampedCopies.make({ clock, horizonMillis, logs, reader })
  const runApart = yield* Tracing.runApart
  /** One after the other per token, until its write is here: a second copy would be no harm, and is no use. */
  const turns = new Map<string, Turn>()

  /** What `prepare` finds, with what it fails with as an outcome of the write. */
  const find = (write: Entry.Writes, stamp: Entry.Stamp, refuse: Ways["refuse"]) =>
    Effect.catchTags(prepare(write, stamp), {
      StampReused: refuse,
      TooOldToKnow: refuse,
      StoreError: (error) => refuse(notRead(error))
    })

  /**
   * Commits a write under a token, and calls `done` with what became of it. What is looked for is nearly always found or
   * missed at once, so no fiber waits for it. Returns how to end the waiting.
   */
  return (write: unknown, token: unknown, { append, refuse, resume }: Ways, done: Done): (() => void) => {
    const sound = Limits.checkWrites(write, limits)
    if (Result.isFailure(sound)) return ended(done, refuse(sound.failure))
    const stamp = versionOf(token, sound.success)
    if (Result.isFailure(stamp)) return ended(done, refuse(stamp.failure))
    const name = String(token)
    const turn: Turn = { latch: undefined }
    let ending = nothing
    const endTurn = (): void => {
      if (turns.get(name) !== turn) return
      turns.delete(name)
      turn.latch?.openUnsafe()
    }
    /** Goes on with what comes of an effect, within this call if it comes at once. */
    const follow = <A, E>(effect: Effect.Effect<A, E>, next: (exit: Exit.Exit<A, E>) => void): void => {
      const fiber = runApart(effect)
      let forget = nothing
      ending = () => {
        forget()
        fiber.interruptUnsafe()
      }
      forget = fiber.addObserver(next)
    }
    const answer: Done = (outcome) => {
      endTurn()
      done(outcome)
    }
    const go = (): void => {
      const before = turns.get(name)
      if (before !== undefined) return follow((before.latch ??= Latch.makeUnsafe(false)).await, go)
      turns.set(name, turn)
      follow(find(sound.success, stamp.success, refuse), (found) => {
        if (Exit.isFailure(found)) return answer(Exit.failCause(found.cause))
        if (found.value === undefined) {
          ending = append(sound.success, stamp.success, endTurn, answer) ?? nothing
          return
        }
        endTurn()
        const lost = (error: Unread) => refuse(notRead(error))
        follow(
          Effect.catchTags(resume(found.value), { StoreError: lost, WriteReplaced: lost, WriteUnknown: lost }),
          done
        )
      })
    }
    go()
    return () => {
      ending()
      endTurn()
    }
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const nothing = (): void => undefined

const ended = (done: Done, outcome: Exit.Exit<never, CommitError>): (() => void) => {
  done(outcome)
  return nothing
}

type Unread = StoreError | QuorumError.WriteReplaced | QuorumError.WriteUnknown

/** Without a look at what is here nothing is written: the token may be used again, here or elsewhere. */
const notRead = (cause: Unread): QuorumError.LocalWriteFailed =>
  new QuorumError.LocalWriteFailed({ detail: `the write of the stamp cannot be read here: ${cause.message}`, cause })
