/**
 * Commits of writes under a key that their caller invented: one write, or an answer that says that this is not known.
 *
 * What is held here, or by anybody who can be asked, is completed. A key is taken for new only when every member says that
 * it does not hold it: a majority is not enough, because a write that it does not know of may still come to light. And
 * because each marks the key as undecided before it asks the others, and says so when it is asked, of two that are sent
 * the same write at once one at least hears of the other. (L. Lamport's bakery: raise the flag, then look.)
 */
import { Duration, Effect, Exit, Latch, Option, Result } from "effect"
import type * as WriteId from "../../identity/WriteId.ts"
import type * as Entry from "../../log/Entry.ts"
import * as Limits from "../../log/Limits.ts"
import { UndecidedKeys } from "../../peer/UndecidedKeys.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import { Policies } from "../../read/Policies.ts"
import { Records } from "../../read/Records.ts"
import * as CallerKey from "../../record/CallerKey.ts"
import type { Receipt } from "../Receipt.ts"
import { type CommitError, keyIn, type ResumeError, stampIn, type WriteOptions } from "../WriteOptions.ts"

/** What the write of a key is committed with. */
export interface Ways {
  /** Says to listeners why nothing was written, and fails with it. */
  readonly refuse: (error: CommitError) => Exit.Exit<never, CommitError>
  /** Appends it, and calls `onDecided` as soon as it is found here, or is known not to be written. */
  readonly append: (writes: Entry.Writes, onDecided: () => void) => Effect.Effect<Receipt, CommitError>
  readonly resume: (writeId: WriteId.WriteId) => Effect.Effect<Receipt, ResumeError>
}

/** Looks for marks in the records of this replica, and of all. */
export const make = Effect.gen(function* () {
  const records = yield* Records
  const undecided = yield* UndecidedKeys
  const policies = yield* Policies
  const limits = yield* Limits.Limits
  const turns = new Map<string, Latch.Latch>()

  /** One after the other by key, until its write is here: the next one finds it. */
  const inTurn = <A, E>(name: string, body: (endTurn: () => void) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        for (let before = turns.get(name); before !== undefined; before = turns.get(name)) yield* restore(before.await)
        const turn = Latch.makeUnsafe(false)
        turns.set(name, turn)
        const endTurn = (): void => {
          if (turns.get(name) === turn) turns.delete(name)
          turn.openUnsafe()
        }
        return yield* Effect.ensuring(restore(body(endTurn)), Effect.sync(endTurn))
      })
    )

  /** The mark as somebody holds it; none when all members say that they do not. */
  const find = Effect.fnUntraced(function* ({ key, namespace }: CallerKey.Mark) {
    const here = yield* records.read(namespace, key, { consistency: "local" })
    if (Option.isSome(here)) return here
    const withinMillis = Duration.toMillis(policies.of(namespace).ackTimeout)
    return yield* records.read(namespace, key, { consistency: "quorum", r: "all", withinMillis })
  })

  const complete = ({ refuse, resume }: Ways, writeId: WriteId.WriteId): Effect.Effect<Receipt, CommitError> => {
    const notHere = () => refuse(unknown(`its write, ${writeId}, cannot be asked about here`))
    return Effect.catchTags(resume(writeId), {
      WriteUnknown: notHere,
      WriteReplaced: notHere,
      StoreError: notHere
    })
  }

  /** Appends a write, come what may: whoever gives up waiting does not know whether it is there, and may ask again. */
  const append = ({ append }: Ways, writes: Entry.Writes, begun: () => void, decided: () => void) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        begun()
        return Effect.onExit(append(writes, decided), (exit) => Effect.sync(() => isUncertain(exit) || decided()))
      })
    )

  const decide = (ways: Ways, writes: Entry.Writes, mark: CallerKey.Mark, endTurn: () => void) =>
    Effect.uninterruptibleMask((restore) => {
      // Its turn is over, and nobody knows how it ended: so it stays, whoever sends it again.
      if (undecided.has(mark.namespace, mark.key)) return ways.refuse(leftUndecided)
      const unmark = undecided.add(mark.namespace, mark.key)
      /** Set when it is not known whether it is there: then it is undecided until it is, or this replica starts anew. */
      let isAppending = false
      const begun = (): void => void (isAppending = true)
      const decided = (): void => {
        unmark()
        endTurn()
      }
      const found = Effect.catchTags(find(mark), {
        ReadUnavailable: ({ needed, reason }) =>
          ways.refuse(unknown(`not all of the ${needed} replicas say whether they hold it (${reason})`)),
        NotReady: ways.refuse,
        NotYetVisible: Effect.die,
        ReadRejected: Effect.die,
        WriteReplaced: Effect.die,
        StoreError: ({ message }) => ways.refuse(unknown(`this replica cannot say whether it holds it: ${message}`))
      })
      return Effect.onExit(
        restore(
          Effect.flatMap(found, (held): Effect.Effect<Receipt, CommitError> => {
            if (Option.isNone(held)) return append(ways, CallerKey.marked(writes, mark), begun, decided)
            decided()
            const { value, writeId } = held.value
            if (CallerKey.isSame(mark, value)) return complete(ways, writeId)
            return ways.refuse(new QuorumError.IdempotencyKeyReused({ held: writeId }))
          })
        ),
        () => Effect.sync(() => isAppending || unmark())
      )
    })

  return (write: unknown, options: WriteOptions | undefined, ways: Ways): Effect.Effect<Receipt, CommitError> =>
    Effect.gen(function* () {
      if (stampIn(options) !== undefined) return yield* ways.refuse(keyAndStamp)
      const sound = Limits.checkWrites(write, limits)
      if (Result.isFailure(sound)) return yield* ways.refuse(sound.failure)
      const mark = CallerKey.markOf(sound.success, keyIn(options), limits.namespaceBytes)
      if (Result.isFailure(mark)) return yield* ways.refuse(mark.failure)
      const whole = Limits.checkWrites(CallerKey.marked(sound.success, mark.success), limits)
      if (Result.isFailure(whole)) return yield* ways.refuse(withoutRoom(whole.failure))
      const name = `${mark.success.namespace}\0${mark.success.key}`
      return yield* inTurn(name, (endTurn) => decide(ways, sound.success, mark.success, endTurn))
    })
})

// ---------------------------------------------------------------------------------------------------------------------

const keyAndStamp = new QuorumError.WriteRejected({
  field: "idempotencyKey",
  reason: "invalid",
  detail: "the write has a stamp, and with that it may be repeated everywhere"
})

/** The write is sound, so it is its mark that cannot stand beside it. */
const withoutRoom = ({ detail, field, reason }: QuorumError.WriteRejected) =>
  new QuorumError.WriteRejected({
    field: "idempotencyKey",
    reason,
    detail: `its mark cannot stand beside the write: ${field}: ${detail}`
  })

const unknown = (detail: string) => new QuorumError.IdempotencyUnknown({ detail })

const leftUndecided = unknown("its write may be on the disk of this replica, which finds out when it is started anew")

/** Whether an append may have taken place, for all that is known: so says its error, and what nobody has foreseen. */
const isUncertain = (exit: Exit.Exit<Receipt, CommitError>): boolean =>
  Exit.isFailure(exit) &&
  Option.match(Exit.findErrorOption(exit), { onNone: () => true, onSome: ({ _tag }) => _tag === "WriteUncertain" })
