/**
 * LeftOutByMajority: the others go on without a replica only when a majority has durably marked it as away too long. From then
 * on its disk counts as lost, until it comes back with a new life.
 */
import { LogId, type ReplicaId, ReplicaStatus } from "@quorum/core"
import { Context, Option } from "effect"
import * as Disk from "../Disk.ts"
import { isRecovering } from "../Machines.ts"
import type { World } from "../World.ts"

/** Looks at all replicas as they are now. */
export const onSample = (world: World): void => {
  for (const { process } of world.machines) {
    if (process?.services === undefined) continue
    const status = Context.getOption(process.services, ReplicaStatus.ReplicaStatus)
    const members = Option.isNone(status) ? {} : status.value.current().members
    for (const [id, { incarnation, starts }] of Object.entries(members)) {
      if (starts === 0) onLeftOut(world, id as ReplicaId.ReplicaId, incarnation)
    }
  }
}

/** Whether somebody goes on without a member, or it has come back from that and recovers. */
export const isLeftOut = (world: World, member: ReplicaId.ReplicaId): boolean =>
  world.machines.some(({ process }) => {
    const status = process?.services && Context.getOption(process.services, ReplicaStatus.ReplicaStatus)
    if (status === undefined || Option.isNone(status)) return false
    return status.value.current().peers.some(({ away, replica }) => replica === member && away === "left_out")
  }) ||
  Array.from(world.leftOut.values()).some(
    ({ machine, without }) =>
      machine.id === member && (without > machine.disk.content.incarnation || isRecovering(machine))
  )

/** Looks at a replica that somebody leaves out, and at what was on its disk. */
export const onLeftOut = (world: World, id: ReplicaId.ReplicaId, without: LogId.Incarnation): void => {
  const machine = world.machine(id)
  const key = `${id} ${without}`
  const known = world.leftOut.get(key)
  if (known === undefined) {
    world.happened("left_out")
    const markers = world.members.filter((member) => hasMarked(world, member, id, without))
    if (markers.length <= world.members.length / 2) {
      world.violated("LeftOutByMajority", `${id} is left out, and has been marked by ${markers.join(", ") || "nobody"}`)
    }
  }
  if (known !== undefined && machine.disk.content.incarnation > without) return
  // As long as it has not heard of that, it may take more.
  const retired = { machine, content: Disk.copyOf(machine.disk.content), at: world.timeline.now(), without }
  const at = known === undefined ? -1 : world.retired.indexOf(known)
  if (at < 0) world.retired.push(retired)
  else world.retired[at] = retired
  world.leftOut.set(key, retired)
}

/** The lives of a replica that a disk says, or said, that they are marked. */
export const everMarked = ({ everMarked }: Disk.Content, id: ReplicaId.ReplicaId): ReadonlyArray<LogId.Incarnation> =>
  Array.from(everMarked).flatMap((text) => {
    const { marks } = JSON.parse(text) as { readonly marks: Record<string, LogId.Incarnation> }
    return marks[id] === undefined ? [] : [marks[id]]
  })

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
