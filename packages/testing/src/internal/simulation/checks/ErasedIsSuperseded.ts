/**
 * ErasedIsSuperseded: what a replica erases every member holds, or held on a disk that was lost since, and of each key in it
 * something newer. Only of a delete nothing newer has to be there: of that no member in service holds what it deleted.
 */
import type { Entry, ReplicaId } from "@quorum/core"
import type { EntryBatch } from "@quorum/core/adapter"
import * as Disk from "../Disk.ts"
import { compare } from "../Evidence.ts"
import * as Held from "../Held.ts"
import { isRecovering } from "../Machines.ts"
import { machinesOf, type World } from "../World.ts"
import * as LeftOutByMajority from "./LeftOutByMajority.ts"

/** Looks at entries that are about to go from the disk of a replica. */
export const onErased = (world: World, by: ReplicaId.ReplicaId, going: ReadonlyArray<Held.Held>): void => {
  // Who recovers erases what a voting member has erased: that was looked at there, and it may not hold the rest yet.
  if (machinesOf(world, by).some(isRecovering)) return
  const members = world.members.filter((member) => !LeftOutByMajority.isLeftOut(world, member))
  const everHeld = members.map((member) => [member, entriesOf(contentsOf(world, member))] as const)
  const [[, first], ...others] = everHeld as [(typeof everHeld)[number], ...typeof everHeld]
  for (const held of going) {
    const lacks = everHeld.find(([, entries]) => !entries.has(held.id))
    if (lacks !== undefined)
      world.violated("ErasedIsSuperseded", `${by} erases ${held.id}, and ${lacks[0]} never held it`)
    for (const record of held.entry.records) {
      const isSuperseded = Array.from(first).some(
        ([id, other]) => isNewer(other, held, record) && others.every(([, entries]) => entries.has(id))
      )
      if (isSuperseded) continue
      const holder = record.kind === "delete" ? holderOfOlder(world, held, record) : by
      if (holder === undefined) continue
      const why = record.kind === "delete" ? `${holder} holds what it deletes` : "not every member held anything newer"
      world.violated("ErasedIsSuperseded", `${by} erases ${held.id} of ${record.key}, and ${why}`)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const isOf = (held: Held.Held, { key, namespace }: Entry.Write): Entry.Write | undefined =>
  held.entry.records.find((record) => record.key === key && record.namespace === namespace)

const isNewer = (other: Held.Held, held: Held.Held, record: Entry.Write): boolean =>
  isOf(other, record) !== undefined && compare(other, held) > 0

/** Whoever holds something that a delete deleted. Who recovers erases that before it votes, once it has heard of it. */
const holderOfOlder = (world: World, held: Held.Held, record: Entry.Write): ReplicaId.ReplicaId | undefined =>
  world.machines.find((machine) => {
    if (LeftOutByMajority.isLeftOut(world, machine.id) || isRecovering(machine) || Disk.goesOnAsBefore(machine.disk))
      return false
    const nothing: Held.Erased = new Map()
    return Array.from(machine.disk.content.logs.values()).some((batches) =>
      batches.some((batch) =>
        Held.ofBatch(batch, nothing).some((other) => isOf(other, record)?.kind === "put" && compare(other, held) < 0)
      )
    )
  })?.id

/** All disks that a member has, or had. */
const contentsOf = (world: World, member: ReplicaId.ReplicaId): ReadonlyArray<Disk.Content> => [
  ...machinesOf(world, member).map(({ disk }) => disk.content),
  ...world.retired.flatMap(({ content, machine }) => (machine.id === member ? [content] : []))
]

/** The entries in batches that do not change, and are looked at again and again. */
const read = new WeakMap<EntryBatch.EntryBatch, ReadonlyArray<Held.Held>>()

const entriesOf = (contents: ReadonlyArray<Disk.Content>): ReadonlyMap<string, Held.Held> => {
  const found = new Map<string, Held.Held>()
  for (const { erased, logs } of contents) {
    for (const batch of Array.from(logs.values()).flat()) {
      const entries = read.get(batch) ?? Held.ofBatch(batch, erased)
      read.set(batch, entries)
      for (const held of entries) found.set(held.id, held)
    }
  }
  return found
}
