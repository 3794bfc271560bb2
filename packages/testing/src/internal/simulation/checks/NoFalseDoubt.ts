/** NoFalseDoubt: whoever has never lost anything does not take itself for one that has. */
import * as Disk from "../Disk.ts"
import * as LeftOutByMajority from "./LeftOutByMajority.ts"
import type { World } from "../World.ts"

/** Looks at the replicas as they are now. */
export const onSample = ({ clones, machines, retired, violated }: World): void => {
  for (const { disk, id } of machines) {
    if (disk.content.notes.get(Disk.blank) !== "lost" || disk.isRemoved) continue
    if (retired.some(({ machine }) => machine.id === id) || clones.some((clone) => clone.id === id)) continue
    // Who was marked may be left out, if only for a moment, and begins a new life then.
    if (machines.some((machine) => LeftOutByMajority.everMarked(machine.disk.content, id).length > 0)) continue
    violated("NoFalseDoubt", `${id} does not vote, and has never lost anything`)
  }
}
