/** Folders in which there is no store that can be used as it is: each start says so, and none begins anew there. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { SqliteRecordIndex } from "../src/index.ts"
import { ReplicaStore } from "@quorum/core/adapter"
import { fileOf, firstBatch, logA, open, tempFolder } from "./support/store.ts"

/** A store with an index beside it, closed. */
const filled = Effect.gen(function* () {
  const folder = yield* tempFolder
  yield* Effect.scoped(
    Effect.gen(function* () {
      const store = yield* open(folder)
      yield* Effect.provideService(SqliteRecordIndex.make({ folder }), ReplicaStore.ReplicaStore, store)
      yield* store.append(firstBatch(logA, ["1", "2"]))
    })
  )
  return folder
})

const indexOf = (folder: string) => path.join(folder, "index.db")
const walOf = (folder: string) => `${fileOf(folder)}-wal`
const remedy = "restore it, or start with an empty folder, which the peers fill"

/** What is done to a folder, and what the next starts have to say of it. */
const cases: ReadonlyArray<
  readonly [what: string, damage: (folder: string) => void, detail: (folder: string) => string]
> = [
  [
    "was removed, and its index is there",
    (folder) => fs.rmSync(fileOf(folder)),
    (folder) => `${fileOf(folder)} is missing or empty, and ${indexOf(folder)} is there; ${remedy}`
  ],
  [
    "was emptied, and its write-ahead log is there",
    (folder) => {
      fs.truncateSync(fileOf(folder))
      fs.rmSync(indexOf(folder))
    },
    (folder) => `${fileOf(folder)} is missing or empty, and ${walOf(folder)} is there; ${remedy}`
  ],
  [
    "has a byte that is none of its",
    (folder) => fs.writeFileSync(fileOf(folder), "x"),
    (folder) => `${fileOf(folder)} is missing or empty, and ${indexOf(folder)} is there; ${remedy}`
  ],
  [
    "is zeros",
    (folder) => fs.writeFileSync(fileOf(folder), Buffer.alloc(4096)),
    (folder) => `${fileOf(folder)} is damaged (file is not a database); ${remedy}`
  ],
  [
    "ends within its first page",
    (folder) => fs.truncateSync(fileOf(folder), 100),
    (folder) => `${fileOf(folder)} is damaged (database disk image is malformed); ${remedy}`
  ]
]

describe("a store", () => {
  for (const [what, damage, detail] of cases) {
    it.effect(`of which the file ${what} is not begun anew, however often it is started`, () =>
      Effect.gen(function* () {
        const folder = yield* filled
        damage(folder)
        for (let start = 0; start < 3; start++) {
          const error = yield* Effect.flip(Effect.scoped(open(folder)))
          assert.deepStrictEqual([error.reason, error.detail], ["corrupt", detail(folder)])
        }
        for (const name of fs.readdirSync(folder)) fs.rmSync(path.join(folder, name))
        assert.strictEqual((yield* open(folder)).doubt, "blank")
      })
    )
  }

  it.effect("of which the first start was interrupted is begun again", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      for (const file of [fileOf(folder), walOf(folder)]) fs.writeFileSync(file, "")
      assert.strictEqual((yield* open(folder)).doubt, "blank")
    })
  )
})
