/**
 * Power failures without a plug: the files of a store as a power loss would leave them, made from what was written and
 * what was synced.
 *
 * Of a file all is on the disk that was there when a sync of it began that has ended. Of each sector that was written
 * since, the disk may have any version, and the file any of the lengths that it had.
 */
import type { Faults } from "@quorum/testing"
import * as fs from "node:fs"
import * as path from "node:path"

/** Numbers from 0 to below 1, the same for a seed. */
type Random = ReturnType<typeof Faults.generator>

const names = ["log.db", "log.db-wal"] as const
const sectorBytes = 512

/** The versions of a file: first the one that is durable, then those since, the newest last. */
const makeFile = (file: string) => {
  const now = (): Buffer => (fs.existsSync(file) ? fs.readFileSync(file) : Buffer.alloc(0))
  let versions = [now()]
  return {
    /** Notes what is written now; a result says that this is durable. */
    look: (): (() => void) => {
      const seen = now()
      if (!versions.at(-1)!.equals(seen)) versions.push(seen)
      const durable = versions.at(-1)!
      return () => void (versions = versions.slice(versions.indexOf(durable)))
    },
    image: (random: Random): Buffer => torn(versions, random)
  }
}

/** What a power loss leaves of a file. */
const torn = (versions: ReadonlyArray<Buffer>, random: Random): Buffer => {
  const newest = versions.at(-1)!
  const pick = (): Buffer => versions[Math.floor(random() * versions.length)]!
  const image = Buffer.alloc(pick().length)
  const kind = Math.floor(random() * 6)
  const { from, to } = changedOf(versions[0]!, newest)
  const edge = from + random() * (to - from)
  const share = random()
  for (let at = 0; at < image.length; at += sectorBytes) {
    const end = Math.min(at + sectorBytes, image.length)
    const isNew = [false, true, at < edge, at >= edge, random() < share, undefined][kind]
    const source = isNew === undefined ? pick() : isNew ? newest : versions[0]!
    if (at < source.length) source.copy(image, at, at, Math.min(end, source.length))
  }
  return image
}

/** Between which places two versions of a file differ. */
const changedOf = (a: Buffer, b: Buffer): { readonly from: number; readonly to: number } => {
  const isSame = (at: number): boolean => a.subarray(at, at + sectorBytes).equals(b.subarray(at, at + sectorBytes))
  let from = 0
  let to = Math.max(a.length, b.length)
  while (from < to && isSame(from)) from += sectorBytes
  while (to > from && isSame(to - sectorBytes)) to -= sectorBytes
  return { from, to }
}

/** Watches the files of a store that is open, all of which is durable so far. */
export const watch = (folder: string) => {
  const files = new Map(names.map((name) => [name as string, makeFile(path.join(folder, name))]))
  const looks = () => Array.from(files.values(), (file) => file.look())
  return {
    /** Notes what was written. */
    look: (): void => void looks(),
    /** A sync of an open file, which takes so many turns of the event loop and ends at `done`. */
    sync: (descriptor: number, turns: number, done: () => void): void => {
      const [name] = path.basename(fs.readlinkSync(`/proc/self/fd/${descriptor}`)).split(" ")
      looks()
      const ended = files.get(name!)!.look()
      const wait = (left: number): void => {
        if (left > 0) return void setImmediate(() => wait(left - 1))
        looks()
        ended()
        done()
      }
      wait(1 + turns)
    },
    /** Writes what a power loss would leave into another folder. */
    image: (to: string, random: Random): void => {
      fs.mkdirSync(to)
      for (const [name, file] of files) fs.writeFileSync(path.join(to, name), file.image(random))
    }
  }
}
