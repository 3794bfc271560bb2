/** MembersOnly: strangers, self and repeats never count. */
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ history, world }: Evidence): ReadonlyArray<string> =>
  History.committed(history).flatMap(({ acked, id, w }) => {
    const counted = new Set(acked)
    const isSound =
      counted.size === acked.length && acked.length >= w && acked.every((replica) => world.members.includes(replica))
    return isSound ? [] : [`operation ${id} needs ${w} and counts ${acked.join(", ")}`]
  })
