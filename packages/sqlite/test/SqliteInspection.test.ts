/** Looking at the folder of a store that no process has open. */
import { assert, describe, it } from "@effect/vitest"
import { IndexCheck, RecordIndex, ReplicaStore, type StoreInspection, Watermark } from "@quorum/core/adapter"
import { ReplicaSet } from "@quorum/core"
import { Effect, Layer } from "effect"
import { execFileSync } from "node:child_process"
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as Place from "../src/internal/place.ts"
import { SqliteInspection, SqliteStore } from "../src/index.ts"
import {
  a,
  batchAfter,
  child,
  damageEntry,
  damageIndex,
  fileOf,
  firstBatch,
  logA,
  logB,
  tempFolder
} from "./support/store.ts"

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
  const found = yield* Effect.result(SqliteInspection.inspect({ folder }))
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
  const layer = SqliteStore.layer({ folder }).pipe(
    Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, { cluster: "test", self: a, peers: [] }))
  )
  yield* Effect.gen(function* () {
    const store = yield* ReplicaStore.ReplicaStore
    let head = Watermark.none(logA)
    const pointers: Array<RecordIndex.Pointer> = []
    for (const value of ["one-value", "two-value", "three-value"]) {
      const batch = batchAfter(head, [value, `${value}-b`], value)
      if (batch.from <= 4) pointers.push(...IndexCheck.newestIn(batch))
      head = yield* store.append(batch)
    }
    yield* store.append(firstBatch(logB, ["other"]))
    const index = yield* RecordIndex.RecordIndex
    yield* index.merge(known(pointers), new Map([[logA, 4]]))
  }).pipe(Effect.provide(layer))
  return folder
})

const filled = filledWith((pointers) => pointers)

const logOf = ({ logs }: StoreInspection.StoreInspection, name: string) => logs.find(({ log }) => log === name)

const reasonOf = (folder: string) => Effect.map(Effect.flip(inspect(folder)), ({ reason }) => reason)

