/** What replacing leaves in the file: how long it is, how its rows are, and what damage in it hinders. */
import { assert, describe, it } from "@effect/vitest"
import { DamagedRange, EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import * as fs from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { batchAfter, fileOf, firstBatch, logA, logB, tempFolder, using } from "./support/store.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const pageBytes = 4096
const value = "x".repeat(300)

/** A closed store of a log of so many entries, one or more appended at a time, and another log. */
const filled = Effect.fnUntraced(function* (count: number, atOnce: number) {
  const folder = yield* tempFolder
  yield* using(folder, (store) =>
    Effect.gen(function* () {
      yield* store.append(firstBatch(logB, ["other"]))
      for (let head = Watermark.none(logA); head.seq < count;) {
        head = yield* store.append(batchAfter(head, Array<string>(atOnce).fill(value)))
      }
    })
  )
  return folder
})

/** Erases all entries up to one but every tenth, slice by slice. */
const erase = (store: Store, upTo: number, sliceBytes = 64 * 1024) =>
  Effect.gen(function* () {
    for (let at = 0; at < upTo;) {
      const page = EntryBatch.upTo(Option.getOrThrow(yield* store.read(logA, at, sliceBytes)), upTo)
      yield* store.replace(EntryBatch.erase(page, (seq) => (seq % 10 === 0 ? "kept" : "superseded")))
      at = EntryBatch.last(page)
    }
  })

const look = <A>(folder: string, look: (db: DatabaseSync) => A): A => {
  const db = new DatabaseSync(fileOf(folder))
  try {
    return look(db)
  } finally {
    db.close()
  }
}

const numberOf = (db: DatabaseSync, sql: string): number => Number(Object.values(db.prepare(sql).get()!)[0])

/** All entries that can be read of the log, by their sequences. */
const seqsOf = Effect.fnUntraced(function* (store: Store) {
  const seqs: Array<number> = []
  for (let at = 0; ;) {
    const page = Option.getOrUndefined(yield* store.read(logA, at, 1 << 20))
    if (page === undefined) return seqs
    EntryBatch.forEach(page, (seq) => void seqs.push(seq))
    at = EntryBatch.last(page)
  }
})

const tenths = (count: number) => Array.from({ length: count / 10 }, (_, i) => 10 * (i + 1))

describe("what is erased", () => {
  it.effect("leaves the file as short as what is left, with nothing in it that is free, while the store is open", () =>
    Effect.gen(function* () {
      const folder = yield* filled(3000, 10)
      const before = fs.statSync(fileOf(folder)).size
      yield* using(folder, (store) => erase(store, 3000))
      assert.isBelow(fs.statSync(fileOf(folder)).size, before / 4)
      look(folder, (db) => {
        assert.strictEqual(numberOf(db, "PRAGMA freelist_count"), 0)
        assert.strictEqual(db.prepare("PRAGMA integrity_check").get()!["integrity_check"], "ok")
      })
      yield* using(folder, (store) => Effect.map(seqsOf(store), (seqs) => assert.deepStrictEqual(seqs, tenths(3000))))
    })
  )

  it.effect("leaves rows that are as long as others, from whatever slices and small appends", () =>
    Effect.gen(function* () {
      const folder = yield* filled(600, 1)
      yield* using(folder, (store) => erase(store, 600, 1000))
      const rows = look(folder, (db) => numberOf(db, "SELECT count(*) FROM batch_2"))
      const bytes = look(folder, (db) => numberOf(db, "SELECT sum(length(bytes)) FROM batch_2"))
      // Half as long as they may be, on the average.
      assert.isBelow(rows, 1 + (2 * bytes) / 3968)
    })
  )

  it.effect("is erased where a page at the end of the file is damaged, and the room is used for what comes next", () =>
    Effect.gen(function* () {
      const folder = yield* filled(600, 10)
      const bytes = fs.readFileSync(fileOf(folder))
      // Of the other log, so that nothing that is erased is in it.
      yield* using(folder, (store) =>
        store.append(batchAfter(EntryBatch.watermark(firstBatch(logB, ["other"])), Array<string>(20).fill(value)))
      )
      const grown = fs.readFileSync(fileOf(folder))
      assert.isAbove(grown.length, bytes.length)
      fs.writeFileSync(fileOf(folder), grown.fill(0xff, grown.length - pageBytes))
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          yield* erase(store, 600)
          assert.deepStrictEqual(yield* seqsOf(store), tenths(600))
        })
      )
      const { free, pages } = look(folder, (db) => ({
        free: numberOf(db, "PRAGMA freelist_count"),
        pages: numberOf(db, "PRAGMA page_count")
      }))
      assert.isAbove(free, 30)
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          const [head] = (yield* store.watermarks).filter(({ log }) => log === logA)
          yield* store.append(batchAfter(head!, Array<string>(200).fill(value)))
        })
      )
      look(folder, (db) => assert.strictEqual(numberOf(db, "PRAGMA page_count"), pages))
    })
  )

  it.effect("goes from all parts of a log that was mended, and cut, and goes on", () =>
    Effect.gen(function* () {
      const folder = yield* filled(300, 10)
      const whole = yield* using(folder, (store) => Effect.map(store.read(logA, 0, 1 << 20), Option.getOrThrow))
      const bytes = fs.readFileSync(fileOf(folder))
      // A page of the first part, with rows from the middle of the log.
      const page = Math.floor(bytes.lastIndexOf(Buffer.from(value), bytes.length / 2) / pageBytes)
      fs.writeFileSync(fileOf(folder), bytes.fill(0xff, page * pageBytes, (page + 1) * pageBytes))
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          for (let at = 0; at < 300;) at = yield* store.check(logA, at, 1 << 20)
          const [lost] = DamagedRange.joined(store.damaged())
          // More than is damaged, so that rows of two parts have the same entries.
          yield* store.replace(EntryBatch.upTo(EntryBatch.after(whole, lost!.from - 4), lost!.to + 3))
          assert.deepStrictEqual(store.damaged(), [])
          yield* store.cut(logA, 275)
          const end = EntryBatch.watermark(EntryBatch.upTo(whole, 275))
          yield* erase(store, 260, 9000)
          yield* store.append(batchAfter(end, Array<string>(25).fill(value)))
          yield* erase(store, 280, 5000)
          assert.deepStrictEqual(yield* seqsOf(store), [
            ...tenths(280),
            ...Array.from({ length: 20 }, (_, i) => 281 + i)
          ])
          yield* erase(store, 300, 5000)
        })
      )
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* seqsOf(store), tenths(300))
          assert.strictEqual((yield* store.watermarks).find(({ log }) => log === logA)!.seq, 300)
          for (let at = 0; at < 300;) at = yield* store.check(logA, at, 1000)
          assert.deepStrictEqual(store.damaged(), [])
        })
      )
    })
  )

  it.effect("leaves the end of a log where it was given up, with nothing after it yet", () =>
    Effect.gen(function* () {
      const folder = yield* filled(300, 10)
      // Where a row ends, so that the part that goes on there is empty.
      yield* using(folder, (store) => Effect.andThen(store.cut(logA, 270), erase(store, 260)))
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          const head = (yield* store.watermarks).find(({ log }) => log === logA)!
          assert.strictEqual(head.seq, 270)
          yield* erase(store, 270)
          yield* store.append(batchAfter(head, Array<string>(30).fill(value)))
        })
      )
      yield* using(folder, (store) =>
        Effect.map(seqsOf(store), (seqs) =>
          assert.deepStrictEqual(seqs, [...tenths(270), ...Array.from({ length: 30 }, (_, i) => 271 + i)])
        )
      )
    })
  )
})

