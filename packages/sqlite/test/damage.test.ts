/** Damage in the file: what it costs, and what is said of it. */
import { assert, describe, it } from "@effect/vitest"
import type { LogId } from "@quorum/core"
import { type Chain, EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import * as fs from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { batchAfter, fileOf, firstBatch, logA, logB, tempFolder, using, valuesOf } from "./support/store.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const appendError = (store: Store, batch: EntryBatch.EntryBatch) =>
  Effect.map(Effect.flip(store.append(batch)), (error) => error as ReplicaStore.StoreError)

/** Changes the closed file with SQL, behind the store's back. */
const change = (folder: string, sql: string): void => {
  const db = new DatabaseSync(fileOf(folder))
  db.exec(sql)
  db.close()
}

/** Flips one bit of the value that contains a text, in the file, as a bad disk would. */
const flip = (folder: string, text: string): void => {
  const bytes = fs.readFileSync(fileOf(folder))
  const at = bytes.indexOf(text)
  if (at < 0) throw new Error(`${text} is not in the file`)
  bytes[at]! ^= 1
  fs.writeFileSync(fileOf(folder), bytes)
}

describe("L60 one damaged row", () => {
  const filled = Effect.gen(function* () {
    const folder = yield* tempFolder
    let head = Watermark.none(logA)
    yield* using(folder, (store) =>
      Effect.gen(function* () {
        for (const value of ["one-value", "two-value", "three-value", "four-value"]) {
          head = yield* store.append(batchAfter(head, [value, `${value}-b`]))
        }
        yield* store.append(firstBatch(logB, ["other"]))
      })
    )
    return { folder, head }
  })

  it.effect("hides neither what is before it nor what is after it, is named, and stays the only damage", () =>
    Effect.gen(function* () {
      const { folder, head } = yield* filled
      flip(folder, "three-value")
      for (let start = 0; start < 2; start++) {
        yield* using(folder, (store) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(store.damaged(), [])
            const before = Option.getOrThrow(yield* store.read(logA, 0, 1 << 20))
            assert.deepStrictEqual([before.from, EntryBatch.last(before)], [1, 4])
            assert.deepStrictEqual(store.damaged(), [{ log: logA, from: 5, to: 6 }])
            const error = yield* Effect.flip(store.read(logA, 4, 1 << 20))
            assert.strictEqual(error.reason, "corrupt")
            assert.include(error.detail, `damaged at entry 5 of ${logA}`)
            const after = Option.getOrThrow(yield* store.read(logA, 6, 1 << 20))
            assert.deepStrictEqual([after.from, EntryBatch.last(after)], [7, 8])
            assert.deepStrictEqual((yield* store.chainAt(logA, 4)).pipe(Option.getOrThrow), before.chain)
            assert.deepStrictEqual((yield* valuesOf(store, logB)).values, ["other"])
            assert.strictEqual((yield* Effect.flip(store.chainAt(logA, 5))).reason, "corrupt")
            assert.strictEqual(store.damaged().length, 1)
            assert.deepStrictEqual((yield* store.watermarks)[0], head)
          })
        )
      }
      // The log goes on at its end, which is in order.
      yield* using(folder, (store) => store.append(batchAfter(head, ["five-value"])))
    })
  )

  it.effect("at the end of a log leaves what is before it, and lets nothing be appended to that log", () =>
    Effect.gen(function* () {
      const { folder, head } = yield* filled
      flip(folder, "four-value")
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(store.damaged(), [{ log: logA, from: 7, to: 8 }])
          const before = Option.getOrThrow(yield* store.read(logA, 0, 1 << 20))
          assert.deepStrictEqual([before.from, EntryBatch.last(before)], [1, 6])
          assert.strictEqual((yield* appendError(store, batchAfter(head, ["x"]))).reason, "corrupt")
          const b = Option.getOrThrow(yield* store.read(logB, 0, 1 << 20))
          yield* store.append(batchAfter(EntryBatch.watermark(b), ["more"]))
        })
      )
    })
  )

  it.effect("is as small when it is in a column of the newest row, or in the row before", () =>
    Effect.gen(function* () {
      const log = logA
      for (const [sql, damage] of [
        ["prev_chain = '0123456789abcdef' WHERE last = 8", { log, from: 7, to: 8 }],
        ["chain = '0123456789abcdef' WHERE last = 8", { log, from: 7, to: 8 }],
        ["chain = 'no chain' WHERE last = 8", { log, from: 7, to: 8 }],
        ["first = 1 WHERE last = 8", { log, from: 7, to: 8 }],
        // More than a number of JavaScript holds: at the end the row does not even say where that is.
        ["first = 9007199254740993 WHERE last = 8", { log, from: 7, to: 7 }],
        ["first = 9007199254740993 WHERE last = 6", { log, from: 5, to: 6 }],
        ["chain = '0123456789abcdef' WHERE last = 6", { log, from: 5, to: 6 }]
      ] as const) {
        const { folder } = yield* filled
        change(folder, `UPDATE batch_1 SET ${sql}`)
        yield* using(folder, (store) =>
          Effect.gen(function* () {
            const before = Option.getOrThrow(yield* store.read(logA, 0, 1 << 20))
            assert.strictEqual(EntryBatch.last(before) + 1, damage.from, sql)
            assert.deepStrictEqual(store.damaged(), [damage], sql)
          })
        )
      }
    })
  )

  it.effect("is a row that is in order by itself and does not follow the one before", () =>
    Effect.gen(function* () {
      const { folder } = yield* filled
      const before = { log: logA, seq: 4, chain: "0123456789abcdef" as Chain.Chain }
      const { bytes, chain, prevChain } = batchAfter(before, ["another", "another-b"])
      const db = new DatabaseSync(fileOf(folder))
      db.prepare("UPDATE batch_1 SET prev_chain = ?, chain = ?, bytes = ? WHERE last = 6").run(prevChain, chain, bytes)
      db.close()
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          assert.strictEqual(EntryBatch.last(Option.getOrThrow(yield* store.read(logA, 0, 1 << 20))), 4)
          assert.isAbove(store.damaged().length, 0)
        })
      )
    })
  )

  it.effect("at the end of a log leaves nobody a chain there", () =>
    Effect.gen(function* () {
      const { folder } = yield* filled
      flip(folder, "four-value")
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* Effect.flip(store.chainAt(logA, 8))).reason, "corrupt")
          assert.isTrue(Option.isSome(yield* store.chainAt(logA, 6)))
        })
      )
    })
  )

  it.effect("is named for each log, also where the places are the same", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          for (const [log, value] of [
            [logA, "in-a"],
            [logB, "in-b"]
          ] as const) {
            yield* store.append(batchAfter(yield* store.append(firstBatch(log, [value])), ["more"]))
          }
        })
      )
      for (const value of ["in-a", "in-b"]) flip(folder, value)
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          for (const log of [logA, logB]) yield* Effect.flip(store.read(log, 0, 1 << 20))
          assert.deepStrictEqual(
            store.damaged(),
            [logA, logB].map((log) => ({ log, from: 1, to: 1 }))
          )
        })
      )
    })
  )

  it.effect("is found in the order in which it is read, whichever log comes first", () =>
    Effect.gen(function* () {
      const { folder } = yield* filled
      flip(folder, "one-value")
      flip(folder, "other")
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(store.damaged(), [{ log: logB, from: 1, to: 1 }])
          yield* Effect.flip(store.read(logA, 0, 1))
          assert.deepStrictEqual(store.damaged(), [
            { log: logB, from: 1, to: 1 },
            { log: logA, from: 1, to: 2 }
          ])
        })
      )
    })
  )

  it.effect("is mended or given up also where the table that the next part would take is damaged", () =>
    Effect.gen(function* () {
      const spoil = (folder: string): void => {
        const db = new DatabaseSync(fileOf(folder))
        const next = "SELECT rootpage FROM sqlite_schema WHERE name = 'batch_' || (SELECT max(id) + 1 FROM log)"
        const page = Number(db.prepare(next).get()!["rootpage"])
        db.close()
        const bytes = fs.readFileSync(fileOf(folder))
        bytes.fill("x", (page - 1) * 4096, page * 4096)
        fs.writeFileSync(fileOf(folder), bytes)
      }
      const { folder } = yield* filled
      const whole = yield* using(folder, (store) => store.read(logA, 0, 1 << 20))
      const all = Option.getOrThrow(whole)
      flip(folder, "two-value")
      spoil(folder)
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          yield* Effect.flip(store.read(logA, 2, 1))
          yield* store.replace(EntryBatch.upTo(EntryBatch.after(all, 2), 4))
          assert.deepStrictEqual(store.damaged(), [])
          assert.deepStrictEqual(Option.getOrThrow(yield* store.read(logA, 0, 1 << 20)).bytes, all.bytes)
          // A new log takes a table too.
          yield* store.append(firstBatch("c@00000000000000cc" as LogId.LogId, ["new"]))
        })
      )
      const other = (yield* filled).folder
      flip(other, "four-value")
      spoil(other)
      yield* using(other, (store) => Effect.map(store.cut(logA), ({ seq }) => void assert.strictEqual(seq, 6)))
    })
  )

  it.effect("is named whole although it was met in its middle", () =>
    Effect.gen(function* () {
      const { folder } = yield* filled
      flip(folder, "two-value")
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          yield* Effect.flip(store.read(logA, 3, 1))
          assert.deepStrictEqual(store.damaged(), [{ log: logA, from: 3, to: 4 }])
          // The row after it begins with the chain that it ended with.
          const after = Option.getOrThrow(yield* store.read(logA, 4, 1))
          assert.deepStrictEqual(yield* store.chainAt(logA, 4), Option.some(after.prevChain))
        })
      )
    })
  )
})

