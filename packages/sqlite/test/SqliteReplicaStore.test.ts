import { assert, describe, it } from "@effect/vitest"
import { Entry, HybridLogicalClock, ReplicaId } from "@quorum/core"
import { Chain, EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { StatementSync } from "node:sqlite"
import { afterEach, vi } from "vitest"
import {
  batchAfter,
  fileOf,
  firstBatch,
  logA,
  logB,
  open,
  openClosable,
  tempFolder,
  using,
  valuesOf
} from "./support/store.ts"

afterEach(() => void vi.restoreAllMocks())

const head = (store: ReplicaStore.ReplicaStore["Service"], log = logA) =>
  Effect.map(store.watermarks, (all) => all.find((watermark) => watermark.log === log) ?? Watermark.none(log))

describe("SqliteReplicaStore", () => {
  it.effect("keeps everything over a reopen", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const one = firstBatch(logA, ["1", "2", "3"])
      const two = batchAfter(EntryBatch.watermark(one), ["4"])
      const other = firstBatch(logB, ["x"])
      yield* using(folder, (store) => Effect.forEach([one, other, two], store.append))
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* store.watermarks, [EntryBatch.watermark(two), EntryBatch.watermark(other)])
          assert.deepStrictEqual(yield* valuesOf(store, logA), { values: ["1", "2", "3", "4"], chain: two.chain })
          assert.deepStrictEqual(yield* valuesOf(store, logB), { values: ["x"], chain: other.chain })
          const next = batchAfter(EntryBatch.watermark(two), ["5"])
          assert.deepStrictEqual(yield* store.append(next), EntryBatch.watermark(next))
        })
      )
      yield* using(folder, (store) => Effect.map(head(store), ({ seq }) => assert.strictEqual(seq, 5)))
    })
  )

  it.effect("leaves nothing beside the file when it is closed but the room of its write-ahead log", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (store) => store.append(firstBatch(logA, ["1"])))
      assert.deepStrictEqual(fs.readdirSync(folder), ["log.db", "log.db-wal"])
      assert.isTrue(fs.readFileSync(`${fileOf(folder)}-wal`).every((byte) => byte === 0))
    })
  )

  it.effect("acks a repeated batch and a repeated beginning again, and appends the rest", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const batch = firstBatch(logA, ["1", "2", "3", "4"])
      const beginning = EntryBatch.take(batch, batch.bytes.length / 2)
      assert.strictEqual(beginning.count, 2)
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          yield* store.append(beginning)
          assert.deepStrictEqual(yield* store.append(beginning), EntryBatch.watermark(beginning))
          assert.deepStrictEqual(yield* store.append(batch), EntryBatch.watermark(batch))
          assert.deepStrictEqual(yield* store.append(beginning), EntryBatch.watermark(beginning))
          assert.deepStrictEqual(yield* head(store), EntryBatch.watermark(batch))
        })
      )
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* store.append(batch), EntryBatch.watermark(batch))
          assert.deepStrictEqual((yield* valuesOf(store, logA)).values, ["1", "2", "3", "4"])
        })
      )
    })
  )

  it.effect("refuses a gap with the head that it has, and holds nothing of it", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const one = firstBatch(logA, ["1", "2"])
      const two = batchAfter(EntryBatch.watermark(one), ["3"])
      const three = batchAfter(EntryBatch.watermark(two), ["4"])
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          const unknown = yield* Effect.flip(store.append(two))
          assert.deepStrictEqual(unknown, new ReplicaStore.AppendGap({ head: Watermark.none(logA) }))
          yield* store.append(one)
          const gap = yield* Effect.flip(store.append(three))
          assert.deepStrictEqual(gap, new ReplicaStore.AppendGap({ head: EntryBatch.watermark(one) }))
        })
      )
      yield* using(folder, (store) =>
        Effect.map(store.watermarks, (all) => assert.deepStrictEqual(all, [EntryBatch.watermark(one)]))
      )
    })
  )

  it.effect("refuses drift wherever it is, and never overwrites", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const one = firstBatch(logA, ["1", "2", "3"])
      const two = batchAfter(EntryBatch.watermark(one), ["4", "5"])
      const atHead = batchAfter({ ...EntryBatch.watermark(two), chain: one.chain }, ["6"])
      const atBoundary = batchAfter({ ...EntryBatch.watermark(one), chain: Chain.empty }, ["4", "5", "6"])
      const inside = batchAfter({ log: logA, seq: 1, chain: one.chain }, ["2", "3"])
      const overlap = firstBatch(logA, ["1", "other", "3"])
      const longer = firstBatch(logA, ["1", "2", "3", "4", "other", "6"])
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          yield* store.append(one)
          yield* store.append(two)
          for (const [batch, seq] of [
            [atHead, 5],
            [atBoundary, 3],
            [inside, 1],
            [overlap, 3],
            [longer, 5]
          ] as const) {
            const error = yield* Effect.flip(store.append(batch))
            assert.deepStrictEqual(error, new ReplicaStore.AppendDrift({ log: logA, seq }))
          }
        })
      )
      yield* using(folder, (store) =>
        Effect.map(valuesOf(store, logA), (held) =>
          assert.deepStrictEqual(held, { values: ["1", "2", "3", "4", "5"], chain: two.chain })
        )
      )
    })
  )

  it.effect("answers reads and chains as the store in memory does, for every place and size", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const memory = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
      const store = yield* open(folder)
      let at = Watermark.none(logA)
      for (const count of [1, 3, 1, 5, 2]) {
        const batch = batchAfter(
          at,
          Array.from({ length: count }, (_, i) => "x".repeat(7 * (at.seq + i)))
        )
        at = yield* store.append(batch)
        yield* memory.append(batch)
      }
      for (let seq = 0; seq <= 13; seq++) {
        assert.deepStrictEqual(yield* store.chainAt(logA, seq), yield* memory.chainAt(logA, seq))
        for (let maxBytes = 0; maxBytes < 1300; maxBytes += 13) {
          const page = yield* store.read(logA, seq, maxBytes)
          assert.deepStrictEqual(page, yield* memory.read(logA, seq, maxBytes), `after ${seq}, ${maxBytes} bytes`)
          if (Option.isSome(page)) EntryBatch.validate(page.value)
        }
      }
      assert.deepStrictEqual(yield* store.chainAt(logB, 0), Option.some(Chain.empty))
      assert.deepStrictEqual(yield* store.chainAt(logB, 1), Option.none())
      assert.deepStrictEqual(yield* store.read(logB, 0, 100), Option.none())
    })
  )

  it.effect("appends slices in any cut, and reads them in any page size", () =>
    Effect.gen(function* () {
      const values = Array.from({ length: 40 }, (_, i) => `${i}`.repeat(1 + (i % 9)))
      const whole = firstBatch(logA, values)
      for (const size of [1, 100, 333]) {
        const folder = yield* tempFolder
        const store = yield* open(folder)
        let held = 0
        while (held < values.length) {
          const slice = EntryBatch.take(EntryBatch.after(whole, Math.max(0, held - 1)), size + 50)
          held = (yield* store.append(EntryBatch.last(slice) > held ? slice : EntryBatch.after(whole, held))).seq
        }
        for (const page of [1, 64, 500, 1e6]) {
          assert.deepStrictEqual(yield* valuesOf(store, logA, page), { values, chain: whole.chain })
        }
      }
    })
  )

  it.effect("holds a value of 1 MiB, an empty value, a delete and Unicode keys", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const large = new Uint8Array(1 << 20).map((_, i) => i * 31)
      const keys = ["", "é", "日本語", "🦑", "a\u0000b", "\u{10ffff}"]
      const writes = [
        Entry.put("ns", "large", large),
        Entry.put("ns", "empty", ""),
        Entry.remove("ns", "gone"),
        ...keys.map((key) => Entry.put("名前", key, key))
      ]
      const { batch } = EntryBatch.encode(Watermark.none(logA), writes, HybridLogicalClock.zero, 1)
      yield* using(folder, (store) => store.append(batch))
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          const read = Option.getOrThrow(yield* store.read(logA, 0, 1 << 24))
          const entries: Array<Entry.Write> = []
          EntryBatch.forEach(read, (_, offset) => entries.push(...Entry.decodeAt(read.bytes, offset).records))
          assert.deepStrictEqual(
            entries.map(({ kind, namespace, key, value }) => ({ kind, namespace, key, value: Buffer.from(value) })),
            writes.map((write) => ({ ...write, value: Buffer.from(write.value) }))
          )
          const part = Option.getOrThrow(yield* store.read(logA, 1, 1))
          assert.isBelow(part.bytes.buffer.byteLength, 1000, "a small part keeps no large row in memory")
        })
      )
    })
  )

  it.effect("keeps its identity over a reopen, and every new store has another incarnation", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const identity = yield* using(folder, (store) => Effect.succeed(store.identity))
      assert.deepStrictEqual({ ...identity, incarnation: "" }, { cluster: "test", replica: "a", incarnation: "" })
      assert.match(identity.incarnation, /^[0-9a-f]{16}$/)
      assert.deepStrictEqual(yield* using(folder, (store) => Effect.succeed(store.identity)), identity)
      const other = yield* using(path.join(folder, "new", "folder"), (store) => Effect.succeed(store.identity))
      assert.notStrictEqual(other.incarnation, identity.incarnation)
    })
  )

  it.effect("says whose the store is when it belongs to another replica or replica set", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (store) => store.append(firstBatch(logA, ["1"])))
      const others: ReadonlyArray<{ cluster?: string; replica?: ReplicaId.ReplicaId }> = [
        { replica: ReplicaId.make("b") },
        { cluster: "other" }
      ]
      for (const other of others) {
        const error = yield* Effect.flip(open(folder, other))
        assert.strictEqual(error.reason, "wrong_identity")
        const asked = { cluster: "test", replica: "a", ...other }
        assert.include(error.detail, `${fileOf(folder)} belongs to replica a of "test"`)
        assert.include(error.detail, `opened for replica ${asked.replica} of "${asked.cluster}"`)
      }
      yield* using(folder, (store) => Effect.map(head(store), ({ seq }) => assert.strictEqual(seq, 1)))
    })
  )

  it.effect("fails every call with unavailable after it was closed", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const [store, close] = yield* openClosable(folder)
      yield* store.append(firstBatch(logA, ["1"]))
      yield* close
      for (const call of [
        store.append(firstBatch(logA, ["1"])),
        store.append(firstBatch(logB, ["1"])),
        store.read(logA, 0, 1),
        store.chainAt(logA, 1),
        store.watermarks
      ]) {
        const error = yield* Effect.flip(call as Effect.Effect<unknown, ReplicaStore.StoreError>)
        assert.strictEqual(error.reason, "unavailable")
        assert.include(error.detail, "was closed")
      }
    })
  )

  it.effect("fails with disk_full, holds nothing of the batch, and goes on when there is room", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const small = firstBatch(logA, ["1"])
      const large = batchAfter(EntryBatch.watermark(small), ["2", new Uint8Array(1 << 20)])
      const next = batchAfter(EntryBatch.watermark(small), ["2"])
      yield* Effect.scoped(
        Effect.gen(function* () {
          const store = yield* open(folder, { maxBytes: 200_000 })
          yield* store.append(small)
          const error = yield* Effect.flip(store.append(large))
          assert.strictEqual((error as ReplicaStore.StoreError).reason, "disk_full")
          assert.include(error.message, fileOf(folder))
          yield* Effect.flip(store.append(firstBatch(logB, [new Uint8Array(1 << 20)])))
          assert.deepStrictEqual(yield* store.watermarks, [EntryBatch.watermark(small)])
          assert.deepStrictEqual(yield* store.read(logB, 0, 1), Option.none())
          assert.deepStrictEqual(yield* valuesOf(store, logA), { values: ["1"], chain: small.chain })
          assert.deepStrictEqual(yield* store.append(next), EntryBatch.watermark(next))
        })
      )
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* store.watermarks, [EntryBatch.watermark(next)])
          assert.deepStrictEqual((yield* valuesOf(store, logA)).values, ["1", "2"])
          yield* store.append(firstBatch(logB, ["b"]))
          const more = batchAfter(EntryBatch.watermark(next), [new Uint8Array(1 << 20)])
          assert.deepStrictEqual(yield* store.append(more), EntryBatch.watermark(more))
        })
      )
    })
  )

  describe("when a commit fails without saying whether it happened", () => {
    /** Makes the next runs of any statement fail, as an fsync does unless told otherwise. */
    const failRuns = (times: number, first: (original: () => unknown) => void, errcode = 1034) => {
      const run = StatementSync.prototype.run
      let calls = 0
      vi.spyOn(StatementSync.prototype, "run").mockImplementation(function (
        this: StatementSync,
        ...args: Array<unknown>
      ) {
        const original = () => Reflect.apply(run, this, args)
        // What comes before the commit fails without leaving open what happened.
        if (/^(BEGIN|INSERT)/.test(this.sourceSQL)) return original()
        if (calls++ >= times) return original()
        if (calls === 1) first(original)
        throw Object.assign(new Error("disk I/O error"), { code: "ERR_SQLITE_ERROR", errcode })
      })
    }
    const prepared = Effect.gen(function* () {
      const folder = yield* tempFolder
      const [store, close] = yield* openClosable(folder)
      const one = firstBatch(logA, ["1"])
      yield* store.append(one)
      return { folder, store, close, one, two: batchAfter(EntryBatch.watermark(one), ["lost"]) }
    })

    it.effect("undoes it, fails, and goes on", () =>
      Effect.gen(function* () {
        const { folder, store, close, one, two } = yield* prepared
        failRuns(1, () => {})
        const error = yield* Effect.flip(store.append(two))
        assert.strictEqual((error as ReplicaStore.StoreError).reason, "unavailable")
        assert.deepStrictEqual(yield* head(store), EntryBatch.watermark(one))
        const other = batchAfter(EntryBatch.watermark(one), ["other"])
        assert.deepStrictEqual(yield* store.append(other), EntryBatch.watermark(other))
        yield* close
        yield* using(folder, (store) =>
          Effect.map(valuesOf(store, logA), ({ values }) => assert.deepStrictEqual(values, ["1", "other"]))
        )
      })
    )

    it.effect("refuses everything when the undoing fails too", () =>
      Effect.gen(function* () {
        const { folder, store, close, one, two } = yield* prepared
        failRuns(2, () => {})
        const first = (yield* Effect.flip(store.append(two))) as ReplicaStore.StoreError
        assert.strictEqual(first.reason, "uncertain")
        assert.include(first.detail, "entries 2 to 2 of a@00000000000000aa are held is not known")
        // They were never tried, so nobody may think that they might have happened.
        for (const call of [store.append(two), store.append(one), store.watermarks]) {
          const error = yield* Effect.flip(call as Effect.Effect<unknown, ReplicaStore.StoreError>)
          assert.strictEqual(error.reason, "unavailable")
          assert.include(error.detail, "check the disk, then restart")
        }
        yield* close
        yield* using(folder, (store) => Effect.map(head(store), ({ seq }) => assert.strictEqual(seq, 1)))
      })
    )

    it.effect("has nothing to undo when there was no room, which a full disk would not allow", () =>
      Effect.gen(function* () {
        const { store, close, two } = yield* prepared
        failRuns(2, () => {}, 13)
        for (let i = 0; i < 2; i++) {
          const error = yield* Effect.flip(store.append(two))
          assert.strictEqual((error as ReplicaStore.StoreError).reason, "disk_full")
        }
        assert.deepStrictEqual(yield* store.append(two), EntryBatch.watermark(two))
        yield* close
      })
    )

    it.effect("refuses everything when the batch turns out to be held", () =>
      Effect.gen(function* () {
        const { store, close, two } = yield* prepared
        failRuns(1, (original) => void original())
        const error = yield* Effect.flip(store.append(two))
        assert.include(error.message, "is not known")
        assert.strictEqual((yield* Effect.flip(store.watermarks)).reason, "unavailable")
        yield* close
      })
    )
  })

  it.effect("lets the write-ahead log be reset although reads stopped in the middle", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const store = yield* open(folder)
      let at = Watermark.none(logA)
      for (let i = 0; i < 60; i++) {
        at = yield* store.append(batchAfter(at, [new Uint8Array(200_000)]))
        yield* store.read(logA, 0, 1)
        yield* store.chainAt(logA, 1)
      }
      assert.isBelow(fs.statSync(`${fileOf(folder)}-wal`).size, 6_000_000)
    })
  )
})
