// The code in the documentation is that of files which are type-checked, and which a test runs. Before every block of
// TypeScript stands the name of its file: <!-- packages/core/test/readme/example.ts -->. This compares the two, and
// looks for the test; with --write it takes the text of the files.
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

/** A file as a user would write it: a package is imported by its name. */
const exampleOf = (file) => {
  const name = `@quorum/${file.split("/")[1]}`
  return readFileSync(join(root, file), "utf8").replaceAll(
    /"(?:\.\.\/)+src\/(\w+)\.ts"/g,
    (_, entry) => `"${entry === "index" ? name : `${name}/${entry}`}"`
  )
}

/** The beginning of a block of code that can be run, however it is written. */
const otherFence = /^.*(?:```|~~~)[ \t]*(?:[cm]?[jt]sx?|typescript|javascript)\b.*$/gim

/** What is wrong with the blocks of a document, and its text with the blocks of the files. */
export const examine = (text, exampleOf) => {
  const wrong = []
  const block = /(?:<!-- (\S+) -->\n\n)?```(?:ts|tsx|typescript)\n([^]*?)```/g
  for (const [line] of text.replaceAll(block, "").matchAll(otherFence)) {
    wrong.push(`a block of code names no file that tests it: ${line.trim()}`)
  }
  const right = text.replaceAll(block, (block, file, shown) => {
    if (file === undefined) {
      wrong.push(`a block of code names no file that tests it: ${shown.split("\n")[0]}`)
      return block
    }
    const example = exampleOf(file)
    if (example !== shown) wrong.push(`a block of code differs from ${file}`)
    return `<!-- ${file} -->\n\n\`\`\`ts\n${example}\`\`\``
  })
  return { wrong, right }
}

/**
 * The examples that no test of their package imports, for more than a type, or names by a URL to start them as a
 * program. The texts of the tests are given by their names.
 */
export const notRun = (examples, tests) =>
  examples.filter((example) => {
    const [area, name, , ...path] = example.split("/")
    const quoted = `"\\./${path.join("/").replaceAll(".", "\\.")}"`
    const use = new RegExp(`(?:^(?:import|\\}) (?!type\\b)[^;\\n]*?|\\bnew URL\\()${quoted}`, "m")
    return !Object.entries(tests).some(([file, text]) => file.startsWith(`${area}/${name}/`) && use.test(text))
  })

if (import.meta.main) {
  const write = process.argv.includes("--write")
  let failed = false
  for (const document of globSync("{*.md,docs/**/*.md,{packages,apps}/*/README.md}", { cwd: root }).sort()) {
    const path = join(root, document)
    const text = readFileSync(path, "utf8")
    const { right, wrong } = examine(text, exampleOf)
    if (write && right !== text) writeFileSync(path, right)
    for (const what of write ? wrong.filter((line) => line.includes("names no file")) : wrong) {
      console.error(`${document}: ${what}`)
      failed = true
    }
  }
  const examples = globSync("{packages,apps}/*/test/readme/*.ts", { cwd: root }).sort()
  const tests = globSync("{packages,apps}/*/test/*.test.ts", { cwd: root })
  const texts = Object.fromEntries(tests.map((file) => [file, readFileSync(join(root, file), "utf8")]))
  for (const example of notRun(examples, texts)) {
    console.error(`${example}: no test runs it; import it, or start it as a program by its URL`)
    process.exitCode = 1
  }
  if (failed) console.error("npx -y pnpm@12 format takes the code from the files")
  if (failed) process.exitCode = 1
}
