/**
 * The floor of this replica: a clock at or before which it appends nothing to its own log any more, in this life or a later
 * one. It only rises, and is durable before anybody is told.
 */
import { Context, Effect, Option, Result, Schema, type Semaphore } from "effect"
import type * as Entry from "./Entry.ts"
import * as HybridLogicalClock from "./HybridLogicalClock.ts"
import type { Order } from "./ReplicaClock.ts"
import type * as ReplicaStore from "./ReplicaStore.ts"

/**
 * How old the stamp of a write may be, in milliseconds, by this replica's time. Of an older one nobody can tell any more
 * whether its write was made: what superseded or deleted it may be gone. Floors follow the time by as much.
 */
export const StampHorizon = Context.Reference<number>("@quorum/core/StampHorizon", {
  defaultValue: () => 24 * 60 * 60 * 1000
})

/** What was to be appended is at or below the floor. Nothing was written. */
export class BelowFloor extends Schema.TaggedError<BelowFloor>()("BelowFloor", {
  floor: HybridLogicalClock.HybridLogicalClock
}) {
  override get message(): string {
    return `nothing is stamped at or before ${this.floor.wallTime} any more`
  }
}

/** The floor of a replica. */
export interface Floor {
  /** Nothing is appended to the own log any more that is stamped at or before this, in this life or a later one. Durable. */
  readonly floor: () => HybridLogicalClock.HybridLogicalClock
  /** Raises the floor, at once for what is appended; durable, and told by {@link floor}, when it returns. */
  readonly raiseFloor: (to: HybridLogicalClock.HybridLogicalClock) => Effect.Effect<void, ReplicaStore.StoreError>
}

/** Begins with what was noted. Nothing is appended to the own log while `writing` is held; `follow` has the clock follow. */
export const make = Effect.fnUntraced(function* (
  store: ReplicaStore.ReplicaStore["Service"],
  writing: Semaphore.Semaphore,
  follow: (floor: HybridLogicalClock.HybridLogicalClock) => void
) {
  let durable = Option.getOrElse(Option.flatMap(yield* store.note(note), decode), () => HybridLogicalClock.zero)
  /** What holds for appends: it may not be durable yet. */
  let limit = durable
  follow(limit)
  const noted = Effect.suspend(() => {
    const raised = limit
    if (raised === durable) return Effect.void
    return Effect.map(store.setNotes({ [note]: encode(raised) }), () => {
      if (HybridLogicalClock.compare(raised, durable) > 0) durable = raised
    })
  })
  const methods: Floor = {
    floor: () => durable,
    raiseFloor: (to) => {
      const raise = Effect.sync(() => {
        if (HybridLogicalClock.compare(to, limit) > 0) follow((limit = to))
      })
      return Effect.andThen(writing.withPermit(raise), Effect.uninterruptible(noted))
    }
  }
  return {
    /** The stamps of entries, if all of them may be appended. */
    check:
      (orderOf: (index: number) => Order) =>
      (stamps: ReadonlyArray<Entry.Stamp>): Result.Result<ReadonlyArray<Entry.Stamp>, BelowFloor> => {
        const isTooOld = ({ clock }: Entry.Stamp, index: number): boolean =>
          HybridLogicalClock.compare(clock, limit) <= 0 && orderOf(index).again !== true
        return stamps.some(isTooOld) ? Result.fail(new BelowFloor({ floor: limit })) : Result.succeed(stamps)
      },
    methods
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const note = "floor"

const codec = Schema.fromJsonString(HybridLogicalClock.HybridLogicalClock)
const encode = Schema.encodeSync(codec)
const decode = Schema.decodeOption(codec)
