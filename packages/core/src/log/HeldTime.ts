/**
 * The effective time of this replica as of now, by the clocks of the members as they were last measured. That the own clock
 * began to be held back, or has ceased to be, is told once each time.
 */
import { type Clock, Effect } from "effect"
import type { EventSink } from "../events/EventSink.ts"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import * as EffectiveTime from "./EffectiveTime.ts"
import * as Monotonic from "./Monotonic.ts"

/** Begins with no other clock known. The own one is held within `boundMillis` of the middle of all. */
export const make = (wall: Clock.Clock, sink: EventSink, boundMillis: number) => {
  const peers = new Map<ReplicaId, EffectiveTime.Reading>()
  /** What was told last, and what was said in the log last. */
  let told = 0
  let said = 0

  const now = (): EffectiveTime.Reading => ({
    wallMillis: wall.currentTimeMillisUnsafe(),
    monotonicMillis: Monotonic.millis(wall)
  })

  const time = (): EffectiveTime.EffectiveTime => {
    const effective = EffectiveTime.make(now(), peers.values(), boundMillis)
    const { heldMillis } = effective
    if (Math.sign(heldMillis) !== Math.sign(told)) {
      told = heldMillis
      if (sink.active()) sink.tell({ _tag: "ClockHeld", heldMillis })
    }
    return effective
  }

  return {
    /** The time by which this replica stamps. */
    time,
    /** The clock of a peer, as it was measured. */
    measured: (peer: ReplicaId, reading: EffectiveTime.Reading): void => void peers.set(peer, reading),
    /** Says in the log when the own clock began, or has ceased, to be held back. */
    report: Effect.suspend(() => {
      const { heldMillis } = time()
      if (Math.sign(heldMillis) === Math.sign(said)) return Effect.void
      said = heldMillis
      return heldMillis === 0
        ? Effect.log("the clock of this replica agrees with those of the others again")
        : Effect.logWarning(heldBack(heldMillis, boundMillis))
    })
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const heldBack = (heldMillis: number, boundMillis: number): string => {
  const by = Math.round(Math.abs(heldMillis) + boundMillis)
  const where = heldMillis > 0 ? "ahead of" : "behind"
  return `the clock of this replica is ${by} ms ${where} the middle of all clocks, and is not followed; set it right`
}
