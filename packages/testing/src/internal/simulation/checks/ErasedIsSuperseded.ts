/**
 * ErasedIsSuperseded: what a replica erases every member holds, or held on a disk that was lost since, and of each key in it
 * something newer. Only of a delete nothing newer has to be there: of that no member in service holds what it deleted, then
 * or later.
 */
import type { Entry, ReplicaId } from "@quorum/core"
import * as Disk from "../Disk.ts"
import { compare } from "../Evidence.ts"
import * as EverHeld from "../EverHeld.ts"
import * as Held from "../Held.ts"
import { isRecovering, type Machine } from "../Machines.ts"
import { isNewest, machinesOf, type World } from "../World.ts"
import * as LeftOutByMajority from "./LeftOutByMajority.ts"

/** Looks at entries that are about to go from the disk of a replica. */
export const onErased = (world: World, { id: by }: Machine, going: ReadonlyArray<Held.Held>): void => {
  // Who recovers erases what a voting member has erased: that was looked at there, and it may not hold the rest yet.
  if (machinesOf(world, by).some(isRecovering)) return
  const leftOut = LeftOutByMajority.leftOut(world)
  const members = world.members.filter((member) => !leftOut.has(member))
  const everHeld = members.map((member) => [member, EverHeld.of(world, member)] as const)
  const [[, first], ...others] = everHeld as [(typeof everHeld)[number], ...typeof everHeld]
  for (const held of going) {
    const lacks = everHeld.find(([, { entries }]) => !entries.has(held.id))
    if (lacks !== undefined)
      world.violated("ErasedIsSuperseded", `${by} erases ${held.id}, and ${lacks[0]} never held it`)
    for (const record of held.entry.records) {
      const ofKey = first.ofKeys.get(EverHeld.keyOf(record)) ?? []
      const isSuperseded = ofKey.some(
        (other) => compare(other, held) > 0 && others.every(([, { entries }]) => entries.has(other.id))
      )
      if (isSuperseded) continue
      const holder = record.kind === "delete" ? holderOfOlder(world, held, record) : by
      if (record.kind === "delete") forget(world, held, record)
      if (holder === undefined) continue
      const why = record.kind === "delete" ? `${holder} holds what it deletes` : "not every member held anything newer"
      world.violated("ErasedIsSuperseded", `${by} erases ${held.id} of ${record.key}, and ${why}`)
    }
  }
}

/** Looks at what a disk holds from now on. */
export const onHeld = (world: World, machine: Machine, found: ReadonlyArray<Held.Held>): void => {
  const forgotten = knowns.get(world)
  if (forgotten === undefined) return
  for (const held of found) {
    for (const record of held.entry.records) {
      const deleted = record.kind === "put" ? forgotten.get(EverHeld.keyOf(record)) : undefined
      if (deleted === undefined || compare(held, deleted) >= 0 || !counts(world, machine)) continue
      look(world, machine, deleted, record)
    }
  }
}

/** Looks at a replica that votes from now on. */
export const onNoted = (world: World, machine: Machine, notes: Readonly<Record<string, string>>): void => {
  if (notes[Disk.blank] !== "" || !counts(world, machine)) return
  for (const deleted of knowns.get(world)?.values() ?? []) {
    for (const record of deleted.entry.records) if (record.kind === "delete") look(world, machine, deleted, record)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** The newest delete of each key that was forgotten: nothing that it deleted may be held any more. */
const knowns = new WeakMap<World, Map<string, Held.Held>>()

const forget = (world: World, held: Held.Held, record: Entry.Write): void => {
  const forgotten = knowns.get(world) ?? new Map<string, Held.Held>()
  knowns.set(world, forgotten)
  const before = forgotten.get(EverHeld.keyOf(record))
  if (before === undefined || compare(before, held) < 0) forgotten.set(EverHeld.keyOf(record), held)
}

/**
 * Whether what a machine holds is what its replica answers with, and others fetch: what an older life left behind is
 * compared with what was erased when it is found again.
 */
const counts = (world: World, machine: Machine): boolean =>
  isNewest(world, machine) &&
  !isRecovering(machine) &&
  !Disk.goesOnAsBefore(machine.disk) &&
  !LeftOutByMajority.leftOut(world).has(machine.id)

/** What a disk still holds of a key. */
const ofKey = (machine: Machine, record: Entry.Write): ReadonlyArray<readonly [Held.Held, Entry.Write]> =>
  Array.from(machine.disk.content.logs.values())
    .flat()
    .flatMap((batch) => Held.ofBatch(batch, noneErased))
    .flatMap((held) => {
      const write = held.entry.records.find(
        ({ key, namespace }) => key === record.key && namespace === record.namespace
      )
      return write === undefined ? [] : [[held, write] as const]
    })

/** Whether the newest that a replica has of a key is older than a delete that was forgotten. */
const look = (world: World, machine: Machine, deleted: Held.Held, record: Entry.Write): void => {
  const found = ofKey(machine, record)
  if (found.length === 0) return
  const [newest, write] = found.reduce((a, b) => (compare(a[0], b[0]) > 0 ? a : b))
  if (write.kind !== "put" || compare(newest, deleted) >= 0) return
  const what = `${newest.id} of ${record.key}, which ${deleted.id} deleted`
  world.violated("ErasedIsSuperseded", `${machine.id} votes and holds ${what}, and that was forgotten`)
}

/** Whoever holds something that a delete deleted. Who recovers erases that before it votes, once it has heard of it. */
const holderOfOlder = (world: World, held: Held.Held, record: Entry.Write): ReplicaId.ReplicaId | undefined =>
  [...world.machines, ...world.clones].find(
    (machine) =>
      counts(world, machine) &&
      ofKey(machine, record).some(([other, write]) => write.kind === "put" && compare(other, held) < 0)
  )?.id

const noneErased: Held.Erased = new Map()
