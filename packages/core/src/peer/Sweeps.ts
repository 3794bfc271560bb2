/**
 * How far the members have swept: up to which clock nothing is left with each of them of what was superseded by writes
 * before that clock. Deletes before the least of these may be forgotten, since nobody holds anything that they deleted.
 */
import { Context, Effect, Layer } from "effect"
import * as Life from "../identity/Life.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as Entry from "../log/Entry.ts"
import * as EntryBatch from "../log/EntryBatch.ts"
import * as Erased from "../log/Erased.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import { Membership } from "./Membership.ts"
import type * as PeerProtocol from "./PeerProtocol.ts"

type Clock = HybridLogicalClock.HybridLogicalClock

/** What a member says of itself, and whose lives it knows. */
type Said = Pick<PeerProtocol.Welcome, "members" | "replica" | "swept">

/** How far the members have swept. */
export class Sweeps extends Context.Service<
  Sweeps,
  {
    /** How far this replica has in this run; zero before its first whole round. */
    readonly own: () => Clock
    /** Changes whenever what was swept may not be so any more: it is zero then. */
    readonly generation: () => number
    /** This replica has swept so far. */
    readonly swept: (clock: Clock) => void
    /** Takes in what a member says in a handshake of either direction. */
    readonly heard: (said: Said) => void
    /**
     * The clock before which deletes may be forgotten here; `undefined` when none may. All members have to have said so
     * knowing the same lives: one that began anew gets from others what they had not swept when they met it. What was
     * erased before this run began, or elsewhere before it came here, may have let entries go that others still hold: so
     * all members have to have swept beyond that too.
     */
    readonly forgettable: () => Clock | undefined
  }
>()("@quorum/core/Sweeps") {}

/** Knows nothing at first. */
export const make = Effect.gen(function* () {
  const { peers } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const membership = yield* Membership
  const known = new Map<ReplicaId, { readonly swept: Clock; readonly lives: number }>()
  let own = HybridLogicalClock.zero
  let unknownBefore = logs.clock()
  let generation = 0
  let life = logs.identity.incarnation
  /** What comes back by mending, or is committed again, may be what was swept, and a new life has swept nothing. */
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
  yield* Effect.acquireRelease(
    Effect.sync(() => [
      logs.onAppend((batch) => {
        // It was committed again, after a fork or a loss. Whoever says later that it has swept beyond now holds that too,
        // and has looked at it: what is stable then was given a floor by who committed it again, with all that it held.
        if (isAnyUpTo(batch, logs.floor())) anew()
        else if (batch.log !== logs.own && EntryBatch.erasedAt(batch) !== undefined) unknownBefore = logs.clock()
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
      if (HybridLogicalClock.compare(clock, own) > 0) own = clock
    },
    heard: ({ members, replica, swept = HybridLogicalClock.zero }) =>
      void known.set(replica, { swept, lives: Life.hash(members) }),
    forgettable: () => {
      ofThisLife()
      const lives = membership.hash()
      let least = own
      for (const peer of peers) {
        const said = known.get(peer)
        if (said?.lives !== lives) return undefined
        if (HybridLogicalClock.compare(said.swept, least) < 0) least = said.swept
      }
      return HybridLogicalClock.compare(least, unknownBefore) > 0 ? least : undefined
    }
  })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(Sweeps, make)

// ---------------------------------------------------------------------------------------------------------------------

/** Whether any entry of a batch has this clock, or an earlier one. */
const isAnyUpTo = ({ bytes }: EntryBatch.EntryBatch, clock: Clock): boolean => {
  if (clock.wallTime === 0) return false
  for (let at = 0; at < bytes.length; at = Entry.endUnsafe(bytes, at)) {
    if (!Erased.is(bytes, at) && HybridLogicalClock.compare(Entry.clockAt(bytes, at), clock) <= 0) return true
  }
  return false
}
