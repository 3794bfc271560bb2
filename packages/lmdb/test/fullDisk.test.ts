/** What LMDB does on a full disk: nothing of a batch is held that had no room, and a start needs none. */
import { assert, describe, it } from "@effect/vitest"
import type { ReplicaStore } from "@quorum/core/adapter"
import { Watermark } from "@quorum/core/adapter"
import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { batchAfter, logA, open, tempFolder } from "./support/store.ts"

const mount = (folder: string, mebibytes: number) =>
  spawnSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder]).status === 0

const canMount = (() => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "quorum-lmdb-"))
  const isMounted = mount(folder, 1)
  if (isMounted) execFileSync("umount", ["-l", folder])
  fs.rmdirSync(folder)
  return isMounted
})()

/** A file system of its own, of so many MiB. */
const smallDisk = (mebibytes: number) =>
  Effect.acquireRelease(
    Effect.tap(tempFolder, (folder) => Effect.sync(() => assert.isTrue(mount(folder, mebibytes)))),
    (folder) => Effect.sync(() => execFileSync("umount", ["-l", folder]))
  )

/** Runs a program of `support` with its arguments, and says how it ended and what it printed. */
const ran = (program: string, args: ReadonlyArray<string>) => {
  const file = fileURLToPath(new URL(`support/${program}`, import.meta.url))
  const node = ["--disable-warning=ExperimentalWarning", file, ...args]
  const { signal, status, stdout } = spawnSync(process.execPath, node, { encoding: "utf8" })
  return { ended: signal ?? status, lines: stdout.split("\n").filter((line) => line !== "") }
}

describe("a full disk under LMDB", () => {
  it.live.skipIf(!canMount)(
    "takes nothing of the batch, and goes on when there is room (skipped where nothing can be mounted)",
    () =>
      Effect.gen(function* () {
        const disk = yield* smallDisk(1)
        const store = yield* open(path.join(disk, "store"))
        let head = yield* store.append(batchAfter(Watermark.none(logA), ["1", "2"]))
        const more = () => batchAfter(head, ["v".repeat(30_000)])
        let error: ReplicaStore.StoreError | undefined
        while (error === undefined) {
          const next = yield* Effect.result(store.append(more()))
          if (next._tag === "Success") head = next.success
          else error = next.failure as ReplicaStore.StoreError
        }
        assert.strictEqual(error.reason, "disk_full")
        assert.deepStrictEqual(yield* store.watermarks, [head])
        execFileSync("mount", ["-o", "remount,size=4m", disk])
        assert.strictEqual((yield* store.append(more())).seq, head.seq + 1)
      })
  )

  const starts: ReadonlyArray<readonly [string, "stop" | "die", ReadonlyArray<string>]> = [
    ["an orderly stop", "stop", []],
    ["kill -9", "die", []],
    ["a stop, without the files of the index", "stop", ["index.mdb", "index.mdb-lock"]],
    ["kill -9, without the file of the index alone", "die", ["index.mdb"]],
    ["kill -9, without the readers of the index", "die", ["index.mdb-lock"]]
  ]
  for (const [when, how, lost] of starts) {
    it.live.skipIf(!canMount)(
      `stops no start after ${when}: reads go on, and it recovers by itself (skipped where nothing can be mounted)`,
      () =>
        Effect.gen(function* () {
          const disk = yield* smallDisk(4)
          const folder = path.join(disk, "store")
          assert.deepStrictEqual(ran("program.ts", [folder, "20", how]).ended, how === "die" ? "SIGKILL" : 0)
          for (const name of lost) fs.rmSync(path.join(folder, name))
          const filler = fill(disk)
          const recovered = ["reads true", ...(lost.length === 0 ? [] : ["disk_full"]), "covers true"]
          assert.deepStrictEqual(ran("fullDisk.ts", [folder, filler]), { ended: 0, lines: recovered })
        }),
      60_000
    )
  }

  for (const left of [0, 1, 9, 31]) {
    it.live.skipIf(!canMount)(
      `refuses a new store where there are ${left} pages left, and makes it when there is room (skipped where nothing can be mounted)`,
      () =>
        Effect.gen(function* () {
          const disk = yield* smallDisk(4)
          const folder = path.join(disk, "store")
          fs.mkdirSync(folder)
          const filler = fill(disk, left)
          assert.deepStrictEqual(ran("fullDisk.ts", [folder, filler]), { ended: 0, lines: ["disk_full"] })
          fs.rmSync(filler)
          assert.strictEqual(ran("program.ts", [folder, "1"]).ended, 0)
        }),
      60_000
    )
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** Fills a disk up to so many pages. */
const fill = (disk: string, left = 0): string => {
  const filler = path.join(disk, "filler")
  spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=4096", `count=${fs.statfsSync(disk).bfree - left}`])
  assert.strictEqual(fs.statfsSync(disk).bfree, left)
  return filler
}
