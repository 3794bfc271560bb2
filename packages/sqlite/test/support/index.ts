/** What the tests of the index share: one that is opened, filled and looked at. */
import { assert } from "@effect/vitest"
import type { LogId } from "@quorum/core"
import { type RecordIndex, RecordKey, ReplicaStore, RunId } from "@quorum/core/adapter"
import { Effect, Logger } from "effect"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { SqliteRecordIndex } from "../../src/index.ts"
import { firstBatch, logA, open, tempFolder } from "./store.ts"

/** What follows a key; all keys when there is none. */
export const after = (key: RecordKey.RecordKey | undefined): RecordKey.Range =>
  key === undefined ? {} : RecordKey.beyond({}, key, false)

export const indexFile = (folder: string) => path.join(folder, "index.db")

/** Opens the index of a store until the surrounding scope closes. */
export const openIndex = (folder: string, store: ReplicaStore.ReplicaStore["Service"]) =>
  Effect.provideService(SqliteRecordIndex.make({ folder }), ReplicaStore.ReplicaStore, store)

/** Opens both, uses the index, closes both. Collects what is logged. */
export const using = <A, E>(
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

export const pointer = (key: string, seq: number, wallTime = seq, log: LogId.LogId = logA): RecordIndex.Pointer => ({
  namespace: "ns",
  key,
  log,
  seq,
  clock: { wallTime, logical: 0 },
  tie: RunId.none,
  deleted: false
})

export const all = (index: RecordIndex.RecordIndex["Service"]) => index.scan({ limit: 1e6 })

/** A folder whose log A holds three entries and whose index covers them. */
export const filled = Effect.gen(function* () {
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
export const change = (folder: string, sql: string) => {
  const db = new DatabaseSync(indexFile(folder))
  db.exec(sql)
  db.close()
}

export const kept = (folder: string) =>
  using(folder, (index, _, logged) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(logged, [])
      assert.deepStrictEqual(yield* index.progress, new Map([[logA, 3]]))
      assert.deepStrictEqual(yield* all(index), [pointer("x", 1), pointer("y", 3)])
    })
  )

export const rebuilt = (folder: string, why: string) =>
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
