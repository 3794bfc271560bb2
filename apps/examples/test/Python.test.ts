/** A client in Python that is made of the OpenAPI document, on three replicas of which one is killed on the way. */
import { execFile, spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import * as Replicas from "../../../packages/client/test/support/replicas.ts"

const hasPython = spawnSync("python3", ["--version"]).status === 0
const program = fileURLToPath(new URL("../python/notes.py", import.meta.url))

/** What the program says, line by line. */
const run = async (urls: ReadonlyArray<string>): Promise<ReadonlyArray<unknown>> => {
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", NO_PROXY: "127.0.0.1" }
  const { stdout } = await promisify(execFile)("python3", [program, ...urls], { env })
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
}

const expected = [
  { acked: 2 },
  { read: "grüß" },
  { statuses: [201, 400], answers: 251 },
  { listed: 250, last: '{"n":249}' },
  { changes: 251 },
  { status: 404, error: "not_found" },
  { refused: "records.get does not take consistancy" }
]

describe.skipIf(!hasPython)("a client in Python", () => {
  let replicas: Replicas.Replicas
  beforeAll(async () => {
    replicas = await Replicas.start()
  })
  afterAll(async () => {
    await replicas[Symbol.asyncDispose]()
  })

  it("writes, reads, lists and follows by what the document says", async () => {
    const [acked, ...said] = await run(replicas.urls)
    assert.isAtLeast((acked as { readonly acked: number }).acked, 2)
    assert.deepStrictEqual(said, expected.slice(1))
  })

  it("goes on at another replica while the first one is gone", async () => {
    await replicas.kill("a")
    assert.deepStrictEqual(await run(replicas.urls), expected)
  })
})
