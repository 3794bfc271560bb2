/** Folders in which there is no store that can be used as it is: each start says so, and none begins anew there. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaId, ReplicaSet } from "@quorum/core"
import { RecordIndex } from "@quorum/core/adapter"
import { Context, Effect, Layer } from "effect"
import { open as openLmdb } from "lmdb"
import * as fs from "node:fs"
import * as path from "node:path"
import { crc32 } from "node:zlib"
import { LmdbReplicaStore, LmdbStore } from "../src/index.ts"
import { fileOf, tempFolder } from "./support/store.ts"

const members = Layer.succeed(ReplicaSet.ReplicaSet, { cluster: "test", self: ReplicaId.make("a"), peers: [] })

const start = (folder: string) => Effect.provide(LmdbReplicaStore.make({ folder }), members)

/** A store with an index beside it, closed. */
const filled = Effect.gen(function* () {
  const folder = yield* tempFolder
  yield* Effect.scoped(Layer.build(Layer.provide(LmdbStore.layer({ folder }), members)))
  return folder
})

const indexOf = (folder: string) => path.join(folder, "index.mdb")
const remedy = "restore it, or start with an empty folder, which the peers fill"

/** Changes what a closed store says of whose it is, with the check of it. */
const withIdentity = (change: (said: Record<string, unknown>) => object | undefined) => async (folder: string) => {
  const root = openLmdb<Buffer, Buffer>({ path: fileOf(folder), noSubdir: true, pageSize: 4096 })
  const notes = root.openDB<Buffer, Buffer>({ name: "notes", encoding: "binary", keyEncoding: "binary" })
  const key = Buffer.from("identity")
  const changed = change(JSON.parse(notes.getBinary(key)!.toString("utf8", 4)) as Record<string, unknown>)
  if (changed === undefined) await notes.remove(key)
  else {
    const value = Buffer.from(JSON.stringify(changed))
    const check = Buffer.alloc(4)
    check.writeUInt32BE(crc32(value, crc32(key)))
    await notes.put(key, Buffer.concat([check, value]))
  }
  await root.close()
}

/** What is done to a folder, and what the next starts have to say of it. */
const cases: ReadonlyArray<
  readonly [what: string, damage: (folder: string) => void | Promise<void>, detail: (folder: string) => string]
> = [
  [
    "was removed, and its index is there",
    (folder) => fs.rmSync(fileOf(folder)),
    (folder) => `${fileOf(folder)} is missing or empty, and ${indexOf(folder)} is there; ${remedy}`
  ],
  [
    "was emptied, and its index is there",
    (folder) => fs.truncateSync(fileOf(folder)),
    (folder) => `${fileOf(folder)} is missing or empty, and ${indexOf(folder)} is there; ${remedy}`
  ],
  [
    "is zeros",
    (folder) => fs.writeFileSync(fileOf(folder), Buffer.alloc(8192)),
    (folder) => `${fileOf(folder)} is damaged (it is no file of LMDB); ${remedy}`
  ],
  [
    "does not say whose it is",
    withIdentity(() => undefined),
    (folder) => `${fileOf(folder)} does not say whose it is; ${remedy}`
  ],
  [
    "was written by a newer version",
    withIdentity((said) => ({ ...said, version: 3 })),
    (folder) =>
      `${fileOf(folder)} has tables of version 3, and this @quorum/lmdb knows version 2; use the version of @quorum/lmdb that wrote it`
  ]
]

describe("a store", () => {
  for (const [what, damage, detail] of cases) {
    it.live(`of which the file ${what} is not begun anew, however often it is started`, () =>
      Effect.gen(function* () {
        const folder = yield* filled
        yield* Effect.promise(async () => damage(folder))
        for (let started = 0; started < 3; started++) {
          const error = yield* Effect.flip(Effect.scoped(start(folder)))
          assert.deepStrictEqual([error.reason, error.detail], ["corrupt", detail(folder)])
        }
        for (const name of fs.readdirSync(folder)) fs.rmSync(path.join(folder, name))
        assert.strictEqual((yield* start(folder)).doubt, "blank")
      })
    )
  }

  it.live("of which the first start was interrupted is begun again", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      for (const name of ["log.mdb", "log.mdb-lock", "lock.db"]) fs.writeFileSync(path.join(folder, name), "")
      assert.strictEqual((yield* start(folder)).doubt, "blank")
    })
  )

  it.live("starts without its index where that cannot be used, and cannot be removed either", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      fs.writeFileSync(indexOf(folder), "no index ".repeat(1000))
      fs.rmSync(`${indexOf(folder)}-lock`)
      fs.mkdirSync(`${indexOf(folder)}-lock`)
      const services = yield* Layer.build(Layer.provide(LmdbStore.layer({ folder }), members))
      assert.deepStrictEqual(yield* Context.get(services, RecordIndex.RecordIndex).progress, new Map())
    })
  )
})