describe("L60 one damaged page", () => {
  it.effect("costs the rows on it, and those before and after are served", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      let head = Watermark.none(logA)
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          for (let i = 0; i < 60; i++) head = yield* store.append(batchAfter(head, [`${i}`.padEnd(300)]))
        })
      )
      const bytes = fs.readFileSync(fileOf(folder))
      const page = Math.floor(bytes.indexOf(`${30}`.padEnd(300)) / 4096)
      bytes.fill(0xff, page * 4096, (page + 1) * 4096)
      fs.writeFileSync(fileOf(folder), bytes)
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          const before = Option.getOrThrow(yield* store.read(logA, 0, 1 << 20))
          assert.strictEqual((yield* Effect.flip(store.read(logA, EntryBatch.last(before), 1))).reason, "corrupt")
          const [damage] = store.damaged()
          assert.strictEqual(damage!.from, EntryBatch.last(before) + 1)
          assert.isTrue(damage!.from <= 31 && damage!.to >= 31 && damage!.to - damage!.from < 15)
          const after = Option.getOrThrow(yield* store.read(logA, damage!.to, 1 << 20))
          assert.deepStrictEqual([after.from, EntryBatch.last(after)], [damage!.to + 1, 60])
          yield* store.append(batchAfter(head, ["more"]))
        })
      )
    })
  )
})
