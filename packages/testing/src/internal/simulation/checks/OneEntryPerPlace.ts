/** OneEntryPerPlace: two acknowledged writes never share a place, and the id of one never answers for another. */
import { WriteId } from "@quorum/core"
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ all, history, holdings, lost }: Evidence): ReadonlyArray<string> => {
  const disks = [
    ...holdings.values(),
    ...lost.flatMap(({ holding, isForgotten }) => (isForgotten === true ? [] : [holding]))
  ]
  // What only a disk held that was put back as it had been before, nobody can know of: its place is free for all.
  const isKnown = (writeId: WriteId.WriteId): boolean => disks.some((holding) => holding.has(writeId))
  const places = new Map<string, History.Operation>()
  return history.operations.flatMap((operation) => {
    const { id, key, kind, value, writeId } = operation
    if (kind !== "write" || writeId === undefined) return []
    const { log, seq } = WriteId.place(writeId)
    const before = places.get(`${log}:${seq}`)
    places.set(`${log}:${seq}`, operation)
    if (before !== undefined && before.batch !== operation.batch && isKnown(before.writeId!) && isKnown(writeId))
      return [`operations ${before.id} and ${id} were both given ${log}:${seq}`]
    const record = all.get(writeId)?.entry.records.find((each) => each.key === key)
    if (record === undefined) return []
    const said = record.kind === "delete" ? undefined : History.textOf(record.value)
    return said === value ? [] : [`operation ${id} wrote ${value} and was given the id of ${said}`]
  })
}
