/**
 * StableTimeIsStable: once a replica says that a clock is stable, every write at or before it is held by every member, and
 * none appears any more. What was only on a disk that was out of service then nobody could know of, nor of what a member
 * that was left out and is back has kept, who has not met it; and a write that is committed again is no other write.
 */
import { HybridLogicalClock, LogId, type ReplicaId, ReplicaStatus } from "@quorum/core"
import type { EntryBatch, Version } from "@quorum/core/adapter"
import { Context, Option } from "effect"
import type * as Disk from "../Disk.ts"
import * as EverHeld from "../EverHeld.ts"
import * as Held from "../Held.ts"
import { isRecovering, type Machine } from "../Machines.ts"
import { isNewest, machinesOf, type World } from "../World.ts"
import * as LeftOutByMajority from "./LeftOutByMajority.ts"

/** What is known of a run. */
interface Known {
  stable: HybridLogicalClock.HybridLogicalClock
  /** The highest floor that each member has noted: nothing is stable beyond the least of them. */
  readonly floors: Map<ReplicaId.ReplicaId, HybridLogicalClock.HybridLogicalClock>
  /** The writes that some disk has held, and those of them that are later than what is stable. */
  readonly seen: Set<string>
  readonly later: Map<string, Held.Held>
  /** Those that some disk held first when they were stable, with the replica of which a former life has taken them. */
  readonly late: Map<string, ReplicaId.ReplicaId | undefined>
}

/** Looks at what all replicas say is stable. */
export const onSample = (world: World): void => {
  for (const machine of world.machines) onSaid(world, machine)
}

/** Looks at what a replica says is stable. */
export const onSaid = (world: World, { process }: Machine): void => {
  if (process?.services === undefined) return
  const status = Context.getOption(process.services, ReplicaStatus.ReplicaStatus)
  if (Option.isNone(status)) return
  const { peers, stableTime } = status.value.current()
  const without = peers.flatMap(({ away, replica }) => (away === "left_out" ? [replica] : []))
  onStable(world, stableTime.clock, new Set(without))
}

/** Looks at what is held where this clock is said to be stable, by one who goes on without some members. */
export const onStable = (
  world: World,
  said: HybridLogicalClock.HybridLogicalClock,
  without: ReadonlySet<ReplicaId.ReplicaId> = new Set()
): void => {
  const known = knownOf(world)
  if (HybridLogicalClock.compare(said, known.stable) <= 0) return
  known.stable = said
  const leftOut = LeftOutByMajority.leftOut(world)
  const members = world.members.filter((member) => !leftOut.has(member))
  for (const [write, held] of known.later) {
    if (HybridLogicalClock.compare(held.clock, said) > 0) continue
    known.later.delete(write)
    const lacks = members.find((member) => !EverHeld.of(world, member).writes.has(write))
    if (lacks === undefined || !members.some((member) => isServed(world, member, write))) continue
    // Who has not met a member that is back rests on floors of before: as if it had said so before that was back.
    const back = world.members.find((member) => without.has(member) && isServed(world, member, write))
    if (back !== undefined && isOfFormerLife(world, back, held)) {
      known.late.set(write, back)
      continue
    }
    world.violated("StableTimeIsStable", `${said.wallTime} is stable, and ${lacks} never held ${held.id}`)
  }
}

/** Looks at a batch that a disk is about to hold: whatever was said before holds for it. */
export const beforeHeld = (world: World, batch: EntryBatch.EntryBatch): void => {
  const { floors, stable } = knownOf(world)
  const noted = world.members.map((member) => floors.get(member) ?? HybridLogicalClock.zero)
  const least = noted.reduce((a, b) => (HybridLogicalClock.compare(a, b) <= 0 ? a : b))
  if (HybridLogicalClock.compare(least, stable) <= 0) return
  const isOld = ({ clock }: Version.Version): boolean => HybridLogicalClock.compare(clock, least) <= 0
  if (Held.ofBatch(batch, noneErased).some(isOld)) onSample(world)
}

/** Looks at what a disk holds from now on. */
export const onHeld = (world: World, machine: Machine, found: ReadonlyArray<Held.Held>): void => {
  const { id } = machine
  const known = knownOf(world)
  const isOfNewest = isNewest(world, machine)
  for (const held of found) {
    const write = EverHeld.writeOf(held)
    if (!known.seen.has(write)) {
      known.seen.add(write)
      if (HybridLogicalClock.compare(held.clock, known.stable) > 0) known.later.set(write, held)
      // Who is left out may take writes as long as it has not heard of that.
      else if (!LeftOutByMajority.leftOut(world).has(id)) known.late.set(write, isOfNewest ? undefined : id)
    }
    // Of a life that is not the newest the others take nothing.
    if (!isOfNewest || !known.late.has(write) || LeftOutByMajority.leftOut(world).has(id)) continue
    // What its former life took alone nobody could know of: a replica decides about that before it votes. It commits it
    // again, or has it where it was and the others fetch it.
    const taker = known.late.get(write)
    const isDecided = taker !== undefined && ((taker === id && isRecovering(machine)) || isServed(world, taker, write))
    known.late.delete(write)
    if (isDecided) continue
    world.violated("StableTimeIsStable", `${held.id} appears, and ${known.stable.wallTime} was stable`)
  }
}

/** Looks at what was noted: a replica that gives a floor has just looked what is stable. */
export const onNoted = (world: World, machine: Machine, notes: Readonly<Record<string, string>>): void => {
  const note = notes["floor"]
  if (note === undefined) return
  const { floors } = knownOf(world)
  const floor = JSON.parse(note) as HybridLogicalClock.HybridLogicalClock
  const before = floors.get(machine.id) ?? HybridLogicalClock.zero
  if (HybridLogicalClock.compare(floor, before) > 0) floors.set(machine.id, floor)
  onSaid(world, machine)
}

// ---------------------------------------------------------------------------------------------------------------------

const knowns = new WeakMap<World, Known>()

const knownOf = (world: World): Known => {
  const none = (): Known => ({
    stable: HybridLogicalClock.zero,
    floors: new Map(),
    seen: new Set(),
    later: new Map(),
    late: new Map()
  })
  const known = knowns.get(world) ?? none()
  knowns.set(world, known)
  return known
}

/**
 * Whether the newest life of a member holds a write, and votes. What only a disk holds that is out of service, or of one that
 * recovers, nobody could know of.
 */
const isServed = (world: World, member: ReplicaId.ReplicaId, write: string): boolean =>
  machinesOf(world, member).some(
    (machine) => isNewest(world, machine) && !isRecovering(machine) && isHeld(machine.disk.content, write)
  )

/** Whether a write was first seen in the log of another life than a member's present one. */
const isOfFormerLife = (world: World, member: ReplicaId.ReplicaId, { log }: Held.Held): boolean =>
  machinesOf(world, member).every(({ disk }) => LogId.make(member, disk.content.incarnation) !== log)

/** Whether a disk holds a write now, or what it has erased of it. */
const isHeld = ({ erased, logs }: Disk.Content, write: string): boolean =>
  Array.from(logs.values()).some((batches) =>
    batches.some((batch) => Held.ofBatch(batch, erased).some((held) => EverHeld.writeOf(held) === write))
  )

const noneErased: Held.Erased = new Map()
