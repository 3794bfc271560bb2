/**
 * The stable time that this replica knows of, and its own floor, which it raises as time goes on. See `Floors`.
 */
import { Clock, Context, Effect, Layer, Schema } from "effect"
import * as LogId from "../identity/LogId.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import { StampHorizon } from "../log/Floor.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import { ReplicaClock } from "../log/ReplicaClock.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import * as Floors from "./Floors.ts"
import { Frontier } from "./Frontier.ts"
import type { Said } from "./Greeting.ts"
import { Membership } from "./Membership.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import { Peers } from "./Peers.ts"

/** What is known of stable time. */
export const Stable = Schema.Struct({
  /** Every entry with this clock or an earlier one is held by every member, those that are yet to come included. */
  clock: HybridLogicalClock.HybridLogicalClock,
  /** Who has to say or to hold more before it rises: all is well when it rises all the same. */
  heldBackBy: Schema.Array(ReplicaId.ReplicaId),
  /** When it rose last, or this replica began to look, in milliseconds since the epoch. */
  since: Schema.Finite
})

/** What is known of stable time. */
export type Stable = typeof Stable.Type

/** Stable time, as far as this replica knows. */
export class StableTime extends Context.Service<
  StableTime,
  {
    /** As of the last look, which is not long ago. It never falls while this replica runs. */
    readonly current: () => Stable
    /** A member has said what it holds: its floor is taken in before that counts. */
    readonly heard: (said: Said) => void
  }
>()("@quorum/core/StableTime") {}

/** Looks with every heartbeat, at the frontier too. */
export const layer = Layer.effect(
  StableTime,
  Effect.gen(function* () {
    const { peers: peerIds, self } = yield* ReplicaSet
    const logs = yield* ReplicaLogs
    const membership = yield* Membership
    const frontier = yield* Frontier
    const peers = yield* Peers
    const time = yield* ReplicaClock
    const clock = yield* Clock.Clock
    const horizonMillis = yield* StampHorizon
    let floors: Floors.Floors = new Map()
    let stable: Stable = { clock: HybridLogicalClock.zero, heldBackBy: [], since: clock.currentTimeMillisUnsafe() }

    /** A single clock that is wrong must not raise the floor above what others stamp with. */
    const isSure = (): boolean => {
      const measured = peers.all().filter(({ clockSkewMillis }) => clockSkewMillis !== undefined).length + 1
      return measured > (peerIds.length + 1) / 2
    }

    /** The floor that is worth a note, if there is one: behind the time, and in steps. */
    const worthNoting = (): HybridLogicalClock.HybridLogicalClock | undefined => {
      const wallTime = time.time().millis - horizonMillis
      const isWorth = wallTime > 0 && wallTime >= logs.floor().wallTime + horizonMillis / stepsInHorizon
      return isWorth && membership.isVoting() && isSure() ? { wallTime, logical: 0 } : undefined
    }

    const heard = ({ floor, incarnation, members, replica, vector, voting }: Said): void => {
      if (floor === undefined || !voting) return
      const { again, clock, end } = floor
      const own = { log: LogId.make(replica, incarnation), seq: end }
      floors = Floors.heard(floors, replica, { clock, own, again, vector, lives: members })
    }

    const look = (): void => {
      heard({ ...membership.says(self), replica: self, vector: logs.vector() })
      const looked = Floors.look(floors, membership.lives(), frontier.holdings())
      floors = looked.floors
      const isRisen = looked.clock !== undefined && HybridLogicalClock.compare(looked.clock, stable.clock) > 0
      stable = {
        clock: isRisen ? looked.clock : stable.clock,
        heldBackBy: looked.heldBackBy,
        since: isRisen ? clock.currentTimeMillisUnsafe() : stable.since
      }
    }
    const every = Effect.sleep(yield* PeerProtocol.HeartbeatInterval)
    yield* Effect.suspend(() => {
      const floor = worthNoting()
      frontier.current()
      look()
      // A store that fails is told of where it fails writes, and is asked again.
      return floor === undefined ? every : Effect.andThen(Effect.ignore(logs.raiseFloor(floor)), every)
    }).pipe(Effect.forever, Effect.forkScoped)
    return StableTime.of({ current: () => stable, heard })
  })
)

// ---------------------------------------------------------------------------------------------------------------------

/** In how many steps a floor rises by the horizon: each is a note, and 84 seconds for a horizon of a day. */
const stepsInHorizon = 1024
