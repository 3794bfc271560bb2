/** The newest own entries in memory: what a read of them asks of the store. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option } from "effect"
import { EntryBatch, ReplicaStore } from "../src/adapter.ts"
import { Entry, ReplicaId, ReplicaSet } from "../src/index.ts"
import * as ReplicaLogs from "../src/log/ReplicaLogs.ts"

const mebibyte = 1024 * 1024
const put = (bytes: number) => Entry.put("notes", "k", new Uint8Array(bytes))

/** The logs, and from which places on the store was asked for entries. */
const open = Effect.gen(function* () {
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
  const asked: Array<number> = []
  const context = yield* Layer.build(
    ReplicaLogs.layer.pipe(
      Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
      Layer.provide(
        Layer.succeed(ReplicaStore.ReplicaStore, {
          ...store,
          read: (log, after, maxBytes) => {
            asked.push(after)
            return store.read(log, after, maxBytes)
          }
        })
      )
    )
  )
  return { logs: Context.get(context, ReplicaLogs.ReplicaLogs), asked, store }
})

type Logs = ReplicaLogs.ReplicaLogs["Service"]

/** How many bytes of memory an append of values of these sizes keeps. */
const append = (logs: Logs, ...values: ReadonlyArray<number>) =>
  Effect.map(logs.appendWrites(values.map(put)), ({ batch }) => batch.bytes.buffer.byteLength)

/** The entry after a place, which has to be there, from memory or from the store. */
const readAfter = (logs: Logs, after: number) =>
  Effect.map(logs.read(logs.own, after, 1), (batch) => {
    assert.strictEqual(EntryBatch.last(Option.getOrThrow(batch)), after + 1)
  })

describe("Bounded: the newest own entries", () => {
  for (const [what, more, expected] of [
    ["kept up to eight mebibytes", 0, []],
    ["dropped from the front a byte beyond that", 1, [0]]
  ] as const) {
    it.effect(`are ${what}`, () =>
      Effect.gen(function* () {
        const { asked, logs } = yield* open
        const overhead = (yield* append(logs, mebibyte)) - mebibyte
        let bytes = mebibyte + overhead
        for (let i = 0; i < 6; i++) bytes += yield* append(logs, mebibyte)
        yield* append(logs, 8 * mebibyte - bytes - overhead + more)
        for (const after of [0, 1]) yield* readAfter(logs, after)
        assert.deepStrictEqual<ReadonlyArray<number>>(asked, expected)
      })
    )
  }

  it.effect("are kept when the last append alone is larger than that, and nothing else is", () =>
    Effect.gen(function* () {
      const { asked, logs } = yield* open
      yield* append(logs, 1)
      yield* append(logs, ...Array.from({ length: 9 }, () => mebibyte))
      for (const after of [0, 1]) yield* readAfter(logs, after)
      assert.deepStrictEqual(asked, [0])
    })
  )

  it.effect("are found when thousands of appends before them were let go of", () =>
    Effect.gen(function* () {
      const { asked, logs } = yield* open
      const count = 2200
      let bytes = 0
      for (let i = 0; i < count; i++) bytes = yield* append(logs, 8 * 1024)
      const first = count - Math.floor((8 * mebibyte) / bytes)
      for (const after of [first - 1, first, count - 1]) yield* readAfter(logs, after)
      assert.deepStrictEqual(asked, [first - 1])
    })
  )

  it.effect("are read one by one as the store has them, wherever in their batch they are", () =>
    Effect.gen(function* () {
      const { asked, logs, store } = yield* open
      for (const count of [1, 7, 3]) yield* append(logs, ...Array.from({ length: count }, (_, i) => 10 * i))
      for (const after of [4, 0, 9, 1, 8, 4, 10, 2]) {
        const stored = Option.getOrThrow(yield* store.read(logs.own, after, 1))
        assert.deepStrictEqual(Option.getOrThrow(yield* logs.read(logs.own, after, 1)), stored)
      }
      assert.deepStrictEqual(asked, [])
    })
  )
})
