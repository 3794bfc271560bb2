/**
 * Asks the peers for their clocks, so that a write can be stamped after everything that a majority knows of.
 *
 * Each connection has at most one question under way, and asks the next one when the answer is here and somebody waits
 * again: one question serves all who were called before it was asked.
 */
import { Context, Effect, FiberHandle, Layer, type Scope } from "effect"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import { type Key, ReplicaClock } from "../log/ReplicaClock.ts"
import * as ProbeTracker from "../quorum/ProbeTracker.ts"
import * as AskOrder from "./internal/AskOrder.ts"
import * as Asker from "./internal/Asker.ts"

/** Calls that wait for a majority's clocks. */
export interface Waiting {
  /** The mark of the newest call that waits; `undefined` when none does. */
  readonly newest: () => number | undefined
  /** That of the one that has waited longest. */
  readonly oldest: () => number | undefined
  /**
   * The keys of the calls that wait, from this mark on, as many as fit into one question, and the mark of the first call
   * whose keys did not.
   */
  readonly keys: (from: number) => { readonly keys: ReadonlyArray<Key>; readonly upTo: number }
  /** More calls may be covered than before. */
  readonly onAnswer: () => void
}

/** What peers know of the time. */
export class Probes extends Context.Service<
  Probes,
  {
    /** The mark of a call, or of a question, that is made now. */
    readonly mark: () => number
    /** Says who waits. */
    readonly serve: (waiting: Waiting) => void
    /** Somebody waits; `isGathered` when all who are called together have been called. */
    readonly wake: (isGathered?: boolean) => void
    /** What peers have answered. */
    readonly tracker: () => ProbeTracker.ProbeTracker
    /** The highest clock of all answers since nobody waited. */
    readonly clock: () => HybridLogicalClock.HybridLogicalClock
    /** Nobody waits: what was answered concerns nobody any more. */
    readonly rest: () => void
    /** A connection to a peer that asks. */
    readonly asker: (peer: ReplicaId) => Asker.Asker
  }
>()("@quorum/core/Probes") {}

/**
 * Starts without anybody waiting. When somebody has waited for {@link patienceMillis} everybody is asked, in turns that
 * `AskOrder` knows.
 */
export const make: Effect.Effect<Probes["Service"], never, ReplicaSet | ReplicaClock | Scope.Scope> = Effect.gen(
  function* () {
    const { peers } = yield* ReplicaSet
    const ownClock = yield* ReplicaClock
    const runTimer = yield* FiberHandle.makeRuntime<never>()
    let tracker = ProbeTracker.make(peers.length + 1)
    let highest = HybridLogicalClock.zero
    let last = 0
    let waiting: Waiting | undefined
    let isArmed = false
    const order = AskOrder.make(tracker.needed, peers.length, () => waiting?.newest())
    const mark = () => ++last

    const wake = (isGathered = false): void => {
      order.wake(isGathered)
      arm()
    }

    const arm = (): void => {
      if (isArmed || order.isEverybodyAsked() || waiting?.oldest() === undefined) return
      isArmed = true
      const upTo = last
      const look = (): void => {
        isArmed = false
        if ((waiting?.oldest() ?? Number.POSITIVE_INFINITY) <= upTo) order.askEverybody()
        wake()
      }
      runTimer(Effect.andThen(Effect.sleep(patienceMillis), Effect.sync(look)))
    }

    const asker = (peer: ReplicaId): Asker.Asker =>
      Asker.make({
        order,
        ownClock,
        mark,
        keys: () => waiting?.keys(tracker.answered.get(peer) ?? 0),
        onAsked: arm,
        onAnswer: (asked, clock) => {
          highest = HybridLogicalClock.receive(highest, clock, Number.POSITIVE_INFINITY)
          tracker = ProbeTracker.answer(tracker, peer, asked)
          waiting?.onAnswer()
        },
        onMissing: wake
      })

    return Probes.of({
      mark,
      serve: (who) => void (waiting = who),
      wake,
      tracker: () => tracker,
      clock: () => highest,
      rest: () => {
        highest = HybridLogicalClock.zero
        order.rest()
      },
      asker
    })
  }
)

/** {@link make} as a layer. */
export const layer: Layer.Layer<Probes, never, ReplicaSet | ReplicaClock> = Layer.effect(Probes, make)

// ---------------------------------------------------------------------------------------------------------------------

/** How long those who are asked first have to answer before everybody is asked, in milliseconds. */
const patienceMillis = 5
