// The rooms of core and of HTTP: imports only point downward, what is internal to a room is closed to the others, and what
// decides a quorum is pure. Types count as much as values: what is imported for its type is known all the same.
import { globSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

/**
 * Each house from its top to the ground. A file may import from its own room and from the floors below; rooms that share
 * a floor, as `peer` and `record` do, know nothing of each other.
 */
export const houses = {
  core: [
    ["index.ts", "adapter.ts", "persistence.ts"],
    ["Replica.ts", "KeyValueRecords.ts"],
    ["internal"],
    ["ReplicaStatus.ts"],
    ["write"],
    ["read"],
    ["upkeep"],
    ["peer", "record"],
    ["log"],
    ["events"],
    ["quorum"],
    ["identity"]
  ],
  http: [["index.ts", "node.ts"], ["HttpNode.ts", "HttpReplicaServer.ts"], ["peer", "api"], ["PlainError.ts"]]
}

const roomOf = (file) => file.split("/")[0]

/** What `quorum` may use of Effect when it runs: values, and nothing that has a fiber, a clock or a service. */
const pure = ["Array", "Duration", "Equal", "Function", "Option", "Order", "Result", "Schema", "SchemaTransformation"]

/** The text of a file without its comments; what looks like one within a string is none. */
const codeOf = (text) =>
  text.replaceAll(/("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|\/\*[^]*?\*\/|\/\/.*$/gm, "$1")

/** All imports of a file: of names, of a module for what it does, and those that stand within an expression or a type. */
const importsOf = (code) => {
  const named = code.matchAll(/\b(?:import|export)\s+(type\s+)?([\w*{][^;"'()]*?)\s*\bfrom\s*["']([^"']+)["']/g)
  const bare = code.matchAll(/\b(?:import|require)\s*\(?\s*["'`]([^"'`]+)["'`]/g)
  return [
    ...Array.from(named, ([, typeOnly, names, source]) => ({ isType: typeOnly !== undefined, names, source })),
    ...Array.from(bare, ([, source]) => ({ isType: false, names: "*", source }))
  ]
}

/** An import of what shows only when it runs, so that nobody can say where it points. */
const isComputed = (code) => /\b(?:import|require)\s*\((?!\s*["'`][^"'`$]*["'`]\s*[),])/.test(code)

/** Clocks, chance, timers and the process, of which what decides a quorum may know nothing. */
const impureGlobals =
  /\b(?:Date|performance|process|crypto|set(?:Timeout|Interval|Immediate)|globalThis)\b|\bMath\.random\b/

/** What of an import from Effect `quorum` may not use. */
const impureOf = ({ isType, names, source }) => {
  if (isType) return []
  if (source !== "effect") return [source.slice("effect/".length)].filter((name) => !pure.includes(name))
  if (names.includes("*")) return ["all of effect"]
  return names
    .split(/[{},]/)
    .map((name) => name.trim())
    .filter((name) => name !== "" && !name.startsWith("type ") && !pure.includes(name.split(/\s/)[0]))
}

/** What is wrong with the imports of a file, by its name within the `src` of a package, of which the text is given. */
export const objections = (file, text, floors = houses.core) => {
  const floorOf = (name) => floors.findIndex((rooms) => rooms.includes(roomOf(name)))
  const wrong = []
  const code = codeOf(text)
  if (isComputed(code)) wrong.push(`${file} imports what shows only when it runs`)
  const impureGlobal = roomOf(file) === "quorum" ? impureGlobals.exec(code)?.[0] : undefined
  if (impureGlobal !== undefined) wrong.push(`${file} decides, and uses ${impureGlobal}`)
  for (const found of importsOf(code)) {
    const { source } = found
    if (source.startsWith("node:") && roomOf(file) === "quorum") wrong.push(`${file} decides, and uses ${source}`)
    if (source === "effect" || source.startsWith("effect/")) {
      const impure = roomOf(file) === "quorum" ? impureOf(found) : []
      if (impure.length > 0) wrong.push(`${file} decides, and uses ${impure.join(", ")}`)
      continue
    }
    if (!source.startsWith(".")) continue
    const target = normalize(join(dirname(file), source))
    const [from, to] = [floorOf(file), floorOf(target)]
    if (from < 0) wrong.push(`${file} is on no floor`)
    else if (to < 0) wrong.push(`${file} imports ${target}, which is on no floor`)
    else if (to < from) wrong.push(`${file} imports ${target}, which is above it`)
    else if (to === from && roomOf(target) !== roomOf(file)) wrong.push(`${file} imports ${target}, which is next door`)
    if (target.includes("/internal/") && roomOf(target) !== roomOf(file)) {
      wrong.push(`${file} imports ${target}, which is internal to another room`)
    }
  }
  return wrong
}

if (import.meta.main) {
  const wrong = Object.entries(houses).flatMap(([name, floors]) => {
    const source = join(root, `packages/${name}/src`)
    return globSync("**/*.ts", { cwd: source })
      .sort()
      .flatMap((file) => objections(file, readFileSync(join(source, file), "utf8"), floors))
      .map((line) => `@quorum/${name}: ${line}`)
  })
  for (const line of wrong) console.error(line)
  process.exitCode = wrong.length === 0 ? 0 : 1
}
