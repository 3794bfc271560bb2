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
import { batchAfter, isErased } from "./support/batches.ts"
import * as Power from "./support/power.ts"
import { fileOf, tempFolder, using } from "./support/store.ts"

const images = Number(process.env["QUORUM_POWER_IMAGES"] ?? 1000)
const batches = 60

/** What the program did with its log, from an empty folder on. */
const traceOf = (folder: string): ReadonlyArray<Power.Event> => {
  const program = fileURLToPath(new URL("support/program.ts", import.meta.url))
  const node = [process.execPath, "--disable-warning=ExperimentalWarning", program, folder, `${batches}`, "erase"]
  return Power.trace(fileOf(folder), node, `${folder}.trace`)
}

/** What was acknowledged: up to where the log was appended, and erased. */
interface Acked {
  readonly appended: number
  readonly erased: number
}

/**
 * A store that is opened on what is left goes as far as was acknowledged, or further, and holds what was written: all of it
 * but what was erased, which is gone where that was acknowledged.
 */
const check = (folder: string, acked: Acked) =>
  using(folder, (store) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(store.damaged(), [])
      const [head] = yield* store.watermarks
      assert.isAtLeast(head?.seq ?? 0, acked.appended)
      if (head === undefined) return
      let whole = batchAfter(Watermark.none(head.log))
      while (EntryBatch.last(whole) < head.seq) {
        whole = EntryBatch.concat([whole, batchAfter(EntryBatch.watermark(whole))])
      }
      assert.deepStrictEqual(head, EntryBatch.watermark(whole))
      let missing = 0
      for (let at = 0; at < head.seq;) {
        const page = Option.getOrThrow(yield* store.read(head.log, at, 1 << 20))
        at = EntryBatch.last(page)
        assert.strictEqual(page.chain, EntryBatch.chainAt(whole, at))
        const seqs = new Set<number>()
        EntryBatch.forEach(page, (seq, offset) => {
          seqs.add(seq)
          const written = EntryBatch.take(EntryBatch.after(whole, seq - 1), 1).bytes
          assert.isTrue(Buffer.from(page.bytes.buffer, page.bytes.byteOffset + offset, written.length).equals(written))
        })
        for (let seq = page.from; seq <= at; seq++) {
          if (!seqs.has(seq)) missing++
          assert.isTrue(seqs.has(seq) ? seq > acked.erased || !isErased(seq) : isErased(seq), `entry ${seq}`)
        }
      }
      return missing
    })
  )

describe("a power loss of a store on LMDB", () => {
  it.live.skipIf(!Power.canTrace)(
    `leaves all that was acknowledged, in ${images} images (skipped where no process can be traced)`,
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const events = traceOf(path.join(folder, "store"))
        const said = events.flatMap((event) => (event._tag === "Said" ? [event.text] : []))
        assert.strictEqual(said.filter((text) => !text.startsWith("erased")).length, batches)
        const random = Faults.generator(1)
        const disk = Power.makeDisk()
        let acked: Acked | undefined
        let withErased = 0
        let made = 0
        for (const [number, event] of events.entries()) {
          disk.take(event)
          if (event._tag === "Said") {
            const [, erased] = /^erased (\d+)/.exec(event.text) ?? []
            acked =
              erased === undefined
                ? { erased: acked?.erased ?? 0, appended: Number(event.text) }
                : { appended: acked!.appended, erased: Number(erased) }
          }
          // Before the first batch there may be a file that is none yet, and nothing of anybody in it.
          if (acked === undefined) continue
          const due = Math.floor((images * (number + 1)) / events.length)
          for (; made < due; made++) {
            const image = path.join(folder, "image")
            fs.mkdirSync(image, { mode: 0o700 })
            fs.writeFileSync(fileOf(image), disk.image(random), { mode: 0o600 })
            if (((yield* check(image, acked)) ?? 0) > 0) withErased++
            fs.rmSync(image, { recursive: true })
          }
        }
        assert.strictEqual(made, images)
        assert.isAbove(withErased, images / 2)
      }),
    60_000 + images * 200
  )
})
