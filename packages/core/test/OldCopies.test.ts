/** A copy of a store that is older than what the others have erased: it brings nothing of that back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type LogId, type Records } from "../src/index.ts"
import { EntryBatch, RecordIndex } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { apart, together } from "./support/copies.ts"
import { entriesOf } from "./support/entries.ts"
import { during } from "./support/time.ts"

const put = (key: string, value: string) => Entry.put("notes", key, value)

/** Heartbeats, so that all know what all hold. */
const settled = TestClock.adjust(3000)

/** Erases the first entry of a log, which was deleted, and that of another, which deleted it, as after two rounds of all. */
const eraseFirst = Effect.fnUntraced(function* ({ logs }: Cluster.Running, ...of: readonly [LogId.LogId, LogId.LogId]) {
  for (const [i, log] of of.entries()) {
    const all = Option.getOrThrow(yield* logs.read(log, 0, 1 << 20))
    yield* logs.erase(EntryBatch.erase(all, (seq) => (seq > 1 ? "kept" : i === 0 ? "superseded" : "deleted")))
  }
})

/** `c` is stopped, and its disk is a copy that was made before `b` deleted what `a` had written. */
const withOldCopy = Effect.gen(function* () {
  const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
  yield* a.writer.commit(put("k", "old"))
  yield* a.writer.commit(put("l", "v"))
  yield* settled
  const copy = Option.getOrThrow(yield* c.logs.read(a.logs.own, 0, 1 << 20))
  yield* b.writer.commit(Entry.remove("notes", "k"))
  yield* b.writer.commit(put("m", "v"))
  yield* settled
  yield* c.stop
  cluster.wipe("c")
  cluster.doubts.set("c", "other_place")
  const store = yield* cluster.storeOf("c")
  yield* store.append(copy)
  return { a, b, cluster, store }
})

const valueOf = (record: Option.Option<Records.Record>) =>
  Option.getOrUndefined(Option.map(record, ({ value }) => new TextDecoder().decode(value)))

describe("an old copy of a store that is compacted elsewhere", () => {
  it.effect("NoResurrection: an old copy does not vote before it has erased what the others have", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* withOldCopy
      // As when all have swept what was deleted, and forgotten the delete.
      for (const one of [a, b]) yield* eraseFirst(one, a.logs.own, b.logs.own)
      const again = yield* cluster.start("c")
      yield* TestClock.adjust(10_000)
      assert.isTrue(again.membership.isVoting())
      assert.strictEqual(valueOf(yield* again.records.read("notes", "k")), undefined)
      assert.strictEqual(valueOf(yield* again.records.read("notes", "l")), "v")
      assert.deepStrictEqual(yield* entriesOf(again, a.logs.own), [2])
      assert.deepStrictEqual(yield* entriesOf(again, b.logs.own), [2])
      const page = yield* again.records.page({ namespace: "notes", limit: 10 })
      assert.deepStrictEqual(
        page.records.map(({ key }) => key),
        ["l", "m"]
      )
    })
  )

  it.effect("NoResurrection: what was erased before it was stopped is listed no more after that", () =>
    Effect.gen(function* () {
      const { a, b, cluster, store } = yield* withOldCopy
      for (const one of [a, b]) yield* eraseFirst(one, a.logs.own, b.logs.own)
      const known = yield* RecordIndex.makeMemory
      const index = Object.assign(Object.create(known), { reset: Effect.delay(known.reset, 500) })
      /** How many logs the index covers when something goes. */
      let covered: number | undefined
      const replace: typeof store.replace = (batch) =>
        Effect.andThen(
          Effect.map(known.progress, ({ size }) => void (covered ??= size)),
          Effect.delay(store.replace(batch), 2000)
        )
      cluster.stores.set("c", Object.assign(Object.create(store), { replace }))
      apart(cluster, "c", "ab")
      const first = yield* cluster.start("c", { index })
      yield* TestClock.adjust(10_000)
      assert.strictEqual((yield* known.progress).size, 1)
      together(cluster, "c", "ab")
      while (covered === undefined) yield* TestClock.adjust(100)
      yield* during(first.stop, 20_000)
      assert.strictEqual(covered, 0)
      cluster.stores.set("c", store)
      const again = yield* cluster.start("c", { index })
      yield* TestClock.adjust(20_000)
      assert.isTrue(again.membership.isVoting())
      assert.deepStrictEqual(yield* entriesOf(again, a.logs.own), [2])
      const { keys } = yield* again.records.keys({ namespace: "notes", limit: 10 })
      assert.deepStrictEqual(
        keys.map(({ key }) => key),
        ["l", "m"]
      )
    })
  )

  it.effect(
    "NoResurrection: a copy that may be old is brought up to date also when an operator has others given up",
    () =>
      Effect.gen(function* () {
        const { a, b, cluster } = yield* withOldCopy
        yield* b.stop
        yield* eraseFirst(a, a.logs.own, b.logs.own)
        const again = yield* cluster.start("c")
        yield* again.membership.recover([b.id])
        yield* TestClock.adjust(10_000)
        assert.isTrue(again.membership.isVoting())
        assert.deepStrictEqual(yield* entriesOf(again, a.logs.own), [2])
        assert.strictEqual(valueOf(yield* again.records.read("notes", "k")), undefined)
      })
  )

  it.effect("a copy that may be old votes without being brought up to date when all others are given up", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      yield* a.writer.commit(put("k", "v"))
      yield* settled
      const copy = Option.getOrThrow(yield* c.logs.read(a.logs.own, 0, 1 << 20))
      for (const { stop } of [a, b, c]) yield* stop
      cluster.wipe("c")
      cluster.doubts.set("c", "other_place")
      yield* (yield* cluster.storeOf("c")).append(copy)
      const again = yield* cluster.start("c")
      yield* again.membership.recover([a.id])
      yield* TestClock.adjust(10_000)
      assert.isFalse(again.membership.isVoting())
      yield* again.membership.recover([a.id, b.id])
      yield* TestClock.adjust(10_000)
      assert.isTrue(again.membership.isVoting())
    })
  )
})
