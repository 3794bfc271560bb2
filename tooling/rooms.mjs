// The rooms of core: imports only point downward, what is internal to a room is closed to the others, and what decides a
// quorum is pure. Types count as much as values: what is imported for its type is known all the same.
import { globSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

/** From the top of the house to the ground. A file may import from its own floor and from those below. */
const floors = [
  ["index.ts", "adapter.ts"],
  ["Replica.ts"],
  ["internal"],
  ["ReplicaStatus.ts"],
  ["write"],
  ["read"],
  ["peer", "record"],
  ["log"],
  ["events"],
  ["quorum"],
  ["identity"]
]

/** `peer` and `record` share a floor, and know nothing of each other. */
const roomOf = (file) => file.split("/")[0]
const floorOf = (file) => floors.findIndex((rooms) => rooms.includes(roomOf(file)))

/** What `quorum` may not use when it runs. */
const impure = ["Effect", "Clock", "Layer", "Random", "Fiber", "Stream"]

/** What is wrong with the imports of a file of `packages/core/src`, of which the text is given. */
export const objections = (file, text) => {
  const wrong = []
  for (const [, typeOnly, names, source] of text.matchAll(
    /(?:import|export)\s+(type\s+)?([^;]*?)\s*from\s+"([^"]+)"/g
  )) {
    if (source === "effect" || source.startsWith("effect/")) {
      const used = source === "effect" ? names.split(/[{},\s]+/) : [source.slice("effect/".length)]
      const found = used.filter((name) => impure.includes(name))
      if (roomOf(file) === "quorum" && typeOnly === undefined && found.length > 0) {
        wrong.push(`${file} decides, and uses ${found.join(", ")}`)
      }
      continue
    }
    if (!source.startsWith(".")) continue
    const target = normalize(join(dirname(file), source))
    const [from, to] = [floorOf(file), floorOf(target)]
    if (to < 0) wrong.push(`${file} imports ${target}, which is on no floor`)
    else if (to < from) wrong.push(`${file} imports ${target}, which is above it`)
    else if (to === from && roomOf(target) !== roomOf(file)) wrong.push(`${file} imports ${target}, which is next door`)
    if (target.includes("/internal/") && roomOf(target) !== roomOf(file)) {
      wrong.push(`${file} imports ${target}, which is internal to another room`)
    }
  }
  return wrong
}

if (import.meta.main) {
  const source = join(root, "packages/core/src")
  const wrong = globSync("**/*.ts", { cwd: source })
    .sort()
    .flatMap((file) => objections(file, readFileSync(join(source, file), "utf8")))
  for (const line of wrong) console.error(line)
  process.exitCode = wrong.length === 0 ? 0 : 1
}
