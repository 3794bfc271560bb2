/** Large batches, as catch-up brings them, and the rows they are cut into. */
import { assert, describe, it } from "@effect/vitest"
import { EntryBatch, type ReplicaStore } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import * as path from "node:path"
import { DatabaseSync, StatementSync } from "node:sqlite"
import { afterEach, vi } from "vitest"
import { batchAfter, firstBatch, logA, openClosable, tempFolder, using } from "./support/store.ts"

const kibibyte = new Uint8Array(1000)

const prepared = Effect.gen(function* () {
  const folder = yield* tempFolder
  const [store, close] = yield* openClosable(folder)
  const one = firstBatch(logA, ["1"])
  yield* store.append(one)
  return { folder, store, close, one, large: batchAfter(EntryBatch.watermark(one), Array(300).fill(kibibyte)) }
})

describe("a large batch", () => {
  afterEach(() => void vi.restoreAllMocks())

  it.effect("is held whole, over a reopen too, and reading one entry of it reads no more than a small part", () =>
    Effect.gen(function* () {
      const { close, folder, large, store } = yield* prepared
      assert.deepStrictEqual(yield* store.append(large), EntryBatch.watermark(large))
      const check = (store: ReplicaStore.ReplicaStore["Service"]) =>
        Effect.gen(function* () {
          const all = Option.getOrThrow(yield* store.read(logA, 1, 1 << 20))
          assert.deepStrictEqual({ ...all, bytes: undefined }, { ...large, bytes: undefined })
          assert.isTrue(Buffer.from(all.bytes).equals(large.bytes))
          assert.deepStrictEqual(yield* store.append(large), EntryBatch.watermark(large))
          for (const seq of [2, 150, 301]) {
            assert.strictEqual(Option.getOrThrow(yield* store.read(logA, seq - 1, 1)).count, 1)
          }
        })
      yield* check(store)
      yield* close
      // Whoever reads one entry reads and checks its row.
      const db = new DatabaseSync(path.join(folder, "log.db"))
      const { largest } = db.prepare("SELECT max(length(bytes)) AS largest FROM batch_1").get() as { largest: number }
      db.close()
      assert.isBelow(largest, 4000)
      yield* using(folder, check)
    })
  )

  it.effect("is looked at and checked once, however many of its entries are read lately", () =>
    Effect.gen(function* () {
      const { close, large, store } = yield* prepared
      yield* store.append(large)
      const looked = vi.spyOn(StatementSync.prototype, "get")
      const looks = (): number => {
        const { length } = looked.mock.calls
        looked.mockClear()
        return length
      }
      const read = (seq: number) =>
        Effect.map(store.read(logA, seq - 1, 1), (batch) => assert.strictEqual(Option.getOrThrow(batch).from, seq))
      // Three entries of a kibibyte to a row.
      yield* Effect.forEach([11, 12, 13, 12, 11, 12], read)
      assert.isAtMost(looks(), 2)
      for (const seq of [11, 12]) {
        const chain = Option.getOrThrow(yield* store.chainAt(logA, seq))
        assert.strictEqual(chain, EntryBatch.chainAt(large, seq))
      }
      assert.strictEqual(looks(), 0)
      // Only few are kept: the others are read again.
      for (let seq = 2; seq <= 301; seq++) yield* read(seq)
      looks()
      yield* read(11)
      assert.strictEqual(looks(), 1)
      yield* close
    })
  )

  it.effect("is held not at all when one of its rows cannot be written", () =>
    Effect.gen(function* () {
      const { close, folder, large, one, store } = yield* prepared
      const run = StatementSync.prototype.run
      let calls = 0
      vi.spyOn(StatementSync.prototype, "run").mockImplementation(function (
        this: StatementSync,
        ...args: Array<unknown>
      ) {
        if (++calls === 5) {
          throw Object.assign(new Error("database or disk is full"), { code: "ERR_SQLITE_ERROR", errcode: 13 })
        }
        return Reflect.apply(run, this, args)
      })
      const error = yield* Effect.flip(store.append(large))
      assert.strictEqual((error as ReplicaStore.StoreError).reason, "disk_full")
      assert.deepStrictEqual(yield* store.watermarks, [EntryBatch.watermark(one)])
      assert.isTrue(Option.isNone(yield* store.read(logA, 1, 1 << 20)))
      assert.deepStrictEqual(yield* store.append(large), EntryBatch.watermark(large))
      yield* close
      yield* using(folder, (store) =>
        Effect.map(store.watermarks, (held) => assert.deepStrictEqual(held, [EntryBatch.watermark(large)]))
      )
    })
  )
})
