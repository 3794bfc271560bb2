import { assert, describe, it } from "@effect/vitest"
import { EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { vi } from "vitest"
import * as Database from "../src/internal/database.ts"
import * as Files from "../src/internal/files.ts"
import * as WalRoom from "../src/internal/walRoom.ts"
import { batchAfter, child, fileOf, firstBatch, logA, open, tempFolder, using, valuesOf } from "./support/store.ts"

const program = "program.ts"

/** Processes take their time to start on a busy machine. */
const childTimeout = 120_000

/** Changes the closed file with SQL, behind the store's back. */
const change = (folder: string, sql: string) => {
  const db = new DatabaseSync(fileOf(folder))
  db.exec(sql)
  db.close()
}

/** A store of three batches with a value that can be found in the file. */
const filled = Effect.gen(function* () {
  const folder = yield* tempFolder
  yield* using(folder, (store) =>
    Effect.gen(function* () {
      let at = Watermark.none(logA)
      for (const value of ["first-value", "second-value", "third-value"]) {
        at = yield* store.append(batchAfter(at, [value, value]))
      }
    })
  )
  return folder
})

/** Appends until that fails. */
const fillUp = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"]) {
  let at = Watermark.none(logA)
  while (true) at = yield* store.append(batchAfter(at, ["x".repeat(2000)]))
})

const flipByteAt = (folder: string, needle: string) => {
  const bytes = fs.readFileSync(fileOf(folder))
  const at = bytes.indexOf(needle)
  assert.isAbove(at, 0)
  bytes[at]! ^= 1
  fs.writeFileSync(fileOf(folder), bytes)
}

const openError = (folder: string) => Effect.flip(Effect.scoped(open(folder)))

