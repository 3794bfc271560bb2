/** What one bit or page of a file of logs costs, wherever it is. */
import { assert, describe, it } from "@effect/vitest"
import { EntryBatch, type ReplicaStore } from "@quorum/core/adapter"
import { Effect, Option, Result } from "effect"
import * as fs from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { fileOf, firstBatch, logA, open, tempFolder, using, valuesOf } from "./support/store.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const appendError = (store: Store, batch: EntryBatch.EntryBatch) =>
  Effect.map(Effect.flip(store.append(batch)), (error) => error as ReplicaStore.StoreError)

describe("L60 a damaged page above the rows", () => {
  it.effect(
    "that hides the newest of them is found by the append that meets them, and nothing is written over them",
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const whole = firstBatch(
          logA,
          Array.from({ length: 60 }, (_, i) => `${i}`.padEnd(300))
        )
        yield* using(folder, (store) =>
          Effect.gen(function* () {
            for (let seq = 0; seq < 60; seq++) yield* store.append(EntryBatch.take(EntryBatch.after(whole, seq), 1))
          })
        )
        const bytes = fs.readFileSync(fileOf(folder))
        const db = new DatabaseSync(fileOf(folder))
        const found = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'batch_1'").get()
        db.close()
        // Of the root page the last child becomes the first: its newest row is taken for the newest of all.
        const root = (Number(found!["rootpage"]) - 1) * 4096
        assert.strictEqual(bytes[root], 5)
        const cell = root + bytes.readUInt16BE(root + 12)
        bytes.copyWithin(root + 8, cell, cell + 4)
        fs.writeFileSync(fileOf(folder), bytes)
        for (let start = 0; start < 2; start++) {
          yield* using(folder, (store) =>
            Effect.gen(function* () {
              const [head] = yield* store.watermarks
              if (start === 0) {
                assert.isBelow(head!.seq, 20)
                assert.strictEqual((yield* appendError(store, EntryBatch.after(whole, head!.seq))).reason, "corrupt")
                assert.isTrue(store.damaged().some(({ to }) => to === head!.seq + 1))
                assert.strictEqual((yield* Effect.flip(store.chainAt(logA, head!.seq + 1))).reason, "corrupt")
                assert.deepStrictEqual(yield* store.cut(logA), head)
                yield* store.append(EntryBatch.after(whole, head!.seq))
              }
              assert.deepStrictEqual(store.damaged(), [])
              const read = Option.getOrThrow(yield* store.read(logA, 0, 1 << 20))
              assert.isTrue(Buffer.from(read.bytes).equals(Buffer.from(whole.bytes)))
            })
          )
        }
      })
  )
})

describe("L60 one bit anywhere", () => {
  it.effect(
    "is a typed error at the start, or a range that is named; nothing else is served but what was written",
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const whole = firstBatch(
          logA,
          Array.from({ length: 40 }, (_, i) => `${i}`.padEnd(i === 20 ? 9000 : (i * 37) % 300))
        )
        yield* using(folder, (store) =>
          Effect.gen(function* () {
            for (let seq = 0; seq < 40; seq++) yield* store.append(EntryBatch.take(EntryBatch.after(whole, seq), 1))
          })
        )
        const intact = fs.readFileSync(fileOf(folder))
        const db = new DatabaseSync(fileOf(folder))
        const { end } = db.prepare("SELECT rootpage * 4096 AS end FROM sqlite_schema WHERE name = 'batch_1'").get() as {
          end: number
        }
        const roots = db.prepare("SELECT rootpage AS page FROM sqlite_schema WHERE name > 'batch_2'").all()
        db.close()
        // Of the tables that nothing is in yet one will do.
        const spares = new Set(roots.map(({ page }) => Number(page) - 1).slice(1))
        const all = Array.from({ length: Math.floor(intact.length / 97) }, (_, i) => i * 97)
        const places = all.filter((at) => !spares.has(Math.floor(at / 4096)))
        // The keys of the root page too, which lead to the pages below.
        for (let at = end - 40; at < end; at++) places.push(at)
        for (const at of places) {
          const bytes = Buffer.from(intact)
          bytes[at]! ^= 1 << (at % 8)
          fs.writeFileSync(fileOf(folder), bytes)
          const opened = yield* Effect.result(
            using(folder, (store) =>
              Effect.gen(function* () {
                assert.isTrue((yield* store.watermarks)[0]?.seq === 40 || store.damaged().length > 0, `byte ${at}`)
                const missing: Array<number> = []
                for (let seq = 1; seq <= 40; seq++) {
                  const read = yield* Effect.result(store.read(logA, seq - 1, 1))
                  if (Result.isFailure(read) || Option.isNone(read.success)) missing.push(seq)
                  else {
                    const written = EntryBatch.take(EntryBatch.after(whole, seq - 1), 1)
                    assert.isTrue(
                      Buffer.from(read.success.value.bytes).equals(written.bytes),
                      `byte ${at}, entry ${seq}`
                    )
                  }
                }
                const named = (seq: number) => store.damaged().some(({ from, to }) => from <= seq && seq <= to)
                assert.isTrue(missing.every(named) || (yield* store.watermarks)[0]?.seq !== 40, `byte ${at}`)
              })
            )
          )
          if (Result.isFailure(opened))
            assert.include(["corrupt", "wrong_identity"], opened.failure.reason, `byte ${at}`)
        }
      }),
    120_000
  )
})

describe("damage beside the logs", () => {
  it.effect("is corrupt when a log has another name: its places would be given away again", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (store) => store.append(firstBatch(logA, ["1"])))
      const bytes = fs.readFileSync(fileOf(folder))
      // The table; the index of the names, which has it too, is another page.
      bytes[bytes.indexOf(logA)]! ^= 2
      fs.writeFileSync(fileOf(folder), bytes)
      const error = yield* Effect.flip(Effect.scoped(open(folder)))
      assert.strictEqual(error.reason, "corrupt")
      assert.include(error.detail, "the names of its logs")
      // The same process may open it when it was mended.
      bytes[bytes.lastIndexOf(logA.slice(1)) - 1]! = logA.charCodeAt(0)
      bytes[bytes.indexOf(logA.slice(1)) - 1]! = logA.charCodeAt(0)
      fs.writeFileSync(fileOf(folder), bytes)
      yield* using(folder, (store) =>
        Effect.map(valuesOf(store, logA), ({ values }) => assert.deepStrictEqual(values, ["1"]))
      )
    })
  )

  it.effect(
    "is corrupt when anything that the store notes is another: a note that is forgotten might be a reason not to vote",
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const { incarnation } = yield* using(folder, (store) =>
          Effect.as(store.setNotes({ "a-name": "a-value" }), store.identity)
        )
        const whole = fs.readFileSync(fileOf(folder))
        for (const text of ["recovering", "a-name", "a-value", incarnation]) {
          let places = 0
          for (let at = whole.indexOf(text); at >= 0; at = whole.indexOf(text, at + 1)) {
            places++
            const bytes = Buffer.from(whole)
            bytes[at + text.length - 1]! ^= 1
            fs.writeFileSync(fileOf(folder), bytes)
            const error = yield* Effect.flip(Effect.scoped(open(folder)))
            assert.strictEqual(error.reason, "corrupt", `${text} at ${at}`)
          }
          assert.isAtLeast(places, 2, text)
        }
        fs.writeFileSync(fileOf(folder), whole)
        assert.deepStrictEqual(yield* using(folder, (store) => store.note("a-name")), Option.some("a-value"))
      })
  )
})
