/** NoFalseDoubt: whoever has never lost anything does not take itself for one that has. */
import * as Disk from "../Disk.ts"
import type { Machine } from "../Machines.ts"
import type { World } from "../World.ts"
import * as LeftOutByMajority from "./LeftOutByMajority.ts"

/** Looks at what was noted: a doubt is on record before it is acted on, and may end soon. */
export const onNoted = (world: World, { disk, id }: Machine, notes: Readonly<Record<string, string>>): void => {
  if (notes[Disk.blank] !== "lost" || disk.isRemoved) return
  const { clones, machines, retired, violated } = world
  if (retired.some(({ machine }) => machine.id === id) || clones.some((clone) => clone.id === id)) return
  // Who was marked may be left out, if only for a moment, and begins a new life then.
  if (machines.some((machine) => LeftOutByMajority.everMarked(machine.disk.content, id).length > 0)) return
  violated("NoFalseDoubt", `${id} does not vote, and has never lost anything`)
}
