/** The file of the index: when it is thrown away, and what is said where it is damaged. */
import { assert, describe, it } from "@effect/vitest"
import type { ReplicaStore } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { batchAfter, damageIndex, logA, tempFolder } from "./support/store.ts"
import { all, change, filled, indexFile, kept, pointer, rebuilt, using } from "./support/index.ts"

describe("SqliteRecordIndex", () => {
  it.effect("fails with corrupt where a row says what was not merged", () =>
    Effect.forEach(
      [
        "UPDATE pointer SET deleted = 1 WHERE key = 'x'",
        "UPDATE pointer SET wall_time = wall_time + 4096 WHERE key = 'x'",
        "UPDATE pointer SET seq = seq + 1 WHERE key = 'x'",
        "UPDATE pointer SET tie = x'0000000000000001' WHERE key = 'x'",
        "UPDATE pointer SET tie = x'00000000000000' WHERE key = 'x'",
        "UPDATE pointer SET key = 'x ' WHERE key = 'y'",
        "UPDATE pointer SET seq = 9223372036854775807 WHERE key = 'x'"
      ],
      Effect.fnUntraced(function* (damage) {
        const folder = yield* filled
        const db = new DatabaseSync(indexFile(folder))
        db.exec(damage)
        db.close()
        yield* using(folder, (index) =>
          Effect.gen(function* () {
            const key = damage.endsWith("'y'") ? "x " : "x"
            for (const ask of [index.get("ns", key), index.getAll([{ namespace: "ns", key }]), all(index)]) {
              assert.strictEqual((yield* Effect.flip<unknown, ReplicaStore.StoreError, never>(ask)).reason, "corrupt")
            }
          })
        )
      })
    )
  )

  it.effect("is built again where it says to cover another part of a log", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const db = new DatabaseSync(indexFile(folder))
      db.exec("UPDATE log SET seq = 2")
      db.close()
      yield* using(folder, (index, _, logged) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* index.progress, new Map())
          assert.include(logged[0], "how far the record index goes is damaged")
        })
      )
    })
  )

  it.effect("starts empty, without a warning, when the file was deleted", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      fs.rmSync(indexFile(folder))
      yield* using(folder, (index, _, logged) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(logged, [])
          assert.deepStrictEqual(yield* index.progress, new Map())
        })
      )
    })
  )

  it.effect("is built again when the file is garbage", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      fs.writeFileSync(indexFile(folder), "garbage ".repeat(2000))
      yield* rebuilt(folder, `${indexFile(folder)} is damaged`)
    })
  )

  it.effect("is built again when its tables are of another version", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      change(folder, "PRAGMA user_version = 9")
      yield* rebuilt(folder, "tables of version 9")
    })
  )

  it.effect("is built again when it belongs to another store", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      change(folder, "UPDATE store SET incarnation = '0000000000000000'")
      yield* rebuilt(folder, "belongs to another store")
    })
  )

  it.effect("is built again when it covers more than the logs hold", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const backup = fs.readFileSync(path.join(folder, "log.db"))
      yield* using(folder, (index, store) =>
        Effect.gen(function* () {
          const [head] = yield* store.watermarks
          yield* store.append(batchAfter(head!, ["4"]))
          yield* index.merge([pointer("z", 4)], new Map([[logA, 4]]))
        })
      )
      fs.writeFileSync(path.join(folder, "log.db"), backup)
      yield* rebuilt(folder, `covers ${logA} up to 4, and the log ends at 3`)
    })
  )

  it.effect("is built again when it was open as the machine went down", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      change(folder, "UPDATE store SET open_in = 'an earlier run'")
      yield* rebuilt(folder, "was open when the machine went down")
    })
  )

  it.effect("is marked as open on the disk while it is open, and as closed after", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      const mark = (file: string) => {
        const db = new DatabaseSync(file)
        const row = db.prepare("SELECT open_in FROM store").get()!
        db.close()
        return row["open_in"]
      }
      const copy = path.join(folder, "copy.db")
      yield* using(folder, () =>
        Effect.sync(() => {
          // The main file alone, as a power loss may leave it; by another process, to keep the lock of this one.
          execFileSync("cp", [indexFile(folder), copy])
          assert.notStrictEqual(mark(copy), "")
        })
      )
      assert.strictEqual(mark(indexFile(folder)), "")
    })
  )

  it.effect("fails with corrupt when it is found damaged in use, and after a reset is a new file", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      damageIndex(folder)
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          for (let i = 0; i < 2; i++) {
            const error = yield* Effect.flip(index.get("ns", "x"))
            assert.strictEqual(error.reason, "corrupt")
            assert.include(error.detail, indexFile(folder))
          }
          yield* index.reset
          assert.isFalse(fs.existsSync(indexFile(folder)))
          yield* index.merge([pointer("x", 1), pointer("y", 3)], new Map([[logA, 3]]))
        })
      )
      yield* kept(folder)
    })
  )

  it.effect("fails with corrupt when a row leads to a log that is none", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      change(folder, "UPDATE pointer SET log = 7 WHERE key = 'x'")
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          for (const read of [index.get("ns", "x"), all(index)]) {
            const error = yield* Effect.flip<unknown, ReplicaStore.StoreError, never>(read)
            assert.strictEqual(error.reason, "corrupt")
          }
          assert.deepStrictEqual(yield* index.get("ns", "y"), Option.some(pointer("y", 3)))
        })
      )
    })
  )

  it.effect("never deletes another program's database", () =>
    Effect.gen(function* () {
      const folder = yield* filled
      fs.rmSync(indexFile(folder))
      change(folder, "CREATE TABLE invoices (id INTEGER PRIMARY KEY)")
      const error = yield* Effect.flip(using(folder, () => Effect.void))
      assert.strictEqual(error.reason, "corrupt")
      assert.include(error.detail, "another program")
      assert.isTrue(fs.existsSync(indexFile(folder)))
    })
  )

  it.effect("fails with unavailable after it was closed", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const index = yield* using(folder, Effect.succeed)
      const error = yield* Effect.flip(index.progress)
      assert.strictEqual(error.reason, "unavailable")
      assert.include(error.detail, `${indexFile(folder)} was closed`)
      assert.strictEqual((yield* Effect.flip(index.merge([], new Map()))).reason, "unavailable")
    })
  )
})
