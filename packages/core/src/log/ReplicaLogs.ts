/**
 * The logs of this replica as its services see them: the store, with the durable heads, the clock and the newest own
 * entries in memory, and a signal for every append.
 *
 * Everything that is appended on a replica passes through here, whether it was committed, pushed or pulled.
 */
import { Clock, Context, Effect, Layer, Option, Result, type Scope, Semaphore, type Tracer } from "effect"
import { EventSink } from "../events/EventSink.ts"
import * as Tracing from "../events/Tracing.ts"
import * as Appended from "./Appended.ts"
import * as Appending from "./Appending.ts"
import * as AppendSpans from "./AppendSpans.ts"
import type * as Chain from "./Chain.ts"
import type * as Entry from "./Entry.ts"
import * as Damage from "./Damage.ts"
import * as DiskWatch from "./DiskWatch.ts"
import * as EndChange from "./EndChange.ts"
import type * as EntryBatch from "./EntryBatch.ts"
import * as Floor from "./Floor.ts"
import type * as HybridLogicalClock from "./HybridLogicalClock.ts"
import * as LogId from "../identity/LogId.ts"
import * as RunId from "../identity/RunId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as Locks from "./Locks.ts"
import * as LogReads from "./LogReads.ts"
import * as OneReplica from "./OneReplica.ts"
import * as OwnLog from "./OwnLog.ts"
import * as ReplicaClock from "./ReplicaClock.ts"
import * as ReplicaStore from "./ReplicaStore.ts"
import * as Watermark from "./Watermark.ts"

