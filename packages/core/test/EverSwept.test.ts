/** How far anybody has ever swept: it outlives processes and disks, since an old copy is judged by it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Chain, EntryBatch, ReplicaStore } from "../src/adapter.ts"
import { HybridLogicalClock } from "../src/index.ts"
import * as BackupOrigin from "../src/log/BackupOrigin.ts"
import * as Cluster from "./support/cluster.ts"
import { put, remove, rounds, test, valueOf } from "./support/deletes.ts"

/** Until what was done before is stable, and all know it. */
const settled = TestClock.adjust(20_000)

/** A set in which `c` alone has a write, and is stopped; its disk is `old`. */
const withTail = Effect.gen(function* () {
  const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
  yield* a.writer.commit(put("l"))
  yield* settled
  for (const other of ["a", "b"]) {
    cluster.cut("c", other)
    cluster.cut(other, "c")
  }
  yield* c.writer.commit(put("k", "tail"), { w: 1 })
  yield* c.stop
  cluster.heal()
  return { a, b, cluster, old: cluster.stores.get("c")! }
})

/** All vote, and have what was there all the while, and nothing of what was deleted. */
const nothingIsBack = Effect.fnUntraced(function* (all: ReadonlyArray<Cluster.Running>) {
  for (const one of all) {
    assert.isTrue(one.membership.isVoting())
    assert.isUndefined(yield* valueOf(one, "k"))
    assert.strictEqual(yield* valueOf(one, "l"), "v")
  }
})

describe("how far anybody has ever swept", () => {
  it.effect("is known after a start also where another had swept further", () =>
    test(
      Effect.gen(function* () {
        const { a, b, cluster } = yield* Cluster.running("abc", 2)
        const said: Array<HybridLogicalClock.HybridLogicalClock> = []
        yield* b.writer.commit(put("k"))
        yield* settled
        // What is stable rises for b alone.
        cluster.cut("a", "c")
        cluster.cut("c", "a")
        yield* settled
        yield* rounds(b)
        yield* rounds(a)
        const { swept } = a.status().compaction
        assert.isAbove(swept.wallTime, 0)
        assert.isBelow(swept.wallTime, b.status().compaction.swept.wallTime)
        yield* a.stop
        cluster.faults.set("a>b", (client) => ({
          ...client,
          hello: (hello) => {
            said.push(hello.everSwept ?? HybridLogicalClock.zero)
            return client.hello(hello)
          }
        }))
        cluster.cut("b", "a")
        yield* cluster.start("a")
        yield* TestClock.adjust(1000)
        assert.isAtLeast(HybridLogicalClock.compare(said[0]!, swept), 0)
      })
    )
  )

  it.effect("NoResurrection: is known to new disks after a power cut, so that one put back brings back nothing", () =>
    test(
      Effect.gen(function* () {
        const { a, b, cluster, old } = yield* withTail
        const again = Effect.fnUntraced(function* (name: string) {
          cluster.wipe(name)
          const one = yield* cluster.start(name)
          yield* TestClock.adjust(10_000)
          assert.isTrue(one.membership.isVoting())
          return one
        })
        const second = yield* again("c")
        yield* a.writer.commit(put("k"))
        yield* b.writer.commit(remove("k"))
        yield* a.writer.commit(put("m"))
        yield* settled
        for (let i = 0; i < 4; i++) yield* rounds(a, b, second)
        yield* a.stop
        const newA = yield* again("a")
        yield* b.stop
        const newB = yield* again("b")
        for (const one of [newA, newB, second]) yield* one.stop
        const all = [yield* cluster.start("a"), yield* cluster.start("b")]
        yield* TestClock.adjust(3000)
        cluster.stores.set("c", old)
        all.push(yield* cluster.start("c"))
        yield* TestClock.adjust(10_000)
        yield* nothingIsBack(all)
      })
    )
  )

  it.effect(
    "NoResurrection: is known to a set that begins with a backup, so that an old disk brings back nothing",
    () =>
      test(
        Effect.gen(function* () {
          const { a, b, cluster, old } = yield* withTail
          cluster.wipe("c")
          const second = yield* cluster.start("c")
          yield* TestClock.adjust(10_000)
          yield* a.writer.commit(put("k"))
          yield* b.writer.commit(remove("k"))
          yield* a.writer.commit(put("m"))
          yield* settled
          for (let i = 0; i < 4; i++) yield* rounds(a, b, second)
          for (const one of [a, b, second]) yield* one.stop
          const backup = cluster.stores.get("a")!
          for (const name of ["a", "b", "c"]) cluster.stores.set(name, yield* restored(name, backup))
          const all = yield* Effect.forEach(["a", "b", "c"], (name) => cluster.start(name))
          yield* TestClock.adjust(10_000)
          assert.isTrue(all.every(({ membership }) => membership.isVoting()))
          for (const one of all) yield* one.stop
          const again = [yield* cluster.start("a"), yield* cluster.start("b")]
          yield* TestClock.adjust(3000)
          cluster.stores.set("c", old)
          again.push(yield* cluster.start("c"))
          yield* TestClock.adjust(10_000)
          yield* nothingIsBack(again)
        })
      )
  )
})

/** A new store as a restore leaves it, of a backup of another. */
const restored = Effect.fnUntraced(function* (name: string, of: ReplicaStore.ReplicaStore["Service"]) {
  const replica = Cluster.id(name)
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica, doubt: "blank" })
  for (const { log, seq } of yield* of.watermarks) {
    for (let at = 0; at < seq;) {
      const batch = Option.getOrThrow(yield* of.read(log, at, 1_000_000))
      yield* store.append(batch)
      at = EntryBatch.last(batch)
    }
  }
  yield* store.setNotes({
    floor: Option.getOrThrow(yield* of.note("floor")),
    [ReplicaStore.restoredNote]: "yes",
    ...BackupOrigin.encode({ replica: Cluster.id("a"), takenAt: 0, check: Chain.empty })
  })
  return store
})
