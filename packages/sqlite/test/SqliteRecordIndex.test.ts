import { assert, describe, it } from "@effect/vitest"
import type { LogId } from "@quorum/core"
import { RecordIndex, RecordKey, ReplicaStore, RunId } from "@quorum/core/adapter"
import { Effect, Logger, Option, Schema } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { SqliteRecordIndex } from "../src/index.ts"
import { a, batchAfter, child, damageIndex, firstBatch, logA, logB, open, tempFolder } from "./support/store.ts"

/** What follows a key; all keys when there is none. */
const after = (key: RecordKey.RecordKey | undefined): RecordKey.Range =>
  key === undefined ? {} : RecordKey.beyond({}, key, false)

const indexFile = (folder: string) => path.join(folder, "index.db")

/** Opens the index of a store until the surrounding scope closes. */
const openIndex = (folder: string, store: ReplicaStore.ReplicaStore["Service"]) =>
  Effect.provideService(SqliteRecordIndex.make({ folder }), ReplicaStore.ReplicaStore, store)

/** Opens both, uses the index, closes both. Collects what is logged. */
const using = <A, E>(
  folder: string,
  use: (
    index: RecordIndex.RecordIndex["Service"],
    store: ReplicaStore.ReplicaStore["Service"],
    logged: ReadonlyArray<string>
  ) => Effect.Effect<A, E>
) => {
  const logged: Array<string> = []
  return Effect.gen(function* () {
    const store = yield* open(folder)
    return yield* use(yield* openIndex(folder, store), store, logged)
  }).pipe(
    Effect.scoped,
    Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))]))
  )
}

const pointer = (key: string, seq: number, wallTime = seq, log: LogId.LogId = logA): RecordIndex.Pointer => ({
  namespace: "ns",
  key,
  log,
  seq,
  clock: { wallTime, logical: 0 },
  tie: RunId.none,
  deleted: false
})

const all = (index: RecordIndex.RecordIndex["Service"]) => index.scan({ limit: 1e6 })

/** A folder whose log A holds three entries and whose index covers them. */
const filled = Effect.gen(function* () {
  const folder = yield* tempFolder
  yield* using(folder, (index, store) =>
    Effect.gen(function* () {
      yield* store.append(firstBatch(logA, ["1", "2", "3"]))
      yield* index.merge([pointer("x", 1), pointer("y", 3)], new Map([[logA, 3]]))
    })
  )
  return folder
})

/** Changes the closed file with SQL, behind the index's back. */
const change = (folder: string, sql: string) => {
  const db = new DatabaseSync(indexFile(folder))
  db.exec(sql)
  db.close()
}

const kept = (folder: string) =>
  using(folder, (index, _, logged) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(logged, [])
      assert.deepStrictEqual(yield* index.progress, new Map([[logA, 3]]))
      assert.deepStrictEqual(yield* all(index), [pointer("x", 1), pointer("y", 3)])
    })
  )

const rebuilt = (folder: string, why: string) =>
  using(folder, (index, _, logged) =>
    Effect.gen(function* () {
      assert.strictEqual(logged.length, 1)
      assert.include(logged[0], "the record index is built again")
      assert.include(logged[0], why)
      assert.deepStrictEqual(yield* index.progress, new Map())
      assert.deepStrictEqual(yield* all(index), [])
      yield* index.merge([pointer("x", 1), pointer("y", 3)], new Map([[logA, 3]]))
    })
  ).pipe(Effect.andThen(kept(folder)))

