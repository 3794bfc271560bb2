/** A disk that is nearly full: puts are refused, all else goes on, and it ends by itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type QuorumWriter } from "../src/index.ts"
import type { ReplicaStore } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { failure } from "./support/time.ts"

const put = (key: string, value = "v") => Entry.put("notes", key, value)
const [mib, gib] = [1024 * 1024, 1024 * 1024 * 1024]

/** A replica set of which the first has a disk of its own. */
const withDisk = Effect.fnUntraced(function* (
  ids: string,
  w: number,
  replica: { readonly reserveBytes?: number } = {}
) {
  const cluster = yield* Cluster.make([...ids], w)
  const disk: { left: number; of: number; free: number; error?: ReplicaStore.StoreError } = {
    left: 10 * gib,
    of: 100 * gib,
    free: 0
  }
  const store = yield* cluster.storeOf("a")
  let looked = 0
  cluster.stores.set("a", {
    ...store,
    space: Effect.suspend(() => {
      looked++
      const { error, free, left, of } = disk
      return error === undefined ? Effect.succeed({ taken: 0, free, limit: { left, of } }) : Effect.fail(error)
    })
  })
  const replicas = yield* Effect.forEach([...ids], (id) => cluster.start(id, id === "a" ? { replica } : {}))
  yield* TestClock.adjust(1000)
  const left = (bytes: number) =>
    Effect.andThen(
      Effect.sync(() => void (disk.left = bytes)),
      TestClock.adjust(1000)
    )
  return { cluster, disk, left, a: replicas[0]!, b: replicas[1]!, looked: () => looked }
})

