/**
 * Draws stamps of writes that are not made yet. The keys that a stamp is drawn for are admitted as writes of them are.
 */
import { Effect, type Exit } from "effect"
import * as Entry from "../../log/Entry.ts"
import type { HybridLogicalClock } from "../../log/HybridLogicalClock.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type { RecordKey } from "../../record/RecordKey.ts"
import type { CommitError } from "../WriteOptions.ts"
import * as StampToken from "../StampToken.ts"

/** The clock that a stamp comes after, if there is one. */
type After = HybridLogicalClock | undefined

/** Has a stamp drawn for a write that is not made, or refuses it. Returns how to take that back, if it was taken in. */
type Offer = (
  write: unknown,
  after: After,
  refused: (failure: Exit.Exit<unknown, CommitError>) => void,
  onDrawn: (drawn: Entry.Stamp, write: Entry.Writes) => void
) => (() => void) | undefined

/** Draws by what takes writes in. */
export const make = (offer: Offer) => {
  /** A token for each write. What one of them fails with is the answer, and the others are given up. */
  const drawn = (
    writes: ReadonlyArray<unknown>,
    after: After
  ): Effect.Effect<ReadonlyArray<StampToken.StampToken>, CommitError> =>
    Effect.callback((resume) => {
      const tokens: Array<StampToken.StampToken> = []
      const takeBacks: Array<() => void> = []
      let left = writes.length
      let isRefused = false
      const giveUp = (): void => takeBacks.forEach((takeBack) => takeBack())
      const refused = (failure: Exit.Exit<unknown, CommitError>): void => {
        if (isRefused) return
        isRefused = true
        giveUp()
        resume(Effect.andThen(failure, Effect.never))
      }
      if (left === 0) resume(Effect.succeed(tokens))
      for (let i = 0; i < writes.length && !isRefused; i++) {
        const takeBack = offer(writes[i], after, refused, (stamp, write) => {
          tokens[i] = StampToken.make(stamp, Entry.listOf(write))
          if (--left === 0) resume(Effect.succeed(tokens))
        })
        if (takeBack !== undefined) takeBacks.push(takeBack)
      }
      return Effect.sync(giveUp)
    })

  return {
    /** One token, for a write of all these keys. */
    stamp: (
      keys: RecordKey | ReadonlyArray<RecordKey>,
      after: After
    ): Effect.Effect<StampToken.StampToken, CommitError> =>
      drawn([removalsOf(keys)], after).pipe(
        Effect.map(([token]) => token!),
        Effect.mapError(namingKeys)
      ),
    /** A token for each of these keys, in their order. */
    stampEach: (
      keys: ReadonlyArray<RecordKey>,
      after: After
    ): Effect.Effect<ReadonlyArray<StampToken.StampToken>, CommitError> =>
      Effect.mapError(
        Effect.suspend(() =>
          isList(keys)
            ? drawn(
                keys.map((key) => removalsOf(key)),
                after
              )
            : Effect.fail(noList)
        ),
        namingKeys
      )
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Writes of keys, of which nothing but the keys matters; whatever else is passed is left for admission to reject. */
const removalsOf = (keys: unknown): unknown => {
  try {
    return Array.isArray(keys) ? keys.map(removalOf) : removalOf(keys)
  } catch {
    return keys
  }
}

/** Programs without types give what they like; a revoked Proxy is no list either. */
const isList = (keys: unknown): boolean => {
  try {
    return Array.isArray(keys)
  } catch {
    return false
  }
}

const noList = new QuorumError.WriteRejected({ field: "keys", reason: "invalid", detail: "it is not a list of keys" })

const removalOf = (key: unknown): unknown => {
  if (typeof key !== "object" || key === null) return key
  const { key: name, namespace } = key as Record<keyof RecordKey, unknown>
  return { ...Entry.remove("", ""), namespace, key: name }
}

/** Keys are rejected by their own name, and not by that of writes of them. */
const namingKeys = (error: CommitError): CommitError => {
  if (error._tag !== "WriteRejected") return error
  const { detail, field, reason } = error
  return new QuorumError.WriteRejected({ field: field.replace(/^write(s|$)/, "keys"), detail, reason })
}
