/** Whether the pages of a file make up trees: of what LMDB writes all do, and damage of any of them is told. */
import { assert, describe, it } from "@effect/vitest"
import { Faults } from "@quorum/testing"
import { Effect, Result } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Environment from "../src/internal/environment.ts"
import * as Pages from "../src/internal/pages.ts"
import { tempFolder } from "./support/store.ts"

const { pageSize } = Environment

/** Writes and removes in two tables, values of up to ten pages among them, and opens the file anew in between. */
const written = Effect.fnUntraced(function* (seed: number, most = 40) {
  const random = Faults.generator(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const file = path.join(yield* tempFolder, "log.mdb")
  for (let session = 0; session < 2; session++) {
    const environment = Environment.open(file, { sync: false })
    const tables = [environment.table("entries"), environment.table("notes")]
    for (let commits = 10 + below(most); commits > 0; commits--) {
      yield* environment.commit(() => {
        for (let left = 1 + below(20); left > 0; left--) {
          const table = tables[below(4) === 0 ? 1 : 0]!
          const key = Buffer.from(`key ${below(2000)}`.padEnd(10 + below(60), "-"))
          if (below(4) === 0) environment.remove(table, key)
          else environment.put(table, key, Buffer.alloc(below(below(8) === 0 ? 40_000 : 4000), 1))
        }
      })
    }
    yield* Effect.promise(() => environment.close())
    yield* Pages.check(file, pageSize)
  }
  return { file, below }
})

/** What is found while other bytes stand somewhere in the file. */
const found = Effect.fnUntraced(function* (file: string, at: number, bytes: Uint8Array) {
  const before = fs.readFileSync(file).subarray(at, at + bytes.length)
  const put = (part: Uint8Array): void => {
    const descriptor = fs.openSync(file, "r+")
    fs.writeSync(descriptor, part, 0, part.length, at)
    fs.closeSync(descriptor)
  }
  put(bytes)
  const result = yield* Effect.result(Pages.check(file, pageSize))
  put(before)
  return result
})

const isUnreadable = (result: Result.Result<void, unknown>): boolean =>
  Result.isFailure(result) && result.failure instanceof Pages.Unreadable

/** The numbers of the pages of a tree, by their flags: a branch or a leaf. */
const treePages = (bytes: Buffer): ReadonlyArray<number> =>
  Array.from({ length: bytes.length / pageSize }, (_, page) => page).filter(
    (page) => page > 1 && [1, 2].includes(bytes.readUInt16LE(page * pageSize + 18))
  )

describe("the pages of a file of LMDB", () => {
  it.live("are in order whatever was written, and a new file is", () =>
    Effect.gen(function* () {
      for (let seed = 1; seed <= 6; seed++) yield* written(seed)
      const empty = path.join(yield* tempFolder, "log.mdb")
      fs.writeFileSync(empty, "")
      yield* Pages.check(empty, pageSize)
    }).pipe(Effect.scoped)
  )

  it.live("are not in order when one of them is overwritten, is another, or is not there", () =>
    Effect.gen(function* () {
      const { file } = yield* written(7, 1)
      const bytes = fs.readFileSync(file)
      let used = 0
      for (const page of treePages(bytes)) {
        const at = page * pageSize
        // What LMDB has no use for any more may be anything.
        if (!isUnreadable(yield* found(file, at, Buffer.alloc(pageSize)))) continue
        used++
        const other = bytes.subarray(at - pageSize, at)
        const flags = Buffer.from([bytes[at + 18]! ^ 3])
        assert.isTrue(isUnreadable(yield* found(file, at, Buffer.alloc(pageSize, 0xff))), `page ${page} filled`)
        assert.isTrue(isUnreadable(yield* found(file, at, other)), `page ${page} another`)
        assert.isTrue(isUnreadable(yield* found(file, at + 18, flags)), `page ${page} of another kind`)
      }
      assert.isAbove(used, 20)
      fs.truncateSync(file, bytes.length / 2)
      assert.isTrue(isUnreadable(yield* Effect.result(Pages.check(file, pageSize))))
    }).pipe(Effect.scoped)
  )

  it.live("are told as what they are, whichever bits of them are wrong", () =>
    Effect.gen(function* () {
      const { below, file } = yield* written(8, 1)
      const bytes = fs.readFileSync(file)
      let told = 0
      for (let round = 0; round < 300; round++) {
        const at = below(3) === 0 ? below(2 * pageSize) : below(bytes.length / pageSize) * pageSize + below(64)
        const result = yield* found(file, at, Buffer.from([bytes[at]! ^ (1 << below(8))]))
        if (Result.isSuccess(result)) continue
        assert.isTrue(isUnreadable(result), `bit at ${at}: ${String(result.failure)}`)
        told++
      }
      assert.isAbove(told, 10)
    }).pipe(Effect.scoped)
  )
})
