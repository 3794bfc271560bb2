/**
 * What is left after a power loss: whatever part of the writes that were not synced is on the disk, also a part of one,
 * all that was acknowledged is there, and nothing that was not written.
 *
 * `QUORUM_POWER_IMAGES=5000 npx -y pnpm@12 exec vitest run power` tries more of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { EntryBatch, Watermark } from "@quorum/core/adapter"
import { Faults } from "@quorum/testing"
import { Effect, Option } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { batchAfter } from "./support/batches.ts"
import * as Power from "./support/power.ts"
import { fileOf, tempFolder, using } from "./support/store.ts"

const images = Number(process.env["QUORUM_POWER_IMAGES"] ?? 1000)
const batches = 60

/** What the program did with its log, from an empty folder on. */
const traceOf = (folder: string): ReadonlyArray<Power.Event> => {
  const program = fileURLToPath(new URL("support/program.ts", import.meta.url))
  const node = [process.execPath, "--disable-warning=ExperimentalWarning", program, folder, `${batches}`]
  return Power.trace(fileOf(folder), node, `${folder}.trace`)
}

/** A store that is opened on what is left goes as far as was acknowledged, or further, and holds what was written. */
const check = (folder: string, acked: number) =>
  using(folder, (store) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(store.damaged(), [])
      const [head] = yield* store.watermarks
      assert.isAtLeast(head?.seq ?? 0, acked)
      if (head === undefined) return
      let expected = Watermark.none(head.log)
      while (expected.seq < head.seq) {
        const batch = batchAfter(expected)
        const found = Option.getOrThrow(yield* store.read(head.log, expected.seq, 1 << 20))
        assert.deepStrictEqual(EntryBatch.upTo(found, EntryBatch.last(batch)).bytes, batch.bytes)
        expected = EntryBatch.watermark(batch)
      }
      assert.deepStrictEqual(head, expected)
    })
  )

describe("a power loss of a store on LMDB", () => {
  it.live.skipIf(!Power.canTrace)(
    `leaves all that was acknowledged, in ${images} images (skipped where no process can be traced)`,
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const events = traceOf(path.join(folder, "store"))
        const said = events.filter(({ _tag }) => _tag === "Said").length
        assert.strictEqual(said, batches)
        const random = Faults.generator(1)
        const disk = Power.makeDisk()
        let acked: number | undefined
        let made = 0
        for (const [number, event] of events.entries()) {
          disk.take(event)
          if (event._tag === "Said") acked = Number(event.text)
          // Before the first batch there may be a file that is none yet, and nothing of anybody in it.
          if (acked === undefined) continue
          const due = Math.floor((images * (number + 1)) / events.length)
          for (; made < due; made++) {
            const image = path.join(folder, "image")
            fs.mkdirSync(image, { mode: 0o700 })
            fs.writeFileSync(fileOf(image), disk.image(random), { mode: 0o600 })
            yield* check(image, acked)
            fs.rmSync(image, { recursive: true })
          }
        }
        assert.strictEqual(made, images)
      }),
    60_000 + images * 200
  )
})
