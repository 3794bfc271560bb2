/**
 * NeverStandsStill: what needs no disk waits for none. A read of what a replica holds is answered in a moment, however long
 * its disk takes and whatever is merged meanwhile. (How long one piece of work holds the loop cannot be seen here.)
 */
import type { Operation } from "../History.ts"
import type { Machine } from "../Machines.ts"
import type { World } from "../World.ts"

/** Looks at a read that was answered by the process that it was asked of. */
export const onRead = ({ timeline, violated }: World, machine: Machine, operation: Operation): void => {
  const { askedAt, at, atLeast, consistency, id, outcome, session } = operation
  const owner = machine.process?.owner
  if (outcome !== "read" || consistency !== "local" || owner === undefined) return
  // What its client did and saw may have to be fetched first.
  if (atLeast !== undefined || session !== undefined) return
  // A process that stood still was made to.
  if (owner.paused !== undefined || owner.wentOnAt >= askedAt) return
  const millis = timeline.now() - askedAt
  if (millis > boundMillis) violated("NeverStandsStill", `operation ${id} waited ${millis.toFixed(0)} ms at ${at}`)
}

// ---------------------------------------------------------------------------------------------------------------------

/** An index takes up to 20 ms to be looked at, and may be looked at twice. */
const boundMillis = 60
