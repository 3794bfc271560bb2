/**
 * Commits of writes whose version was drawn before: any number of times, one write.
 *
 * A copy that is held here is completed, never written again. Where none is, another copy is appended under the version
 * of the token: to every replica the two are one write, whatever came between. So it is never stamped anew, and it is
 * not looked for elsewhere first: a write that a majority does not know of may still come to light.
 */
import { Effect, Exit, Latch, Option, Result } from "effect"
import * as Tracing from "../../events/Tracing.ts"
import * as WriteId from "../../identity/WriteId.ts"
import * as Entry from "../../log/Entry.ts"
import * as Erased from "../../log/Erased.ts"
import * as Limits from "../../log/Limits.ts"
import { StampHorizon } from "../../log/Floor.ts"
import { ReplicaClock } from "../../log/ReplicaClock.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { StoreError } from "../../log/ReplicaStore.ts"
import * as Version from "../../log/Version.ts"
import { KeyReader } from "../../peer/KeyReader.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type { CommitError, ResumeError } from "../WriteOptions.ts"
import type { Receipt } from "../Receipt.ts"
import * as StampToken from "../StampToken.ts"

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
  const runApart = yield* Tracing.runApart
  /** One after the other per token, until its write is here: a second copy would be no harm, and is no use. */
  const turns = new Map<string, Turn>()

  /** The version of a token, when it is one for these writes. */
  const versionOf = (token: unknown, write: Entry.Writes): Result.Result<Entry.Stamp, QuorumError.WriteRejected> => {
    const read = StampToken.read(token)
    if (Option.isNone(read)) return rejected("it is not what a replica answered when it was asked for one")
    const { keys, ...stamp } = read.value
    const writes = Entry.listOf(write)
    if (keys !== StampToken.hashOf(writes)) return rejected("it was drawn for other keys")
    const isAhead = stamp.clock.wallTime > clock.latest(writes)
    return isAhead ? rejected("it is further ahead of this replica's clock than clocks may be") : Result.succeed(stamp)
  }

  /** The copy that is held here. One that is superseded in all its keys is not found, and does no harm. */
  const lookUp = Effect.fnUntraced(function* (write: Entry.Writes, stamp: Entry.Stamp) {
    for (const { key, namespace } of Entry.listOf(write)) {
      // Nearly always it is another write, which the index knows: nobody waits for the log then.
      const version = yield* reader.version(namespace, key)
      if (version === undefined || Version.compare(version, stamp) !== 0) continue
      const newest = yield* reader.newest(namespace, key)
      if (newest === undefined || Version.compare(newest, stamp) !== 0) continue
      const { log, seq } = WriteId.place(newest.writeId)
      const batch = Option.getOrThrow(yield* logs.read(log, seq - 1, 1))
      // Superseded while it was looked up.
      if (Erased.is(batch.bytes, 0)) continue
      const held = batch.bytes.subarray(0, Entry.endUnsafe(batch.bytes, 0))
      if (isEncoded(held, write, stamp)) return newest.writeId
      return yield* new QuorumError.StampReused({ held: newest.writeId })
    }
    return undefined
  })

  /** The copy to complete, or nothing when one may be appended. */
  const prepare = Effect.fnUntraced(function* (write: Entry.Writes, stamp: Entry.Stamp) {
    const found = yield* lookUp(write, stamp)
    if (found !== undefined) return found
    const ageMillis = clock.time().millis - stamp.clock.wallTime
    if (ageMillis > horizonMillis) return yield* new QuorumError.TooOldToKnow({ ageMillis, horizonMillis })
    return undefined
  })

  /** {@link prepare}, with what it fails with as an outcome of the write. */
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

const rejected = (detail: string) =>
  Result.fail(new QuorumError.WriteRejected({ field: "stamp", reason: "invalid", detail }))

/** Whether an entry is that of these writes. */
const isEncoded = (held: Uint8Array, write: Entry.Writes, stamp: Entry.Stamp): boolean => {
  const bytes = new Uint8Array(Entry.maxSize(write))
  const length = Entry.encodeInto(bytes, 0, write, stamp)
  return length === held.length && held.every((byte, i) => byte === bytes[i])
}

type Unread = StoreError | QuorumError.WriteReplaced | QuorumError.WriteUnknown

/** Without a look at what is here nothing is written: the token may be used again, here or elsewhere. */
const notRead = (cause: Unread): QuorumError.LocalWriteFailed =>
  new QuorumError.LocalWriteFailed({ detail: `the write of the stamp cannot be read here: ${cause.message}`, cause })
