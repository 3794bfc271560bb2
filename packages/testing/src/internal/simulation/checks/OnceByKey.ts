/**
 * OnceByKey: however often, and wherever, a write is committed under one stamp, it is one version; and one write that was
 * asked for once is never two.
 */
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ all, history }: Evidence): ReadonlyArray<string> => {
  const versions = new Map<string, Set<string>>()
  for (const { clock, entry, tie } of all.values()) {
    for (const { key, value } of entry.records) {
      if (value.length === 0) continue
      const name = `${key} ${History.textOf(value)}`
      versions.set(name, new Set(versions.get(name)).add(`${clock.wallTime}.${clock.logical} ${tie}`))
    }
  }
  return history.operations.flatMap(({ id, key, kind, value }) => {
    const found = kind === "write" && value !== undefined ? versions.get(`${key} ${value}`) : undefined
    return found === undefined || found.size <= 1
      ? []
      : [`operation ${id} of ${key} is ${found.size} versions: ${Array.from(found).join(", ")}`]
  })
}
