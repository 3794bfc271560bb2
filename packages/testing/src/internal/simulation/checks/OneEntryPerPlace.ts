/** OneEntryPerPlace: two acknowledged writes never share a place, and the id of one never answers for another. */
import { WriteId } from "@quorum/core"
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ all, history }: Evidence): ReadonlyArray<string> => {
  const places = new Map<string, History.Operation>()
  return history.operations.flatMap((operation) => {
    const { id, key, kind, value, writeId } = operation
    if (kind !== "write" || writeId === undefined) return []
    const { log, seq } = WriteId.place(writeId)
    const before = places.get(`${log}:${seq}`)
    places.set(`${log}:${seq}`, operation)
    if (before !== undefined && before.batch !== operation.batch)
      return [`operations ${before.id} and ${id} were both given ${log}:${seq}`]
    const record = all.get(writeId)?.entry.records.find((each) => each.key === key)
    if (record === undefined) return []
    const said = record.kind === "delete" ? undefined : History.textOf(record.value)
    return said === value ? [] : [`operation ${id} wrote ${value} and was given the id of ${said}`]
  })
}
