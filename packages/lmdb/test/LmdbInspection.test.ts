/** Looking at the folder of a store that no process has open. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaId, ReplicaSet } from "@quorum/core"
import { IndexCheck, RecordIndex, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Layer } from "effect"
import { open as openLmdb } from "lmdb"
import { execFileSync } from "node:child_process"
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Notes from "../src/internal/notes.ts"
import { LmdbInspection, LmdbStore } from "../src/index.ts"
import { batchAfter, damageEntry, fileOf, logA, logB, tempFolder, using } from "./support/store.ts"

/** All that a folder is: names, times and bytes. */
const stateOf = (folder: string) => [
  fs.statSync(folder).mtimeMs,
  ...fs.readdirSync(folder).map((name) => {
    const file = path.join(folder, name)
    const { ino, mtimeMs } = fs.statSync(file)
    return [name, ino, mtimeMs, crypto.createHash("sha256").update(fs.readFileSync(file)).digest("hex")]
  })
]

/** Looks at a folder, which is the same afterwards. */
const inspect = Effect.fnUntraced(function* (folder: string) {
  const before = stateOf(folder)
  const found = yield* Effect.result(LmdbInspection.inspect({ folder }))
  assert.deepStrictEqual(stateOf(folder), before)
  return yield* Effect.fromResult(found)
})

const sound = { isSamePlace: true, isSameBoot: true, isClosed: true, isUnsynced: false, recovering: "blank" }

/**
 * A folder with two logs, and an index that has all but the last entries of them, closed in order; `known` is what it knows
 * of those that it says that it has.
 */
const filledWith = Effect.fnUntraced(function* (
  known: (pointers: ReadonlyArray<RecordIndex.Pointer>) => ReadonlyArray<RecordIndex.Pointer>
) {
  const folder = yield* tempFolder
  const a = ReplicaId.make("a")
  const layer = LmdbStore.layer({ folder }).pipe(
    Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, { cluster: "test", self: a, peers: [] }))
  )
  yield* Effect.gen(function* () {
    const store = yield* ReplicaStore.ReplicaStore
    let head = Watermark.none(logA)
    const pointers: Array<RecordIndex.Pointer> = []
    for (const value of ["one", "two", "three"]) {
      const batch = batchAfter(head, [value, `${value}-b`])
      if (batch.from <= 4) pointers.push(...IndexCheck.newestIn(batch))
      head = yield* store.append(batch)
    }
    yield* store.append(batchAfter(Watermark.none(logB), ["other"]))
    const index = yield* RecordIndex.RecordIndex
    yield* index.merge(known(pointers), new Map([[logA, 4]]))
  }).pipe(Effect.provide(layer))
  return folder
})

const filled = filledWith((pointers) => pointers)

