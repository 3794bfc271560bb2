// Commands say what they take, and what of what they were given is wrong.
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { test } from "node:test"
import { root } from "./turbo.mjs"

const run = (command, ...flags) =>
  spawnSync(process.execPath, [join(root, "tooling", `${command}.mjs`), ...flags], { encoding: "utf8" })

for (const [command, flag] of [
  ["simulate", "seeds"],
  ["fuzz", "count"],
  ["mutants", "jobs"]
]) {
  test(`${command} says with --help what it takes`, () => {
    const { status, stderr, stdout } = run(command, "--help")
    assert.deepEqual([status, stderr], [0, ""])
    assert.match(stdout, new RegExp(`npx -y pnpm@12 ${command} --[^]*--${flag} N`))
  })

  test(`${command} names an option that it does not have, and a number that is none`, () => {
    const unknown = run(command, "--sedes", "3")
    assert.equal(unknown.status, 2)
    assert.match(unknown.stderr, /'--sedes'[^]*npx -y pnpm@12/)
    const odd = run(command, `--${flag}`, "many", ...(command === "mutants" ? [] : ["--no-build"]))
    assert.equal(odd.status, 2)
    assert.match(odd.stderr, new RegExp(`--${flag} is a whole number from \\d on, not many`))
  })
}
