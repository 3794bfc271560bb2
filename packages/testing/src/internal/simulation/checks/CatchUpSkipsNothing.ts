/** CatchUpSkipsNothing: who asks for what comes after a place holds, or has written, all up to there. */
import type { PeerProtocol } from "@quorum/core/adapter"
import * as Disk from "../Disk.ts"
import type { Passing } from "../Network.ts"
import { machineOf, type World } from "../World.ts"

/** Looks at a message. */
export const onPassing = (world: World, { answer, by, from, name, request }: Passing): void => {
  const machine = machineOf(world, by)
  if (machine === undefined || name !== "pull" || answer !== undefined) return
  const { after, log } = request as PeerProtocol.Pull
  const { seq } = Disk.endOf(machine.disk, log)
  if (after <= seq) return
  world.violated("CatchUpSkipsNothing", `${from} asks for ${log} after ${after}, and holds it up to ${seq}`)
}
