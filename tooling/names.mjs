// The public names of every package, as `docs/public-names.txt` has them: a change of a face has to touch that file.
// With --write it is written anew. Reads the declarations that a build makes.
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const golden = join(root, "docs/public-names.txt")

/** The names that a file of declarations exports. */
const exportsOf = (file) => {
  const text = readFileSync(file, "utf8")
  const declared = text.matchAll(
    /^export (?:declare )?(?:abstract )?(?:const|let|class|interface|type|function|namespace|enum) ([A-Za-z_$][\w$]*)/gm
  )
  const listed = text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)
  const names = Array.from(declared, ([, name]) => name)
  for (const [, list] of listed) {
    for (const item of list.split(",")) {
      const name = item
        .trim()
        .split(/\s+as\s+/)
        .pop()
      if (name) names.push(name.replace(/^type /, ""))
    }
  }
  return [...new Set(names)].filter((name) => !name.endsWith("_base")).sort()
}

/** What a face exports beside namespaces and names of its modules: nothing, or names that this file would not know of. */
export const strangers = (face) =>
  face
    .split("\n")
    .filter(
      (line) =>
        line.startsWith("export ") && !/^export (?:\* as \w+ from "|(?:type )?\{(?:\s*\}|[^}]*\} from "))/.test(line)
    )

/** The names that a face has of its modules, without a namespace: the way of packages for plain promises. */
export const namesOf = (face) =>
  Array.from(face.matchAll(/^export (?:type )?\{([^}]+)\} from "/gm), ([, list]) =>
    list.split(",").map((item) =>
      item
        .replace(/^\s*(?:type )?/, "")
        .replace(/^.* as /, "")
        .trim()
    )
  )
    .flat()
    .filter((name) => name !== "")
    .sort()

const linesOf = (manifest) => {
  const folder = dirname(join(root, manifest))
  const { exports, name } = JSON.parse(readFileSync(join(root, manifest), "utf8"))
  return Object.entries(exports).flatMap(([entry, target]) => {
    if (target.types === undefined) return []
    const face = join(folder, target.types)
    if (!existsSync(face)) throw new Error(`${face} is missing: build first`)
    const text = readFileSync(face, "utf8")
    for (const line of strangers(text)) throw new Error(`${face} exports what is no namespace: ${line}`)
    const modules = text.matchAll(/^export \* as (\w+) from "([^"]+)"/gm)
    const lines = Array.from(modules, ([, module, source]) => {
      const declarations = join(dirname(face), source.replace(/\.(js|ts)$/, ".d.ts"))
      return `${name}${entry.slice(1)} ${module}: ${exportsOf(declarations).join(" ")}`
    }).sort()
    const names = namesOf(text)
    return names.length === 0 ? lines : [...lines, `${name}${entry.slice(1)}: ${names.join(" ")}`]
  })
}

if (import.meta.main) {
  const now = `${globSync("packages/*/package.json", { cwd: root }).sort().flatMap(linesOf).join("\n")}\n`
  if (process.argv.includes("--write")) writeFileSync(golden, now)
  else if (!existsSync(golden) || readFileSync(golden, "utf8") !== now) {
    const before = new Set(existsSync(golden) ? readFileSync(golden, "utf8").split("\n") : [])
    const after = new Set(now.split("\n"))
    for (const line of before) if (!after.has(line)) console.error(`- ${line}`)
    for (const line of after) if (!before.has(line)) console.error(`+ ${line}`)
    console.error("The public names have changed. If that is meant: npx -y pnpm@12 names --write, and a changeset")
    process.exitCode = 1
  }
}
