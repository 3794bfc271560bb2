/** What a restart finds: files that are still there, and synced, also on a full disk. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaSet } from "@quorum/core"
import { EntryBatch, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer, Option, Result } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync, StatementSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { vi } from "vitest"
import { SqliteStore } from "../src/index.ts"
import { a, batchAfter, fileOf, firstBatch, logA, logB, open, tempFolder, using, valuesOf } from "./support/store.ts"

const appendError = (store: ReplicaStore.ReplicaStore["Service"], batch: EntryBatch.EntryBatch) =>
  Effect.map(Effect.flip(store.append(batch)), (error) => error as ReplicaStore.StoreError)

describe("L59 files that a restart would not find", () => {
  const losses: ReadonlyArray<readonly [string, (folder: string) => void]> = [
    ["the folder is removed", (folder) => fs.rmSync(folder, { recursive: true })],
    ["the folder is renamed", (folder) => fs.renameSync(folder, `${folder}-moved`)],
    ["the file is removed", (folder) => fs.rmSync(fileOf(folder))],
    ["the file is renamed", (folder) => fs.renameSync(fileOf(folder), path.join(folder, "other.db"))],
    [
      "the file is replaced by a copy of itself",
      (folder) => {
        fs.copyFileSync(fileOf(folder), path.join(folder, "copy"))
        fs.renameSync(path.join(folder, "copy"), fileOf(folder))
      }
    ]
  ]
  for (const [what, lose] of losses) {
    it.effect(`when ${what}, the next append fails and says why, and so does every later one`, () =>
      Effect.gen(function* () {
        const folder = path.join(yield* tempFolder, "store")
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => fs.rmSync(`${folder}-moved`, { recursive: true, force: true }))
        )
        const store = yield* open(folder)
        const one = firstBatch(logA, ["1"])
        yield* store.append(one)
        lose(folder)
        // A batch that was held is acked again only if it is where a restart will find it.
        for (const batch of [one, batchAfter(EntryBatch.watermark(one), ["2"]), firstBatch(logB, ["1"])]) {
          const error = yield* appendError(store, batch)
          assert.strictEqual(error.reason, "unavailable")
          assert.include(error.detail, folder)
          assert.include(error.detail, "was removed, renamed or replaced while it was open")
        }
      })
    )
  }

  it.effect("when the write-ahead log is removed, the next append is uncertain, and later ones are not tried", () =>
    Effect.gen(function* () {
      const folder = path.join(yield* tempFolder, "store")
      const store = yield* open(folder)
      const one = firstBatch(logA, ["1"])
      yield* store.append(one)
      fs.rmSync(`${fileOf(folder)}-wal`)
      const two = batchAfter(EntryBatch.watermark(one), ["2"])
      assert.strictEqual((yield* appendError(store, two)).reason, "uncertain")
      assert.strictEqual((yield* appendError(store, two)).reason, "unavailable")
    })
  )

  it.effect("when the write-ahead log is removed, what was held is not acked again", () =>
    Effect.gen(function* () {
      const folder = path.join(yield* tempFolder, "store")
      const store = yield* open(folder)
      const one = firstBatch(logA, ["1"])
      yield* store.append(one)
      fs.rmSync(`${fileOf(folder)}-wal`)
      const error = yield* appendError(store, one)
      assert.strictEqual(error.reason, "unavailable")
      assert.include(error.detail, "log.db-wal was removed")
    })
  )

  for (const lost of ["", "-wal"]) {
    it.effect(`nothing is announced as held either, and no note counts as kept: log.db${lost}`, () =>
      Effect.gen(function* () {
        for (const ask of [
          (store: ReplicaStore.ReplicaStore["Service"]) => store.watermarks,
          (store: ReplicaStore.ReplicaStore["Service"]) => store.setNotes({ name: "value" })
        ]) {
          const folder = path.join(yield* tempFolder, "store")
          const store = yield* open(folder)
          yield* store.append(firstBatch(logA, ["1"]))
          fs.rmSync(fileOf(folder) + lost)
          const { detail } = yield* Effect.flip(Effect.asVoid(ask(store)))
          assert.include(detail, `log.db${lost} was removed, renamed or replaced while it was open`)
        }
      })
    )
  }

  it.effect("a file that goes while a batch is written leaves the batch uncertain, and the next one untried", () =>
    Effect.gen(function* () {
      const folder = path.join(yield* tempFolder, "store")
      const store = yield* open(folder)
      const one = firstBatch(logA, ["1"])
      yield* store.append(one)
      const run = StatementSync.prototype.run
      let runs = 0
      vi.spyOn(StatementSync.prototype, "run").mockImplementation(function (
        this: StatementSync,
        ...args: Array<unknown>
      ) {
        const result = Reflect.apply(run, this, args)
        if (this.sourceSQL !== "COMMIT") return result
        runs++
        fs.rmSync(folder, { recursive: true, force: true })
        return result
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.restoreAllMocks()))
      const error = yield* appendError(store, batchAfter(EntryBatch.watermark(one), ["2"]))
      assert.deepStrictEqual([runs, error.reason], [1, "uncertain"])
      const next = yield* appendError(store, batchAfter(EntryBatch.watermark(one), ["3"]))
      assert.strictEqual(next.reason, "unavailable")
    }).pipe(Effect.scoped)
  )
})

/** The calls of a program that sync files or write to a pipe, in order. */
const traced = (folder: string): ReadonlyArray<string> => {
  const program = fileURLToPath(new URL("./support/program.ts", import.meta.url))
  const out = path.join(path.dirname(folder), "trace")
  const node = [process.execPath, "--disable-warning=ExperimentalWarning", program]
  spawnSync("strace", ["-f", "-y", "-e", "trace=fsync,fdatasync,write", "-o", out, ...node, "state", folder])
  return fs.readFileSync(out, "utf8").split("\n")
}

