/** What a restart finds: the same store, or a copy of it, a file that is still there, and all that was acked. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, HybridLogicalClock, Limits, LogId, ReplicaId, ReplicaSet } from "@quorum/core"
import { EntryBatch, RecordIndex, ReplicaStore, RunId, Watermark } from "@quorum/core/adapter"
import { Effect, Fiber, Layer, Logger, Option } from "effect"
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { LmdbRecordIndex, LmdbStore } from "../src/index.ts"
import * as Notes from "../src/internal/notes.ts"
import * as Power from "./support/power.ts"
import { fileOf, open, tempFolder, using } from "./support/store.ts"

const logA = "a@00000000000000aa" as LogId.LogId

const batchAfter = (head: Watermark.Watermark, values: ReadonlyArray<string | Uint8Array>) =>
  EntryBatch.encode(
    head,
    values.map((value) => Entry.put("ns", "k", value)),
    HybridLogicalClock.zero,
    1_700_000_000_000 + head.seq
  ).batch

const one = batchAfter(Watermark.none(logA), ["1", "2"])
const two = batchAfter(EntryBatch.watermark(one), ["3"])

const appendError = (store: ReplicaStore.ReplicaStore["Service"], batch: EntryBatch.EntryBatch) =>
  Effect.map(Effect.flip(store.append(batch)), (error) => error as ReplicaStore.StoreError)

/** What a start finds; the replica has found that nothing is missing. */
const start = (folder: string, boot = "first") =>
  Effect.scoped(
    Effect.gen(function* () {
      const store = yield* Effect.provideService(open(folder), Notes.Boot, boot)
      const recovering = Option.getOrUndefined(yield* store.note(ReplicaStore.recoveringNote))
      if (recovering === "blank") yield* store.setNotes({ [ReplicaStore.recoveringNote]: "" })
      return { doubt: store.doubt, incarnation: store.identity.incarnation, recovering }
    })
  )

describe("L53 a store on LMDB that is opened again", () => {
  it.effect("goes on as it was in its place, has a new incarnation after another boot, and is in doubt elsewhere", () =>
    Effect.gen(function* () {
      const folder = path.join(yield* tempFolder, "store")
      const { incarnation } = yield* start(folder)
      assert.deepStrictEqual(yield* start(folder), { doubt: "none", incarnation, recovering: "" })
      const booted = yield* start(folder, "second")
      assert.deepStrictEqual([booted.doubt, booted.recovering], ["other_boot", ""])
      assert.isTrue(booted.incarnation > incarnation)
      // Whatever took its place with a loss is newer.
      assert.isTrue(booted.incarnation < LogId.incarnationAt(0, 0, incarnation))
      fs.cpSync(folder, `${folder}-copy`, { recursive: true })
      const copied = yield* start(`${folder}-copy`, "second")
      assert.deepStrictEqual([copied.doubt, copied.recovering], ["other_place", "lost"])
      assert.isTrue(copied.incarnation >= LogId.incarnationAt(0, 0, booted.incarnation))
      assert.deepStrictEqual(yield* start(folder, "second"), { ...booted, doubt: "none" })
    })
  )

  it.effect(
    "is in doubt where its file was put back, though it has the number that the file had where those are given again",
    () =>
      Effect.gen(function* () {
        const folder = path.join(yield* tempFolder, "store")
        const { incarnation } = yield* start(folder)
        const file = path.join(folder, "log.mdb")
        fs.copyFileSync(file, `${file}-older`)
        fs.rmSync(file)
        fs.copyFileSync(`${file}-older`, file)
        const restored = yield* start(folder)
        assert.deepStrictEqual([restored.doubt, restored.recovering], ["other_place", "lost"])
        assert.isTrue(restored.incarnation >= LogId.incarnationAt(0, 0, incarnation))
      })
  )

  it.live(
    "holds whole batches and every acked one after kill -9, however often",
    () =>
      Effect.gen(function* () {
        const folder = path.join(yield* tempFolder, "store")
        const program = fileURLToPath(new URL("support/program.ts", import.meta.url))
        for (let round = 0; round < 3; round++) {
          const acked = yield* Effect.promise(async () => {
            const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", program, folder])
            let said = ""
            const ended = new Promise((resolve) => child.on("close", resolve))
            child.stdout.on("data", (text) => {
              said += String(text)
              if (said.length > 2000) child.kill("SIGKILL")
            })
            await ended
            return Number(said.slice(0, said.lastIndexOf("\n")).split("\n").at(-1))
          })
          assert.isAbove(acked, 0)
          yield* using(folder, (store) =>
            Effect.gen(function* () {
              const [head] = yield* store.watermarks
              assert.isAtLeast(head!.seq, acked)
              let after = 0
              while (after < head!.seq) {
                after = EntryBatch.last(Option.getOrThrow(yield* store.read(head!.log, after, 1 << 20)))
              }
              assert.deepStrictEqual(store.damaged(), [])
            })
          )
        }
      }),
    60_000
  )
})

