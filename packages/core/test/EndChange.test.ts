/** What is changed of a log that is no append, and who reads it or changes it at the same time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, HybridLogicalClock, LogId, ReplicaId } from "../src/index.ts"
import { EntryBatch, RecordIndex, ReplicaStore, Watermark } from "../src/adapter.ts"
import * as Compaction from "../src/upkeep/Compaction.ts"
import * as Cluster from "./support/cluster.ts"
import { entriesOf } from "./support/entries.ts"
import * as Reads from "./support/reads.ts"
import { during, pass } from "./support/time.ts"

const writes = ["1", "2", "3", "4"].map((key) => Entry.put("notes", key, "v"))
const peerLog = LogId.make(ReplicaId.make("b"), "0000000000000001" as LogId.Incarnation)
const { batch: all } = EntryBatch.encode(Watermark.none(peerLog), writes, HybridLogicalClock.zero, 1)

/** A replica whose store takes so long for a change. */
const opened = Effect.fnUntraced(function* (changeMillis: number) {
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
  const slow = { ...store, replace: (batch: EntryBatch.EntryBatch) => Effect.delay(store.replace(batch), changeMillis) }
  const { logs } = yield* Reads.open(slow, yield* RecordIndex.makeMemory)
  return { logs, store }
})

/** Keys that a local read finds. */
const found = Effect.fnUntraced(function* ({ records }: Effect.Success<ReturnType<typeof Reads.open>>) {
  const keys: Array<string> = []
  for (const { key } of writes) if (Option.isSome(yield* records.read("notes", key))) keys.push(key)
  return keys
})

const without = (batch: EntryBatch.EntryBatch, ...seqs: ReadonlyArray<number>) =>
  EntryBatch.erase(batch, (seq) => (seqs.includes(seq) ? "superseded" : "kept"))

describe("what is changed of a log", () => {
  it.effect("is read nowhere as it was, and what goes on with it is held, though its caller was interrupted", () =>
    Effect.gen(function* () {
      const { logs, store } = yield* opened(100)
      const own = yield* logs.appendWrites(writes.slice(0, 3))
      yield* logs.append(EntryBatch.upTo(all, 2))
      for (const change of [
        logs.adopt(without(own.batch, 1)),
        logs.erase(without(own.batch, 1, 2)),
        logs.adopt(without(all, 2, 3))
      ]) {
        const changing = yield* Effect.forkChild(change)
        yield* TestClock.adjust(1)
        const interrupted = yield* Effect.forkChild(Fiber.interrupt(changing))
        yield* TestClock.adjust(1000)
        yield* Fiber.join(interrupted)
        const read = Option.getOrThrow(yield* logs.read(logs.own, 0, 1 << 20))
        assert.isDefined(EntryBatch.erasedAt(read))
        assert.deepStrictEqual(yield* store.watermarks, logs.heads())
      }
    })
  )

  it.effect("is found by reads when the index was made while the end of its log was changed, or could not be", () =>
    Effect.gen(function* () {
      const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "no room" })
      for (const [isFull, keys] of [
        [false, ["1", "2"]],
        [true, ["1", "2", "3", "4"]]
      ] as const) {
        const store = yield* Reads.memory
        const cut: typeof store.cut = (log, after) => Effect.delay(isFull ? full : store.cut(log, after), 100)
        const replica = yield* Reads.open({ ...store, cut }, yield* RecordIndex.makeMemory)
        yield* replica.logs.append(all)
        yield* TestClock.adjust(6000)
        assert.lengthOf(yield* found(replica), 4)
        yield* Effect.forkChild(Effect.ignore(replica.logs.giveUp(peerLog, 2, 4)))
        yield* TestClock.adjust(1)
        yield* replica.follower.distrust(new ReplicaStore.StoreError({ reason: "corrupt", detail: "a bit" }))
        yield* TestClock.adjust(50)
        assert.deepStrictEqual(yield* found(replica), [])
        yield* TestClock.adjust(10_000)
        assert.deepStrictEqual(yield* found(replica), [...keys])
      }
    })
  )

  it.effect("is erased when the last is done who erases: the index is not made before that, and made then", () =>
    Effect.gen(function* () {
      const store = yield* Reads.memory
      const read: typeof store.read = (...range) => Effect.delay(store.read(...range), 100)
      const replica = yield* Reads.open({ ...store, read }, yield* RecordIndex.makeMemory)
      const { logs } = replica
      const own = yield* logs.appendWrites([Entry.put("notes", "5", "v"), Entry.put("notes", "4", "v")])
      yield* logs.append(EntryBatch.upTo(all, 2))
      yield* TestClock.adjust(6000)
      const tags: Array<string> = []
      yield* Effect.acquireRelease(
        Effect.sync(() => logs.onDamage(({ _tag }) => void tags.push(_tag))),
        (stop) => Effect.sync(stop)
      )
      yield* during(logs.adopt(without(own.batch, 1)), 1000)
      const taking = yield* Effect.forkChild(logs.append(without(all, 2, 3)))
      yield* TestClock.adjust(50)
      yield* logs.tellErased
      yield* TestClock.adjust(20_000)
      yield* Fiber.join(taking)
      assert.deepStrictEqual(tags, ["Erasing", "Erased", "Erasing", "Erased"])
      assert.isFalse(replica.follower.isBuilding())
      assert.deepStrictEqual(yield* during(found(replica), 2000), ["1", "4"])
    })
  )

  it.effect("NoResurrection: what others have erased does not come back by what a round decided before", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const a = yield* cluster.start("a")
      for (const key of ["k", "k", "l", "m"]) yield* during(a.writer.commit(Entry.put("notes", key, "v")), 10)
      yield* TestClock.adjust(3000)
      const batch = Option.getOrThrow(yield* a.logs.read(a.logs.own, 0, 1 << 20))
      // As a backup: who erases waits until it is made, one after the other.
      yield* Effect.forkChild(a.logs.unerased(Effect.sleep(1000)))
      yield* TestClock.adjust(1)
      yield* Effect.forkChild(a.logs.adopt(without(batch, 3)))
      yield* TestClock.adjust(1)
      yield* during(a.compaction.now, 5000)
      yield* a.logs.tellErased
      assert.deepStrictEqual(yield* entriesOf(a), [1, 2, 4])
      yield* TestClock.adjust(1000)
      yield* during(a.compaction.now, 5000)
      assert.deepStrictEqual(yield* entriesOf(a), [2, 4])
    })
  )

  it.effect("is no work of a round while that waits for a backup: logs are compacted soon after it", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const pace = { firstMillis: 1000, lookMillis: 1000, minBytes: 1000, sliceBytes: 1000 }
      const a = yield* Effect.provideService(cluster.start("a"), Compaction.CompactionPace, pace)
      const write = a.writer.commit(Entry.put("notes", "k", "v".repeat(200)))
      yield* Effect.forkChild(Effect.forever(Effect.andThen(write, Effect.sleep(100))))
      yield* TestClock.adjust(5000)
      yield* during(a.logs.unerased(Effect.sleep(60_000)), 60_000)
      const waiting = (yield* entriesOf(a)).length
      assert.isAbove(waiting, 500)
      yield* pass(30_000)
      assert.isBelow((yield* entriesOf(a)).length, 100)
    })
  )
})
