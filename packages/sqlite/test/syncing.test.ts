/** Writing and syncing apart: who waits for which sync, and what a disk that stands still or fails does to the rest. */
import { assert, describe, it } from "@effect/vitest"
import { EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import * as fs from "node:fs"
import * as Syncing from "../src/internal/syncing.ts"
import { batchAfter, fileOf, firstBatch, logA, logB, open, tempFolder, using, valuesOf } from "./support/store.ts"

/** A disk that syncs when it is told to. `names` are the files that were asked for, in order. */
const makeDisk = () => {
  const names: Array<string> = []
  const left: Array<() => void> = []
  let failure: Error | undefined
  let isManual = false
  let wake = (): void => {}
  return {
    names,
    /** From now on every sync waits for `next`. */
    hold: (): void => void (isManual = true),
    fail: (cause: Error): void => void (failure = cause),
    /** Ends the sync that was asked for first, as soon as there is one. */
    next: Effect.promise(async () => {
      while (left.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      left.shift()!()
    }),
    underWay: () => left.length,
    /** Waits until so many syncs were asked for. */
    asked: (count: number) =>
      Effect.promise(async () => {
        while (names.length < count) await new Promise<void>((resolve) => setImmediate(resolve))
      }),
    sync: (descriptor: number, done: (cause: Error | null) => void): void => {
      names.push(fs.readlinkSync(`/proc/self/fd/${descriptor}`).endsWith("-wal") ? "log" : "file")
      if (!isManual) return fs.fdatasync(descriptor, (cause) => done(failure ?? cause))
      left.push(() => fs.fdatasync(descriptor, (cause) => done(failure ?? cause)))
      wake()
    }
  }
}

const opened = Effect.gen(function* () {
  const folder = yield* tempFolder
  const disk = makeDisk()
  const scope = yield* Scope.make()
  const store = yield* open(folder).pipe(Effect.provideService(Syncing.Disk, disk.sync), Scope.provide(scope))
  return { folder, disk, store, steps: store.steps!, close: Scope.close(scope, Exit.void) }
})

const heads = (store: ReplicaStore.ReplicaStore["Service"]) =>
  Effect.map(store.watermarks, (all) => all.map(({ seq }) => seq))

/** Lets everything happen that waits for nothing. */
const settle = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 5)))

/** Waits until a file is shorter than so many bytes; `look` again, as what goes on under way is waited for. */
const cutTo = (size: () => number, bytes: number, look: Effect.Effect<unknown, ReplicaStore.StoreError>) =>
  Effect.gen(function* () {
    while (size() > bytes) {
      yield* look
      yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    }
  })

