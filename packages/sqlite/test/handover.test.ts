/** A process that starts at the moment at which another one closes the same store. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { createRequire, syncBuiltinESMExports } from "node:module"
import { fileURLToPath } from "node:url"
import * as Files from "../src/internal/files.ts"
import { fileOf, firstBatch, logA, openClosable, tempFolder, using } from "./support/store.ts"

const program = fileURLToPath(new URL("./support/program.ts", import.meta.url))

/** Does something within a call of a function of the file system, before it takes place: the first, or a later one. */
const within = <A, E>(
  name: "writeSync" | "fsyncSync" | "openSync",
  call: number,
  what: () => void,
  effect: Effect.Effect<A, E>
) => {
  const builtin = createRequire(import.meta.url)("node:fs") as typeof fs
  const original = builtin[name] as (...args: ReadonlyArray<unknown>) => unknown
  const put = (f: unknown): void => {
    Reflect.set(builtin, name, f)
    syncBuiltinESMExports()
  }
  let calls = 0
  const changed = (...args: ReadonlyArray<unknown>) => {
    if (++calls === call) {
      put(original)
      what()
    }
    return original(...args)
  }
  return Effect.acquireUseRelease(
    Effect.sync(() => put(changed)),
    () => effect,
    () => Effect.sync(() => put(original))
  )
}

describe("a start while another process closes", () => {
  for (const [name, call] of [
    ["writeSync", 1],
    ["writeSync", 2],
    ["fsyncSync", 1]
  ] as const) {
    it.live(
      `keeps what it acknowledges, whatever the other one writes last (${name}, ${call})`,
      () =>
        Effect.gen(function* () {
          const folder = yield* tempFolder
          const [store, close] = yield* openClosable(folder)
          yield* store.append(firstBatch(logA, ["1"]))
          // Its lock is gone by then, and it makes room for the write-ahead log of the next start.
          const start = () => {
            spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", program, "die", folder])
            assert.isAbove(fs.statSync(`${fileOf(folder)}-wal`).size, 0)
          }
          yield* within(name, call, start, close)
          assert.deepStrictEqual(fs.readdirSync(folder).sort(), ["log.db", "log.db-wal"])
          yield* using(folder, (store) =>
            Effect.gen(function* () {
              const seqs = (yield* store.watermarks).map(({ seq }) => seq)
              assert.deepStrictEqual(seqs, [1, 1])
              assert.notStrictEqual(store.doubt, "other_place")
            })
          )
        }),
      60_000
    )
  }

  it.live("leaves nothing of a room that was not finished", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      fs.writeFileSync(`${fileOf(folder)}-wal-made-1`, "left")
      yield* using(folder, (store) => store.append(firstBatch(logA, ["1"])))
      assert.deepStrictEqual(fs.readdirSync(folder).sort(), ["log.db", "log.db-wal"])
    })
  )

  it.effect("sees that what the other one wrote last could not be synced", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (store) => store.setNotes({ [ReplicaStore.recoveringNote]: "" }))
      // The mark is left while the other one still has the file: after it was synced, and before it is opened.
      const mark = () => Files.markUnsynced(fileOf(folder))
      const doubt = yield* within(
        "openSync",
        2,
        mark,
        using(folder, ({ doubt }) => Effect.succeed(doubt))
      )
      assert.strictEqual(doubt, "sync_failed")
    })
  )
})
