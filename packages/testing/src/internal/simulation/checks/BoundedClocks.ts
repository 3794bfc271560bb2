/**
 * BoundedClocks: no replica's clock is moved by more than the bound by anything that it receives. Looked at where at most
 * one machine's clock was ever far off: the others then have no reason to follow it.
 */
import type { HybridLogicalClock } from "@quorum/core"
import { epochMillis } from "../MachineClock.ts"
import type { World } from "../World.ts"

/** What a replica says of its clock. */
export const onClock = (
  { machine, machines, timeline, violated }: World,
  from: World["members"][number],
  clock: HybridLogicalClock.HybridLogicalClock
): void => {
  const wrong = machines.filter(({ clock }) => clock.greatestError() > boundMillis)
  if (wrong.length > 1 || wrong.includes(machine(from))) return
  // The own clock, held near those of the others, and as much again that is followed.
  const ahead = clock.wallTime - (epochMillis + timeline.now())
  if (ahead <= 3 * boundMillis) return
  violated("BoundedClocks", `the clock of ${from} was moved ${Math.round(ahead / 1000)} s ahead`)
}

/** What `clockBound` is unless given. */
const boundMillis = 60_000