describe("looking at a folder", () => {
  it.live("changes nothing in it, and says whose it is, how far its logs go and how far the index is behind", () =>
    Effect.gen(function* () {
      const found = yield* inspect(yield* filled)
      assert.deepInclude(found, sound)
      assert.strictEqual(String(found.identity.replica), "a")
      assert.deepStrictEqual(found.logs, [
        { log: logA, seq: 6, damaged: [], isEndDamaged: false },
        { log: logB, seq: 1, damaged: [], isEndDamaged: false }
      ])
      assert.deepStrictEqual(found.index, { state: "usable", behind: 3 })
    }).pipe(Effect.scoped)
  )

  it.live("L60 reads every row, and names all ranges that are damaged", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      yield* Effect.promise(() => damageEntry(folder, logA, 3))
      yield* Effect.promise(() => damageEntry(folder, logB, 1))
      const [middle, end] = (yield* inspect(folder)).logs
      assert.deepStrictEqual(middle, {
        log: logA,
        seq: 6,
        damaged: [{ log: logA, from: 3, to: 4 }],
        isEndDamaged: false
      })
      assert.deepStrictEqual(end?.damaged, [{ log: logB, from: 1, to: 1 }])
      assert.isTrue(end?.isEndDamaged)
    }).pipe(Effect.scoped)
  )

  it.live("compares an index with the logs, as far as it covers them", () =>
    Effect.gen(function* () {
      const { index } = yield* inspect(yield* filledWith((pointers) => pointers.slice(0, 1)))
      const why = `the index knows nothing of a record in entry 4 of ${logA}, or something older`
      assert.deepStrictEqual(index, { state: "wrong", why })
    }).pipe(Effect.scoped)
  )

  it.live("sees a copy, another boot, and an index that is another store's or gone", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const copy = path.join(yield* tempFolder, "copy")
      fs.cpSync(folder, copy, { recursive: true })
      assert.deepInclude(yield* inspect(copy), { ...sound, isSamePlace: false })
      const rebooted = inspect(folder).pipe(Effect.provideService(Notes.Boot, "another"))
      assert.deepInclude(yield* rebooted, { ...sound, isSameBoot: false })
      fs.cpSync(path.join(yield* filled, "index.mdb"), path.join(folder, "index.mdb"))
      const { index } = yield* inspect(folder)
      assert.deepStrictEqual(index, {
        state: "unusable",
        why: `${path.join(folder, "index.mdb")} belongs to another store`
      })
      fs.rmSync(path.join(folder, "index.mdb"))
      assert.deepStrictEqual((yield* inspect(folder)).index, { state: "missing" })
    }).pipe(Effect.scoped)
  )

  it.live("refuses a store that is open, and says what is none", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const open = yield* using(folder, () => Effect.flip(LmdbInspection.inspect({ folder })))
      assert.strictEqual(open.reason, "locked")
      assert.strictEqual((yield* Effect.flip(inspect(yield* tempFolder))).reason, "unavailable")
      // Cut off, it would end the process: LMDB looks into a map of the file.
      fs.truncateSync(fileOf(folder), 4 * 4096)
      assert.strictEqual((yield* Effect.flip(inspect(folder))).reason, "corrupt")
      assert.strictEqual((yield* Effect.flip(using(folder, (store) => store.read(logA, 0, 1)))).reason, "corrupt")
      fs.writeFileSync(fileOf(folder), "a text of somebody else")
      assert.strictEqual((yield* Effect.flip(inspect(folder))).reason, "corrupt")
    }).pipe(Effect.scoped)
  )

  it.live("says that a file to which nothing was committed is no store yet", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const said = Effect.map(Effect.flip(inspect(folder)), ({ detail, reason }) => `${reason}: ${detail}`)
      fs.writeFileSync(fileOf(folder), "")
      assert.include(yield* said, `unavailable: no replica has written to ${fileOf(folder)} yet`)
      yield* Effect.promise(() => openLmdb({ path: fileOf(folder), pageSize: 4096 }).close())
      assert.isAbove(fs.statSync(fileOf(folder)).size, 0)
      assert.include(yield* said, `unavailable: no replica has written to ${fileOf(folder)} yet`)
    }).pipe(Effect.scoped)
  )

  it.live("names what has the name of a file and is none, and waits for no pipe", () =>
    Effect.gen(function* () {
      const becomesPipe = (name: string) => {
        fs.rmSync(name, { force: true })
        execFileSync("mkfifo", [name])
      }
      for (const file of ["log.mdb", "lock.db"]) {
        const folder = yield* filled
        const name = path.join(folder, file)
        becomesPipe(name)
        const { detail, reason } = yield* Effect.flip(LmdbInspection.inspect({ folder }))
        assert.strictEqual(reason, "unavailable")
        assert.include(detail, `${name} is not a file`)
        const started = yield* Effect.flip(using(folder, (store) => store.read(logA, 0, 1)))
        assert.include(started.detail, `${name} is not a file`)
      }
      const folder = yield* filled
      const name = path.join(folder, "index.mdb")
      becomesPipe(name)
      const { index } = yield* LmdbInspection.inspect({ folder })
      assert.include(index.state === "unusable" ? index.why : index.state, `${name} is not a file`)
    }).pipe(Effect.scoped)
  )

  it.effect("refuses an empty path, which would be the folder in which the program runs", () =>
    Effect.gen(function* () {
      for (const folder of ["", undefined] as ReadonlyArray<string>) {
        const { message, reason } = yield* Effect.flip(LmdbInspection.inspect({ folder }))
        assert.strictEqual(reason, "unavailable")
        assert.match(message, /folder: it is a path, and not empty/)
      }
    })
  )
})
