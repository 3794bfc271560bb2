/** A store that is opened elsewhere, or after another boot of the machine. */
import { assert, describe, it } from "@effect/vitest"
import { EntryBatch, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { LogId, ReplicaSet } from "@quorum/core"
import { Effect, Layer, Option } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Place from "../src/internal/place.ts"
import { SqliteInspection, SqliteStore } from "../src/index.ts"
import { a, batchAfter, child, fileOf, firstBatch, logA, open, tempFolder, valuesOf } from "./support/store.ts"

/** What a start finds; `after` is done before it is closed again. */
const start = (
  folder: string,
  {
    after = () => Effect.void,
    boot = "first"
  }: { boot?: string; after?: (store: Store) => Effect.Effect<void, unknown> }
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const store = yield* Effect.provideService(open(folder), Place.Boot, boot)
      const { doubt, identity } = store
      const recovering = Option.getOrUndefined(yield* store.note(ReplicaStore.recoveringNote))
      yield* after(store)
      return { doubt, incarnation: identity.incarnation, recovering }
    })
  )

/** Puts another file under a name. */
const replaceBy = (file: string, bytes: Uint8Array): void => {
  fs.writeFileSync(`${file}-new`, bytes)
  fs.renameSync(`${file}-new`, file)
}

type Store = ReplicaStore.ReplicaStore["Service"]
const found = (store: Store) => store.setNotes({ [ReplicaStore.recoveringNote]: "" })

/** A store that its replica has found to be no loss. */
const founded = Effect.gen(function* () {
  const folder = path.join(yield* tempFolder, "store")
  const { incarnation } = yield* start(folder, {
    after: (store) => Effect.andThen(found(store), store.append(firstBatch(logA, ["1", "2"])))
  })
  return { folder, incarnation }
})

