/**
 * What is known of the damage in a store: a log is held up to its first damaged entry, and no further.
 */
import { Effect, Option, Semaphore } from "effect"
import type { EventSink } from "../events/EventSink.ts"
import type * as LogId from "../identity/LogId.ts"
import * as DamagedRange from "./DamagedRange.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as Listeners from "./Listeners.ts"
import * as ReplicaStore from "./ReplicaStore.ts"
import * as Watermark from "./Watermark.ts"

/** Why an entry, or what follows it, cannot be said to be held. */
export const errorOf = ({ from, log, to }: ReplicaStore.DamagedRange): ReplicaStore.StoreError => {
  const detail = `entries ${from} to ${to} of ${log} are damaged, so what follows does not count as held`
  return new ReplicaStore.StoreError({ reason: "corrupt", detail })
}

/** What has become of entries that were held. */
export type Change =
  | { readonly _tag: "Found" }
  | { readonly _tag: "Mended"; readonly batch: EntryBatch.EntryBatch }
  /**
   * What is erased elsewhere is going to be erased here too, until `Erased` is told: not before what a listener has `waitFor`
   * is done, so that no start finds what leads to entries that are gone.
   */
  | { readonly _tag: "Erasing"; readonly waitFor: (done: Effect.Effect<void>) => void }
  /** What is erased elsewhere was erased here too, newest writes of keys perhaps among it. */
  | { readonly _tag: "Erased" }
  /**
   * Given up after `end`. `goesOn` says that other entries come in the place of those: not before what a listener has
   * `waitFor` is done, so that no start finds them beside what was made of those that are given up.
   */
  | {
      readonly _tag: "Cut"
      readonly log: LogId.LogId
      readonly end: number
      readonly goesOn: boolean
      readonly waitFor: (done: Effect.Effect<void>) => void
    }

