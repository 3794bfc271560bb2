/** OrderFree: what a replica answers is a function of the set of entries that it holds. */
import { type Evidence, newest } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ holdings, pages, world }: Evidence): ReadonlyArray<string> =>
  pages.flatMap(({ id, values }) => {
    const expected = newest(holdings.get(world.machine(id))!.values())
    const found: Array<string> = []
    for (const key of new Set([...expected.keys(), ...values.keys()])) {
      const write = expected.get(key)?.write
      const value = write === undefined || write.kind === "delete" ? undefined : History.textOf(write.value)
      if (value !== values.get(key))
        found.push(`${id} answers ${values.get(key)} for ${key}, and its logs say ${value}`)
    }
    return found
  })
