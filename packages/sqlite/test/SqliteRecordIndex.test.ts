import { assert, describe, it } from "@effect/vitest"
import type { LogId } from "@quorum/core"
import { RecordIndex, RecordKey, ReplicaStore, type RunId } from "@quorum/core/adapter"
import { Effect, Option, Schema } from "effect"
import * as fs from "node:fs"
import { a, child, logA, logB, tempFolder } from "./support/store.ts"
import { after, all, filled, indexFile, kept, openIndex, pointer, using } from "./support/index.ts"

describe("SqliteRecordIndex", () => {
  const Pointers = Schema.Array(
    Schema.Struct({
      namespace: Schema.Literals(["", "ns", "é"]),
      key: Schema.Literals(["", "k", "k\u0000", "\uffee", "🦑"]),
      log: Schema.Literals(["a@00000000000000ff", "B@00000000000000aa", "a.b@00000000000000aa", "a@00000000000000aa"]),
      seq: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })),
      wallTime: Schema.Literals([0, 1, 2 ** 48 - 1]),
      logical: Schema.Literals([0, 1, 2 ** 32 - 1]),
      tie: Schema.Literals(["0000000000000001", "0fffffffffffffff", "f000000000000000"])
    })
  ).check(Schema.isMaxLength(60))

  it.effect.prop(
    "holds the newest write of every key, whatever order they come in, as the index in memory does",
    [Pointers, Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 }))],
    ([drawn, step]) =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: a })
        const memory = yield* RecordIndex.makeMemory
        const index = yield* openIndex(folder, store)
        const pointers = drawn.map(({ wallTime, logical, log, tie, ...rest }) => ({
          ...rest,
          log: log as LogId.LogId,
          clock: { wallTime, logical },
          tie: tie as RunId.RunId,
          deleted: rest.seq % 2 === 0
        }))
        for (let i = 0; i < pointers.length; i += step) {
          const part = new Map(pointers.slice(i, i + step).map((one) => [RecordKey.keyOf(one.namespace, one.key), one]))
          const progress = new Map([...part.values()].map(({ log, seq }) => [log, seq] as const))
          yield* index.merge([...part.values()], progress)
        }
        // The same writes, in the other order and one by one.
        for (const one of pointers.toReversed()) yield* memory.merge([one], new Map())
        // `merge` takes one pointer per key, so the parts above may have dropped some: merge those too.
        for (const one of pointers) yield* index.merge([one], new Map())
        assert.deepStrictEqual(yield* all(index), yield* all(memory))
        for (const { namespace, key } of pointers) {
          assert.deepStrictEqual(yield* index.get(namespace, key), yield* memory.get(namespace, key))
        }
        for (const limit of [1, 2, 3]) {
          const pages: Array<RecordIndex.Pointer> = []
          while (true) {
            const page = yield* index.scan({ ...after(pages.at(-1)), limit })
            if (page.length === 0) break
            pages.push(...page)
          }
          assert.deepStrictEqual(pages, [...(yield* all(memory))])
        }
      }).pipe(Effect.scoped),
    { timeout: 60_000 }
  )

  it.effect("orders writes of the same time by the name of the log, then by the place in it", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const rising = [pointer("x", 7, 1, logA), pointer("x", 8, 1, logA), pointer("x", 1, 1, logB)]
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          // The greater name comes first, so that the order of arrival does not happen to be the right one.
          yield* index.merge([pointer("w", 1, 1, logB)], new Map())
          for (const order of [rising, rising.toReversed()]) {
            for (const one of order) yield* index.merge([one], new Map())
            assert.deepStrictEqual(yield* index.get("ns", "x"), Option.some(rising[2]!))
          }
          for (const seq of [2, 3, 2]) yield* index.merge([pointer("w", seq, 1, logB)], new Map())
          assert.deepStrictEqual(yield* index.get("ns", "w"), Option.some(pointer("w", 3, 1, logB)))
        })
      )
    })
  )

  it.effect("records progress with the pointers, and answers none for what it does not know", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* index.progress, new Map())
          assert.deepStrictEqual(yield* index.get("ns", "x"), Option.none())
          yield* index.merge([pointer("x", 1)], new Map())
          assert.deepStrictEqual(yield* index.progress, new Map())
          yield* index.merge(
            [],
            new Map([
              [logA, 4],
              [logB, 2]
            ])
          )
          yield* index.merge([], new Map([[logA, 5]]))
          assert.deepStrictEqual(
            yield* index.progress,
            new Map([
              [logA, 5],
              [logB, 2]
            ])
          )
          assert.deepStrictEqual(yield* index.scan({ limit: 0 }), [])
        })
      )
    })
  )

  it.effect("leaves nothing in its write-ahead log when all that there is was merged", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      const size = () => fs.statSync(`${indexFile(folder)}-wal`).size
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          const pointers = Array.from({ length: 1000 }, (_, i) => pointer(`${i}`, i))
          yield* index.merge(pointers.slice(0, 500), new Map())
          assert.isAbove(size(), 0)
          yield* index.merge(pointers.slice(500), new Map([[logA, 1000]]))
          assert.strictEqual(size(), 0)
          assert.lengthOf(yield* all(index), 1000)
        })
      )
    })
  )

  it.effect("merges all or nothing", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          const bad = { ...pointer("z", 1), seq: "not a number" as unknown as number }
          const progress = new Map([[logB, 1]])
          yield* Effect.flip(index.merge([pointer("x", 1, 1, logB), bad], progress))
          assert.deepStrictEqual(yield* all(index), [])
          assert.deepStrictEqual(yield* index.progress, new Map())
          yield* index.merge([pointer("x", 1, 1, logB)], progress)
          assert.deepStrictEqual(yield* all(index), [pointer("x", 1, 1, logB)])
          assert.deepStrictEqual(yield* index.progress, progress)
        })
      )
    })
  )

  it.effect("does not fall over a key that is no well-formed text, which no entry has", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (index) =>
        Effect.gen(function* () {
          yield* index.merge([pointer("a", 1)], new Map())
          assert.deepStrictEqual(yield* index.getAll([{ namespace: "ns", key: "a\udc00" }]), [undefined])
          assert.lengthOf(yield* all(index), 1)
        })
      )
    })
  )

  it.effect("keeps everything over a reopen", () => Effect.flatMap(filled, kept))

  it.live(
    "keeps what was merged over kill -9",
    () =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const writer = yield* child("program.ts", ["index", folder])
        yield* writer.printed(200)
        yield* writer.kill
        const acked = Number(writer.lines.at(-1))
        yield* using(folder, (index, store, logged) =>
          Effect.gen(function* () {
            // Without the name of the run of the operating system, an index left open is not trusted.
            if (!fs.existsSync("/proc/sys/kernel/random/boot_id")) return assert.lengthOf(logged, 1)
            assert.deepStrictEqual(logged, [])
            const [head] = yield* store.watermarks
            const covered = (yield* index.progress).get(head!.log)!
            assert.isAtLeast(covered, acked)
            assert.lengthOf(yield* all(index), covered)
          })
        )
      }),
    120_000
  )
})
