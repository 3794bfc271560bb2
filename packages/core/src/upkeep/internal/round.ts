/**
 * One round of compaction: goes over all logs, and takes out of each, up to its frontier, what nobody needs any more.
 */
import { Clock, Effect, Option } from "effect"
import type * as LogId from "../../identity/LogId.ts"
import type * as EntryBatch from "../../log/EntryBatch.ts"
import type * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import { Frontier } from "../../peer/Frontier.ts"
import { Membership } from "../../peer/Membership.ts"
import { StableTime } from "../../peer/StableTime.ts"
import { Sweeps } from "../../peer/Sweeps.ts"
import * as IndexFollower from "../../record/IndexFollower.ts"
import * as RecordIndex from "../../record/RecordIndex.ts"
import * as RecordKey from "../../record/RecordKey.ts"
import * as Fates from "./fates.ts"
import type * as KeptDeletes from "./KeptDeletes.ts"

/** Up to where every member holds each log. It falls where a member loses what it held. */
export type Ends = ReadonlyMap<LogId.LogId, number>

/** What a round that went over all logs has found. */
export interface Found {
  /** Bytes of entries that were erased, that are live, and that go when more is known. */
  readonly erasedBytes: number
  readonly liveBytes: number
  readonly waitingBytes: number
  /** Up to which clock nothing is left of what was superseded before. */
  readonly swept: HybridLogicalClock.HybridLogicalClock
  readonly oldestDelete: HybridLogicalClock.HybridLogicalClock | undefined
  /** There are deletes that stay until what waits of their keys is in the index. */
  readonly hasUnsettled: boolean
}

