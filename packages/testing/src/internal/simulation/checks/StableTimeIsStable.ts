/**
 * StableTimeIsStable: once a replica says that a clock is stable, every write at or before it is held by every member, and
 * none appears any more. What was only on a disk that was out of service then nobody could know of, and a write that is
 * committed again is no other write.
 */
import { HybridLogicalClock, LogId, type ReplicaId, ReplicaStatus } from "@quorum/core"
import type { EntryBatch } from "@quorum/core/adapter"
import { Context } from "effect"
import type * as Disk from "../Disk.ts"
import * as Held from "../Held.ts"
import { machinesOf, type World } from "../World.ts"
import * as LeftOutByMajority from "./LeftOutByMajority.ts"

/** What is known of a run. */
interface Known {
  stable: HybridLogicalClock.HybridLogicalClock
  /** The writes at or before it that were looked at. */
  readonly seen: Set<string>
  /** Those that were only on disks out of service when it was said. */
  readonly unknowable: Set<string>
}

/** Looks at all replicas as they are now. */
export const onSample = (world: World): void => {
  const said = world.machines.flatMap(({ process }) =>
    process?.services === undefined
      ? []
      : [Context.get(process.services, ReplicaStatus.ReplicaStatus).current().stableTime.clock]
  )
  onStable(world, said.reduce(later, HybridLogicalClock.zero))
}

/** Looks at what is held where this clock is said to be stable. */
export const onStable = (world: World, said: HybridLogicalClock.HybridLogicalClock): void => {
  const known = knownOf(world)
  const before = known.stable
  known.stable = later(said, before)
  if (HybridLogicalClock.compare(known.stable, HybridLogicalClock.zero) === 0) return
  const members = world.members.filter((member) => !LeftOutByMajority.isLeftOut(world, member))
  const inService = members.map((member) => newestOf(world, member))
  const writes = new Map<string, HybridLogicalClock.HybridLogicalClock>()
  for (const content of inService) forEachUpTo(content, known.stable, (write, clock) => writes.set(write, clock))
  if (HybridLogicalClock.compare(known.stable, before) > 0) {
    for (const content of contentsOf(world)) {
      if (inService.includes(content)) continue
      forEachUpTo(content, known.stable, (write) => void (writes.has(write) || known.unknowable.add(write)))
    }
  }
  // Who is left out may take writes as long as it has not heard of that.
  for (const { content, machine, without } of world.leftOut.values()) {
    forEachUpTo(content, known.stable, (write) => void known.unknowable.add(write))
    // What a slow disk had not taken yet is seen first where it was committed again when that replica came back.
    forEachUpTo(ownOf(machine, without), known.stable, (write) => void known.unknowable.add(write))
    if (inService.includes(machine.disk.content)) continue
    forEachUpTo(machine.disk.content, known.stable, (write) => void (writes.has(write) || known.unknowable.add(write)))
  }
  let ever: ReadonlyArray<readonly [ReplicaId.ReplicaId, ReadonlySet<string>]> | undefined
  for (const [write, clock] of writes) {
    if (known.seen.has(write)) continue
    known.seen.add(write)
    if (known.unknowable.has(write)) continue
    if (HybridLogicalClock.compare(clock, before) <= 0) {
      world.violated("StableTimeIsStable", `${write} appears, and ${before.wallTime} was stable`)
      continue
    }
    ever ??= members.map((member) => [member, everHeld(world, member, known.stable)] as const)
    const [lacks] = ever.find(([, held]) => !held.has(write)) ?? []
    if (lacks !== undefined) {
      world.violated("StableTimeIsStable", `${known.stable.wallTime} is stable, and ${lacks} never held ${write}`)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const knowns = new WeakMap<World, Known>()

const knownOf = (world: World): Known => {
  const known = knowns.get(world) ?? { stable: HybridLogicalClock.zero, seen: new Set(), unknowable: new Set() }
  knowns.set(world, known)
  return known
}

const later = (a: HybridLogicalClock.HybridLogicalClock, b: HybridLogicalClock.HybridLogicalClock) =>
  HybridLogicalClock.compare(a, b) >= 0 ? a : b

/** The disk of the newest life of a member. */
const newestOf = (world: World, member: ReplicaId.ReplicaId): Disk.Content =>
  machinesOf(world, member)
    .map(({ disk }) => disk.content)
    .reduce((a, b) => (LogId.newer(a.incarnation, b.incarnation) === a.incarnation ? a : b))

/** All disks that there are or were, of which some may come back, and copies of them. */
const contentsOf = (world: World): ReadonlyArray<Disk.Content> => [
  ...world.members.flatMap((member) =>
    machinesOf(world, member).flatMap(({ copies, disk }) => [disk.content, ...copies])
  ),
  ...world.retired.map(({ content }) => content)
]

/** What a replica that was left out has in the log of the life with which it came back. */
const ownOf = ({ disk: { content }, id }: World["machines"][number], without: LogId.Incarnation): Disk.Content => {
  const isOwn = (log: LogId.LogId): boolean => LogId.owner(log) === id && LogId.incarnation(log) > without
  return { ...content, logs: new Map(Array.from(content.logs).filter(([log]) => isOwn(log))) }
}

/** The writes that any disk of a member has held. */
const everHeld = (world: World, member: ReplicaId.ReplicaId, upTo: HybridLogicalClock.HybridLogicalClock) => {
  const held = new Set<string>()
  const disks = [
    ...machinesOf(world, member).map(({ disk }) => disk.content),
    ...world.retired.flatMap(({ content, machine }) => (machine.id === member ? [content] : []))
  ]
  for (const content of disks) forEachUpTo(content, upTo, (write) => held.add(write))
  return held
}

/** The writes in batches that do not change, and are asked for again and again. */
const read = new WeakMap<
  EntryBatch.EntryBatch,
  ReadonlyArray<readonly [string, HybridLogicalClock.HybridLogicalClock]>
>()

const writesIn = (batch: EntryBatch.EntryBatch, erased: Held.Erased) => {
  const known = read.get(batch)
  if (known !== undefined) return known
  const writes = Held.ofBatch(batch, erased).map(
    ({ clock, tie }) => [`${clock.wallTime}.${clock.logical}.${tie}`, clock] as const
  )
  read.set(batch, writes)
  return writes
}

const forEachUpTo = (
  { erased, logs }: Disk.Content,
  upTo: HybridLogicalClock.HybridLogicalClock,
  visit: (write: string, clock: HybridLogicalClock.HybridLogicalClock) => void
): void => {
  for (const batches of logs.values()) {
    for (const batch of batches) {
      for (const [write, clock] of writesIn(batch, erased))
        if (HybridLogicalClock.compare(clock, upTo) <= 0) visit(write, clock)
    }
  }
}
