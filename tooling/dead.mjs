// Exports that nobody needs: what a file exports, no face shows, and no other source names. Words are compared, those of
// comments left out, so a name that two files share can hide one that is dead, and none that is alive is reported.
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

/** What only tests call, and why it stays. */
const kept = new Map([["keysOf", "what the ceiling of the benchmark has written is read back by its tests"]])

const declaration = /^export (?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type) (\w+)/gm

const withoutComments = (text) => text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "")

/** The exports of the sources, of which the texts are given by their names, that are neither public nor used. */
export const dead = (sources, isPublic) => {
  const files = Object.entries(sources).map(([file, text]) => [file, withoutComments(text)])
  return files.flatMap(([file, text]) =>
    Array.from(text.matchAll(declaration), ([, name]) => name)
      .filter((name) => {
        const word = new RegExp(`\\b${name}\\b`, "g")
        if (isPublic(file, name) || kept.has(name)) return false
        // Once where it is declared; a file that uses its own export needs no export, but is not dead.
        return text.match(word).length < 2 && !files.some(([other, of]) => other !== file && of.match(word) !== null)
      })
      .map((name) => `${file}: ${name}`)
  )
}

if (import.meta.main) {
  const names = readFileSync(join(root, "docs/public-names.txt"), "utf8").split("\n")
  const files = globSync("{packages,apps}/*/src/**/*.ts", { cwd: root }).sort()
  const sources = Object.fromEntries(files.map((file) => [file, readFileSync(join(root, file), "utf8")]))
  const isPublic = (file, name) => {
    const module = file.split("/").pop().replace(".ts", "")
    return names.some((line) => line.includes(` ${module}: `) && ` ${line} `.includes(` ${name} `))
  }
  const found = dead(sources, isPublic)
  for (const line of found) console.error(`${line} is exported, and nothing needs it`)
  process.exitCode = found.length === 0 ? 0 : 1
}
