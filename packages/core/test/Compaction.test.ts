/** Logs that shrink: what is superseded everywhere goes, and nobody sees anything else. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Changes, Entry, QuorumError, type Records } from "../src/index.ts"
import { EntryBatch, RecordIndex } from "../src/adapter.ts"
import * as Compaction from "../src/upkeep/Compaction.ts"
import * as Cluster from "./support/cluster.ts"
import { entriesOf } from "./support/entries.ts"
import * as Wall from "./support/wall.ts"

const put = (key: string, value: string) => Entry.put("notes", key, value)

/** Heartbeats, so that all know what all hold. */
const settled = TestClock.adjust(3000)

/** A set of which one replica takes a second for each step of a round, of about an entry; `minBytes` are worth a round. */
const slowly = Effect.fnUntraced(function* (minBytes: number) {
  const cluster = yield* Cluster.make(["a", "b"], 2)
  const memory = yield* RecordIndex.makeMemory
  let steps = 0
  const index = {
    ...memory,
    getAll: (...keys: Parameters<typeof memory.getAll>) =>
      Effect.delay(
        Effect.suspend(() => {
          steps++
          return memory.getAll(...keys)
        }),
        1000
      )
  }
  const pace = { firstMillis: 1000, lookMillis: 1000, minBytes, sliceBytes: 1000 }
  const a = yield* Effect.provideService(cluster.start("a", { index }), Compaction.CompactionPace, pace)
  yield* cluster.start("b")
  // The first scrub, which would look up as well, has found nothing; the next is a day away.
  yield* TestClock.adjust(62_000)
  return { a, entries: Effect.suspend(() => entriesOf(a)), steps: () => steps }
})

const valueOf = (record: Option.Option<Records.Record>) =>
  Option.getOrUndefined(Option.map(record, ({ value }) => new TextDecoder().decode(value)))

