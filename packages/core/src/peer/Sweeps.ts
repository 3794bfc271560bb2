/**
 * How far the members have swept: up to which clock nothing is left with each of them of what was superseded by writes
 * before that clock. Deletes before the least of these may be forgotten, since nobody holds anything that they deleted.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import * as Life from "../identity/Life.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as BackupOrigin from "../log/BackupOrigin.ts"
import * as Entry from "../log/Entry.ts"
import * as EntryBatch from "../log/EntryBatch.ts"
import * as Erased from "../log/Erased.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import * as ReplicaStore from "../log/ReplicaStore.ts"
import { Membership } from "./Membership.ts"
import type * as PeerProtocol from "./PeerProtocol.ts"
import { StableTime } from "./StableTime.ts"

type Clock = HybridLogicalClock.HybridLogicalClock

/** What a member says of itself, and whose lives it knows. */
type Said = Pick<PeerProtocol.Welcome, "everSwept" | "members" | "replica" | "swept">

/** How far the members have swept. */
export class Sweeps extends Context.Service<
  Sweeps,
  {
    /** How far this replica has in this run; zero before its first whole round. */
    readonly own: () => Clock
    /** Changes whenever what was swept may not be so any more: it is zero then. */
    readonly generation: () => number
    /** This replica has swept so far; on record when it returns, and said from then on. */
    readonly swept: (clock: Clock) => Effect.Effect<void, ReplicaStore.StoreError>
    /**
     * The latest clock so far which any member that is known of has ever swept, in this life or before. A delete that
     * somebody has forgotten is earlier.
     */
    readonly ever: () => Clock
    /** Takes in what a member says in a handshake of either direction. */
    readonly heard: (said: Said) => void
    /**
     * Has {@link ever} on record. Who recovers needs that before it counts the answers of others: it may be one of those by
     * whom an old copy is judged that comes back after that, and nobody may be left who has swept so far itself.
     */
    readonly noted: Effect.Effect<void, ReplicaStore.StoreError>
    /**
     * The clock before which deletes may be forgotten here; `undefined` when none may. All members have to have said so
     * knowing the same lives: one that began anew gets from others what they had not swept when they met it. What was
     * erased before this run began, or elsewhere before it came here, may have let entries go that others still hold: so
     * all members have to have swept beyond that too.
     */
    readonly forgettable: () => Clock | undefined
    /** The members, this one among them, that are not known to have swept beyond a clock, and beyond what must be. */
    readonly notBeyond: (clock: Clock) => ReadonlyArray<ReplicaId>
  }
>()("@quorum/core/Sweeps") {}

