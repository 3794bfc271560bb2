/**
 * OnceByKey: however often, and wherever, a write is committed under one stamp, it is one version; and one write that was
 * asked for once is never two. Nor are those under one key that their client invents, but for what was acknowledged by
 * nobody and lost with a disk.
 */
import type { Evidence, Held, Holding } from "../Evidence.ts"
import * as EverHeld from "../EverHeld.ts"
import * as History from "../History.ts"

export const check = ({ all, history, holdings }: Evidence): ReadonlyArray<string> => {
  const versions = versionsOf(all.values())
  const held = Array.from(holdings.values()).flatMap((holding: Holding) => Array.from(holding.values()))
  const present = versionsOf(held)
  const marked = marksOf(held)
  const forgotten = forgottenOf(all.values())
  const shared = sharedOf(history)
  return history.operations.flatMap(({ id, idempotencyKey, key, kind, outcome, value, writeId }) => {
    const name = nameOf(key, value ?? "")
    if (outcome === "StampReused" || (outcome === "IdempotencyKeyReused" && !shared.has(idempotencyKey))) {
      return [`operation ${id} of ${key} was taken for another write: ${outcome}`]
    }
    if (outcome === "IdempotencyKeyReused" && value !== undefined && present.has(name)) {
      return [`operation ${id} of ${key} was refused as ${outcome}, and is written`]
    }
    if (kind !== "write") return []
    // What is forgotten may be written anew.
    if (idempotencyKey !== undefined && forgotten.has(idempotencyKey)) return []
    const marks = idempotencyKey === undefined ? undefined : marked.get(idempotencyKey)
    if (marks !== undefined && marks.size > 1) {
      return [
        `operation ${id} of ${key}: ${idempotencyKey} stands for ${marks.size} writes: ${Array.from(marks).join(", ")}`
      ]
    }
    if (value === undefined) return []
    const found = idempotencyKey === undefined ? versions.get(name) : new Set(present.get(name))
    const answered = outcome === "receipt" && writeId !== undefined ? all.get(writeId) : undefined
    if (idempotencyKey !== undefined && answered !== undefined) found!.add(EverHeld.writeOf(answered))
    return found === undefined || found.size <= 1
      ? []
      : [`operation ${id} of ${key} is ${found.size} versions: ${Array.from(found).join(", ")}`]
  })
}

// ---------------------------------------------------------------------------------------------------------------------

const nameOf = (key: string, value: string): string => `${key} ${value}`

/** The versions that each value of each key has among entries. */
const versionsOf = (entries: Iterable<Held>): ReadonlyMap<string, Set<string>> => {
  const versions = new Map<string, Set<string>>()
  for (const held of entries) {
    for (const { key, value } of held.entry.records) {
      if (value.length === 0) continue
      const name = nameOf(key, History.textOf(value))
      const found = versions.get(name)
      if (found === undefined) versions.set(name, new Set([EverHeld.writeOf(held)]))
      else found.add(EverHeld.writeOf(held))
    }
  }
  return versions
}

/** The versions of the writes that each key of a client marks among entries. */
const marksOf = (entries: ReadonlyArray<Held>): ReadonlyMap<string, Set<string>> => {
  const found = new Map<string, Set<string>>()
  for (const held of entries) {
    for (const { key, kind, namespace } of held.entry.records) {
      if (!History.isOfMarks(namespace) || kind === "delete") continue
      const marks = found.get(key) ?? new Set()
      found.set(key, marks.add(EverHeld.writeOf(held)))
    }
  }
  return found
}

/** The keys whose marks were deleted. */
const forgottenOf = (entries: Iterable<Held>): ReadonlySet<string> =>
  new Set(
    Array.from(entries).flatMap(({ entry }) =>
      entry.records.flatMap(({ key, kind, namespace }) =>
        History.isOfMarks(namespace) && kind === "delete" ? [key] : []
      )
    )
  )

/** The keys that several clients used. */
const sharedOf = ({ operations }: History.History): ReadonlySet<string | undefined> => {
  const batches = new Map<string, Set<number | undefined>>()
  for (const { batch, idempotencyKey } of operations) {
    if (idempotencyKey === undefined) continue
    batches.set(idempotencyKey, (batches.get(idempotencyKey) ?? new Set()).add(batch))
  }
  return new Set(Array.from(batches).flatMap(([key, { size }]) => (size > 1 ? [key] : [])))
}