describe("L60 a damaged page behind the tables", () => {
  it.effect("hinders no new log and no mend: the tables for them are there before", () =>
    Effect.gen(function* () {
      const folder = yield* filled(300, 10)
      const last = look(folder, (db) => numberOf(db, "SELECT max(rootpage) FROM sqlite_schema WHERE type = 'table'"))
      const whole = yield* using(folder, (store) => Effect.map(store.read(logA, 0, 1 << 20), Option.getOrThrow))
      const bytes = fs.readFileSync(fileOf(folder))
      fs.writeFileSync(fileOf(folder), bytes.fill(0xff, last * pageBytes, (last + 1) * pageBytes))
      yield* using(folder, (store) =>
        Effect.gen(function* () {
          for (let at = 0; at < 300;) at = yield* store.check(logA, at, 1 << 20)
          const [lost] = DamagedRange.joined(store.damaged())
          assert(lost !== undefined, "the page was not used")
          for (let i = 0; i < 6; i++)
            yield* store.append({ ...firstBatch(logA, ["new"]), log: logA.replace(/.$/, `${i}`) as typeof logA })
          yield* store.replace(EntryBatch.upTo(EntryBatch.after(whole, lost.from - 1), lost.to))
          assert.deepStrictEqual(store.damaged(), [])
        })
      )
      yield* using(folder, (store) =>
        Effect.map(seqsOf(store), (seqs) =>
          assert.deepStrictEqual(
            seqs,
            Array.from({ length: 300 }, (_, i) => i + 1)
          )
        )
      )
    })
  )
})