/** Knows nothing at first. */
export const make = Effect.gen(function* () {
  const { peers, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const membership = yield* Membership
  const stableTime = yield* StableTime
  const store = yield* ReplicaStore.ReplicaStore
  let ever = Option.getOrElse(Option.flatMap(yield* store.note(note), decode), () => HybridLogicalClock.zero)
  let onRecord = ever
  // All had swept before the floor of whom the backup was taken of, and the file does not say how far.
  if ((yield* BackupOrigin.load(store)) !== undefined) ever = later(ever, logs.floor())
  const heard = new Map<ReplicaId, { readonly swept: Clock; readonly lives: number }>()
  let own = HybridLogicalClock.zero
  let unknownBefore = logs.clock()
  let generation = 0
  let life = logs.identity.incarnation
  /**
   * The oldest entry that came although it is not above the floor here, and the clock when the last such came: it was
   * committed again, after a fork or a loss, or this replica was away. Others may have said that they had swept beyond it
   * before they got it. Who says later that it has swept beyond that moment holds it too, and has looked at it: what is
   * stable then was given a floor by who committed it again, with all that it held.
   */
  let late: { readonly from: Clock; readonly to: Clock } | undefined
  const cameLate = (oldest: Clock): void => {
    late = { from: late === undefined ? oldest : earlier(late.from, oldest), to: logs.clock() }
    own = earlier(own, oldest)
    // What a round that is under way rests on is stable by now.
    if (HybridLogicalClock.compare(oldest, stableTime.current().clock) <= 0) generation++
  }
  /** What comes back by mending may be what was swept, and a new life has swept nothing. */
  const anew = (): void => {
    own = HybridLogicalClock.zero
    generation++
    unknownBefore = logs.clock()
  }
  const ofThisLife = (): void => {
    if (life === logs.identity.incarnation) return
    life = logs.identity.incarnation
    anew()
  }
  const noted = Effect.suspend(() => {
    const told = ever
    if (HybridLogicalClock.compare(told, onRecord) <= 0) return Effect.void
    return Effect.map(store.setNotes({ [note]: encode(told) }), () => void (onRecord = later(onRecord, told)))
  })
  yield* Effect.acquireRelease(
    Effect.sync(() => [
      logs.onAppend((batch) => {
        if (batch.log !== logs.own && EntryBatch.erasedAt(batch) !== undefined) unknownBefore = logs.clock()
        const oldest = oldestUpTo(batch, logs.floor())
        if (oldest !== undefined) cameLate(oldest)
      }),
      logs.onDamage(({ _tag }) => void (_tag !== "Found" && anew()))
    ]),
    (stops) => Effect.sync(() => stops.forEach((stop) => stop()))
  )
  return Sweeps.of({
    own: () => {
      ofThisLife()
      return own
    },
    generation: () => {
      ofThisLife()
      return generation
    },
    swept: (clock) => {
      const before = generation
      ever = later(ever, clock)
      // Durable first: what others forget because of it has to be known after a restart, whoever has swept further.
      return Effect.map(noted, () => {
        if (before === generation) own = later(own, clock)
      })
    },
    ever: () => ever,
    heard: ({ everSwept, members, replica, swept = HybridLogicalClock.zero }) => {
      ever = later(ever, everSwept ?? swept)
      heard.set(replica, { swept, lives: Life.hash(members) })
    },
    noted,
    notBeyond: (clock) => {
      ofThisLife()
      const lives = membership.hash()
      const isBeyond = (swept: Clock): boolean =>
        HybridLogicalClock.compare(swept, clock) > 0 && HybridLogicalClock.compare(swept, unknownBefore) > 0
      return [self, ...peers].filter((member) => {
        if (Life.isLeftOut(Life.of(membership.lives(), member))) return false
        const said = member === self ? { swept: own, lives } : heard.get(member)
        return said?.lives !== lives || !isBeyond(said.swept)
      })
    },
    forgettable: () => {
      ofThisLife()
      const lives = membership.hash()
      const known = membership.lives()
      let least = own
      for (const peer of peers) {
        if (Life.isLeftOut(Life.of(known, peer))) continue
        const said = heard.get(peer)
        if (said?.lives !== lives) return undefined
        least = earlier(least, said.swept)
      }
      if (late !== undefined && HybridLogicalClock.compare(least, late.to) > 0) late = undefined
      if (late !== undefined) least = earlier(least, late.from)
      return HybridLogicalClock.compare(least, unknownBefore) > 0 ? least : undefined
    }
  })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(Sweeps, make)

// ---------------------------------------------------------------------------------------------------------------------

/** The oldest clock of a batch that is this one or an earlier one. */
const oldestUpTo = ({ bytes }: EntryBatch.EntryBatch, bound: Clock): Clock | undefined => {
  let oldest: Clock | undefined
  if (bound.wallTime === 0) return undefined
  for (let at = 0; at < bytes.length; at = Entry.endUnsafe(bytes, at)) {
    if (Erased.is(bytes, at)) continue
    const clock = Entry.clockAt(bytes, at)
    if (HybridLogicalClock.compare(clock, oldest ?? bound) <= 0) oldest = clock
  }
  return oldest
}

const earlier = (a: Clock, b: Clock): Clock => (HybridLogicalClock.compare(b, a) < 0 ? b : a)

const note = "swept"
const codec = Schema.fromJsonString(HybridLogicalClock.HybridLogicalClock)
const encode = Schema.encodeSync(codec)
const decode = Schema.decodeOption(codec)

const later = (a: Clock, b: Clock): Clock => (HybridLogicalClock.compare(a, b) >= 0 ? a : b)
