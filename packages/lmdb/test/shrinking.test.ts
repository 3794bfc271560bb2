/** What a start gives back to the file system. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, HybridLogicalClock, type LogId } from "@quorum/core"
import { EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileOf, tempFolder, using } from "./support/store.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const log = "a@00000000000000aa" as LogId.LogId
const whole = EntryBatch.encode(
  Watermark.none(log),
  Array.from({ length: 1000 }, (_, i) => Entry.put("ns", `k${i}`, new Uint8Array(3000))),
  HybridLogicalClock.zero,
  1
).batch

/** A closed store of which all but every tenth entry is erased. */
const erasedIn = Effect.fnUntraced(function* (folder: string) {
  yield* using(folder, (store) => Effect.forEach(EntryBatch.split(whole, 100_000), store.append))
  yield* using(folder, (store) =>
    Effect.gen(function* () {
      for (let at = 0; at < 1000;) {
        const page = Option.getOrThrow(yield* store.read(log, at, 100_000))
        yield* store.replace(EntryBatch.erase(page, (seq) => (seq % 10 === 0 ? "kept" : "superseded")))
        at = EntryBatch.last(page)
      }
      assert.isAbove((yield* store.space).free, 2_000_000)
    })
  )
})

const erased = Effect.tap(tempFolder, erasedIn)

const canMount = process.getuid?.() === 0 && spawnSync("mount", ["--version"]).status === 0

const sizeOf = (folder: string) => fs.statSync(fileOf(folder)).size

/** The store has what was not erased, is in no doubt, and the folder has nothing else in it. */
const isWhole = Effect.fnUntraced(function* (store: Store, folder: string) {
  assert.strictEqual(store.doubt, "blank", "it takes itself for a copy")
  assert.deepStrictEqual(yield* store.watermarks, [EntryBatch.watermark(whole)])
  const seqs: Array<number> = []
  for (let at = 0; at < 1000;) {
    const page = Option.getOrThrow(yield* store.read(log, at, 1 << 20))
    EntryBatch.forEach(page, (seq) => void seqs.push(seq))
    at = EntryBatch.last(page)
  }
  assert.deepStrictEqual(
    seqs,
    Array.from({ length: 100 }, (_, i) => 10 * (i + 1))
  )
  assert.isTrue(fs.readdirSync(folder).every((name) => !name.startsWith("small-")))
})

describe("a start of a store on LMDB", () => {
  it.live("makes a file shorter of which a third is free, and the store goes on in it, in no doubt of itself", () =>
    Effect.gen(function* () {
      const folder = yield* erased
      const before = sizeOf(folder)
      const incarnation = yield* using(folder, (store) =>
        Effect.gen(function* () {
          assert.isBelow(sizeOf(folder), before / 4)
          assert.strictEqual(fs.statSync(fileOf(folder)).mode & 0o777, 0o600)
          yield* isWhole(store, folder)
          const { free, taken } = yield* store.space
          assert.isBelow(free, taken / 3)
          return store.identity.incarnation
        })
      )
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          yield* isWhole(store, folder)
          assert.strictEqual(store.identity.incarnation, incarnation)
        })
      )
    })
  )

  it.live("makes no copy of a file that is in use", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (store) => Effect.forEach(EntryBatch.split(whole, 100_000), store.append))
      const { ino } = fs.statSync(fileOf(folder))
      yield* using(folder, (store) =>
        Effect.map(store.space, ({ free, taken }) => {
          assert.isBelow(free, taken / 3)
          assert.isAtLeast(taken - free, whole.bytes.length)
        })
      )
      assert.strictEqual(fs.statSync(fileOf(folder)).ino, ino)
    })
  )

  it.live("removes what is left of a copy that did not come to its end, and makes none then", () =>
    Effect.gen(function* () {
      const folder = yield* erased
      const before = sizeOf(folder)
      fs.writeFileSync(path.join(folder, "small-log.mdb"), "the beginning of a copy")
      yield* using(folder, (store) => isWhole(store, folder))
      assert.strictEqual(sizeOf(folder), before)
      yield* using(folder, (store) => isWhole(store, folder))
      assert.isBelow(sizeOf(folder), before / 4)
    })
  )

  it.live("leaves a file as it is without room for a copy (skipped without a mount)", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      if (!canMount || spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]).status !== 0) return
      yield* Effect.addFinalizer(() => Effect.sync(() => spawnSync("umount", ["-l", folder])))
      const store = path.join(folder, "store")
      yield* erasedIn(store)
      const before = sizeOf(store)
      const filler = path.join(folder, "filler")
      spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=4096"])
      yield* using(store, (opened) => isWhole(opened, store))
      assert.strictEqual(sizeOf(store), before)
      fs.rmSync(filler)
      yield* using(store, (opened) => isWhole(opened, store))
      assert.isBelow(sizeOf(store), before / 4)
    })
  )
})