describe("L53 a store that is opened again", () => {
  it.effect("is blank until its replica says otherwise, however often it is started", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const created = yield* start(folder, {})
      assert.deepStrictEqual([created.doubt, created.recovering], ["blank", "blank"])
      assert.deepStrictEqual(yield* start(folder, { after: found }), created)
      assert.deepStrictEqual(yield* start(folder, {}), { ...created, doubt: "none", recovering: "" })
    })
  )

  it.effect("in the same place and boot goes on as it was", () =>
    Effect.gen(function* () {
      const { folder, incarnation } = yield* founded
      assert.deepStrictEqual(yield* start(folder, {}), { doubt: "none", incarnation, recovering: "" })
    })
  )

  it.effect("after another boot has a new incarnation, lacks nothing that it acknowledged, and keeps its logs", () =>
    Effect.gen(function* () {
      const { folder, incarnation } = yield* founded
      const booted = yield* start(folder, {
        boot: "second",
        after: (store) => Effect.map(valuesOf(store, logA), ({ values }) => assert.deepStrictEqual(values, ["1", "2"]))
      })
      assert.deepStrictEqual([booted.doubt, booted.recovering], ["other_boot", ""])
      assert.isTrue(booted.incarnation > incarnation)
      // Whatever took its place with a loss is newer.
      assert.isTrue(booted.incarnation < LogId.incarnationAt(0, 0, incarnation))
      assert.deepStrictEqual(yield* start(folder, { boot: "second" }), { ...booted, doubt: "none" })
    })
  )

  const moves: ReadonlyArray<readonly [string, (folder: string) => string]> = [
    ["a copy of it", (folder) => (fs.cpSync(folder, `${folder}-copy`, { recursive: true }), `${folder}-copy`)],
    [
      "an older copy of it that was put back",
      (folder) => {
        fs.cpSync(folder, `${folder}-older`, { recursive: true })
        fs.rmSync(folder, { recursive: true })
        fs.cpSync(`${folder}-older`, folder, { recursive: true })
        return folder
      }
    ],
    [
      "an older copy of its file that was put back, and has the number that the file had where numbers are given again",
      (folder) => {
        fs.copyFileSync(fileOf(folder), `${fileOf(folder)}-older`)
        fs.rmSync(fileOf(folder))
        fs.copyFileSync(`${fileOf(folder)}-older`, fileOf(folder))
        return folder
      }
    ],
    [
      "a copy of its file under the old name",
      (folder) => {
        fs.copyFileSync(fileOf(folder), `${fileOf(folder)}-copy`)
        fs.renameSync(`${fileOf(folder)}-copy`, fileOf(folder))
        return folder
      }
    ]
  ]
  for (const [what, move] of moves) {
    it.effect(`as ${what} has a new incarnation and may lack what it acknowledged, also after the next start`, () =>
      Effect.gen(function* () {
        const { folder, incarnation } = yield* founded
        const place = move(folder)
        const moved = yield* start(place, {})
        assert.deepStrictEqual([moved.doubt, moved.recovering], ["other_place", "lost"])
        assert.isTrue(moved.incarnation >= LogId.incarnationAt(0, 0, incarnation))
        assert.deepStrictEqual(yield* start(place, {}), { ...moved, doubt: "none" })
      })
    )
  }

  const logs: ReadonlyArray<readonly [string, (wal: string) => void]> = [
    ["was removed", (wal) => fs.rmSync(wal)],
    ["was replaced by an older one", (wal) => replaceBy(wal, Buffer.alloc(4096))],
    ["was replaced by a copy of it", (wal) => replaceBy(wal, fs.readFileSync(wal))]
  ]
  for (const [what, change] of logs) {
    it.live(
      `L59 RecoveringDoesNotVote: may lack what it acknowledged when its write-ahead log ${what} after a kill`,
      () =>
        Effect.gen(function* () {
          const { folder } = yield* founded
          const program = yield* child("program.ts", ["append", folder])
          yield* program.printed(3)
          yield* program.kill
          change(`${fileOf(folder)}-wal`)
          const boot = yield* Place.Boot
          const { isSamePlace } = yield* SqliteInspection.inspect({ folder })
          assert.isFalse(isSamePlace)
          const { incarnation, ...found } = yield* start(folder, { boot })
          assert.deepStrictEqual(found, { doubt: "other_place", recovering: "lost" })
          assert.deepStrictEqual(yield* start(folder, { boot }), { doubt: "none", incarnation, recovering: "lost" })
        })
    )
  }

  it.live("is in no doubt after a kill, nor when it was closed and its write-ahead log is gone", () =>
    Effect.gen(function* () {
      const { folder } = yield* founded
      const boot = yield* Place.Boot
      const program = yield* child("program.ts", ["append", folder])
      yield* program.printed(3)
      yield* program.kill
      assert.strictEqual((yield* start(folder, { boot })).doubt, "none")
      fs.rmSync(`${fileOf(folder)}-wal`)
      assert.strictEqual((yield* start(folder, { boot })).doubt, "none")
    })
  )

  it.effect("is in no doubt when its folder was renamed, which moves no file", () =>
    Effect.gen(function* () {
      const { folder, incarnation } = yield* founded
      fs.renameSync(folder, `${folder}-renamed`)
      const { doubt, ...renamed } = yield* start(`${folder}-renamed`, {})
      assert.deepStrictEqual({ doubt, incarnation: renamed.incarnation }, { doubt: "none", incarnation })
    })
  )

  it.live(
    "has its new incarnation and the note on disk before it is returned",
    () =>
      Effect.gen(function* () {
        const { folder, incarnation } = yield* founded
        const copy = `${folder}-copy`
        fs.cpSync(folder, copy, { recursive: true })
        const program = yield* child("program.ts", ["identity", copy])
        const said = yield* program.printed(1)
        yield* program.kill
        const again = yield* Effect.scoped(open(copy))
        assert.strictEqual(said, again.identity.incarnation)
        assert.isTrue(said! > incarnation)
        assert.strictEqual(again.doubt, "none")
      }),
    60_000
  )

  it.effect("keeps its index over another boot, and builds it anew elsewhere", () =>
    Effect.gen(function* () {
      const { folder, incarnation } = yield* founded
      const indexed = (folder: string, boot: string, merge: boolean) =>
        Effect.gen(function* () {
          const index = yield* RecordIndex.RecordIndex
          const store = yield* ReplicaStore.ReplicaStore
          if (merge) {
            const batch = batchAfter((yield* store.watermarks)[0]!, ["3"])
            yield* store.append(batch)
            yield* index.merge([], new Map([[logA, EntryBatch.last(batch)]]))
          }
          return [store.identity.incarnation > incarnation, (yield* index.progress).get(logA)]
        }).pipe(
          Effect.provide(Layer.fresh(SqliteStore.layer({ folder }))),
          Effect.provideService(ReplicaSet.ReplicaSet, { cluster: "test", self: a, peers: [] }),
          Effect.provideService(Place.Boot, boot),
          Effect.scoped
        )
      assert.deepStrictEqual(yield* indexed(folder, "first", true), [false, 3])
      assert.deepStrictEqual(yield* indexed(folder, "second", false), [true, 3])
      assert.deepStrictEqual(yield* indexed(folder, "second", false), [true, 3])
      fs.cpSync(folder, `${folder}-copy`, { recursive: true })
      assert.deepStrictEqual(yield* indexed(`${folder}-copy`, "second", false), [true, undefined])
    })
  )
})
