/** Convergence: when faults stop, all members hold the same logs. */
import type { Evidence } from "../Evidence.ts"
import type { World } from "../World.ts"
import * as Disk from "../Disk.ts"

/** Whether all disks hold the same, entry by entry. */
export const isConverged = ({ machines }: World): boolean => {
  const [first, ...others] = machines.map(({ disk }) => shapeOf(disk.content))
  return others.every((shape) => shape === first)
}

export const check = ({ pages, world }: Evidence): ReadonlyArray<string> => {
  const answers = pages.map(({ values }) => JSON.stringify(Array.from(values).sort()))
  if (new Set(answers).size > 1) return [`the replicas answer differently: ${answers.join("; ")}`]
  return isConverged(world)
    ? []
    : [
        `after ${bound / 1000} s without faults: ${world.machines.map(({ disk, id }) => `${id} holds ${shapeOf(disk.content)}`).join("; ")}`
      ]
}

/** How long it may take, in milliseconds. */
export const bound = 120_000

const shapeOf = (content: Disk.Content): string =>
  Array.from(content.logs.keys(), (log) => {
    const { chain, seq } = Disk.headOf(content, log)
    return `${log}:${seq} ${chain}`
  })
    .sort()
    .join(", ")
