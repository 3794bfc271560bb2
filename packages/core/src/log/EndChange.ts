/**
 * Changes to what a replica holds of a log that are no appends: mending what is damaged, erasing what nobody needs, giving
 * up an end that nobody can tell, and giving up a side of a log for another. One at a time for each log, and not while something is appended to it.
 */
import { Effect, Semaphore } from "effect"
import type { LogId } from "../identity/LogId.ts"
import type * as Damage from "./Damage.ts"
import * as EntryBatch from "./EntryBatch.ts"
import type * as Locks from "./Locks.ts"
import type * as NotAppended from "./NotAppended.ts"
import type * as ReplicaStore from "./ReplicaStore.ts"
import * as ErasedElsewhere from "./ErasedElsewhere.ts"
import * as Watermark from "./Watermark.ts"

/** Changes logs whose ends are `heads`. `append` appends a copy while the lock of its log is held. */
export const make = (options: {
  readonly store: ReplicaStore.ReplicaStore["Service"]
  readonly heads: Map<LogId, Watermark.Watermark>
  readonly damage: ReturnType<typeof Damage.make>
  readonly lockOf: ReturnType<typeof Locks.make>
  readonly held: (batch: EntryBatch.EntryBatch) => void
  readonly append: (batch: EntryBatch.EntryBatch) => Effect.Effect<Watermark.Watermark, NotAppended.Failure>
  readonly erased: (batch: EntryBatch.EntryBatch) => void
}) => {
  const { append, damage, erased, heads, held, lockOf, store } = options
  const erasing = Semaphore.makeUnsafe(readers)
  /** Before the lock of a log, and never after it. */
  const alone = erasing.withPermits(readers)
  /** Who takes over what others have erased, from its first `adopt` until `tellErased`. */
  const adopting = {}

  const locked = <A, E>(log: LogId, change: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    lockOf(log).withPermit(Effect.uninterruptible(damage.looking(Effect.suspend(change))))

  /** Meanwhile nothing of the log is announced. */
  const cut = (log: LogId, after?: number): Effect.Effect<void, ReplicaStore.StoreError> => {
    const before = heads.get(log)
    heads.delete(log)
    const restore = Effect.sync(() => void (before !== undefined && heads.set(log, before)))
    return Effect.flatMap(
      Effect.tapError(store.cut(log, after), () => Effect.andThen(restore, damage.look)),
      (end) => {
        if (end.seq > 0) heads.set(log, end)
        const waits: Array<Effect.Effect<void>> = []
        const waitFor = (done: Effect.Effect<void>): void => void waits.push(done)
        const told = damage.lookAfter({ _tag: "Cut", log, end: end.seq, goesOn: after !== undefined, waitFor })
        return Effect.andThen(
          told,
          Effect.suspend(() => Effect.all(waits, { discard: true }))
        )
      }
    )
  }

  /** Whoever has stopped waiting, and where but a part was erased: nothing is read any more as it was. */
  const forgotten = (batch: EntryBatch.EntryBatch): Effect.Effect<void> => Effect.sync(() => erased(batch))

  return {
    mend: (brought: EntryBatch.EntryBatch) =>
      locked(brought.log, () =>
        Effect.flatMap(ErasedElsewhere.fitting(store, brought), (batch) =>
          Effect.flatMap(store.replace(batch), () => {
            held(batch)
            return damage.lookAfter({ _tag: "Mended", batch })
          })
        )
      ),
    adopt: (batch: EntryBatch.EntryBatch) =>
      alone(
        locked(batch.log, () =>
          Effect.map(
            Effect.ensuring(
              ErasedElsewhere.take(store, heads.get(batch.log) ?? Watermark.none(batch.log), batch, {
                erasing: damage.erasing(adopting)
              }),
              forgotten(batch)
            ),
            (end) => {
              const before = heads.get(batch.log)
              if (before !== undefined && end.seq > before.seq) heads.set(batch.log, end)
            }
          )
        )
      ),
    erase: (batch: EntryBatch.EntryBatch, isStill = () => true) =>
      alone(
        locked(batch.log, () =>
          isStill() ? Effect.as(Effect.ensuring(store.replace(batch), forgotten(batch)), true) : Effect.succeed(false)
        )
      ),
    tellErased: damage.erased(adopting),
    /** Meanwhile nothing is erased. */
    unerased: erasing.withPermits(1),
    erasable: alone(Effect.void),
    cut: (log: LogId) => locked(log, () => cut(log)),
    /** Appends a copy, which may erase a part of what is held, where a range of it reaches beyond that. */
    appending: <A, E>(batch: EntryBatch.EntryBatch, append: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      EntryBatch.erasedAt(batch) === undefined ? append : alone(append),
    giveUp: (log: LogId, after: number, upTo: number) =>
      alone(
        locked(log, () => (heads.get(log)?.seq === upTo ? Effect.as(cut(log, after), true) : Effect.succeed(false)))
      ),
    replace: (batch: EntryBatch.EntryBatch, upTo: number) =>
      alone(
        locked(batch.log, (): Effect.Effect<boolean, NotAppended.Failure> => {
          if (heads.get(batch.log)?.seq !== upTo) return Effect.succeed(false)
          return Effect.as(Effect.andThen(cut(batch.log, batch.from - 1), append(batch)), true)
        })
      )
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** How many may read at once what must not be erased meanwhile. */
const readers = 1_000_000
