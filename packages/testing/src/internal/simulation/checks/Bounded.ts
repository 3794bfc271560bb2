/** Bounded: what waits in a replica, its connections and what is under way on them never pass their caps. */
import { QuorumWriter } from "@quorum/core"
import { Context } from "effect"
import { maxInFlight } from "../Network.ts"
import type { World } from "../World.ts"

/** Looks at all replicas as they are now. */
export const onSample = (world: World): void => {
  for (const { id, process } of world.machines) {
    if (process?.services === undefined) continue
    const { caps, waiting, waitingBytes } = Context.get(process.services, QuorumWriter.QuorumWriter)
    if (waiting() > caps.writes) world.violated("Bounded", `${waiting()} of ${caps.writes} writes wait at ${id}`)
    if (waitingBytes() > caps.bytes) world.violated("Bounded", `${waitingBytes()} of ${caps.bytes} bytes wait at ${id}`)
    for (const to of world.members) {
      const { connections, pushes } = world.network.traffic(process.owner, to)
      if (connections > 1) world.violated("Bounded", `${id} has ${connections} connections to ${to}`)
      if (pushes > maxInFlight) world.violated("Bounded", `${pushes} pushes of ${id} to ${to} are under way`)
    }
  }
}