describe("the file of a store", () => {
  it.effect("is written with an fsync for every commit", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const kind = { applicationId: 1, version: 1, cacheKiB: 100, create: () => {} }
      // No test can cut the power; this is the setting that everything hangs on.
      const db = Database.open(fileOf(folder), kind)
      assert.strictEqual(db.prepare("PRAGMA synchronous").get()!["synchronous"], 2)
      assert.strictEqual(db.prepare("PRAGMA journal_mode").get()!["journal_mode"], "wal")
      db.close()
    })
  )

  it.live(
    "is locked for a second process, and free again after kill -9",
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const holder = yield* child(program, ["hold", folder])
        assert.strictEqual(yield* holder.printed(1), "open")
        const error = yield* openError(folder)
        assert.strictEqual(error.reason, "locked")
        assert.include(error.detail, `another process has ${fileOf(folder)} open`)
        yield* holder.kill
        yield* using(folder, (store) => store.append(firstBatch(logA, ["1"])))
      }),
    childTimeout
  )

  it.effect(
    "is not synced under a descriptor of its own while this process has it open, which would drop its lock",
    () =>
      Effect.gen(function* () {
        const file = fileOf(yield* filled)
        const end = Files.noteUse(file)
        assert.throws(() => Files.sync(file))
        end()
        Files.sync(file)
      })
  )

  it.effect("counts as gone when it was not there when it was opened, whatever comes in its place", () =>
    Effect.gen(function* () {
      const file = path.join(yield* tempFolder, "later")
      const isGone = Files.watchPlace(file)
      assert.isTrue(isGone())
      fs.writeFileSync(file, "")
      assert.isTrue(isGone())
      assert.isFalse(Files.watchPlace(file)())
    })
  )

  it.effect(
    "has its write-ahead log at full length from the beginning, and keeps it while entries come one by one",
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const size = () => fs.statSync(`${fileOf(folder)}-wal`).size
        const store = yield* open(folder)
        const long = size()
        assert.isAtLeast(long, 4_000_000)
        let at = Watermark.none(logA)
        for (let i = 0; i < 700; i++) at = yield* store.append(batchAfter(at, [`${i}`]))
        assert.strictEqual(size(), long)
      })
  )

  it.effect("is made longer by zeros, and never shorter", () =>
    Effect.gen(function* () {
      const file = path.join(yield* tempFolder, "file")
      fs.writeFileSync(file, "begin")
      const writable = fs.openSync(file, "r+")
      WalRoom.lengthen(writable, 8)
      assert.strictEqual(fs.readFileSync(file, "latin1"), "begin\0\0\0")
      WalRoom.lengthen(writable, 4)
      assert.strictEqual(fs.readFileSync(file, "latin1"), "begin\0\0\0")
      fs.closeSync(writable)
    })
  )

  it.effect("takes no more room than it may, to the page", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const maxBytes = 20 * 4096 + 4095
      yield* Effect.gen(function* () {
        const store = yield* open(folder, { maxBytes })
        const full = yield* Effect.flip(fillUp(store))
        assert(full._tag === "StoreError")
        assert.strictEqual(full.reason, "disk_full")
      }).pipe(Effect.scoped)
      const { size } = fs.statSync(fileOf(folder))
      assert.deepStrictEqual([size <= maxBytes, size > maxBytes - 2 * 4096], [true, true])
    })
  )

  it.effect(
    "is opened although what waits in its write-ahead log cannot be moved into it, for want of room alone",
    () =>
      Effect.gen(function* () {
        const folder = yield* filled
        const prepare = DatabaseSync.prototype.prepare
        for (const [errcode, opens] of [
          [13, true],
          [778, true],
          [266, false]
        ] as const) {
          const spy = vi.spyOn(DatabaseSync.prototype, "prepare").mockImplementation(function (
            this: DatabaseSync,
            sql
          ) {
            if (sql.includes("wal_checkpoint")) throw Object.assign(new Error("it failed"), { errcode })
            return prepare.call(this, sql)
          })
          const opened = yield* Effect.exit(using(folder, () => Effect.void))
          spy.mockRestore()
          assert.strictEqual(opened._tag === "Success", opens, `${errcode}`)
        }
      })
  )

  it.effect("is locked for a second store of the same process", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const store = yield* open(folder)
      assert.strictEqual((yield* openError(folder)).reason, "locked")
      // The attempt must not have dropped the lock.
      assert.strictEqual((yield* openError(folder)).reason, "locked")
      yield* store.append(firstBatch(logA, ["1"]))
    })
  )

  it.live(
    "keeps every acknowledged entry through ten kills in the middle of appends",
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        let before = 0
        for (let round = 0; round < 10; round++) {
          const writer = yield* child(program, ["append", folder])
          yield* writer.printed(1 + Math.floor(Math.random() * 150))
          yield* writer.kill
          const acked = Number(writer.lines.at(-1))
          assert.isAbove(acked, before)
          yield* using(folder, (store) =>
            Effect.gen(function* () {
              const [head] = yield* store.watermarks
              const { values, chain } = yield* valuesOf(store, head!.log)
              assert.strictEqual(chain, head!.chain)
              assert.deepStrictEqual(
                values.map((value) => Number(value)),
                values.map((_, i) => i + 1)
              )
              assert.isAtLeast(head!.seq, acked, "an acknowledged entry is lost")
              assert.isAtMost(head!.seq, acked + 1 + (acked % 7), "more than one unacknowledged batch")
              before = head!.seq
            })
          )
        }
      }),
    childTimeout
  )

  it.live(
    "is nothing or complete wherever a kill strikes while it is created",
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        for (let step = 0; ; step++) {
          const creator = yield* child(program, ["create", path.join(folder, `${step}`), `${step}`])
          yield* creator.ended
          const { identity } = yield* Effect.scoped(open(path.join(folder, `${step}`)))
          // With as many steps as it takes, it lives to tell.
          if (creator.lines.length > 0) {
            assert.deepStrictEqual<ReadonlyArray<string>>(creator.lines, [identity.incarnation])
            assert.isAtLeast(step, 5)
            break
          }
        }
      }),
    childTimeout
  )

  it.effect("is new when it is empty", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      fs.writeFileSync(fileOf(folder), "")
      yield* using(folder, (store) => store.append(firstBatch(logA, ["1"])))
    })
  )

  it.effect("is corrupt when it is no database", () =>
    Effect.gen(function* () {
      for (const content of ["abc", "garbage ".repeat(5000)]) {
        const folder = yield* tempFolder
        fs.writeFileSync(fileOf(folder), content)
        const error = yield* openError(folder)
        assert.strictEqual(error.reason, "corrupt")
        assert.include(error.detail, fileOf(folder))
        assert.strictEqual(fs.readFileSync(fileOf(folder), "utf8"), content, "the file is left as it was")
      }
    })
  )

  it.effect("is corrupt when it is another program's database, which is left alone", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      change(folder, "CREATE TABLE invoices (id INTEGER PRIMARY KEY); PRAGMA user_version = 1")
      const content = fs.readFileSync(fileOf(folder))
      const error = yield* openError(folder)
      assert.strictEqual(error.reason, "corrupt")
      assert.include(error.detail, "another program")
      assert.deepStrictEqual(fs.readFileSync(fileOf(folder)), content)
    })
  )

  it.effect("is corrupt when its tables are of another version", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      change(folder, "PRAGMA user_version = 1")
      const error = yield* openError(folder)
      assert.strictEqual(error.reason, "corrupt")
      assert.include(error.detail, "tables of version 1")
    })
  )

  it.effect("is corrupt when pages are damaged", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const bytes = fs.readFileSync(fileOf(folder))
      bytes.fill(0xff, 4096)
      fs.writeFileSync(fileOf(folder), bytes)
      assert.strictEqual((yield* openError(folder)).reason, "corrupt")
    })
  )

  it.effect("is corrupt when it is cut off", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      fs.truncateSync(fileOf(folder), fs.statSync(fileOf(folder)).size - 4096)
      assert.strictEqual((yield* openError(folder)).reason, "corrupt")
    })
  )

  it.effect("says what is damaged when the newest batch does not follow the one before", () =>
    Effect.gen(function* () {
      for (const sql of [
        "DELETE FROM batch_1 WHERE last = 4",
        "UPDATE batch_1 SET chain = '0000000000000000' WHERE last = 4"
      ]) {
        const folder = yield* filled
        change(folder, sql)
        yield* using(folder, (store) =>
          Effect.sync(() => assert.deepStrictEqual(store.damaged(), [{ log: logA, from: 3, to: 4 }]))
        )
      }
    })
  )

  it.effect("never gives out an older batch that is damaged, missing or out of place", () =>
    Effect.gen(function* () {
      for (const damage of [
        (folder: string) => flipByteAt(folder, "first-value"),
        (folder: string) => change(folder, "DELETE FROM batch_1 WHERE last = 2"),
        (folder: string) => change(folder, "UPDATE batch_1 SET first = 2 WHERE last = 2")
      ]) {
        const folder = yield* filled
        damage(folder)
        yield* using(folder, (store) =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(store.read(logA, 0, 1e6))
            assert.strictEqual(error.reason, "corrupt")
            assert.include(error.detail, fileOf(folder))
            assert.strictEqual((yield* Effect.flip(store.chainAt(logA, 1))).reason, "corrupt")
            assert.strictEqual((yield* store.watermarks)[0]!.seq, 6)
          })
        )
      }
    })
  )

  it.live(
    "is read_only when it or its folder cannot be written",
    () =>
      Effect.gen(function* () {
        const tried = Effect.fnUntraced(function* (folder: string) {
          const other = yield* child(program, ["fail", folder])
          const line = yield* other.printed(1)
          yield* other.ended
          return line ?? ""
        })
        const folder = yield* filled
        fs.chmodSync(folder, 0o777)
        fs.chmodSync(fileOf(folder), 0o444)
        assert.match(yield* tried(folder), /^read_only .*log\.db cannot be written .*; run as the user whose they are/)
        fs.chmodSync(folder, 0o555)
        fs.chmodSync(fileOf(folder), 0o666)
        assert.match(yield* tried(folder), /^read_only .*log\.db cannot be written/)
        assert.match(yield* tried(path.join(folder, "below")), /^read_only .*log\.db cannot be written/)
        fs.chmodSync(folder, 0o777)
        assert.match(yield* tried(folder), /^read_only .*log\.db-wal/)
        fs.chmodSync(`${fileOf(folder)}-wal`, 0o666)
        assert.strictEqual(yield* tried(folder), "opened")
      }),
    childTimeout
  )

  it.effect("is unavailable, with a message that says why, when the path is of the wrong kind", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      fs.writeFileSync(path.join(folder, "file"), "")
      for (const below of ["file", "file/below"]) {
        const error = yield* openError(path.join(folder, below))
        assert.strictEqual(error.reason, "unavailable")
        assert.include(error.detail, `${path.join(folder, "file")} is a file, and a folder is needed`)
      }
      fs.mkdirSync(fileOf(folder))
      const error = yield* openError(folder)
      assert.strictEqual(error.reason, "unavailable")
      assert.include(error.detail, `${fileOf(folder)} is not a file`)
    })
  )

  it.effect("creates folders that are missing", () =>
    Effect.gen(function* () {
      const folder = path.join(yield* tempFolder, "not", "there", "yet")
      const batch = firstBatch(logA, ["1"])
      yield* using(folder, (store) => store.append(batch))
      yield* using(folder, (store) =>
        Effect.map(store.watermarks, (all) => assert.deepStrictEqual(all, [EntryBatch.watermark(batch)]))
      )
    })
  )
})
