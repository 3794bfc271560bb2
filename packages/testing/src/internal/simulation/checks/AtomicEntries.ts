/** AtomicEntries: several writes that are one commit are one entry, held whole or not at all. */
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ all, history }: Evidence): ReadonlyArray<string> => {
  const batches = new Map<number, Array<History.Operation>>()
  for (const operation of history.operations) {
    if (operation.kind !== "write" || operation.batch === undefined) continue
    batches.set(operation.batch, [...(batches.get(operation.batch) ?? []), operation])
  }
  const byValue = new Map<string, Set<string>>()
  for (const { entry, id } of all.values()) {
    for (const { value } of entry.records) {
      const text = History.textOf(value)
      if (text !== "") byValue.set(text, new Set(byValue.get(text)).add(id))
    }
  }
  return Array.from(batches.values()).flatMap((batch) => {
    const values = batch.flatMap(({ value }) => (value === undefined ? [] : [value]))
    const places = values.map((value) =>
      Array.from(byValue.get(value) ?? [])
        .sort()
        .join()
    )
    return new Set(places).size <= 1
      ? []
      : [`the writes of ${batch.map(({ id }) => `operation ${id}`).join(" and ")} are not in the same entries`]
  })
}
