/**
 * The change feed: reads the logs of a replica from a position on, one page after another, and waits for more.
 *
 * It pulls from the store when its reader asks for a page, so a slow reader costs one page and nothing else. What is not
 * durable is not shown.
 */
import { Cause, Clock, Effect, Schema, type Scope, Stream } from "effect"
import * as Monotonic from "../../log/Monotonic.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import { ReadRejected } from "../../record/ReadRejected.ts"
import type * as Watermark from "../../log/Watermark.ts"
import * as RecordKey from "../../record/RecordKey.ts"
import * as Changes from "../Changes.ts"
import * as LogReader from "./LogReader.ts"

/** Makes the pages of a reader. */
type Feed = (options?: Changes.Options) => Stream.Stream<Changes.Page, Changes.ChangesError>

/**
 * The feeds of one replica, until the scope closes. `readable` fails when it must not show what it holds, and `isGone` says
 * whether no member has what is not here of a log up to there.
 */
export const make = Effect.fnUntraced(function* (
  readable: Effect.Effect<void, QuorumError.NotReady>,
  isGone: (seen: Watermark.Watermark) => boolean
): Effect.fn.Return<Feed, never, ReplicaLogs | Scope.Scope> {
  const logs = yield* ReplicaLogs
  const clock = yield* Clock.Clock
  const bell = yield* makeBell(logs)
  const alive = Effect.suspend((): Effect.Effect<void, QuorumError.NotReady | QuorumError.ReplicaClosing> =>
    bell.isClosing() ? Effect.fail(new QuorumError.ReplicaClosing()) : readable
  )

  /** The next page; ends with `Done`. */
  const pages = (options: Changes.Options, reader: LogReader.LogReader) => {
    const { idleMillis = Number.POSITIVE_INFINITY, until } = options
    let isFirst = true
    return Effect.gen(function* () {
      const changes: Array<Changes.Change> = []
      const deadline = Monotonic.millis(clock) + idleMillis
      let looked = 0
      while (changes.length === 0 && looked < silentBytes) {
        yield* alive
        const ahead = reader.ahead()
        if (ahead.some(isGone)) return yield* LogReader.forgotten(logs)
        const log = reader.next()
        if (log !== undefined) {
          looked += yield* reader.read(log, changes)
          // Others have their turn while much is passed over.
          yield* Effect.yieldNow
          continue
        }
        if (isFirst) break
        const damaged = reader.damaged()
        const isEnd = until === "now" || damaged !== undefined
        if (isEnd && looked > 0) break
        if (damaged !== undefined) return yield* damaged
        if (isEnd) return yield* Cause.done()
        const left = deadline - Monotonic.millis(clock)
        if (left <= 0) break
        // What the members say of what it has seen is heard a little later than they vote.
        yield* bell.rings(() => reader.next() !== undefined, ahead.length === 0 ? left : Math.min(left, lookMillis))
      }
      isFirst = false
      return [{ changes, position: reader.position() }] as const
    })
  }

  const open = Effect.fnUntraced(function* (options: Changes.Options) {
    const rejected = faultOf(options)
    if (rejected !== undefined) return yield* rejected
    yield* alive
    const reader = LogReader.make(logs, options)
    yield* reader.compare
    return pages(options, reader)
  })

  return (options = {}) => Stream.fromPull(open(options))
})

// ---------------------------------------------------------------------------------------------------------------------

/** How often it is looked whether what a reader has seen, and is not here, is anywhere. */
const lookMillis = 1000

/** How much is passed over, because nobody asked for it, before a page without changes says how far that was. */
const silentBytes = 1024 * 1024

/** Wakes readers when something is appended, and when the replica closes. */
const makeBell = Effect.fnUntraced(function* (logs: ReplicaLogs["Service"]) {
  const waiting = new Set<() => void>()
  let isClosing = false
  const ring = (): void => {
    for (const look of waiting) look()
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => logs.onAppend(ring)),
    (stop) =>
      Effect.sync(() => {
        stop()
        isClosing = true
        ring()
      })
  )
  return {
    isClosing: () => isClosing,
    /** Waits until there is what is waited for, or the replica closes, and no longer than it may. */
    rings: (isThere: () => boolean, withinMillis: number): Effect.Effect<void> => {
      const rung = Effect.callback<void>((resume) => {
        const look = (): void => {
          if (!isClosing && !isThere()) return
          waiting.delete(look)
          resume(Effect.void)
        }
        waiting.add(look)
        look()
        return Effect.sync(() => void waiting.delete(look))
      })
      return withinMillis === Number.POSITIVE_INFINITY ? rung : Effect.asVoid(Effect.timeoutOption(rung, withinMillis))
    }
  }
})

const isVector = Schema.is(Changes.Vector)

const isName = (name: unknown): boolean => RecordKey.isWellFormed({ namespace: name as string, key: "" }) && name !== ""

/** What is asked for and cannot be. */
const faultOf = (options: Changes.Options): ReadRejected | undefined => {
  const { idleMillis, namespace, prefix, since, until } = options
  const rejected = (field: ReadRejected["field"], detail: string) => new ReadRejected({ field, detail })
  if (since !== undefined && !isVector(since)) return rejected("since", "it is not the position of a page")
  if (namespace !== undefined && !isName(namespace)) return rejected("namespace", "it is not the name of a namespace")
  if (prefix !== undefined && namespace === undefined) return rejected("prefix", "it needs a namespace")
  if (prefix !== undefined && !RecordKey.isWellFormed({ namespace: "", key: prefix })) {
    return rejected("prefix", "it is not what a key may begin with")
  }
  if (until !== undefined && until !== "now") return rejected("until", 'it is "now" or nothing')
  return idleMillis === undefined || (Number.isFinite(idleMillis) && idleMillis >= 1)
    ? undefined
    : rejected("idleMillis", "it is not a number of milliseconds, 1 or more")
}
