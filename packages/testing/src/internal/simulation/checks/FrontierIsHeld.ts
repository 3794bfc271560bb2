/**
 * FrontierIsHeld: what a replica says that every member holds, every member holds, or held on a disk that was lost since;
 * and when all hold the same, all is said to be held.
 */
import { type LogId, type ReplicaId, ReplicaStatus } from "@quorum/core"
import { Context } from "effect"
import * as Disk from "../Disk.ts"
import * as EverHeld from "../EverHeld.ts"
import type { Machine } from "../Machines.ts"
import type { World } from "../World.ts"

/** Looks at all replicas as they are now. */
export const onSample = (world: World): void => {
  for (const machine of world.machines) onFrontier(world, machine.id, frontierOf(machine), leftOutBy(machine))
}

/** Looks at what a replica says. */
export const onFrontier = (
  world: World,
  id: ReplicaId.ReplicaId,
  said: ReplicaStatus.Status["frontier"],
  leftOut: ReadonlyArray<ReplicaId.ReplicaId> = []
): void => {
  const members = world.members.filter((member) => !leftOut.includes(member))
  for (const { log, seq } of said) {
    const behind = members.find((member) => everHeld(world, member, log) < seq)
    if (behind === undefined) continue
    world.violated("FrontierIsHeld", `${id} says that all hold ${log} up to ${seq}, and ${behind} never did`)
  }
}

/** Looks at all replicas when all disks hold the same, and everybody had time to say so. */
export const atEnd = (world: World): void => {
  for (const machine of world.machines) {
    const said = new Map(frontierOf(machine).map(({ log, seq }) => [log, seq]))
    for (const log of machine.disk.content.logs.keys()) {
      const { seq } = Disk.headOf(machine.disk.content, log)
      if (said.get(log) === seq) continue
      world.violated(
        "FrontierIsHeld",
        `all hold ${log} up to ${seq}, and ${machine.id} says up to ${said.get(log) ?? 0}`
      )
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const statusOf = ({ process }: Machine): ReplicaStatus.Status | undefined =>
  process?.services === undefined ? undefined : Context.get(process.services, ReplicaStatus.ReplicaStatus).current()

const frontierOf = (machine: Machine): ReplicaStatus.Status["frontier"] => statusOf(machine)?.frontier ?? []

/** The members that a replica goes on without. */
const leftOutBy = (machine: Machine): ReadonlyArray<ReplicaId.ReplicaId> =>
  (statusOf(machine)?.peers ?? []).flatMap(({ away, replica }) => (away === "left_out" ? [replica] : []))

/** How far any disk of a member has held a log. */
const everHeld = (world: World, member: ReplicaId.ReplicaId, log: LogId.LogId): number =>
  EverHeld.of(world, member).ends.get(log) ?? 0
