/** What is read back: the same bytes in the same order, in ranges, whatever they are. */
import { assert } from "@effect/vitest"
import { Entry } from "@quorum/core"
import { Chain, EntryBatch } from "@quorum/core/adapter"
import { Effect, Option, Result } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { StorePlace } from "../../StorePlace.ts"
import { first, following, head, held, pieces, range, source, texts } from "../entries.ts"
import { logA, logB, open, using } from "./rig.ts"

const all = source(logA, 12)

/** Keys and values that are easily damaged on the way to a disk and back. */
const oddWrites: ReadonlyArray<Entry.Write> = [
  Entry.put("ns", "empty value", new Uint8Array()),
  Entry.put(
    "ns",
    "every byte",
    Uint8Array.from({ length: 256 }, (_, i) => i)
  ),
  Entry.put("ns", "", "no key"),
  Entry.put("", "", ""),
  Entry.put("n", " ", " leading and trailing blanks "),
  Entry.put("emoji 🗝️", "ключ/鍵/مفتاح", "значение"),
  Entry.put("combining", "e\u0301 is not \u00e9", "x"),
  Entry.put("combining", "\u00e9 is not e\u0301", "y"),
  Entry.put("bom", "\ufeffkey", "\ufeffvalue"),
  Entry.put("last", "\u{10ffff}\uffff\ue000\ud7ff", "code points at the edges"),
  Entry.put("quotes", `'; DROP TABLE log; -- "\\\n\r\t`, "'"),
  Entry.put("n".repeat(Entry.maxNamespaceBytes), "k".repeat(Entry.maxKeyBytes), "the longest names"),
  Entry.remove("ns", "empty value")
]

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "a new store holds nothing, and says so",
    Effect.gen(function* () {
      const { store } = yield* open()
      assert.deepStrictEqual(yield* store.watermarks, [])
      assert.isTrue(Option.isNone(yield* store.read(logA, 0, 1024)))
      assert.deepStrictEqual(yield* store.chainAt(logA, 0), Option.some(Chain.empty))
      assert.isTrue(Option.isNone(yield* store.chainAt(logA, 1)))
    })
  ),

  Conformance.make(
    "a read gives what follows a place, in order, as much as fits and at least one entry",
    Effect.gen(function* () {
      const read = Effect.gen(function* () {
        const { close, store } = yield* open()
        const whole = texts(all)
        const size = range(all, 1, 1).bytes.length
        for (let after = 0; after < all.count; after++) {
          for (const maxBytes of [1, size - 1, size, 2 * size, 2 * size + 1, 5 * size, 100 * size]) {
            const batch = Option.getOrThrow(yield* store.read(logA, after, maxBytes))
            assert.isTrue(Result.isSuccess(EntryBatch.validate(batch)), "what is read has to be a valid batch")
            const fitting = EntryBatch.take(EntryBatch.after(all, after), maxBytes)
            assert.deepStrictEqual(texts(batch), texts(fitting))
            assert.strictEqual(batch.chain, fitting.chain)
          }
          assert.deepStrictEqual(yield* held(store, logA, 1 + after * 10), whole)
        }
        yield* close
      })
      yield* using(({ store }) => Effect.forEach([range(all, 1, 1), range(all, 2, 7), range(all, 8, 12)], store.append))
      yield* read
    })
  ),

  Conformance.make(
    "a read beyond the end gives nothing, and neither does a log that is not held",
    Effect.gen(function* () {
      const { store } = yield* open()
      yield* store.append(all)
      for (const after of [12, 13, 1_000_000]) assert.isTrue(Option.isNone(yield* store.read(logA, after, 1024)))
      assert.isTrue(Option.isNone(yield* store.chainAt(logA, 13)))
      assert.isTrue(Option.isNone(yield* store.read(logB, 0, 1024)))
    })
  ),

  Conformance.make(
    "the chain at every place is that of the entries up to there",
    Effect.gen(function* () {
      yield* using(({ store }) => Effect.forEach(pieces(all, 5), store.append))
      yield* using(({ store }) =>
        Effect.gen(function* () {
          for (let seq = 0; seq <= all.count; seq++) {
            assert.deepStrictEqual(yield* store.chainAt(logA, seq), Option.some(EntryBatch.chainAt(all, seq)))
          }
        })
      )
    })
  ),

  Conformance.make(
    "logs are kept apart, and there may be many",
    Effect.gen(function* () {
      const logs = Array.from({ length: 40 }, (_, i) => {
        const log = `${i % 2 === 0 ? "a" : "a-b.c_d"}@${i.toString(16).padStart(16, "0")}` as typeof logA
        return source(log, 1 + (i % 3), `of log ${i}`)
      })
      yield* using(({ store }) => Effect.forEach(logs, store.append))
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.sameDeepMembers([...(yield* store.watermarks)], logs.map(EntryBatch.watermark))
          for (const log of logs) assert.deepStrictEqual(yield* held(store, log.log), texts(log))
        })
      )
    })
  ),

  Conformance.make(
    "empty and odd keys and values come back byte by byte",
    Effect.gen(function* () {
      const odd = first(logA, oddWrites)
      yield* using(({ store }) => Effect.forEach(pieces(odd, 4), store.append))
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* held(store, logA), texts(odd))
          const batch = Option.getOrThrow(yield* store.read(logA, 0, 10 * 1024 * 1024))
          const decoded: Array<Entry.Write> = []
          EntryBatch.forEach(batch, (_, offset) => decoded.push(...Entry.decodeAt(batch.bytes, offset).records))
          assert.deepStrictEqual(
            decoded.map(({ key, kind, namespace, value }) => ({ kind, namespace, key, value: Array.from(value) })),
            oddWrites.map((write) => ({ ...write, value: Array.from(write.value) }))
          )
        })
      )
    })
  ),

  Conformance.make(
    "values of 1 MiB and batches of 8 MiB come back byte by byte",
    Effect.gen(function* () {
      const value = (seed: number) => Uint8Array.from({ length: 1024 * 1024 }, (_, i) => (i * seed) >>> 3)
      const large = first(
        logA,
        Array.from({ length: 8 }, (_, i) => Entry.put("ns", `k${i}`, value(i + 1)))
      )
      const next = following(EntryBatch.watermark(large), [Entry.put("ns", "small", "after the large ones")])
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* store.append(large), EntryBatch.watermark(large))
          assert.deepStrictEqual(yield* store.append(next), EntryBatch.watermark(next))
        })
      )
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* head(store, logA)).seq, 9)
          let chain = Chain.empty
          for (let after = 0; after < 9;) {
            const page = Option.getOrThrow(yield* store.read(logA, after, 3 * 1024 * 1024))
            assert.strictEqual(page.prevChain, chain)
            assert.isTrue(Result.isSuccess(EntryBatch.validate(page)))
            chain = page.chain
            after = EntryBatch.last(page)
          }
          assert.strictEqual(chain, next.chain)
        })
      )
    })
  )
]