describe("L54 what a start finds of LMDB", () => {
  it.live.skipIf(!Power.canTrace)(
    "is synced, with the names in its folder, before LMDB reads it (skipped where no process can be traced)",
    () =>
      Effect.gen(function* () {
        const folder = path.join(yield* tempFolder, "store")
        yield* using(folder, (store) => store.append(one))
        const program = fileURLToPath(new URL("support/state.ts", import.meta.url))
        const out = path.join(path.dirname(folder), "trace")
        const node = [process.execPath, "--disable-warning=ExperimentalWarning", program, folder]
        spawnSync("strace", ["-f", "-y", "-e", "trace=fsync,fdatasync,openat,write", "-o", out, ...node])
        const calls = fs.readFileSync(out, "utf8").split("\n")
        assert.isTrue(calls.some((line) => /write\(1<.*held 2/.test(line)))
        const opened = calls.findIndex((line) => /log\.mdb", O_WRONLY\|O_DSYNC/.test(line))
        assert.isAbove(opened, 0)
        for (const name of ["log.mdb>", "store>"]) {
          const synced = calls.findIndex((line) => /f(data)?sync\(/.test(line) && line.includes(name))
          assert.isAtLeast(synced, 0, `${name} is not synced`)
          assert.isBelow(synced, opened, `${name} is synced after it was read`)
        }
      }),
    60_000
  )
})

describe("L59 a file of LMDB that a restart would not find", () => {
  const losses: ReadonlyArray<readonly [string, (folder: string) => void]> = [
    ["the folder is removed", (folder) => fs.rmSync(folder, { recursive: true })],
    ["the file is renamed", (folder) => fs.renameSync(fileOf(folder), path.join(folder, "other.mdb"))],
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
        const store = yield* open(folder)
        yield* store.append(one)
        lose(folder)
        for (const batch of [one, two]) {
          const error = yield* appendError(store, batch)
          assert.strictEqual(error.reason, "unavailable")
          assert.include(error.detail, "was removed, renamed or replaced while it was open")
        }
      })
    )

    it.live(`when ${what} while a batch is written, the batch is uncertain, and the next one untried`, () =>
      Effect.gen(function* () {
        const folder = path.join(yield* tempFolder, "store")
        const store = yield* open(folder)
        yield* store.append(one)
        // It is handed to the thread of LMDB, which is heard of when this one has its turn again.
        const writing = yield* Effect.forkChild(appendError(store, two), { startImmediately: true })
        lose(folder)
        assert.strictEqual((yield* Fiber.join(writing)).reason, "uncertain")
        assert.strictEqual((yield* appendError(store, two)).reason, "unavailable")
      })
    )
  }

  it.effect("is for this user alone, and no link", () =>
    Effect.gen(function* () {
      const folder = path.join(yield* tempFolder, "store")
      yield* using(folder, (store) => store.append(one))
      const modeOf = (name: string) => fs.statSync(path.join(folder, name)).mode & 0o777
      assert.strictEqual(modeOf("."), 0o700)
      for (const name of fs.readdirSync(folder)) assert.strictEqual(modeOf(name), 0o600, name)
      fs.renameSync(fileOf(folder), path.join(folder, "real"))
      fs.symlinkSync("real", fileOf(folder))
      const error = yield* Effect.flip(Effect.scoped(open(folder)))
      assert.include(error.detail, "is a symbolic link")
    })
  )
})

describe("LmdbRecordIndex", () => {
  const pointer = { namespace: "ns", key: "k", log: logA, seq: 2, tie: RunId.none, deleted: false }
  const members = ReplicaSet.layer({ cluster: "test", self: ReplicaId.make("a"), members: ["a"] })

  /** Opens both, uses them, and closes them; says what was logged. */
  const both = (folder: string, boot: string, merge: boolean) =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const progress = yield* Effect.gen(function* () {
        const store = yield* ReplicaStore.ReplicaStore
        const index = yield* RecordIndex.RecordIndex
        if (merge) {
          yield* store.append(one)
          yield* index.merge([{ ...pointer, clock: { wallTime: 1, logical: 0 } }], new Map([[logA, 2]]))
        }
        return new Map(yield* index.progress)
      }).pipe(
        Effect.provide(Layer.provide(LmdbStore.layer({ folder }), members)),
        Effect.provideService(Notes.Boot, boot),
        Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))]))
      )
      return { progress, logged }
    })
  const whole = { progress: new Map([[logA, 2]]), logged: [] }

  it.effect("that was closed in order is used again, after another boot too, and not elsewhere", () =>
    Effect.gen(function* () {
      const folder = path.join(yield* tempFolder, "store")
      assert.deepStrictEqual(yield* both(folder, "first", true), whole)
      assert.deepStrictEqual(yield* both(folder, "first", false), whole)
      assert.deepStrictEqual(yield* both(folder, "second", false), whole)
      fs.cpSync(folder, `${folder}-copy`, { recursive: true })
      const elsewhere = yield* both(`${folder}-copy`, "second", false)
      assert.strictEqual(elsewhere.progress.size, 0)
      assert.include(elsewhere.logged[0], "belongs to another store")
    })
  )

  it.effect("that was open when the machine went down, or is no file of LMDB, is built again", () =>
    Effect.gen(function* () {
      const folder = path.join(yield* tempFolder, "store")
      yield* both(folder, "first", true)
      // As a process leaves it that is not closed.
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          const noted = Option.getOrThrow(yield* store.note("index"))
          yield* store.setNotes({ index: noted.replace("closed", "first") })
        })
      )
      const booted = yield* both(folder, "second", false)
      assert.strictEqual(booted.progress.size, 0)
      assert.include(booted.logged[0], "was open when the machine went down")
      yield* both(folder, "second", true)
      fs.writeFileSync(path.join(folder, "index.mdb"), "no file of LMDB".repeat(1000))
      const odd = yield* both(folder, "second", false)
      assert.strictEqual(odd.progress.size, 0)
      assert.include(odd.logged[0], "built again")
    })
  )

  it.effect("refuses limits that LMDB's keys have no room for, before anything is stored", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const store = yield* open(folder)
      const error = yield* Effect.flip(LmdbRecordIndex.make({ folder })).pipe(
        Effect.provideService(ReplicaStore.ReplicaStore, store),
        Effect.provideService(Limits.Limits, { ...Limits.defaults, keyBytes: 4000 })
      )
      assert.include(error.detail, "4255 bytes together")
    })
  )
})