describe("a disk that is nearly full", () => {
  it.effect("has a put refused, and says what is left and what is kept; it ends when there is room again", () =>
    Effect.gen(function* () {
      const { a, left } = yield* withDisk("a", 1)
      yield* a.writer.commit(put("k"))
      yield* left(64 * mib)
      yield* a.writer.commit(put("k"))
      // The write took some of what was left.
      const error = yield* failure(a.writer.commit(put("k")), "DiskLow")
      assert.strictEqual(error.reserveBytes, 64 * mib)
      assert.isBelow(error.leftBytes, 64 * mib)
      assert.isAbove(error.leftBytes, 64 * mib - 200)
      assert.deepStrictEqual(a.status().room, { left: error.leftBytes, reserve: 64 * mib, refusing: true })
      yield* left(72 * mib - 1)
      yield* failure(a.writer.commit(put("k")), "DiskLow")
      yield* left(72 * mib)
      yield* a.writer.commit(put("k"))
      assert.deepInclude(a.status().room, { reserve: 64 * mib, refusing: false })
      assert.strictEqual(a.logs.head(a.logs.own).seq, 3)
    })
  )

  it.effect(
    "is low from when less than the reserve is left until there is more again, whether or not anybody asks",
    () =>
      Effect.gen(function* () {
        const { a, left } = yield* withDisk("a", 1)
        yield* left(64 * mib - 1)
        yield* left(72 * mib - 1)
        assert.deepStrictEqual(a.status().room, { left: 72 * mib - 1, reserve: 64 * mib, refusing: true })
        yield* failure(a.writer.commit(put("k")), "DiskLow")
        yield* left(72 * mib)
        yield* left(64 * mib)
        assert.deepStrictEqual(a.status().room, { left: 64 * mib, reserve: 64 * mib, refusing: false })
        // What is appended counts at once: deletes go on, and after the first there is less than the reserve.
        yield* a.writer.commit(Entry.remove("notes", "k"))
        yield* failure(a.writer.commit(put("k")), "DiskLow")
      })
  )

  it.effect("takes deletes, with the key of their caller too, and stamps, and repeats of what it holds", () =>
    Effect.gen(function* () {
      const { a, left } = yield* withDisk("a", 1)
      const key: QuorumWriter.WriteOptions = { idempotencyKey: "once" }
      const first = yield* a.writer.commit(put("k"), key)
      yield* left(mib)
      assert.strictEqual((yield* a.writer.commit(put("k"), key)).writeId, first.writeId)
      yield* failure(a.writer.commit(put("k"), { idempotencyKey: "twice" }), "DiskLow")
      yield* failure(a.writer.commit([Entry.remove("notes", "k"), put("l")]), "DiskLow")
      yield* failure(a.writer.commit(Entry.put("notes.idempotency", "once", "v")), "DiskLow")
      const stamp = yield* a.writer.stamp({ namespace: "notes", key: "k" })
      yield* failure(a.writer.commit(put("k"), { stamp }), "DiskLow")
      yield* a.writer.commit(Entry.remove("notes", "k"), { stamp })
      yield* a.writer.commit(Entry.remove("notes", "k"), { idempotencyKey: "thrice" })
      yield* a.writer.commit([Entry.remove("notes", "k"), Entry.remove("notes", "l")])
    })
  )

  it.effect("takes what its peers write, and what it lacks", () =>
    Effect.gen(function* () {
      const { a, b, cluster, left } = yield* withDisk("ab", 2)
      yield* left(mib)
      yield* failure(a.writer.commit(put("k")), "DiskLow")
      yield* b.writer.commit(put("pushed"))
      cluster.cut("b", "a")
      cluster.cut("a", "b")
      yield* failure(b.writer.commit(put("pulled")), "QuorumNotMet").pipe(
        Effect.forkChild,
        Effect.andThen(TestClock.adjust(3000))
      )
      cluster.heal()
      yield* TestClock.adjust(10_000)
      for (const name of ["pushed", "pulled"]) assert.isTrue(Option.isSome(yield* a.records.read("notes", name)), name)
      yield* failure(a.writer.commit(put("k")), "DiskLow")
    })
  )

  it.effect("compacts its logs, and what is free in them counts as room", () =>
    Effect.gen(function* () {
      const { a, disk, left } = yield* withDisk("a", 1)
      for (let i = 0; i < 3; i++) yield* a.writer.commit(put("k", `v${i}`))
      yield* left(mib)
      yield* failure(a.writer.commit(put("k")), "DiskLow")
      assert.isAbove((yield* a.compaction.now).last!.erasedBytes, 0)
      disk.free = 72 * mib
      yield* TestClock.adjust(1000)
      yield* a.writer.commit(put("k"))
    })
  )

  it.effect("keeps a sixteenth of a small disk, what it is told to keep, or nothing", () =>
    Effect.gen(function* () {
      const small = yield* withDisk("a", 1)
      small.disk.of = 160 * mib
      yield* small.left(10 * mib)
      assert.deepStrictEqual(small.a.status().room, { left: 10 * mib, reserve: 10 * mib, refusing: false })
      yield* small.left(10 * mib - 1)
      assert.isTrue(small.a.status().room.refusing)
      const told = yield* withDisk("a", 1, { reserveBytes: gib })
      yield* told.left(gib - 1)
      assert.deepStrictEqual(told.a.status().room, { left: gib - 1, reserve: gib, refusing: true })
      const none = yield* withDisk("a", 1, { reserveBytes: 0 })
      yield* none.left(0)
      assert.deepStrictEqual(none.a.status().room, { left: 0, reserve: 0, refusing: false })
      yield* none.a.writer.commit(put("k"))
    })
  )

  it.effect("is looked at once a second, and a store that cannot say leaves things as they were", () =>
    Effect.gen(function* () {
      const { a, disk, left, looked } = yield* withDisk("a", 1)
      yield* left(mib)
      disk.error = { _tag: "StoreError" } as ReplicaStore.StoreError
      const before = looked()
      for (let i = 0; i < 100; i++) yield* Effect.ignore(a.writer.commit(put("k")))
      yield* TestClock.adjust(10_000)
      assert.strictEqual(looked() - before, 10)
      assert.deepStrictEqual(a.status().room, { left: mib, reserve: 64 * mib, refusing: true })
      const { a: unbounded } = yield* Cluster.running("a", 1)
      assert.deepStrictEqual(unbounded.status().room, { left: null, reserve: null, refusing: false })
    })
  )
})