/** A store as kill -9 leaves it: frames in the write-ahead log that nobody has synced or moved since. */
const killed = (folder: string): void => {
  const program = fileURLToPath(new URL("./support/program.ts", import.meta.url))
  spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", program, "die", folder])
  assert.isAbove(fs.statSync(`${fileOf(folder)}-wal`).size, 0)
}

const hasStrace = spawnSync("strace", ["-V"]).status === 0

describe("L54 what a start finds", () => {
  it.live.skipIf(!hasStrace)(
    "is synced with its write-ahead log and its folder before anything of it is said (skipped without strace)",
    () =>
      Effect.gen(function* () {
        const folder = path.join(yield* tempFolder, "store")
        killed(folder)
        const calls = traced(folder)
        const said = calls.findIndex((line) => /write\(1<.*held 1/.test(line))
        assert.isAbove(said, 0, calls.join("\n"))
        for (const name of ["log.db>", "log.db-wal>", "store>"]) {
          const synced = calls.findIndex((line) => /f(data)?sync\(/.test(line) && line.includes(name))
          assert.isAtLeast(synced, 0, `${name} is not synced`)
          assert.isBelow(synced, said, `${name} is synced after it was announced`)
        }
      }),
    60_000
  )

  it.live("is in the file itself, should an earlier sync of the write-ahead log have failed without a trace", () =>
    Effect.gen(function* () {
      const folder = path.join(yield* tempFolder, "store")
      killed(folder)
      const store = yield* open(folder)
      const copy = path.join(folder, "..", "copy.db")
      // By another process, to keep the lock of this one.
      execFileSync("cp", [fileOf(folder), copy])
      const db = new DatabaseSync(copy)
      const { last } = db.prepare("SELECT max(last) AS last FROM batch_1").get() as { last: number }
      db.close()
      assert.strictEqual(last, (yield* store.watermarks)[0]!.seq)
    })
  )
})

/** A file system of its own, of so many MiB. */
const smallDisk = (mebibytes: number) =>
  Effect.acquireRelease(
    Effect.map(tempFolder, (folder) => {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder])
      return folder
    }),
    (folder) => Effect.sync(() => execFileSync("umount", ["-l", folder]))
  )

const canMount =
  process.platform === "linux" && process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0