/** Makes rounds, of steps of so many bytes of a log. */
export const make = Effect.fnUntraced(function* (keptDeletes: KeptDeletes.KeptDeletes, sliceBytes: number) {
  const logs = yield* ReplicaLogs
  const index = yield* RecordIndex.RecordIndex
  const follower = yield* IndexFollower.IndexFollower
  const frontier = yield* Frontier
  const stableTime = yield* StableTime
  const membership = yield* Membership
  const sweeps = yield* Sweeps
  const clock = yield* Clock.Clock

  /** What is known of the keys of a batch, in their order, and whether a delete among them stays until its key has settled. */
  const lookUp = Effect.fnUntraced(function* (batch: EntryBatch.EntryBatch, ends: Ends) {
    const numbers = new Map<string, number>()
    const keys: Array<RecordKey.RecordKey> = []
    const numbersOf: Array<number> = []
    for (const each of Fates.keysOf(batch)) {
      const id = RecordKey.keyOf(each.namespace, each.key)
      const number = numbers.get(id) ?? keys.push(each) - 1
      numbers.set(id, number)
      numbersOf.push(number)
    }
    const known: Array<Fates.Newest> = []
    let hasUnsettled = false
    const isEverywhere = (pointer: RecordIndex.Pointer | undefined): boolean =>
      pointer !== undefined && pointer.seq <= (ends.get(pointer.log) ?? 0)
    for (let i = 0; i < keys.length; i += turnKeys) {
      if (i > 0) yield* Effect.yieldNow
      for (const { indexed, isSettled, newest } of yield* follower.newestOf(keys.slice(i, i + turnKeys))) {
        // The newest of a key that is written again and again has never got everywhere. What the index has is a little older.
        const everywhere = isEverywhere(newest) ? newest : isEverywhere(indexed) ? indexed : undefined
        known.push({ newest, everywhere, isSettled })
        if (!isSettled && newest?.deleted === true) hasUnsettled = true
      }
    }
    return { known: numbersOf.map((number) => known[number]!), hasUnsettled }
  })

  /** Remembers of which keys deletes stay. */
  function* remember({ needed, released }: Fates.Decided): Generator<void, void> {
    let turn = 0
    for (const { forLive, key } of needed) {
      keptDeletes.needs(key, forLive)
      if (++turn % turnPointers === 0) yield
    }
    for (const { after, key } of released) {
      keptDeletes.releases(key, after)
      if (++turn % turnPointers === 0) yield
    }
  }

  /** Whether the batch could be put in the place of what it was made from. */
  const erased = (batch: EntryBatch.EntryBatch, isStill: () => boolean) =>
    logs
      .erase(batch, isStill)
      .pipe(Effect.catchTags({ AppendDrift: () => Effect.succeed(false), AppendGap: () => Effect.succeed(false) }))

  /** Takes out of a batch what may go; `undefined` where that cannot be told, or the log is another one by now. */
  const compact = Effect.fnUntraced(function* (
    batch: EntryBatch.EntryBatch,
    ends: Ends,
    forgetBefore: HybridLogicalClock.HybridLogicalClock | undefined,
    isStill: () => boolean
  ) {
    const { hasUnsettled, known } = yield* lookUp(batch, ends)
    // What could not be looked at may be the newest of any key.
    if (follower.unreadable().length > 0) return undefined
    const decided = yield* inTurns(
      Fates.decide(batch, {
        log: batch.log,
        known,
        frontier: ends.get(batch.log) ?? 0,
        forgetBefore,
        isNeeded: (namespace, key) => keptDeletes.isNeeded({ namespace, key }),
        isNeededForLive: (namespace, key) => keptDeletes.isNeededForLive({ namespace, key }),
        now: logs.clock()
      })
    )
    // First the pointers: one that leads to nothing would be one that cannot be trusted.
    for (let i = 0; i < decided.forgotten.length; i += turnPointers) {
      yield* index.forget(decided.forgotten.slice(i, i + turnPointers))
    }
    const asked = Monotonic.millis(clock)
    if (decided.batch !== batch) yield* logs.erasable
    const waitedMillis = Monotonic.millis(clock) - asked
    // The log is another one by now: a side of it was given up, or more went than this batch knows of.
    if (decided.batch !== batch && !(yield* erased(decided.batch, isStill))) return undefined
    yield* inTurns(remember(decided))
    return { decided, hasUnsettled, waitedMillis }
  })

  const ends = (): Ends => new Map(frontier.current().map(({ log, seq }) => [log, seq]))

  return {
    /** As of now. */
    ends,
    /**
     * Goes over all logs; `pause` comes after each step, with how long that took in milliseconds. `undefined` where it had
     * to end before: something is damaged, or this replica does not vote any more.
     */
    run: Effect.fnUntraced(function* (pause: (millis: number) => Effect.Effect<void>) {
      let { clock: swept } = stableTime.current()
      const forgetBefore = keptDeletes.begin(sweeps.forgettable())
      const sum = { erasedBytes: 0, liveBytes: 0, waitingBytes: 0, hasUnsettled: false }
      let oldestDelete: HybridLogicalClock.HybridLogicalClock | undefined
      for (const { log, seq: head } of logs.heads()) {
        // To its end: what stays because not all hold it is no less left.
        for (let at = 0; at < head;) {
          const began = Monotonic.millis(clock)
          if (!membership.isVoting() || logs.damageAt(log, at + 1) !== undefined) return undefined
          const generation = sweeps.generation()
          const isStill = (): boolean => generation === sweeps.generation()
          const read = yield* logs.read(log, at, sliceBytes)
          const done = Option.isNone(read) ? undefined : yield* compact(read.value, ends(), forgetBefore, isStill)
          if (Option.isNone(read) || done === undefined) return undefined
          const { decided, hasUnsettled, waitedMillis } = done
          at = read.value.from + read.value.count - 1
          sum.erasedBytes += decided.goneBytes
          sum.liveBytes += decided.keptBytes
          sum.waitingBytes += decided.waitingBytes
          sum.hasUnsettled ||= hasUnsettled
          if (decided.oldestLeft !== undefined) swept = Fates.earlier(swept, decided.oldestLeft)
          if (decided.oldestDelete !== undefined) oldestDelete = Fates.earlier(oldestDelete, decided.oldestDelete)
          // That a backup was waited for is no work.
          yield* pause(Monotonic.millis(clock) - began - waitedMillis)
        }
      }
      keptDeletes.end()
      return { ...sum, swept, oldestDelete } satisfies Found
    })
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** After how many keys others have their turn, and after how many pointers. */
const turnKeys = 32
const turnPointers = 512

/** Does something step by step, and lets others have their turn after each. */
const inTurns = <A>(steps: Generator<void, A>): Effect.Effect<A> =>
  Effect.gen(function* () {
    for (;;) {
      const step = steps.next()
      if (step.done === true) return step.value
      yield* Effect.yieldNow
    }
  })
