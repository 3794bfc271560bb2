/** The client in the oldest Node that it promises to run in, where there is one. */
import { assert, describe, it } from "@effect/vitest"
import { execFile, execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as Replicas from "./support/replicas.ts"

const old = ["/usr/bin/node", "/usr/local/bin/node", "/usr/bin/nodejs"].find(
  (path) => existsSync(path) && execFileSync(path, ["--version"], { encoding: "utf8" }).startsWith("v20.")
)

describe("the client in Node 20", () => {
  it.skipIf(old === undefined)("does what it does elsewhere (skipped where there is no Node 20)", async () => {
    await using replicas = await Replicas.start(["a"])
    const program = fileURLToPath(new URL("./support/old.mjs", import.meta.url))
    const { stderr, stdout } = await promisify(execFile)(old!, [program, ...replicas.urls])
    const { first, keys, node } = JSON.parse(stdout)
    assert.match(node, /^v20\./)
    assert.deepStrictEqual([keys, first, stderr], [["k", "long", "x"], "k", ""])
  })
})
