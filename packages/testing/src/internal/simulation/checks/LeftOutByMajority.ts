/**
 * LeftOutByMajority: the others go on without a replica only when a majority has durably marked it as away too long. From then
 * on its disk counts as lost, until it comes back with a new life.
 */
import { LogId, type ReplicaId, ReplicaStatus } from "@quorum/core"
import type { Life } from "@quorum/core/adapter"
import { Context, Option } from "effect"
import * as Disk from "../Disk.ts"
import { isRecovering, type Machine } from "../Machines.ts"
import type { World } from "../World.ts"

/** Looks at what was noted: a replica is left out once somebody has it on record, before anything rests on it. */
export const onNoted = (world: World, notes: Readonly<Record<string, string>>): void => {
  for (const [id, { incarnation, starts }] of Object.entries(livesIn(notes["lives"]))) {
    if (starts === 0 && !world.leftOut.has(keyOf(id, incarnation)))
      onLeftOut(world, id as ReplicaId.ReplicaId, incarnation)
  }
}

/** The members without whom somebody goes on, and those who have come back from that and recover. */
export const leftOut = (world: World): ReadonlySet<ReplicaId.ReplicaId> => {
  const found = new Set<ReplicaId.ReplicaId>()
  if (world.leftOut.size === 0) return found
  for (const { process } of world.machines) {
    const status = process?.services && Context.getOption(process.services, ReplicaStatus.ReplicaStatus)
    if (status === undefined || Option.isNone(status)) continue
    for (const { away, replica } of status.value.current().peers) if (away === "left_out") found.add(replica)
  }
  for (const each of world.leftOut.values()) if (isGone(each)) found.add(each.machine.id)
  return found
}

/** Looks at a replica that somebody leaves out from now on, and at what was on its disk. */
export const onLeftOut = (world: World, id: ReplicaId.ReplicaId, without: LogId.Incarnation): void => {
  const machine = world.machine(id)
  world.happened("left_out")
  const markers = world.members.filter((member) => hasMarked(world, member, id, without))
  if (markers.length <= world.members.length / 2) {
    world.violated("LeftOutByMajority", `${id} is left out, and has been marked by ${markers.join(", ") || "nobody"}`)
  }
  const content = Disk.copyOf(machine.disk.content)
  const retired = { machine, content, at: world.timeline.now(), without }
  world.retired.push(retired)
  world.leftOut.set(keyOf(id, without), retired)
}

/** Looks at a disk that is about to give something up: what a replica took while it was left out it did hold. */
export const onCut = (world: World, machine: Machine): void => {
  if (!Array.from(world.leftOut.values()).some((each) => each.machine === machine && isGone(each))) return
  world.retired.push({ machine, content: Disk.copyOf(machine.disk.content), at: world.timeline.now() })
}

/** The lives of a replica that a disk says, or said, that they are marked. */
export const everMarked = ({ everMarked }: Disk.Content, id: ReplicaId.ReplicaId): ReadonlyArray<LogId.Incarnation> =>
  Array.from(everMarked).flatMap((text) => {
    const { marks } = JSON.parse(text) as { readonly marks: Record<string, LogId.Incarnation> }
    return marks[id] === undefined ? [] : [marks[id]]
  })

// ---------------------------------------------------------------------------------------------------------------------

const keyOf = (id: string, without: LogId.Incarnation): string => `${id} ${without}`

type LeftOut = World["leftOut"] extends Map<string, infer Each> ? Each : never

/** Whether a replica has not come back yet, or recovers. */
const isGone = ({ machine, without }: LeftOut): boolean =>
  without > machine.disk.content.incarnation || isRecovering(machine)

const livesIn = (note: string | undefined): Life.Lives => (note === undefined ? {} : (JSON.parse(note) as Life.Lives))

/** Whether some disk of a member says, or said, that it has marked a life of another. */
const hasMarked = (
  world: World,
  member: ReplicaId.ReplicaId,
  id: ReplicaId.ReplicaId,
  without: LogId.Incarnation
): boolean =>
  [world.machine(member).disk.content, ...retiredOf(world, member)].some((content) =>
    everMarked(content, id).some((incarnation) => LogId.incarnationWithout(incarnation) === without)
  )

const retiredOf = ({ retired }: World, member: ReplicaId.ReplicaId): ReadonlyArray<Disk.Content> =>
  retired.flatMap(({ content, machine }) => (machine.id === member ? [content] : []))
