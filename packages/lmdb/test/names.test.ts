/** Bits that flip in the names under which the rows of logs are stored. */
import { assert, describe, it } from "@effect/vitest"
import { EntryBatch, Watermark } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import { open as openLmdb } from "lmdb"
import * as fs from "node:fs"
import { batchAfter, fileOf, logA, logB, open, tempFolder, using } from "./support/store.ts"

/** Two logs of three rows with two entries each. */
const filled = Effect.gen(function* () {
  const folder = yield* tempFolder
  const all = yield* using(folder, (store) =>
    Effect.gen(function* () {
      for (const log of [logA, logB]) {
        let head = Watermark.none(log)
        for (const value of ["one", "two", "three"]) head = yield* store.append(batchAfter(head, [value, `${value}-b`]))
      }
      return Option.getOrThrow(yield* store.read(logA, 0, 1 << 20))
    })
  )
  return { folder, all }
})

/** Stores the row of the log that ends with an entry under another key, as a bad disk would, in the closed file. */
const rename = async (folder: string, last: number, changed: (key: Buffer) => Buffer | void): Promise<void> => {
  const root = openLmdb<Buffer, Buffer>({ path: fileOf(folder), encoding: "binary", keyEncoding: "binary" })
  const table = root.openDB<Buffer, Buffer>({ name: "entries", encoding: "binary", keyEncoding: "binary" })
  const key = Buffer.alloc(logA.length + 7)
  key.write(logA, 0, "latin1")
  key.writeUIntBE(last, logA.length + 1, 6)
  const value = Buffer.from(table.getBinary(key)!)
  await table.remove(key)
  await table.put(changed(key) ?? key, value)
  await root.close()
}

const logsOf = (folder: string) =>
  using(folder, (store) =>
    Effect.map(store.watermarks, (watermarks) => watermarks.map(({ log, seq }) => [log, seq] as const))
  )

describe("L60 a row under a name that is not its own", () => {
  it.effect("makes no log, whatever the name is, and is what the log lacks until that is mended", () =>
    Effect.gen(function* () {
      for (const last of [2, 4]) {
        for (const [what, changed] of [
          ["another replica", (key: Buffer) => void (key[0]! ^= 2)],
          ["another incarnation", (key: Buffer) => void (key[5]! ^= 1)],
          ["no replica", (key: Buffer) => void (key[0]! ^= 0x40)],
          ["no end of the name", (key: Buffer) => void (key[logA.length] = 1)],
          ["another end of the name", (key: Buffer) => void (key[logA.length - 1] = 0)],
          ["a longer key", (key: Buffer) => Buffer.concat([key, Buffer.from([0, 7])])],
          ["a shorter key", (key: Buffer) => key.subarray(0, -2)]
        ] as const) {
          const { all, folder } = yield* filled
          yield* Effect.promise(() => rename(folder, last, changed))
          const expected = [
            [logA, 6],
            [logB, 6]
          ]
          assert.deepStrictEqual(yield* logsOf(folder), expected as never, `${what}, ${last}`)
          yield* using(folder, (store) =>
            Effect.gen(function* () {
              for (let at = 0; at < 6;) at = yield* store.check(logA, at, 1 << 20)
              assert.deepStrictEqual(store.damaged(), [{ log: logA, from: last - 1, to: last }], what)
              yield* store.replace(EntryBatch.upTo(EntryBatch.after(all, last - 2), last))
              assert.deepStrictEqual(store.damaged(), [])
              assert.deepStrictEqual(Option.getOrThrow(yield* store.read(logA, 0, 1 << 20)).bytes, all.bytes)
            })
          )
          assert.deepStrictEqual(yield* logsOf(folder), expected as never, what)
        }
      }
    })
  )

  it.effect("is none of the log that is called so", () =>
    Effect.gen(function* () {
      const { folder } = yield* filled
      yield* Effect.promise(() =>
        rename(folder, 4, (key) => {
          key.write(logB, 0, "latin1")
          key[key.length - 1] = 1
        })
      )
      assert.deepStrictEqual(
        (yield* logsOf(folder)).map(([log]) => log),
        [logA, logB]
      )
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          for (const log of [logA, logB]) for (let at = 0; at < 6;) at = yield* store.check(log, at, 1 << 20)
          assert.deepStrictEqual(
            store
              .damaged()
              .map(({ from, log, to }) => [log, from, to])
              .sort(),
            [
              [logA, 3, 4],
              [logB, 1, 1]
            ]
          )
          const { bytes } = Option.getOrThrow(yield* store.read(logB, 2, 1 << 20))
          assert.isAbove(bytes.length, 0)
        })
      )
    })
  )

  it.effect("is not read as one of the log that is called so, where that would go on with it", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          const head = yield* store.append(batchAfter(Watermark.none(logA), ["one", "one-b"]))
          yield* store.append(batchAfter(head, ["two", "two-b"]))
          yield* store.append(batchAfter(Watermark.none(logB), ["other", "other-b"]))
        })
      )
      yield* Effect.promise(() => rename(folder, 4, (key) => void key.write(logB, 0, "latin1")))
      const error = yield* using(folder, (store) => Effect.flip(store.read(logB, 2, 1)))
      assert.strictEqual(error.reason, "corrupt")
    })
  )
})

describe("L60 what a store notes", () => {
  it.effect("is corrupt when anything of it is another: a note that is forgotten might be a reason not to vote", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const { incarnation } = yield* using(folder, (store) =>
        Effect.as(store.setNotes({ "a-name": "a-value" }), store.identity)
      )
      const whole = fs.readFileSync(fileOf(folder))
      for (const text of ["recovering", "a-name", "a-value", incarnation]) {
        const at = whole.lastIndexOf(text)
        assert.isAbove(at, 0, text)
        // Pages that are not in use any more may have it too.
        const bytes = Buffer.from(whole)
        for (let at = whole.indexOf(text); at >= 0; at = whole.indexOf(text, at + 1)) bytes[at + text.length - 1]! ^= 1
        fs.writeFileSync(fileOf(folder), bytes)
        const error = yield* Effect.flip(Effect.scoped(open(folder)))
        assert.strictEqual(error.reason, "corrupt", text)
      }
      fs.writeFileSync(fileOf(folder), whole)
      assert.deepStrictEqual(yield* using(folder, (store) => store.note("a-name")), Option.some("a-value"))
    })
  )
})
