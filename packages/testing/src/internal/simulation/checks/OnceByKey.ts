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
  const present = versionsOf(Array.from(holdings.values()).flatMap((holding: Holding) => Array.from(holding.values())))
  return history.operations.flatMap(({ id, idempotencyKey, key, kind, outcome, value, writeId }) => {
    if (outcome === "IdempotencyKeyReused" || outcome === "StampReused") {
      return [`operation ${id} of ${key} was taken for another write: ${outcome}`]
    }
    if (kind !== "write" || value === undefined) return []
    const name = nameOf(key, value)
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