describe("looking at a folder", () => {
  it.effect("changes nothing in it, and says whose it is, how far its logs go and how far the index is behind", () =>
    Effect.gen(function* () {
      const found = yield* inspect(yield* filled)
      assert.deepInclude(found, sound)
      assert.deepInclude(found.identity, { cluster: "test", replica: a })
      assert.deepStrictEqual(found.logs, [
        { log: logA, seq: 6, damaged: [], isEndDamaged: false },
        { log: logB, seq: 1, damaged: [], isEndDamaged: false }
      ])
      assert.deepStrictEqual(found.index, { state: "usable", behind: 3 })
    })
  )

  it.effect("L60 reads every row, and names all ranges that are damaged", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      damageEntry(folder, logA, 3)
      damageEntry(folder, logB, 1)
      const found = yield* inspect(folder)
      const [middle, end] = [logOf(found, logA)!, logOf(found, logB)!]
      assert.deepStrictEqual(middle.damaged, [{ log: logA, from: 3, to: 4 }])
      assert.isFalse(middle.isEndDamaged)
      assert.deepStrictEqual(end.damaged, [{ log: logB, from: 1, to: 1 }])
      assert.isTrue(end.isEndDamaged)
    })
  )

  it.effect("reads what a killed process left, and sees that it was killed", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const writer = yield* child("program.ts", ["append", folder])
      const acked = Number(yield* writer.printed(40))
      yield* writer.kill
      const found = yield* inspect(folder)
      assert.deepInclude(found, { ...sound, isClosed: false })
      assert.isAtLeast(found.logs[0]!.seq, acked)
      assert.deepStrictEqual(found.logs[0]!.damaged, [])
      assert.deepStrictEqual(found.index, { state: "missing" })
    })
  )

  it.effect("refuses a store that a process has open, and disturbs it not", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const writer = yield* child("program.ts", ["append", folder])
      yield* writer.printed(3)
      const error = yield* Effect.flip(SqliteInspection.inspect({ folder }))
      assert.strictEqual(error.reason, "locked")
      yield* writer.printed(writer.lines.length + 20)
    })
  )

  it.effect("sees a copy, another boot, and a sync that failed", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const copy = path.join(yield* tempFolder, "copy")
      fs.cpSync(folder, copy, { recursive: true, preserveTimestamps: true })
      assert.deepInclude(yield* inspect(copy), { ...sound, isSamePlace: false })
      const rebooted = inspect(folder).pipe(Effect.provideService(Place.Boot, "another"))
      assert.deepInclude(yield* rebooted, { ...sound, isSameBoot: false })
      fs.writeFileSync(`${fileOf(folder)}-unsynced`, "")
      assert.deepInclude(yield* inspect(folder), { ...sound, isUnsynced: true })
    })
  )

  it.effect("says why an index cannot be used", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const whyOf = Effect.map(inspect(folder), ({ index }) => (index.state === "unusable" ? index.why : index.state))
      fs.cpSync(path.join(folder, "index.db"), path.join(folder, "kept"))
      damageIndex(folder)
      assert.include(yield* whyOf, "damaged")
      fs.cpSync(path.join(yield* filled, "index.db"), path.join(folder, "index.db"))
      assert.include(yield* whyOf, "another store")
      fs.rmSync(path.join(folder, "index.db"))
      assert.strictEqual(yield* whyOf, "missing")
    })
  )

  it.effect("compares an index with the logs, as far as it covers them", () =>
    Effect.gen(function* () {
      const wrongOf = (folder: string) =>
        Effect.map(inspect(folder), ({ index }) => (index.state === "wrong" ? index.why : index.state))
      const lacking = (seq: number) =>
        `the index knows nothing of a record in entry ${seq} of ${logA}, or something older`
      const older = yield* filledWith((pointers) =>
        pointers.map((pointer, i) => (i === 1 ? { ...pointer, seq: 3, clock: { wallTime: 1, logical: 0 } } : pointer))
      )
      assert.strictEqual(yield* wrongOf(older), lacking(4))
      assert.strictEqual(yield* wrongOf(yield* filledWith(() => [])), lacking(2))
      const folder = yield* filled
      assert.strictEqual(yield* wrongOf(folder), "usable")
      const db = new DatabaseSync(path.join(folder, "index.db"))
      db.exec("UPDATE pointer SET key = 'elsewhere' WHERE key = 'two-value'")
      db.close()
      assert.strictEqual(yield* wrongOf(folder), lacking(4))
      const again = new DatabaseSync(path.join(folder, "index.db"))
      again.exec("UPDATE pointer SET deleted = 1 WHERE key = 'one-value'")
      again.close()
      assert.include(yield* wrongOf(folder), "a pointer of the record index is damaged")
      // What is damaged in the log is no fault of the index.
      const damaged = yield* filled
      damageEntry(damaged, logA, 3)
      assert.strictEqual(yield* wrongOf(damaged), "usable")
    })
  )

  it.effect("says what is no store, and what is one no more", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* reasonOf(yield* tempFolder), "unavailable")
      const folder = yield* filled
      const bytes = fs.readFileSync(fileOf(folder))
      for (const length of [100, 4096, 3 * 4096]) {
        fs.writeFileSync(fileOf(folder), bytes.subarray(0, length))
        assert.strictEqual(yield* reasonOf(folder), "corrupt", `cut to ${length}`)
      }
      fs.writeFileSync(fileOf(folder), "a text of somebody else")
      assert.strictEqual(yield* reasonOf(folder), "corrupt")
    })
  )

  it.effect("says that a file to which nothing was committed is no store yet, and that one was cut off", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const said = Effect.map(Effect.flip(inspect(folder)), ({ detail, reason }) => `${reason}: ${detail}`)
      fs.writeFileSync(fileOf(folder), "")
      assert.include(yield* said, `unavailable: no replica has written to ${fileOf(folder)} yet`)
      fs.writeFileSync(`${fileOf(folder)}-wal`, Buffer.from("377f0682", "hex"))
      assert.include(yield* said, `corrupt: ${fileOf(folder)} is empty, and its write-ahead log is not`)
      fs.rmSync(`${fileOf(folder)}-wal`)

      // A crash in the middle of the first transaction: what is in the file then SQLite undoes by the journal.
      const made = path.join(yield* tempFolder, "made.db")
      const db = new DatabaseSync(made)
      db.exec("PRAGMA cache_size = 1; BEGIN; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(1000000))")
      for (const suffix of ["", "-journal"]) fs.copyFileSync(`${made}${suffix}`, `${fileOf(folder)}${suffix}`)
      db.close()
      assert.isAbove(fs.statSync(fileOf(folder)).size, 0)
      assert.include(yield* said, `unavailable: no replica has written to ${fileOf(folder)} yet`)
    })
  )

  it.effect("names what has the name of a file and is none, and waits for no pipe", () =>
    Effect.gen(function* () {
      const becomesPipe = (name: string) => {
        fs.rmSync(name, { force: true })
        execFileSync("mkfifo", [name])
      }
      for (const suffix of ["", "-wal", "-journal"]) {
        const folder = yield* filled
        const name = `${fileOf(folder)}${suffix}`
        becomesPipe(name)
        const { detail, reason } = yield* Effect.flip(SqliteInspection.inspect({ folder }))
        assert.strictEqual(reason, "unavailable")
        assert.include(detail, `${name} is not a file`)
      }
      const folder = yield* filled
      const name = path.join(folder, "index.db")
      becomesPipe(name)
      const { index } = yield* SqliteInspection.inspect({ folder })
      assert.include(index.state === "unusable" ? index.why : index.state, `${name} is not a file`)
    })
  )

  it.effect("refuses an empty path, which would be the folder in which the program runs", () =>
    Effect.gen(function* () {
      for (const folder of ["", undefined] as ReadonlyArray<string>) {
        const { message, reason } = yield* Effect.flip(SqliteInspection.inspect({ folder }))
        assert.strictEqual(reason, "unavailable")
        assert.match(message, /folder: it is a path, and not empty/)
      }
    })
  )
})