describe("a full disk", () => {
  /** A store with one entry, as its scope leaves it. */
  const stopped = (folder: string) => using(folder, (store) => store.append(firstBatch(logA, ["v"])))
  const starts: ReadonlyArray<readonly [string, (folder: string) => Effect.Effect<unknown, unknown>, number]> = [
    ["after kill -9", (folder) => Effect.sync(() => killed(folder)), 8],
    ["after an orderly stop", stopped, 8],
    ["after an orderly stop where there never was room for all of the write-ahead log", stopped, 2]
  ]
  for (const [when, leave, mebibytes] of starts) {
    it.live.skipIf(!canMount)(
      `stops no start ${when}: reads go on, writes are refused, and it recovers by itself (skipped where nothing can be mounted)`,
      () =>
        Effect.gen(function* () {
          const disk = yield* smallDisk(mebibytes)
          const folder = path.join(disk, "store")
          yield* leave(folder)
          assert.isAbove(fs.statfsSync(disk).bfree, 0, "the write-ahead log takes no room that others need")
          const filler = path.join(disk, "filler")
          spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=4096"])
          assert.strictEqual(fs.statfsSync(disk).bfree, 0)
          yield* Effect.gen(function* () {
            const store = yield* ReplicaStore.ReplicaStore
            const index = yield* RecordIndex.RecordIndex
            // A replica counts its starts, and none comes about without that.
            yield* store.setNotes({ starts: "2" })
            const [one] = yield* store.watermarks
            assert.deepStrictEqual((yield* valuesOf(store, one!.log)).values, ["v"])
            assert.deepStrictEqual(yield* index.scan({ limit: 10 }), [])
            // More than there may be room for in the write-ahead log.
            const two = batchAfter(one!, [new Uint8Array(mebibytes === 2 ? 500_000 : 5_000_000)])
            assert.strictEqual((yield* appendError(store, two)).reason, "disk_full")
            const merge = index.merge([], new Map([[one!.log, 1]]))
            assert.strictEqual((yield* Effect.flip(merge)).reason, "disk_full")
            fs.rmSync(filler)
            yield* store.append(batchAfter(one!, ["2"]))
            yield* merge
            assert.deepStrictEqual(Array.from(yield* index.progress), [[one!.log, 1]])
          }).pipe(
            Effect.provide(
              Layer.provide(
                SqliteStore.layer({ folder }),
                Layer.succeed(ReplicaSet.ReplicaSet, { cluster: "test", self: a, peers: [] })
              )
            )
          )
        }),
      60_000
    )
  }
})

/** Until the log has begun anew, which takes two syncs. */
const begunAnew = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 5)))

describe("a full disk under an open store", () => {
  it.live.skipIf(!canMount)(
    "leaves notes to be changed where the write-ahead log was cut at rest (skipped where nothing can be mounted)",
    () =>
      Effect.gen(function* () {
        const disk = yield* smallDisk(8)
        const folder = path.join(disk, "store")
        yield* using(folder, (store) =>
          Effect.gen(function* () {
            yield* store.setNotes({ a: "0" })
            yield* Effect.repeat(store.space, { times: 19 })
            // It is cut after two syncs, and what is written waits for that.
            yield* store.setNotes({ a: "1" })
            assert.isBelow(fs.statSync(`${fileOf(folder)}-wal`).size, 2 ** 20)
            spawnSync("dd", ["if=/dev/zero", `of=${path.join(disk, "filler")}`, "bs=4096"])
            assert.strictEqual(fs.statfsSync(disk).bfree, 0)
            let failed = 0
            for (let i = 2; i <= 1000; i++) {
              yield* Effect.catch(store.setNotes({ a: `${i}` }), ({ reason }) => {
                assert.strictEqual(reason, "disk_full")
                failed++
                return begunAnew
              })
            }
            // Whoever finds no room has the log begin anew, for those who come next.
            assert.isBelow(failed, 500)
          })
        )
      }),
    60_000
  )
})

