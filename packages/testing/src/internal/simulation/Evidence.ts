/**
 * What is known when a run has ended: what clients saw, and what the disks hold.
 */
import type { Entry, ReplicaId, WriteId } from "@quorum/core"
import type * as Disk from "./Disk.ts"
import * as HeldEntries from "./Held.ts"
import type { History } from "./History.ts"
import type { Machine } from "./Machines.ts"
import type { Retired, World } from "./World.ts"

/** An entry as a disk holds it, or held it until it was erased. */
export type Held = HeldEntries.Held

/** What one disk holds, by the ids of the writes. */
export type Holding = ReadonlyMap<WriteId.WriteId, Held>

/** What a replica answers when it is asked for everything. */
export interface Page {
  readonly id: ReplicaId.ReplicaId
  /** The values of the keys that exist. */
  readonly values: ReadonlyMap<string, string>
}

/** What is known when a run has ended. */
export interface Evidence {
  readonly world: World
  readonly history: History
  /** What each machine's disk holds. */
  readonly holdings: ReadonlyMap<Machine, Holding>
  /** What disks held that were taken out. */
  readonly lost: ReadonlyArray<Omit<Retired, "content"> & { readonly holding: Holding }>
  /** All entries that any disk holds or held. */
  readonly all: Holding
  readonly pages: ReadonlyArray<Page>
  readonly majority: number
  /** What order of writes was promised. */
  readonly order: "clock" | "real-time"
  /** How long a write waits for its quorum, in milliseconds. */
  readonly ackTimeoutMillis: number
}

/** Looks at all disks. */
export const gather = (
  world: World,
  history: History,
  pages: ReadonlyArray<Page>,
  { ackTimeoutMillis, order }: Pick<Evidence, "ackTimeoutMillis" | "order">
): Evidence => {
  const holdings = new Map(world.machines.map((machine) => [machine, holdingOf(machine.disk.content)]))
  const lost = world.retired.map(({ content, ...rest }) => ({ ...rest, holding: holdingOf(content) }))
  const all = new Map<WriteId.WriteId, Held>()
  for (const holding of [...holdings.values(), ...lost.map((each) => each.holding)]) {
    for (const [id, held] of holding) all.set(id, held)
  }
  const majority = Math.floor(world.members.length / 2) + 1
  return { world, history, holdings, lost, all, pages, order, ackTimeoutMillis, majority }
}

/**
 * Order of versions, and of the places of copies that have one: written here once more, so that a mistake in the one that
 * is looked at does not excuse itself.
 */
export const compare = (a: Held, b: Held): number => {
  const order = (x: Held): ReadonlyArray<number | string> => [x.clock.wallTime, x.clock.logical, x.tie, x.log, x.seq]
  const [left, right] = [order(a), order(b)]
  for (const [i, value] of left.entries()) if (value !== right[i]) return value < right[i]! ? -1 : 1
  return 0
}

/** The newest write of each key among entries, found the slow way. */
export const newest = (
  entries: Iterable<Held>
): ReadonlyMap<string, { readonly held: Held; readonly write: Entry.Write }> => {
  const found = new Map<string, { readonly held: Held; readonly write: Entry.Write }>()
  for (const held of entries) {
    for (const write of held.entry.records) {
      const before = found.get(write.key)
      if (before === undefined || compare(held, before.held) >= 0) found.set(write.key, { held, write })
    }
  }
  return found
}

// ---------------------------------------------------------------------------------------------------------------------

const holdingOf = (content: Disk.Content): Holding =>
  new Map(
    Array.from(content.logs.values()).flatMap((batches) =>
      batches.flatMap((batch) => HeldEntries.ofBatch(batch, content.erased).map((held) => [held.id, held] as const))
    )
  )
