/** NoResurrection: after a committed delete, no replica at rest shows an older value. */
import { compare, type Evidence } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ all, history, majority, pages }: Evidence): ReadonlyArray<string> => {
  const byValue = new Map(
    Array.from(all.values()).flatMap((held) =>
      held.entry.records.map(({ key, value }) => [`${key} ${History.textOf(value)}`, held] as const)
    )
  )
  return History.committed(history).flatMap(({ id, key, value, w, writeId }) => {
    const deleted = all.get(writeId!)
    if (value !== undefined || w < majority || deleted === undefined) return []
    return pages.flatMap((page) => {
      const shown = page.values.get(key)
      const held = shown === undefined ? undefined : byValue.get(`${key} ${shown}`)
      return held !== undefined && compare(held, deleted) < 0
        ? [`${page.id} shows ${shown} of ${key}, and operation ${id} deleted it later`]
        : []
    })
  })
}