describe("compaction", () => {
  it.effect("that is interrupted is done again by itself", () =>
    Effect.gen(function* () {
      const { a, entries, steps } = yield* slowly(1000)
      for (let i = 0; i < 20; i++) yield* a.writer.commit(put("k", `${i} ${"v".repeat(200)}`))
      const before = steps()
      const asked = yield* Effect.forkChild(a.compaction.now, { startImmediately: true })
      yield* TestClock.adjust(1500)
      assert.isAbove(steps(), before)
      yield* Fiber.interrupt(asked)
      assert.isAbove((yield* entries).length, 10)
      yield* TestClock.adjust(120_000)
      assert.isAtMost((yield* entries).length, 2)
    })
  )

  it.effect("takes superseded entries out of the logs of all replicas, and no read sees a difference", () =>
    Effect.gen(function* () {
      const { a, b, c, replicas } = yield* Cluster.running("abc", 2)
      for (let i = 0; i < 60; i++) yield* [a, b, c][i % 3]!.writer.commit(put(`k${i % 7}`, `v${i}`))
      yield* settled
      for (const { compaction } of replicas) yield* compaction.now
      for (const one of replicas) {
        let entries = 0
        for (const { log } of one.logs.heads()) entries += (yield* entriesOf(one, log)).length
        // The newest of each key, and the last of each log.
        assert.isAtMost(entries, 7 + 3)
        for (let key = 0; key < 7; key++) {
          const newest = 59 - ((59 - key) % 7)
          assert.strictEqual(valueOf(yield* one.records.read("notes", `k${key}`)), `v${newest}`)
        }
      }
      yield* a.writer.commit(put("k0", "after"))
      yield* settled
      for (const { records } of replicas) assert.strictEqual(valueOf(yield* records.read("notes", "k0")), "after")
    })
  )

  it.effect("takes at rest what is not worth a round while writes come in", () =>
    Effect.gen(function* () {
      const live = 100
      const value = "v".repeat(1000)
      const { a, replicas } = yield* Effect.provideService(Cluster.running("abc", 3), Compaction.CompactionPace, {
        firstMillis: 1000,
        lookMillis: 1000,
        minBytes: 1000,
        sliceBytes: 64 * 1024
      })
      const write = (key: number) => a.writer.commit(put(`k${key % live}`, value))
      for (let key = 0; key < live; key++) yield* write(key)
      yield* TestClock.adjust(30_000)
      const entries = Effect.map(Effect.all(replicas.map((one) => entriesOf(one, a.logs.own))), (all) =>
        all.map(({ length }) => length)
      )
      assert.deepStrictEqual(yield* entries, [live, live, live])
      // A tenth is written anew, and one of them again and again: less than a quarter, and never at rest.
      for (let key = 0; key < live / 10; key++) yield* write(key)
      for (let second = 0; second < 12; second++) {
        yield* write(0)
        yield* TestClock.adjust(1000)
      }
      assert.deepStrictEqual(yield* entries, [live + 22, live + 22, live + 22])
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(yield* entries, [live, live, live])
    })
  )

  it.effect("takes at rest what came during a round that was held up for long", () =>
    Effect.gen(function* () {
      const { a, entries } = yield* slowly(1000)
      // One new entry of a key a second: the round that they begin goes over the first of them, and pauses between.
      for (let second = 0; second < 40; second++) {
        yield* a.writer.commit(put("k", "v".repeat(1000)))
        yield* TestClock.adjust(1000)
      }
      yield* TestClock.adjust(60_000)
      assert.deepStrictEqual(yield* entries, [40])
    })
  )

  it.effect("works for no more than its share of the time while writes come in, over several rounds too", () =>
    Effect.gen(function* () {
      const { a, steps } = yield* slowly(1000)
      for (let second = 0; second < 120; second++) {
        yield* a.writer.commit(put(`k${second}`, "v".repeat(1000)))
        yield* TestClock.adjust(1000)
      }
      // Seconds, of which a tenth is its share.
      assert.isTrue(steps() > 5 && steps() < 20, `${steps()} steps`)
    })
  )

  it.effect("takes what was superseded while a round was on its way to it", () =>
    Effect.gen(function* () {
      const { a, entries } = yield* slowly(1_000_000)
      for (let i = 0; i < 9; i++) yield* a.writer.commit(put(`k${i}`, "v".repeat(1000)))
      yield* settled
      const round = yield* Effect.forkChild(a.compaction.now, { startImmediately: true })
      yield* a.writer.commit(put("k8", "v".repeat(1000)))
      yield* TestClock.adjust(60_000)
      yield* Fiber.join(round)
      assert.deepStrictEqual(yield* entries, [1, 2, 3, 4, 5, 6, 7, 8, 10])
    })
  )

  it.effect("begins after a start with what was there before, though nobody writes", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const pace = { lookMillis: 1000, minBytes: 100, sliceBytes: 64 * 1024 }
      const started = (firstMillis: number) =>
        Effect.provideService(cluster.start("a"), Compaction.CompactionPace, { ...pace, firstMillis })
      const before = yield* started(1_000_000)
      yield* TestClock.adjust(1000)
      for (let i = 0; i < 20; i++) yield* before.writer.commit(put("k", `v${i}`))
      yield* settled
      assert.lengthOf(yield* entriesOf(before), 20)
      yield* before.stop
      const after = yield* started(1000)
      yield* TestClock.adjust(30_000)
      assert.lengthOf(yield* entriesOf(after), 1)
    })
  )

  it.effect("goes on when the wall clock is set back", () =>
    Effect.gen(function* () {
      const wall = yield* Wall.make()
      const pace = { firstMillis: 1000, lookMillis: 1000, minBytes: 100, sliceBytes: 64 * 1024 }
      const cluster = yield* Cluster.make(["a", "b"], 2)
      const [a] = yield* Effect.forEach(["a", "b"] as const, (id) =>
        Effect.provideService(Wall.by(wall)(cluster.start(id)), Compaction.CompactionPace, pace)
      )
      yield* TestClock.adjust(1000)
      const overwrite = Effect.gen(function* () {
        for (let i = 0; i < 20; i++) yield* a.writer.commit(put("k", `v${i}`))
        yield* TestClock.adjust(30_000)
        assert.strictEqual((yield* entriesOf(a)).length, 1)
      })
      yield* overwrite
      wall.set(-3_600_000)
      yield* overwrite
    })
  )

  it.effect("leaves what a member lacks, and takes it when that has it", () =>
    Effect.gen(function* () {
      const { a, c: before, cluster } = yield* Cluster.running("abc", 2)
      yield* before.stop
      for (let i = 0; i < 20; i++) yield* a.writer.commit(put("k", `v${i}`))
      yield* settled
      yield* a.compaction.now
      assert.lengthOf(yield* entriesOf(a), 20)
      const c = yield* cluster.start("c")
      yield* settled
      yield* a.compaction.now
      assert.deepStrictEqual(yield* entriesOf(a), [20])
      assert.strictEqual(valueOf(yield* c.records.read("notes", "k")), "v19")
    })
  )

  it.effect("leaves what all hold while a member lacks what superseded it", () =>
    Effect.gen(function* () {
      const { a, c, cluster } = yield* Cluster.running("abc", 2)
      yield* a.writer.commit(put("k", "v1"))
      yield* a.writer.commit(put("l", "v"))
      yield* settled
      for (const from of ["a", "b"]) cluster.cut(from, "c")
      cluster.cut("c", "a")
      cluster.cut("c", "b")
      yield* a.writer.commit(put("k", "v2"))
      yield* settled
      yield* a.compaction.now
      assert.deepStrictEqual(yield* entriesOf(a), [1, 2, 3])
      cluster.heal()
      yield* TestClock.adjust(10_000)
      yield* a.compaction.now
      assert.deepStrictEqual(yield* entriesOf(a), [2, 3])
      assert.strictEqual(valueOf(yield* c.records.read("notes", "k")), "v2")
    })
  )

  it.effect("brings who lost its disk all that is left, from members that are compacted and from others", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      for (let i = 0; i < 60; i++) yield* [a, b][i % 2]!.writer.commit(put(`k${i % 5}`, `v${i}`))
      yield* settled
      yield* a.compaction.now
      yield* c.stop
      cluster.wipe("c")
      const again = yield* cluster.start("c")
      yield* TestClock.adjust(10_000)
      assert.isTrue(again.membership.isVoting())
      for (let key = 0; key < 5; key++) {
        assert.strictEqual(valueOf(yield* again.records.read("notes", `k${key}`)), `v${55 + key}`)
      }
      for (const { log, seq } of a.logs.heads()) assert.strictEqual(again.logs.head(log).seq, seq)
      yield* again.writer.commit(put("k0", "after"))
      yield* settled
      assert.strictEqual(valueOf(yield* b.records.read("notes", "k0")), "after")
    })
  )

  it.effect("answers for a write that is gone that it is compacted, and never for another one", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 2)
      const first = yield* a.writer.commit(put("k", "v1"))
      const second = yield* a.writer.commit(put("k", "v2"))
      yield* a.writer.commit(put("l", "v"))
      yield* settled
      yield* a.compaction.now
      const status = yield* Effect.result(a.writer.status(first.writeId))
      assert.deepStrictEqual(status, Result.fail(new QuorumError.WriteCompacted({ writeId: first.writeId })))
      const resumed = yield* Effect.result(a.writer.resume(first.writeId))
      assert.deepStrictEqual(resumed, Result.fail(new QuorumError.WriteCompacted({ writeId: first.writeId })))
      const verified = yield* a.writer.verify(first)
      assert.deepStrictEqual(
        [verified.copies[a.id], verified.copies[b.id], verified.committed],
        ["compacted", "superseded", true]
      )
      assert.strictEqual((yield* a.writer.status(second.writeId)).committed, true)
      // Whoever has the id reads what is newer.
      const read = yield* a.records.read("notes", "k", { atLeast: first.writeId })
      assert.strictEqual(valueOf(read), "v2")
    })
  )

  it.effect("erases nothing of a peer's copy either while a backup is written, and goes on with all else", () =>
    Effect.gen(function* () {
      const { a, b, cluster } = yield* Cluster.running("ab", 1)
      const log = a.logs.own
      for (let i = 1; i <= 4; i++) yield* a.writer.commit(put("k", `v${i}`))
      yield* settled
      cluster.cut("a", "b")
      cluster.cut("b", "a")
      for (let i = 5; i <= 6; i++) yield* a.writer.commit(put("k", `v${i}`))
      const whole = Option.getOrThrow(yield* a.logs.read(log, 0, 1 << 20))
      yield* a.logs.erase(EntryBatch.erase(whole, (seq) => (seq >= 3 && seq <= 5 ? "superseded" : "kept")))
      const page = Option.getOrThrow(yield* a.logs.read(log, 2, 1 << 20))
      const gate = yield* Deferred.make<void>()
      const reading = yield* Effect.forkChild(b.logs.unerased(Deferred.await(gate)), { startImmediately: true })
      const appending = yield* Effect.forkChild(b.logs.append(page), { startImmediately: true })
      yield* b.writer.commit(put("l", "v"))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* entriesOf(b, log), [1, 2, 3, 4])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(reading)
      yield* Fiber.join(appending)
      assert.deepStrictEqual(yield* entriesOf(b, log), [1, 2, 6])
    })
  )

  it.effect("tells a reader of changes that deletes are forgotten, and from where it may go on", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("abc", 2)
      yield* a.writer.commit(put("k", "v"))
      yield* a.writer.commit(Entry.remove("notes", "k"))
      yield* a.writer.commit(put("l", "v"))
      yield* settled
      const all = Option.getOrThrow(yield* a.logs.read(a.logs.own, 0, 1 << 20))
      yield* a.logs.erase(EntryBatch.erase(all, (seq) => (seq === 3 ? "kept" : "deleted")))
      const failed = yield* Effect.result(Cluster.changesOf(a))
      assert(Result.isFailure(failed) && failed.failure._tag === "ChangesForgotten")
      const since = yield* Schema.decodeEffect(Changes.Position)(failed.failure.position)
      yield* a.writer.commit(put("m", "v"))
      assert.deepStrictEqual(yield* Cluster.changesOf(a, since), ["m=v"])
    })
  )

  it.effect("lets a reader of changes go over what was superseded", () =>
    Effect.gen(function* () {
      const { a, replicas } = yield* Cluster.running("abc", 2)
      for (let i = 0; i < 20; i++) yield* a.writer.commit(put("k", `v${i}`))
      yield* a.writer.commit(put("l", "v"))
      yield* settled
      for (const { compaction } of replicas) yield* compaction.now
      const seen = yield* Cluster.changesOf(a)
      assert.deepStrictEqual(seen, ["k=v19", "l=v"])
    })
  )
})