describe.skipIf(process.platform !== "linux")("writing and syncing", () => {
  it.effect("share syncs: one is under way, and the next covers all that came meanwhile", () =>
    Effect.gen(function* () {
      const { close, disk, store, steps } = yield* opened
      disk.hold()
      const appends: Array<Fiber.Fiber<Watermark.Watermark, unknown>> = []
      let at = Watermark.none(logA)
      for (let i = 1; i <= 5; i++) {
        const batch = batchAfter(at, [`${i}`])
        at = EntryBatch.watermark(batch)
        appends.push(yield* Effect.forkChild(store.append(batch), { startImmediately: true }))
      }
      assert.strictEqual(disk.underWay(), 1)
      assert.deepStrictEqual(yield* heads(store), [], "nothing counts as held before it was synced")
      assert.deepStrictEqual((yield* valuesOf(store, logA)).values, ["1", "2", "3", "4", "5"])
      yield* disk.next
      yield* Fiber.join(appends[0]!)
      assert.deepStrictEqual(yield* heads(store), [1], "the first sync began before the others were written")
      const late = yield* Effect.forkChild(steps.sync, { startImmediately: true })
      yield* settle
      assert.isUndefined(late.pollUnsafe(), "what was written meanwhile is not durable")
      yield* disk.next
      yield* Effect.forEach(appends, Fiber.join)
      assert.deepStrictEqual(yield* heads(store), [5])
      yield* steps.sync
      assert.deepStrictEqual(disk.names, ["log", "log"], "what is durable needs no further sync")
      yield* close
    })
  )

  it.effect("leave reads and writes alone while the disk stands still", () =>
    Effect.gen(function* () {
      const { close, disk, store, steps } = yield* opened
      const one = firstBatch(logA, ["1"])
      yield* store.append(one)
      yield* settle
      disk.hold()
      const stalled = yield* Effect.forkChild(store.append(batchAfter(EntryBatch.watermark(one), ["2"])), {
        startImmediately: true
      })
      const other = firstBatch(logB, ["x"])
      assert.deepStrictEqual(yield* steps.write(other), EntryBatch.watermark(other))
      assert.isTrue(Option.isSome(yield* store.read(logA, 0, 1)))
      assert.deepStrictEqual(yield* heads(store), [1])
      yield* disk.next
      yield* Fiber.join(stalled)
      assert.deepStrictEqual(yield* heads(store), [2])
      yield* close
    })
  )

  it.effect("L54 a sync that fails leaves all who wait uncertain, ends everything, and is not tried again", () =>
    Effect.gen(function* () {
      const { close, disk, folder, store, steps } = yield* opened
      const one = firstBatch(logA, ["1"])
      yield* store.append(one)
      yield* settle
      disk.hold()
      disk.fail(new Error("EIO: i/o error, fdatasync"))
      const two = batchAfter(EntryBatch.watermark(one), ["2"])
      const three = batchAfter(EntryBatch.watermark(two), ["3"])
      const appends = yield* Effect.forEach([two, three], (batch) =>
        Effect.forkChild(Effect.flip(store.append(batch)), { startImmediately: true })
      )
      yield* disk.next
      for (const append of appends) {
        const error = yield* Fiber.join(append)
        assert(error._tag === "StoreError")
        assert.strictEqual(error.reason, "uncertain")
        assert.include(error.detail, `syncing ${fileOf(folder)} failed (EIO`)
      }
      const calls = [store.append(two), store.append(one), steps.sync, store.watermarks, store.setNotes({ a: "b" })]
      for (const call of calls) {
        const error = yield* Effect.flip(call as Effect.Effect<unknown, ReplicaStore.StoreError>)
        assert.strictEqual(error.reason, "unavailable")
        assert.include(error.detail, "check the disk, then restart")
      }
      assert.deepStrictEqual([disk.names.length, disk.underWay()], [2, 0])
      yield* close
      yield* using(folder, (store) => Effect.map(heads(store), (seqs) => assert.deepStrictEqual(seqs, [3])))
    })
  )

  it.effect(
    "L53 a start after a sync that failed opens a new log: what was written may have been pushed, and be gone",
    () =>
      Effect.gen(function* () {
        const { close, disk, folder, store, steps } = yield* opened
        yield* store.setNotes({ [ReplicaStore.recoveringNote]: "" })
        const one = firstBatch(logA, ["1"])
        yield* steps.write(one)
        disk.fail(new Error("EIO"))
        assert.strictEqual((yield* Effect.flip(steps.sync)).reason, "uncertain")
        const { incarnation } = store.identity
        yield* close
        const started = using(folder, ({ doubt, identity, note }) =>
          Effect.map(note(ReplicaStore.recoveringNote), (recovering) => ({ doubt, recovering, ...identity }))
        )
        const found = yield* started
        // It has all that it acknowledged, and votes.
        assert.deepInclude(found, { doubt: "sync_failed", recovering: Option.some("") })
        assert.isTrue(found.incarnation > incarnation)
        assert.deepStrictEqual(yield* started, { ...found, doubt: "none" })
        assert.isFalse(fs.existsSync(`${fileOf(folder)}-unsynced`))
      })
  )

  it.effect("a note that cannot be synced is not kept, and is no append of which nobody knows", () =>
    Effect.gen(function* () {
      const { close, disk, store } = yield* opened
      disk.fail(new Error("EIO"))
      assert.strictEqual((yield* Effect.flip(store.setNotes({ a: "b" }))).reason, "unavailable")
      const { incarnation } = store.identity
      yield* Effect.flip(store.renew())
      assert.strictEqual(store.identity.incarnation, incarnation)
      yield* close
    })
  )

  it.effect("hold what is written back while a checkpoint is not durable, and while the log begins anew", () =>
    Effect.gen(function* () {
      const { close, disk, folder, store, steps } = yield* opened
      disk.hold()
      const large = firstBatch(logA, [new Uint8Array(1 << 20), new Uint8Array(1 << 20)])
      yield* steps.write(large)
      const synced = yield* Effect.forkChild(steps.sync, { startImmediately: true })
      yield* disk.next
      yield* Fiber.join(synced)
      yield* settle
      const next = batchAfter(EntryBatch.watermark(large), ["next"])
      const waiting = yield* Effect.forkChild(store.append(next), { startImmediately: true })
      for (const [i, step] of ["file", "log"].entries()) {
        yield* disk.asked(i + 2)
        yield* settle
        assert.deepStrictEqual([disk.names.at(-1), disk.underWay()], [step, 1])
        assert.isTrue(Option.isNone(yield* store.read(logA, 2, 1)), "nothing is written before that is durable")
        yield* disk.next
      }
      yield* disk.next
      assert.deepStrictEqual(yield* Fiber.join(waiting), EntryBatch.watermark(next))
      assert.deepStrictEqual(disk.names, ["log", "file", "log", "log"])
      yield* close
      yield* using(folder, (store) => Effect.map(heads(store), (seqs) => assert.deepStrictEqual(seqs, [3])))
    })
  )

  it.effect("write a few pages for one entry, however long the write-ahead log is", () =>
    Effect.gen(function* () {
      const { close, store } = yield* opened
      const written = () => Number(/^write_bytes: (\d+)$/m.exec(fs.readFileSync("/proc/self/io", "utf8"))![1])
      let at = yield* store.append(firstBatch(logA, ["1"]))
      const before = written()
      for (let i = 0; i < 20; i++) at = yield* store.append(batchAfter(at, ["more"]))
      assert.isBelow(written() - before, 20 * 50_000)
      yield* close
    })
  )

  it.effect("leave a short write-ahead log at rest, in two syncs more, and once", () =>
    Effect.gen(function* () {
      const { close, disk, folder, store } = yield* opened
      const size = () => fs.statSync(`${fileOf(folder)}-wal`).size
      const looks = Effect.repeat(store.space, { times: 19 })
      const long = size()
      yield* looks
      assert.strictEqual(size(), long, "a store to which nothing was written is left alone")
      let at = yield* store.append(firstBatch(logA, ["1"]))
      for (let i = 2; i <= 30; i++) {
        at = yield* store.append(batchAfter(at, [`${i}`]))
        for (let look = 0; look < 10; look++) yield* store.space
      }
      assert.strictEqual(size(), long, "it is not at rest before nothing was written for ten looks")
      const before = disk.names.length
      yield* looks
      yield* cutTo(size, long / 7, store.space)
      assert.deepStrictEqual(disk.names.slice(before), ["file", "log"])
      yield* looks
      at = yield* store.append(batchAfter(at, ["31"]))
      yield* looks
      assert.deepStrictEqual(disk.names.slice(before), ["file", "log", "log"], "a short one is left as it is")
      yield* store.append(batchAfter(at, [new Uint8Array(600_000)]))
      assert.isAbove(size(), 600_000)
      yield* looks
      yield* cutTo(size, long / 7, store.space)
      yield* close
      yield* using(folder, (store) => Effect.map(heads(store), (seqs) => assert.deepStrictEqual(seqs, [32])))
    })
  )

  it.effect("keep the write-ahead log at rest until the file is durable, and while more is written", () =>
    Effect.gen(function* () {
      const { close, disk, folder, store, steps } = yield* opened
      const size = () => fs.statSync(`${fileOf(folder)}-wal`).size
      const long = size()
      const one = firstBatch(logA, ["1"])
      yield* store.append(one)
      yield* settle
      disk.hold()
      yield* Effect.repeat(store.space, { times: 19 })
      const two = batchAfter(EntryBatch.watermark(one), ["2"])
      const append = yield* Effect.forkChild(store.append(two), { startImmediately: true })
      for (const [i, step] of ["file", "log"].entries()) {
        yield* disk.asked(i + 2)
        yield* settle
        assert.deepStrictEqual([disk.names.at(-1), disk.underWay(), size()], [step, 1, long])
        yield* disk.next
      }
      yield* disk.next
      assert.deepStrictEqual(yield* Fiber.join(append), EntryBatch.watermark(two))
      assert.isBelow(size(), long / 7)
      yield* settle
      yield* steps.write(batchAfter(EntryBatch.watermark(two), [new Uint8Array(600_000)]))
      const grown = size()
      yield* Effect.repeat(store.space, { times: 19 })
      // What was written, and not synced yet, is in the log alone.
      for (let i = 4; i <= 6; i++) {
        yield* disk.asked(i + 1)
        yield* settle
        assert.deepStrictEqual([disk.names.at(-1), size()], [i === 5 ? "file" : "log", grown])
        yield* disk.next
      }
      yield* cutTo(size, long / 7, store.space)
      assert.deepStrictEqual(yield* heads(store), [3])
      yield* close
    })
  )

  it.effect("are waited for when the store is closed, and what waited is answered", () =>
    Effect.gen(function* () {
      const { close, disk, folder, store } = yield* opened
      disk.hold()
      const one = firstBatch(logA, ["1"])
      const append = yield* Effect.forkChild(store.append(one), { startImmediately: true })
      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* settle
      assert.isTrue(fs.existsSync(`${fileOf(folder)}-wal`))
      yield* disk.next
      assert.deepStrictEqual(yield* Fiber.join(append), EntryBatch.watermark(one))
      yield* Fiber.join(closing)
      // What is left of it keeps its room, and has nothing in it.
      assert.isTrue(fs.readFileSync(`${fileOf(folder)}-wal`).every((byte) => byte === 0))
    })
  )
})