describe("a store that filled its disk", () => {
  const sizes = [100, 2000, 3000, 20_000, 300_000]
  for (const isAtRest of [false, true]) {
    for (const bytes of sizes) {
      it.live.skipIf(!canMount)(
        `starts on it, after entries of ${bytes} bytes${isAtRest ? " and a rest" : ""} (skipped where nothing can be mounted)`,
        () =>
          Effect.gen(function* () {
            const disk = yield* smallDisk(isAtRest ? 8 : 12)
            const folder = path.join(disk, "store")
            const left = yield* using(
              folder,
              Effect.fnUntraced(function* (store) {
                let head = yield* store.append(firstBatch(logA, ["1"]))
                if (isAtRest) yield* Effect.repeat(store.space, { times: 19 })
                head = yield* store.append(batchAfter(head, ["2"]))
                const filler = path.join(disk, "filler")
                if (isAtRest) spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=4096"])
                // Whoever has something to push tries it again and again.
                for (let refused = 0; refused < 50;) {
                  const next = yield* Effect.result(store.append(batchAfter(head, [new Uint8Array(bytes)])))
                  if (Result.isSuccess(next)) head = next.success
                  else {
                    assert.strictEqual((next.failure as ReplicaStore.StoreError).reason, "disk_full")
                    refused++
                    if (refused % 10 === 0) yield* begunAnew
                  }
                }
                return head
              })
            )
            yield* using(folder, (store) =>
              Effect.gen(function* () {
                yield* store.setNotes({ starts: "2" })
                assert.deepStrictEqual(yield* store.watermarks, [left])
                if (!isAtRest) return
                // What is refused until then has it looked for room again.
                let refused = 0
                const append = Effect.result(store.append(batchAfter(left, [new Uint8Array(bytes)])))
                while (refused < 20 && Result.isFailure(yield* append)) {
                  if (++refused === 10) fs.rmSync(path.join(disk, "filler"))
                  yield* begunAnew
                }
                assert.isAbove(refused, 0)
                assert.isBelow(refused, 20)
              })
            )
          }),
        60_000
      )
    }
  }
})

describe("a disk that is nearly full", () => {
  it.live.skipIf(!canMount)(
    "is known, and room for large entries comes back by erasing them (skipped where nothing can be mounted)",
    () =>
      Effect.gen(function* () {
        const disk = yield* smallDisk(16)
        const folder = path.join(disk, "store")
        const store = yield* open(folder)
        let head = yield* store.append(firstBatch(logA, ["1"]))
        for (let i = 0; i < 40; i++) head = yield* store.append(batchAfter(head, [new Uint8Array(200_000)]))
        const leave = (bytes: number): void => {
          const { bavail, bsize } = fs.statfsSync(disk)
          fs.writeFileSync(path.join(disk, "filler"), new Uint8Array(bavail * bsize - bytes))
        }
        leave(600_000)
        const { limit, taken } = yield* store.space
        assert.deepStrictEqual(limit, { left: limit!.left, of: 16 * 1024 * 1024 })
        assert.closeTo(limit!.left, 600_000, 8192)
        for (let seq = 2; seq < head.seq; seq++) {
          const entry = Option.getOrThrow(yield* store.read(logA, seq - 1, 1))
          yield* store.replace(EntryBatch.erase(entry, () => "superseded"))
        }
        yield* store.append(batchAfter(head, ["v"]))
        const now = yield* store.space
        assert.isBelow(now.taken, taken - 39 * 200_000)
        assert.isAbove(now.limit!.left, 39 * 200_000 - 1_000_000)
      }),
    60_000
  )
})

describe("an older Node", () => {
  it("is told which one is needed", () => {
    const file = fileURLToPath(new URL("../src/internal/nodeSqlite.ts", import.meta.url))
    const source = `process.getBuiltinModule = () => undefined; await import(${JSON.stringify(file)})`
    const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", source], { encoding: "utf8" })
    assert.include(stderr, `@quorum/sqlite needs Node 22.19 or newer, which has SQLite built in; this is v`)
  })
})

describe("the files", () => {
  it.effect("are for this user alone, and a symbolic link is refused", () =>
    Effect.gen(function* () {
      const parent = yield* tempFolder
      const folder = path.join(parent, "store")
      yield* using(folder, (store) => store.append(firstBatch(logA, ["1"])))
      assert.strictEqual(fs.statSync(folder).mode & 0o777, 0o700)
      assert.strictEqual(fs.statSync(fileOf(folder)).mode & 0o777, 0o600)
      fs.renameSync(fileOf(folder), path.join(parent, "elsewhere.db"))
      fs.symlinkSync(path.join(parent, "elsewhere.db"), fileOf(folder))
      const error = yield* Effect.flip(Effect.scoped(open(folder)))
      assert.include(error.detail, "is a symbolic link")
      const db = new DatabaseSync(path.join(parent, "elsewhere.db"), { readOnly: true })
      assert.strictEqual(db.prepare("SELECT count(*) AS n FROM log").get()!["n"], 1)
      db.close()
    })
  )
})
