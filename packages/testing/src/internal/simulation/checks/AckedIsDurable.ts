/** AckedIsDurable: what was answered with a receipt is held by at least W replicas, now and after everything. */
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ history, holdings, lost, majority, world }: Evidence): ReadonlyArray<string> =>
  History.committed(history).flatMap(({ acked, copies, id, w, writeId }) => {
    const holders = Array.from(holdings).filter(([, holding]) => holding.has(writeId!))
    const needed = Math.max(w, copies)
    if (holders.length >= needed) return []
    // Who asks for less than a majority is not safe from the loss of as many disks.
    const gone = new Set(lost.filter(({ holding }) => holding.has(writeId!)).map(({ machine }) => machine.id))
    // What it took alone until it heard that it was left out may be dropped.
    for (const { machine } of world.leftOut.values()) gone.add(machine.id)
    if (w < majority && acked.every((replica) => gone.has(replica))) return []
    const names = holders.map(([machine]) => machine.id).join(", ")
    return [
      `operation ${id}, ${writeId}, was acknowledged by ${needed} of ${world.members.length} and is held by: ${names || "nobody"}`
    ]
  })
