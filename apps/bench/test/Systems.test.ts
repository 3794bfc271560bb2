import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { expect, it, onTestFinished } from "vitest"
import * as Systems from "../src/Systems.ts"

it(
  "has a thousand clients connect over HTTP at once, and all their writes answered",
  { timeout: 120_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "quorum-bench-test-"))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const { failed, failure } = await Systems.client.start(folder, []).pipe(
      Effect.flatMap(({ measure }) => measure({ writers: 1024, warmup: 0, seconds: 1, valueBytes: 5, keys: 100 })),
      Effect.scoped,
      Effect.runPromise
    )
    expect({ failed, failure }).toEqual({ failed: 0, failure: undefined })
  }
)
