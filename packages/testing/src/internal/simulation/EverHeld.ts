/**
 * What the disks of each member have ever held durably, taken in as it happens: a disk may be lost, and a side of a log
 * given up, before anybody looks.
 */
import type { Entry, LogId, ReplicaId, WriteId } from "@quorum/core"
import { EntryBatch, type Version } from "@quorum/core/adapter"
import * as Held from "./Held.ts"
import type { World } from "./World.ts"

/** What the disks of one member have held. */
export interface EverHeld {
  readonly entries: Map<WriteId.WriteId, Held.Held>
  /** The same, by the keys of their records. */
  readonly ofKeys: Map<string, Array<Held.Held>>
  /** The writes, whatever places they had: what is committed again is no other write. */
  readonly writes: Set<string>
  /** How far each log was held. */
  readonly ends: Map<LogId.LogId, number>
}

/** What a member has held. */
export const of = (world: World, member: ReplicaId.ReplicaId): EverHeld => {
  const all = knowns.get(world) ?? new Map<ReplicaId.ReplicaId, EverHeld>()
  knowns.set(world, all)
  const known = all.get(member) ?? { entries: new Map(), ofKeys: new Map(), writes: new Set(), ends: new Map() }
  all.set(member, known)
  return known
}

/** Takes in what a disk of a member holds from now on, with what was erased in it. Returns it. */
export const add = (
  world: World,
  member: ReplicaId.ReplicaId,
  batch: EntryBatch.EntryBatch
): ReadonlyArray<Held.Held> => {
  const { ends, entries, ofKeys, writes } = of(world, member)
  const found = Held.ofBatch(batch, world.setting.erased)
  for (const held of found) {
    writes.add(writeOf(held))
    if (entries.has(held.id)) continue
    entries.set(held.id, held)
    for (const record of held.entry.records) {
      const ofKey = ofKeys.get(keyOf(record))
      if (ofKey === undefined) ofKeys.set(keyOf(record), [held])
      else ofKey.push(held)
    }
  }
  ends.set(batch.log, Math.max(ends.get(batch.log) ?? 0, EntryBatch.last(batch)))
  return found
}

/** The name of a write, the same for all copies of it. */
export const writeOf = ({ clock, tie }: Version.Version): string => `${clock.wallTime}.${clock.logical}.${tie}`

/** The name of a key. */
export const keyOf = ({ key, namespace }: Pick<Entry.Write, "key" | "namespace">): string => `${namespace} ${key}`

// ---------------------------------------------------------------------------------------------------------------------

const knowns = new WeakMap<World, Map<ReplicaId.ReplicaId, EverHeld>>()
