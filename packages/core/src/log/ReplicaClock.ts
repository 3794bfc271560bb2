/**
 * The clock of this replica: what it stamps with, what moves it, and what may not.
 *
 * It is at or after every version that is held here, but for those that lie beyond what a clock may follow, whose keys
 * it knows. The time is the wall clock, held near the clocks of the other members as they were last measured.
 */
import { Clock, Context, Effect, Layer, Option, Result } from "effect"
import { EventSink } from "../events/EventSink.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import * as ClockNote from "./ClockNote.ts"
import type * as EffectiveTime from "./EffectiveTime.ts"
import * as Entry from "./Entry.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as FarVersions from "./FarVersions.ts"
import * as HeldTime from "./HeldTime.ts"
import * as HybridLogicalClock from "./HybridLogicalClock.ts"
import * as ReplicaStore from "./ReplicaStore.ts"

/** What decides about the stamp of an entry, beside the clock and what is held here. */
export interface Order {
  /** A clock that it comes after. */
  readonly after: HybridLogicalClock.HybridLogicalClock | undefined
  /** It is stamped without asking a majority for its clocks. */
  readonly unprobed: boolean
  /** The stamp that it has already, drawn before it was made; it is not stamped again then (law L56). */
  readonly drawn?: Entry.Stamp | undefined
  /** It is an entry of another log once more, and may be older than the floor. */
  readonly again?: boolean
}

/**
 * How far, in milliseconds, this replica's clock may be from the middle of the members' clocks before it is held back,
 * and how far it follows a clock that it hears of.
 */
export const ClockBound = Context.Reference<number>("@quorum/core/ClockBound", { defaultValue: () => 60_000 })

/** A key, and what it is in. */
export interface Key {
  readonly namespace: string
  readonly key: string
}

/** The clock of this replica. */
export class ReplicaClock extends Context.Service<
  ReplicaClock,
  {
    /** Where the clock is: every later stamp comes after it. */
    readonly current: () => HybridLogicalClock.HybridLogicalClock
    /** The time by which it stamps, as of now. */
    readonly time: () => EffectiveTime.EffectiveTime
    /** The clock of a peer, as it was measured. */
    readonly measured: (peer: ReplicaId, reading: EffectiveTime.Reading) => void
    /** Says in the log when the own clock began, or has ceased, to be held back. */
    readonly report: Effect.Effect<void>
    /** Whether versions are held that lie too far ahead to be followed. */
    readonly isFar: () => boolean
    /** How many keys have such versions. */
    readonly farKeys: () => number
    /** The clock of the newest version of a key, when that lies too far ahead. */
    readonly far: (key: Key) => HybridLogicalClock.HybridLogicalClock | undefined
    /**
     * Stamps for entries, each after the one before, after all that is held of its keys, and after what `afterOf` says.
     * Moves the clock.
     */
    readonly stamp: (
      writes: ReadonlyArray<Entry.Writes>,
      afterOf: (index: number) => HybridLogicalClock.HybridLogicalClock | undefined
    ) => Result.Result<ReadonlyArray<HybridLogicalClock.HybridLogicalClock>, HybridLogicalClock.ClockExhausted>
    /**
     * The latest clock that a client may bring for a write of these keys. Two members may be held back at either side of the
     * middle of all clocks; and where this one, that of a member, or a version of these keys has got to already, a little
     * later is no further: so little that who makes clocks up moves none faster than the time does.
     */
    readonly latest: (keys: ReadonlyArray<Key>) => HybridLogicalClock.HybridLogicalClock
    /** Where the clock of a member is, as that says. */
    readonly told: (clock: HybridLogicalClock.HybridLogicalClock) => void
    /** Somebody else holds a version of a key: its clock is followed, or the key is kept. */
    readonly heard: (key: Key, version: HybridLogicalClock.HybridLogicalClock) => void
    /**
     * What has to be durable before a batch is appended, so that a start goes on after its clocks; `undefined` when
     * nothing has to.
     */
    readonly secure: (batch: EntryBatch.EntryBatch) => Effect.Effect<void, ReplicaStore.StoreError> | undefined
    /** Every later stamp comes after this clock, however far it is ahead. */
    readonly follow: (least: HybridLogicalClock.HybridLogicalClock) => void
    /** A batch is held here: its clocks are followed, or its keys are kept. */
    readonly held: (batch: EntryBatch.EntryBatch) => void
  }
>()("@quorum/core/ReplicaClock") {}

/**
 * Goes on from where the clock may have been when this replica ran last, with no other clock known. When the scope closes,
 * where it is is noted exactly.
 */