/** The logs of this replica. */
export class ReplicaLogs extends Context.Service<
  ReplicaLogs,
  Floor.Floor & {
    /** The log that this replica writes, as of now: {@link renew} changes it. */
    readonly own: LogId.LogId
    readonly identity: ReplicaStore.StoreIdentity
    /** The name of this run of the replica. */
    readonly run: RunId.RunId
    /** The hybrid logical clock, as of now. */
    readonly clock: () => HybridLogicalClock.HybridLogicalClock
    /**
     * Gives the store a new incarnation, newer than `above`, and this replica a new log for its own writes. What was
     * appended to the one before stays, as that of any other.
     */
    readonly renew: (above?: LogId.Incarnation) => Effect.Effect<LogId.Incarnation, ReplicaStore.StoreError>
    /** How far a log is durably held here. */
    readonly head: (log: LogId.LogId) => Watermark.Watermark
    /**
     * How far a log goes here: the own one as far as it was written, which may be further than it is durable. For what
     * replicates it, and for comparing what peers say of it.
     */
    readonly end: (log: LogId.LogId) => Watermark.Watermark
    /** How far every log goes here, damaged entries included. */
    readonly heads: () => Watermark.VersionVector
    /** How far every log is durably held here, a damaged one up to the entry before: what is announced to peers. */
    readonly vector: () => Watermark.VersionVector
    /** How far one log is durably held here, as in {@link vector}. */
    readonly announced: (log: LogId.LogId) => number
    /** The damage that holds an entry; `undefined` where there is none that was found. */
    readonly damageAt: (log: LogId.LogId, seq: number) => ReplicaStore.DamagedRange | undefined
    readonly damaged: () => ReadonlyArray<ReplicaStore.DamagedRange>
    /** The logs of which nobody can tell what they end with here, because their ends are damaged. */
    readonly unknownEnds: () => ReadonlyArray<LogId.LogId>
    /** Reads entries of a log again, as the store's `check` does, and takes in what that finds. */
    readonly check: ReplicaStore.ReplicaStore["Service"]["check"]
    /** Puts the entries of a validated batch in the place of damaged ones, as the store's `replace` does. */
    readonly mend: ReplicaStore.ReplicaStore["Service"]["replace"]
    /**
     * Puts a batch of which entries are erased in the place of the same batch, as the store's `replace` does. Nothing is
     * done, and false returned, where `isStill` says, when it is its turn, that more may have gone than when it was read.
     */
    readonly erase: (
      batch: EntryBatch.EntryBatch,
      isStill?: () => boolean
    ) => Effect.Effect<boolean, ReplicaStore.AppendGap | ReplicaStore.AppendDrift | ReplicaStore.StoreError>
    /**
     * Erases here what is erased in a batch that another copy of the log has. Who keeps what follows from the logs is told
     * before anything goes, and keeps nothing until {@link tellErased}.
     */
    readonly adopt: (
      batch: EntryBatch.EntryBatch
    ) => Effect.Effect<void, ReplicaStore.AppendGap | ReplicaStore.AppendDrift | ReplicaStore.StoreError>
    /** Tells that nothing more is erased for now, if anything was by {@link adopt}. */
    readonly tellErased: Effect.Effect<void>
    /** Erases nothing, and gives up nothing for another copy, while something goes on that reads all up to a vector. */
    readonly unerased: <A, E, R>(reading: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    /** Waits until nothing goes on during which nothing is erased. */
    readonly erasable: Effect.Effect<void>
    /** Gives up the end of a log that nobody can tell, as the store's `cut` does: by who is not counted for it any more. */
    readonly cut: (log: LogId.LogId) => Effect.Effect<void, ReplicaStore.StoreError>
    /**
     * Gives up what is held of a log after an entry, by who has committed again what of it has to stay. Nothing is done,
     * and false returned, where the log does not end at `upTo` any more.
     */
    readonly giveUp: (log: LogId.LogId, after: number, upTo: number) => Effect.Effect<boolean, ReplicaStore.StoreError>
    /**
     * Gives up what is held of a log from where a batch begins, and appends the batch in its place: by who has committed
     * again what it gives up. Nothing is done, and false returned, where the log does not end at `upTo` any more.
     */
    readonly replace: (
      batch: EntryBatch.EntryBatch,
      upTo: number
    ) => Effect.Effect<boolean, ReplicaStore.AppendGap | ReplicaStore.AppendDrift | ReplicaStore.StoreError>
    /** Calls `listener` whenever something is damaged, mended or given up. Returns how to stop it. */
    readonly onDamage: (listener: (change: Damage.Change) => void) => () => void
    /** Why the store failed last, as long as it has not worked since, or that the end of the own log is damaged. */
    readonly fault: () => ReplicaStore.StoreError | undefined
    /** For how long the disk has not answered an append, in milliseconds, once that is a second; 0 while it answers. */
    readonly stalledMillis: () => number
    /** Says in the log, once each, that the disk does not answer, and that it answers again. Called twice a second. */
    readonly lookAtDisk: Effect.Effect<void>
    /**
     * Stamps entries, appends them to the own log as one batch and returns it; durable when it returns. One call at a
     * time: the caller does not start a second before the first is done. Without `orderOf` they are unprobed. `commits`
     * are the spans in which they were committed, and `expected` is the own log when the caller decided to append:
     * nothing is written when it is another by now, or when one of them has a stamp at or below the floor.
     */
    readonly appendWrites: (
      writes: ReadonlyArray<Entry.Writes>,
      orderOf?: (index: number) => ReplicaClock.Order,
      commits?: ReadonlyArray<Tracer.AnySpan>,
      expected?: LogId.LogId
    ) => Effect.Effect<
      EntryBatch.Encoded,
      ReplicaStore.StoreError | HybridLogicalClock.ClockExhausted | Floor.BelowFloor
    >
    /** Draws the stamps of writes that are not made yet. Moves the clock, and writes nothing. */
    readonly stamp: (
      writes: ReadonlyArray<Entry.Writes>,
      orderOf: (index: number) => ReplicaClock.Order
    ) => Result.Result<ReadonlyArray<Entry.Stamp>, HybridLogicalClock.ClockExhausted>
    /** Appends a validated batch that came from a peer, within a span in each of these. */
    readonly append: (
      batch: EntryBatch.EntryBatch,
      within?: ReadonlyArray<Tracer.AnySpan>
    ) => Effect.Effect<Watermark.Watermark, ReplicaStore.AppendGap | ReplicaStore.AppendDrift | ReplicaStore.StoreError>
    /** The entries after `after` that are durable here, as many as fit in `maxBytes` but at least one. */
    readonly read: (
      log: LogId.LogId,
      after: number,
      maxBytes: number
    ) => Effect.Effect<Option.Option<EntryBatch.EntryBatch>, ReplicaStore.StoreError>
    /** {@link read} for the own log up to its {@link end}: what is pushed while it is synced. */
    readonly readOwn: (
      after: number,
      maxBytes: number
    ) => Effect.Effect<Option.Option<EntryBatch.EntryBatch>, ReplicaStore.StoreError>
    /** The chain after entry `seq`; none beyond what is held. */
    readonly chainAt: (
      log: LogId.LogId,
      seq: number
    ) => Effect.Effect<Option.Option<Chain.Chain>, ReplicaStore.StoreError>
    /** The spans of the appends of what is in a batch of the own log, if it was appended lately and is traced. */
    readonly tracesOf: (batch: EntryBatch.EntryBatch) => ReadonlyArray<Tracer.Span>
    /**
     * Calls `listener` after every durable append, in order, with the entries that are new here. The listener must not
     * throw and must be quick. Returns how to stop it.
     */
    readonly onAppend: (listener: (batch: EntryBatch.EntryBatch) => void) => () => void
    /** Calls `listener` whenever the own log was written to, before that is durable. Returns how to stop it. */
    readonly onWritten: (listener: () => void) => () => void
  }
>()("@quorum/core/ReplicaLogs") {}

/** Builds the view from the store, which has to be that of this replica. */
export const make: Effect.Effect<
  ReplicaLogs["Service"],
  ReplicaStore.StoreError,
  ReplicaStore.ReplicaStore | ReplicaSet | ReplicaClock.ReplicaClock | Scope.Scope
> = Effect.gen(function* () {
  const store = yield* ReplicaStore.ReplicaStore
  const clock = yield* ReplicaClock.ReplicaClock
  const members = yield* ReplicaSet
  const time = yield* Clock.Clock
  const sink = yield* EventSink
  const spans = AppendSpans.make(yield* Tracing.make, () => store.lastSyncMillis?.())
  if (store.identity.replica !== members.self || store.identity.cluster !== members.cluster) {
    return yield* new ReplicaStore.StoreError({
      reason: "wrong_identity",
      detail:
        `the store belongs to ${store.identity.replica} of ${store.identity.cluster}, and this is ${members.self} of ` +
        members.cluster
    })
  }
  yield* OneReplica.claim(store)
  const run = yield* RunId.make
  const own = OwnLog.make(store)
  /** The own log does not change while something is appended to it. */
  const writing = Semaphore.makeUnsafe(1)
  const heads = new Map<LogId.LogId, Watermark.Watermark>()
  const damage = Damage.make(store, sink, (log) => head(log).seq)
  for (const watermark of yield* store.watermarks) {
    heads.set(watermark.log, watermark)
    const newest = yield* Effect.catchIf(
      store.read(watermark.log, watermark.seq - 1, 1),
      (error) => LogReads.isDamage(store, error),
      () => Effect.succeedNone
    )
    if (Option.isSome(newest)) clock.held(newest.value)
  }
  const ids: ReadonlyArray<string> = [members.self, ...members.peers]
  const strangers = new Set(Array.from(heads.keys(), LogId.owner).filter((owner) => !ids.includes(owner)))
  if (strangers.size > 0) {
    yield* Effect.logError(
      `it holds what ${Array.from(strangers).join(", ")} wrote, and its members are ${ids.join(", ")}: who is in a set does ` +
        "not change, give it the peers that it had"
    )
  }
  const head = (log: LogId.LogId): Watermark.Watermark => heads.get(log) ?? Watermark.none(log)
  // What the store found when it was opened, or just now, is not announced as held.
  yield* damage.look
  const floor = yield* Floor.make(store, writing, clock.follow)
  /** Appends to one log are announced in the order in which they were made durable. */
  const lockOf = Locks.make()
  const end = (log: LogId.LogId): Watermark.Watermark => own.end(head(log))
  const { fault: readFault, ...reads } = yield* LogReads.make({ store, own, head, damage })
  const endFault = (): ReplicaStore.StoreError | undefined => {
    const range = damage.at(own.id, head(own.id).seq)
    return range === undefined ? undefined : Damage.errorOf(range)
  }

  const stamp = (
    writes: ReadonlyArray<Entry.Writes>,
    orderOf: (index: number) => ReplicaClock.Order
  ): Result.Result<ReadonlyArray<Entry.Stamp>, HybridLogicalClock.ClockExhausted> =>
    Result.map(
      clock.stamp(writes, (index) => orderOf(index).after),
      (clocks) =>
        clocks.map((clock, index) => {
          const { drawn, unprobed } = orderOf(index)
          return drawn ?? { clock, tie: run, unprobed }
        })
    )

  const appended = Appended.make({ store, heads, own, clock, damage, sink, time })
  const disk = DiskWatch.make(time)
  const appends = Appending.make({
    store,
    own,
    head,
    clock,
    damage,
    disk,
    floor,
    spans,
    appended,
    writing,
    time,
    stamp
  })
  const { appending, ...changes } = EndChange.make({
    store,
    heads,
    damage,
    lockOf,
    held: clock.held,
    append: (batch) => appends.copy(batch, []),
    erased: own.erased
  })

  return ReplicaLogs.of({
    get own() {
      return own.id
    },
    get identity() {
      return own.identity
    },
    run,
    clock: clock.current,
    renew: (above) => writing.withPermit(own.renew(above)),
    head,
    end,
    heads: () => Array.from(heads.values()),
    vector: () => Array.from(heads.values(), (known) => damage.heldOf(known)),
    announced: (log) => damage.heldOf(head(log)).seq,
    damageAt: damage.at,
    damaged: store.damaged,
    unknownEnds: damage.unknownEnds,
    ...reads,
    ...changes,
    ...floor.methods,
    onDamage: damage.listen,
    fault: () => appended.fault() ?? readFault() ?? endFault(),
    stalledMillis: disk.stalledMillis,
    lookAtDisk: disk.look,
    appendWrites: appends.own,
    stamp,
    append: (batch, within = []) =>
      appending(batch, lockOf(batch.log).withPermit(Effect.uninterruptible(appends.copy(batch, within)))),
    tracesOf: own.tracesOf,
    onAppend: appended.listen,
    onWritten: appends.onWritten
  })
})

/** {@link make} as a layer, with the clock that it moves. */
export const layer: Layer.Layer<
  ReplicaLogs | ReplicaClock.ReplicaClock,
  ReplicaStore.StoreError,
  ReplicaStore.ReplicaStore | ReplicaSet
> = Layer.effect(ReplicaLogs, make).pipe(Layer.provideMerge(ReplicaClock.layer))