/** What the store had found when it was opened is looked up first. `end` says how far a log goes here. */
export const make = (
  store: ReplicaStore.ReplicaStore["Service"],
  sink: EventSink,
  end: (log: LogId.LogId) => number
) => {
  let known: ReadonlyArray<DamagedRange.DamagedRange> = []
  /** How far damaged logs are held, by the entry before the first that is damaged. */
  let held: ReadonlyMap<LogId.LogId, Watermark.Watermark> = new Map()
  let unknownEnds: ReadonlyArray<LogId.LogId> = []
  const find = (log: LogId.LogId, is: (range: ReplicaStore.DamagedRange) => boolean) =>
    known.length === 0 ? undefined : store.damaged().find((range) => range.log === log && is(range))
  const chainAt = (log: LogId.LogId, seq: number) =>
    Effect.map(Effect.option(store.chainAt(log, seq)), (found) => Option.getOrUndefined(Option.flatten(found)))
  /** How far a log is held before a damaged entry: where that is damaged too, as looking at it shows, before that. */
  const endBefore = (log: LogId.LogId, from: number): Effect.Effect<Watermark.Watermark> =>
    Effect.flatMap(chainAt(log, from - 1), (chain) => {
      if (chain !== undefined) return Effect.succeed({ log, seq: from - 1, chain })
      const more = store.damaged().find((range) => range.log === log && range.from < from && from - 1 <= range.to)
      return more === undefined ? Effect.succeed(Watermark.none(log)) : endBefore(log, more.from)
    })
  const say = ({ from, log, to }: DamagedRange.DamagedRange) =>
    Effect.suspend(() => {
      if (sink.active()) sink.tell({ _tag: "DamageFound", log, from, to })
      return Effect.logError(`entries ${from} to ${to} of ${log} are damaged here and do not count as held`)
    })
  /** Takes in what the store has found, and what is mended. */
  const lookUp = Effect.gen(function* () {
    const before = known
    known = store.damaged()
    for (const range of known) if (!before.some((old) => DamagedRange.contains(old, range))) yield* say(range)
    const ends = new Map<LogId.LogId, Watermark.Watermark>()
    const unknown: Array<LogId.LogId> = []
    for (const log of new Set(known.map((range) => range.log))) {
      ends.set(log, yield* endBefore(log, Math.min(...known.flatMap((one) => (one.log === log ? [one.from] : [])))))
      const last = find(log, (range) => end(log) <= range.to)
      // The store may have found that the log goes on after what was taken for its end.
      if (last !== undefined && (yield* chainAt(log, last.to)) === undefined) unknown.push(log)
    }
    held = ends
    unknownEnds = unknown
  })
  const changes = Listeners.make<Change>()
  /** One look after the other, each to its end: what an earlier one has found says nothing of what was found since. */
  const alone = Semaphore.makeUnsafe(1)
  const lookAfter = (change: Change) =>
    Effect.uninterruptible(
      Effect.map(alone.withPermit(lookUp), () => {
        if (change._tag === "Mended" && sink.active()) {
          const { from, log } = change.batch
          sink.tell({ _tag: "DamageMended", log, from, to: EntryBatch.last(change.batch) })
        }
        changes.tell(change)
      })
    )
  /** Who erases something, from when they have told it until they are done, and what each of them waits for before. */
  const erasers = new Map<object, Array<Effect.Effect<void>>>()
  const erasing = (by: object) =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const known = erasers.get(by)
        const asked = known ?? []
        erasers.set(by, asked)
        const waitFor = (done: Effect.Effect<void>): void => void asked.push(done)
        return Effect.andThen(
          known === undefined ? lookAfter({ _tag: "Erasing", waitFor }) : Effect.void,
          // Nothing is erased yet, so it may be given up.
          Effect.suspend(() => Effect.interruptible(Effect.all(asked, { discard: true })))
        )
      })
    )
  const erased = (by: object) =>
    Effect.suspend(() => (erasers.delete(by) && erasers.size === 0 ? lookAfter({ _tag: "Erased" }) : Effect.void))
  const isNews = (): boolean => !isSame(store.damaged(), known)
  const look = lookAfter({ _tag: "Found" })
  /** Whatever reads the store may find more, also what changes it. */
  const looking = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.onExit(effect, () => (isNews() ? look : Effect.void))
  /**
   * Mends what a batch that is appended covers whole: the owner of a log pushes again what is damaged here, as it begins
   * with what is announced.
   */
  const mendBy = (batch: EntryBatch.EntryBatch): Effect.Effect<void> => {
    if (known.length === 0) return Effect.void
    const covered = DamagedRange.joined(store.damaged()).filter(
      ({ from, log, to }) => log === batch.log && batch.from <= from && to <= EntryBatch.last(batch)
    )
    return Effect.forEach(
      covered,
      ({ from, to }) => {
        const part = EntryBatch.upTo(EntryBatch.after(batch, from - 1), to)
        const mended = Effect.andThen(store.replace(part), lookAfter({ _tag: "Mended", batch: part }))
        // What does not fit is for the append to say.
        return Effect.ignore(looking(mended))
      },
      { discard: true }
    )
  }
  return {
    mendBy,
    /** Whether the store has found more of it, or something is mended. */
    isNews,
    /** Takes in what the store has found, and tells the listeners. */
    look,
    /** Takes in what the store finds while something is done, whether that succeeds or fails. */
    looking,
    /** Takes in what was changed, and tells the listeners. */
    lookAfter,
    /** Tells that somebody is going to erase what was not superseded here, who has `erased` follow. */
    erasing,
    /** Tells that all is erased, when the last is done of those who told that they are going to. */
    erased,
    /** Calls `listener` whenever something changed. Returns how to stop it. */
    listen: changes.listen,
    /** The logs of which nobody can tell what they end with here. */
    unknownEnds: (): ReadonlyArray<LogId.LogId> => unknownEnds,
    at: (log: LogId.LogId, seq: number) => find(log, ({ from, to }) => from <= seq && seq <= to),
    heldOf: (head: Watermark.Watermark): Watermark.Watermark => held.get(head.log) ?? head,
    /** Why no more of a log can be said to be held. */
    of: (log: LogId.LogId): ReplicaStore.StoreError | undefined => {
      const first = find(log, () => true)
      return first === undefined ? undefined : errorOf(first)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const isSame = (now: Ranges, known: Ranges): boolean =>
  now === known ||
  (now.length === known.length &&
    now.every((range, i) => DamagedRange.contains(range, known[i]!) && DamagedRange.contains(known[i]!, range)))

type Ranges = ReadonlyArray<DamagedRange.DamagedRange>