describe("SqliteRecordIndex", () => {
  const Pointers = Schema.Array(
    Schema.Struct({
      namespace: Schema.Literals(["", "ns", "é"]),
      key: Schema.Literals(["", "k", "k\u0000", "\uffee", "🦑"]),
      log: Schema.Literals(["a@00000000000000ff", "B@00000000000000aa", "a.b@00000000000000aa", "a@00000000000000aa"]),
      seq: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })),
      wallTime: Schema.Literals([0, 1, 2 ** 48 - 1]),
      logical: Schema.Literals([0, 1, 2 ** 32 - 1]),
      tie: Schema.Literals(["0000000000000001", "0fffffffffffffff", "f000000000000000"])
    })
  ).check(Schema.isMaxLength(60))

  it.effect.prop(
    "holds the newest write of every key, whatever order they come in, as the index in memory does",
    [Pointers, Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 }))],
    ([drawn, step]) =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: a })
        const memory = yield* RecordIndex.makeMemory
        const index = yield* openIndex(folder, store)
        const pointers = drawn.map(({ wallTime, logical, log, tie, ...rest }) => ({
          ...rest,
          log: log as LogId.LogId,
          clock: { wallTime, logical },
          tie: tie as RunId.RunId,
          deleted: rest.seq % 2 === 0
        }))
        for (let i = 0; i < pointers.length; i += step) {
          const part = new Map(pointers.slice(i, i + step).map((one) => [RecordKey.keyOf(one.namespace, one.key), one]))
          const progress = new Map([...part.values()].map(({ log, seq }) => [log, seq] as const))
          yield* index.merge([...part.values()], progress)
        }
        // The same writes, in the other order and one by one.
        for (const one of pointers.toReversed()) yield* memory.merge([one], new Map())
        // `merge` takes one pointer per key, so the parts above may have dropped some: merge those too.
        for (const one of pointers) yield* index.merge([one], new Map())
        assert.deepStrictEqual(yield* all(index), yield* all(memory))
        for (const { namespace, key } of pointers) {
          assert.deepStrictEqual(yield* index.get(namespace, key), yield* memory.get(namespace, key))
        }
        for (const limit of [1, 2, 3]) {
          const pages: Array<RecordIndex.Pointer> = []
          while (true) {
            const page = yield* index.scan({ ...after(pages.at(-1)), limit })
            if (page.length === 0) break
            pages.push(...page)
          }
          assert.deepStrictEqual(pages, [...(yield* all(memory))])
        }
      }).pipe(Effect.scoped),
    { timeout: 60_000 }
  )

  it.effect("orders writes of the same time by the name of the log, then by the place in it", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const rising = [pointer("x", 7, 1, logA), pointer("x", 8, 1, logA), pointer("x", 1, 1, logB)]
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          // The greater name comes first, so that the order of arrival does not happen to be the right one.
          yield* index.merge([pointer("w", 1, 1, logB)], new Map())
          for (const order of [rising, rising.toReversed()]) {
            for (const one of order) yield* index.merge([one], new Map())
            assert.deepStrictEqual(yield* index.get("ns", "x"), Option.some(rising[2]!))
          }
          for (const seq of [2, 3, 2]) yield* index.merge([pointer("w", seq, 1, logB)], new Map())
          assert.deepStrictEqual(yield* index.get("ns", "w"), Option.some(pointer("w", 3, 1, logB)))
        })
      )
    })
  )

  it.effect("records progress with the pointers, and answers none for what it does not know", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* index.progress, new Map())
          assert.deepStrictEqual(yield* index.get("ns", "x"), Option.none())
          yield* index.merge([pointer("x", 1)], new Map())
          assert.deepStrictEqual(yield* index.progress, new Map())
          yield* index.merge(
            [],
            new Map([
              [logA, 4],
              [logB, 2]
            ])
          )
          yield* index.merge([], new Map([[logA, 5]]))
          assert.deepStrictEqual(
            yield* index.progress,
            new Map([
              [logA, 5],
              [logB, 2]
            ])
          )
          assert.deepStrictEqual(yield* index.scan({ limit: 0 }), [])
        })
      )
    })
  )

  it.effect("merges all or nothing", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          const bad = { ...pointer("z", 1), seq: "not a number" as unknown as number }
          const progress = new Map([[logB, 1]])
          yield* Effect.flip(index.merge([pointer("x", 1, 1, logB), bad], progress))
          assert.deepStrictEqual(yield* all(index), [])
          assert.deepStrictEqual(yield* index.progress, new Map())
          yield* index.merge([pointer("x", 1, 1, logB)], progress)
          assert.deepStrictEqual(yield* all(index), [pointer("x", 1, 1, logB)])
          assert.deepStrictEqual(yield* index.progress, progress)
        })
      )
    })
  )

  it.effect("fails with corrupt where a row says what was not merged", () =>
    Effect.forEach(
      [
        "UPDATE pointer SET deleted = 1 WHERE key = 'x'",
        "UPDATE pointer SET wall_time = wall_time + 4096 WHERE key = 'x'",
        "UPDATE pointer SET seq = seq + 1 WHERE key = 'x'",
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

  it.effect("does not fall over a key that is no well-formed text, which no entry has", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          yield* index.merge([pointer("a", 1)], new Map())
          assert.deepStrictEqual(yield* index.getAll([{ namespace: "ns", key: "a\udc00" }]), [undefined])
          assert.lengthOf(yield* all(index), 1)
        })
      )
    })
  )

  it.effect("keeps everything over a reopen", () => Effect.flatMap(filled, kept))

  it.live(
    "keeps what was merged over kill -9",
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const writer = yield* child("program.ts", ["index", folder])
        yield* writer.printed(200)
        yield* writer.kill
        const acked = Number(writer.lines.at(-1))
        yield* using(folder, (index, store, logged) =>
          Effect.gen(function* () {
            // Without the name of the run of the operating system, an index left open is not trusted.
            if (!fs.existsSync("/proc/sys/kernel/random/boot_id")) return assert.lengthOf(logged, 1)
            assert.deepStrictEqual(logged, [])
            const [head] = yield* store.watermarks
            const covered = (yield* index.progress).get(head!.log)!
            assert.isAtLeast(covered, acked)
            assert.lengthOf(yield* all(index), covered)
          })
        )
      }),
    120_000
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
      fs.rmSync(path.join(folder, "log.db"))
      yield* using(folder, (_, store) => store.append(firstBatch(logA, ["1", "2", "3"]))).pipe(
        Effect.andThen(Effect.sync(() => change(folder, "UPDATE store SET incarnation = '0000000000000000'")))
      )
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
      const folder = yield* tempFolder
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