export const make = Effect.gen(function* () {
  const store = yield* ReplicaStore.ReplicaStore
  const wall = yield* Clock.Clock
  const sink = yield* EventSink
  const boundMillis = yield* ClockBound
  const { measured, report, time } = HeldTime.make(wall, sink, boundMillis)
  const far = FarVersions.make(Option.getOrUndefined(yield* store.note(farNote)))
  const note = yield* ClockNote.make(store)
  let clock = note.ceiling()
  /** The latest clock that a member has told of. */
  let told = HybridLogicalClock.zero
  /** The last stamp of each wall time that is too far ahead to be followed: no two writes have one. */
  const stampedFar = new Map<number, HybridLogicalClock.HybridLogicalClock>()

  /** The highest clock of a batch, which is asked for before its append and after it. */
  const highestOf = (batch: EntryBatch.EntryBatch): HybridLogicalClock.HybridLogicalClock => {
    if (batch !== looked?.batch) looked = { batch, highest: EntryBatch.highestClock(batch) }
    return looked.highest
  }
  let looked:
    | { readonly batch: EntryBatch.EntryBatch; readonly highest: HybridLogicalClock.HybridLogicalClock }
    | undefined

  /** The latest clock that may be followed as of now. What the time has got to is followed. */
  const limit = (millis: number): number => {
    const latest = millis + boundMillis
    const settled = far.size() === 0 ? undefined : far.settle(latest)
    if (settled !== undefined) clock = HybridLogicalClock.receive(clock, settled, latest)
    return latest
  }

  const keep = (at: HybridLogicalClock.HybridLogicalClock, keys: ReadonlyArray<Key>): void => {
    for (const { key, namespace } of keys) far.add(namespace, key, at)
  }

  /** What a write has to come after by its keys, beside the clock. */
  const floorOf = (writes: Entry.Writes, after: HybridLogicalClock.HybridLogicalClock) => {
    if (far.size() === 0) return after
    return Entry.listOf(writes).reduce((floor, { key, namespace }) => {
      const version = far.of(namespace, key)
      return version === undefined ? floor : later(floor, version)
    }, after)
  }

  /** One stamp, if there is a later one. One that is too far ahead to be followed leaves the clock where it is. */
  const stamp = (
    writes: Entry.Writes,
    after: HybridLogicalClock.HybridLogicalClock,
    latest: number,
    millis: number
  ): HybridLogicalClock.HybridLogicalClock | undefined => {
    const floor = floorOf(writes, after)
    const isFollowed = floor.wallTime <= Math.max(latest, clock.wallTime)
    const least = isFollowed ? later(clock, floor) : floor
    const last = stampedFar.size === 0 ? undefined : stampedFar.get(least.wallTime)
    const stamped = HybridLogicalClock.next(last === undefined ? least : later(least, last), millis)
    if (stamped === undefined) return undefined
    if (isFollowed) clock = stamped
    else {
      keep(stamped, Entry.listOf(writes))
      stampedFar.set(stamped.wallTime, stamped)
    }
    return stamped
  }

  const secure = (batch: EntryBatch.EntryBatch) => {
    const highest = highestOf(batch)
    if (HybridLogicalClock.compare(highest, note.ceiling()) < 0) return undefined
    const latest = limit(time().millis)
    if (highest.wallTime <= latest) return note.raise(highest)
    let near = HybridLogicalClock.zero
    EntryBatch.forEach(batch, (_, offset) => {
      const found = Entry.clockAt(batch.bytes, offset)
      if (found.wallTime <= latest) near = later(near, found)
      else keep(found, Entry.decodeAt(batch.bytes, offset).records)
    })
    // Keys that are forgotten because the time got to their versions are in the table no more, and below the clock.
    return note.raise(later(near, clock), { [farNote]: far.format() })
  }

  yield* Effect.addFinalizer(() => (far.size() > 0 ? Effect.void : note.end(clock)))

  return ReplicaClock.of({
    secure,
    current: () => clock,
    time,
    measured,
    report,
    isFar: () => far.size() > 0,
    farKeys: far.size,
    far: ({ key, namespace }) => far.of(namespace, key),
    latest: (keys) => {
      const wallTime = Math.min(time().millis + 2 * boundMillis, HybridLogicalClock.maxWallTime)
      const known = far.size() === 0 ? [] : keys.map(({ key, namespace }) => far.of(namespace, key) ?? told)
      return [clock, told, ...known]
        .map(({ logical, wallTime }) => ({
          wallTime,
          logical: Math.min(logical + aheadStamps, HybridLogicalClock.maxLogical)
        }))
        .reduce(later, { wallTime, logical: HybridLogicalClock.maxLogical })
    },
    told: (at) => {
      told = later(told, at)
    },
    stamp: (writes, afterOf) => {
      const { millis } = time()
      const latest = limit(millis)
      // What the time has got to is followed, also where its keys have moved on since.
      for (const [wallTime, last] of stampedFar) {
        if (wallTime > latest) continue
        clock = later(clock, last)
        stampedFar.delete(wallTime)
      }
      const stamps: Array<HybridLogicalClock.HybridLogicalClock> = []
      for (let i = 0; i < writes.length; i++) {
        const stamped = stamp(writes[i]!, afterOf(i) ?? HybridLogicalClock.zero, latest, millis)
        if (stamped === undefined) return Result.fail(new HybridLogicalClock.ClockExhausted())
        stamps.push(stamped)
      }
      return Result.succeed(stamps)
    },
    heard: (key, version) => {
      const latest = limit(time().millis)
      if (version.wallTime > latest) keep(version, [key])
      else clock = later(clock, version)
    },
    follow: (least) => {
      clock = later(clock, least)
    },
    held: (batch) => {
      const highest = highestOf(batch)
      looked = undefined
      if (HybridLogicalClock.compare(highest, clock) <= 0) return
      const latest = limit(time().millis)
      clock = HybridLogicalClock.receive(clock, highest, latest)
      if (highest.wallTime <= latest) return
      EntryBatch.forEach(batch, (_, offset) => {
        const found = Entry.clockAt(batch.bytes, offset)
        clock = HybridLogicalClock.receive(clock, found, latest)
        if (found.wallTime > latest) keep(found, Entry.decodeAt(batch.bytes, offset).records)
      })
    }
  })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<ReplicaClock, ReplicaStore.StoreError, ReplicaStore.ReplicaStore> = Layer.effect(
  ReplicaClock,
  make
)

// ---------------------------------------------------------------------------------------------------------------------

/** By how many stamps of one wall time a member may be ahead of what is known of its clock here. */
const aheadStamps = 2 ** 20

/** The note of the keys whose versions no clock follows. */
const farNote = "far"

const later = (a: HybridLogicalClock.HybridLogicalClock, b: HybridLogicalClock.HybridLogicalClock) =>
  HybridLogicalClock.compare(b, a) > 0 ? b : a
