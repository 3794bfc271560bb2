/** What lies between two marks of a row is a batch by itself, and a damaged mark never makes another of it. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, HybridLogicalClock, LogId, ReplicaId } from "@quorum/core"
import { EntryBatch, Watermark } from "@quorum/core/adapter"
import { Faults } from "@quorum/testing"
import { Effect, Result } from "effect"
import * as Marks from "../src/internal/marks.ts"
import { damageMark, tempFolder, using } from "./support/store.ts"

const log = LogId.make(ReplicaId.make("a"), LogId.Incarnation.make("0000000000000001"))

/** A row as compaction may leave it: values of many lengths, and ranges of erased entries. */
const rowOf = (seed: number): EntryBatch.EntryBatch => {
  const random = Faults.generator(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const longest = [40, 200, 900][below(3)]!
  const writes = Array.from({ length: 2 + below(25) }, (_, i) =>
    Entry.put("n", `key ${i}`, new Uint8Array(below(longest)).fill(i))
  )
  const head = { ...Watermark.none(log), seq: below(1000) * 2 ** below(30) }
  const { batch } = EntryBatch.encode(head, writes, HybridLogicalClock.zero, 1)
  return below(2) === 0 ? batch : EntryBatch.erase(batch, () => (below(3) === 0 ? "superseded" : "kept"))
}

const isSound = (batch: EntryBatch.EntryBatch): boolean => Result.isSuccess(EntryBatch.validate(batch))

const rows = Array.from({ length: 60 }, (_, i) => rowOf(1000 + i))

describe("marks within a row", () => {
  it("every entry is between two of them, in a batch that is in order by itself and not much longer than they are apart", () => {
    let shorter = 0
    for (const row of rows) {
      const marks = Marks.of(row)
      assert.isAtMost(marks.length, Marks.mostBytes(row.bytes.length))
      assert.strictEqual(Marks.lengthAt(marks, 0), marks.length)
      for (let seq = row.from; seq <= EntryBatch.last(row); seq++) {
        const found = Marks.around(row, marks, seq)
        assert.isTrue(isSound(found))
        assert.isTrue(found.from <= seq && seq <= EntryBatch.last(found))
        assert.isAtMost(found.bytes.length, 512 + 2000)
        if (found.bytes.length < row.bytes.length / 2) shorter++
      }
    }
    assert.isAbove(shorter, 200)
  })

  it("a bit of a mark, or of the sequence with which the row begins or ends, shows wherever it counts", () => {
    let told = 0
    for (const row of rows.slice(0, 12)) {
      const marks = Marks.of(row)
      const right = new Map<number, EntryBatch.EntryBatch>()
      for (let seq = row.from; seq <= EntryBatch.last(row); seq++) right.set(seq, Marks.around(row, marks, seq))
      const compare = (changed: EntryBatch.EntryBatch, damaged: Buffer): void => {
        for (const [seq, expected] of right) {
          const found = Marks.around(changed, damaged, seq)
          const holds = found.from <= seq && seq <= EntryBatch.last(found)
          if (!holds || !isSound(found)) told++
          else assert.deepStrictEqual(found, expected)
        }
      }
      for (let bit = 8; bit < marks.length * 8; bit++) {
        const damaged = Buffer.from(marks)
        damaged[bit >> 3]! ^= 1 << (bit & 7)
        compare(row, damaged)
      }
      for (let bit = 1; bit <= 2 ** 20; bit *= 2) {
        const from = row.from ^ bit
        compare({ ...row, from, count: EntryBatch.last(row) - from + 1 }, marks)
        compare({ ...row, count: row.count ^ bit }, marks)
      }
    }
    assert.isAbove(told, 1000)
  })

  it.live("L60 DamageIsLocal: a bit of a mark costs no read, and is found by who reads all again", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const { own, wanted } = yield* using(
        folder,
        Effect.fnUntraced(function* (store) {
          const own = LogId.make(store.identity.replica, store.identity.incarnation)
          const writes = Array.from({ length: 20 }, (_, i) => Entry.put("n", `key ${i}`, new Uint8Array(100).fill(i)))
          const { batch } = EntryBatch.encode(Watermark.none(own), writes, HybridLogicalClock.zero, 1)
          yield* store.append(batch)
          return { own, wanted: yield* store.read(own, 18, 1) }
        })
      )
      yield* Effect.promise(() => damageMark(folder, own, 19))
      yield* using(
        folder,
        Effect.fnUntraced(function* (store) {
          assert.deepStrictEqual(yield* store.read(own, 18, 1), wanted)
          assert.deepStrictEqual(store.damaged(), [])
          yield* store.check(own, 0, 1 << 20)
          assert.deepStrictEqual(store.damaged(), [{ log: own, from: 1, to: 20 }])
        })
      )
    })
  )
})
