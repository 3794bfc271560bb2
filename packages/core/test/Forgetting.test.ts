/** Deletes that are forgotten: first what they deleted is gone everywhere, then they go. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry, HybridLogicalClock, StampToken } from "../src/index.ts"
import { Compaction, EntryBatch, RecordIndex, type ReplicaStore, RunId } from "../src/adapter.ts"
import * as Erased from "../src/log/Erased.ts"
import * as Cluster from "./support/cluster.ts"
import { put, remove, rounds, test } from "./support/deletes.ts"
import { during } from "./support/time.ts"

/** Until what was done before is stable, and all know it. */
const settled = TestClock.adjust(20_000)

/** The keys of the entries that a replica has, of all logs, deletes with a minus sign. */
const keysOf = Effect.fnUntraced(function* ({ logs }: Cluster.Running) {
  const keys: Array<string> = []
  for (const { log, seq } of logs.heads()) {
    for (let at = 0; at < seq;) {
      const batch = Option.getOrThrow(yield* logs.read(log, at, 1 << 20))
      EntryBatch.forEach(batch, (_, offset) => {
        for (const { key, kind } of Entry.decodeAt(batch.bytes, offset).records)
          keys.push(kind === "put" ? key : `-${key}`)
      })
      at = EntryBatch.last(batch)
    }
  }
  return keys.sort()
})

describe("a delete", () => {
  it.effect("L37 is forgotten when all have swept what it deleted, and not before", () =>
    test(
      Effect.gen(function* () {
        const { a, b, c, replicas } = yield* Cluster.running("abc", 2)
        yield* a.writer.commit(put("k"))
        yield* b.writer.commit(remove("k"))
        yield* a.writer.commit(put("l"))
        yield* settled
        yield* rounds(a, b)
        // What it deleted is gone at two of three.
        yield* rounds(a, b)
        for (const one of [a, b]) assert.deepStrictEqual(yield* keysOf(one), ["-k", "l"])
        assert.deepStrictEqual(yield* keysOf(c), ["-k", "k", "l"])
        yield* rounds(c)
        yield* rounds(a, b, c)
        for (const one of replicas) {
          assert.deepStrictEqual(yield* keysOf(one), ["l"])
          assert.isTrue(Option.isNone(yield* one.records.read("n", "k")))
        }
        yield* a.writer.commit(put("k", "again"))
        yield* settled
        for (const { records } of replicas) assert.isTrue(Option.isSome(yield* records.read("n", "k")))
      })
    )
  )

  it.effect("leaves of a log, of which nothing is left, one range with its end and its chain", () =>
    test(
      Effect.gen(function* () {
        const { a, b, replicas } = yield* Cluster.running("abc", 2)
        const { own } = a.logs
        for (let i = 0; i < 30; i++) yield* a.writer.commit(put(`k${i % 3}`, `v${i}`))
        yield* a.writer.commit(remove("k0"))
        const end = a.logs.head(own)
        for (let i = 1; i < 3; i++) yield* b.writer.commit(put(`k${i}`, "new"))
        yield* settled
        yield* rounds(...replicas)
        yield* rounds(...replicas)
        for (const one of replicas) {
          const { bytes, chain, count } = Option.getOrThrow(yield* one.logs.read(own, 0, 1 << 20))
          assert.deepStrictEqual([bytes.length, count, chain], [Erased.size, end.seq, end.chain])
          assert.deepStrictEqual(one.logs.head(own), end)
          assert.deepStrictEqual(yield* keysOf(one), ["k1", "k2"])
        }
      })
    )
  )

  it.effect("stays while a write of its key waits for the index, and goes by itself when that is taken in", () =>
    test(
      Effect.gen(function* () {
        const memory = yield* RecordIndex.makeMemory
        const gate = yield* Latch.make(true)
        const index = {
          ...memory,
          merge: (...of: Parameters<typeof memory.merge>) => Effect.andThen(gate.await, memory.merge(...of))
        }
        const cluster = yield* Cluster.make(["a", "b", "c"], 2)
        const a = yield* cluster.start("a")
        const b = yield* cluster.start("b")
        const pace = { firstMillis: 1000, lookMillis: 1000, minBytes: 1, sliceBytes: 64 * 1024 }
        const c = yield* Effect.provideService(cluster.start("c", { index }), Compaction.CompactionPace, pace)
        yield* TestClock.adjust(2000)
        yield* gate.close
        yield* during(a.writer.commit(put("k")), 100)
        yield* during(b.writer.commit(remove("k")), 100)
        yield* settled
        for (let i = 0; i < 4; i++) yield* rounds(a, b, c)
        assert.deepStrictEqual(yield* keysOf(a), [])
        assert.deepStrictEqual(yield* keysOf(c), ["-k"])
        yield* gate.open
        yield* TestClock.adjust(60_000)
        assert.deepStrictEqual(yield* keysOf(c), [])
        assert.isTrue(Option.isNone(yield* c.records.read("n", "k")))
        assert.deepStrictEqual(yield* memory.scan({ limit: 10 }), [])
      })
    )
  )

  it.effect(
    "is read as one by who has it still while the others have forgotten it, also where nobody was asked before it",
    () =>
      test(
        Effect.gen(function* () {
          const { a, b, c } = yield* Cluster.running("abc", 2)
          yield* a.writer.commit(put("k"))
          const { wallTime } = a.logs.clock()
          const version = { clock: { wallTime: wallTime + 1, logical: 0 }, tie: RunId.none, unprobed: true }
          const stamp = StampToken.make(version, [{ namespace: "n", key: "k" }])
          yield* b.writer.commit(remove("k"), { stamp })
          yield* a.writer.commit(put("l"))
          yield* settled
          yield* rounds(a, b, c)
          yield* rounds(a, b)
          for (const one of [a, b]) assert.deepStrictEqual(yield* keysOf(one), ["l"])
          assert.deepStrictEqual(yield* keysOf(c), ["-k", "l"])
          for (const { records } of [a, b, c]) {
            const read = yield* during(records.read("n", "k", { consistency: "linearizable" }), 2000)
            assert.isTrue(Option.isNone(read))
          }
        })
      )
  )

  it.effect("NoResurrection: is not forgotten on the word of a former life, which lent what it had not swept", () =>
    test(
      Effect.gen(function* () {
        const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
        yield* a.writer.commit(put("k"))
        yield* b.writer.commit(remove("k"))
        yield* a.writer.commit(put("l"))
        yield* settled
        // All but b have swept, and c gets from b what it had swept when its disk was another.
        yield* rounds(a, c)
        yield* c.stop
        cluster.wipe("c")
        cluster.cut("a", "c")
        cluster.cut("c", "a")
        const again = yield* cluster.start("c")
        yield* TestClock.adjust(5000)
        assert.deepStrictEqual(yield* keysOf(again), ["-k", "k", "l"])
        yield* rounds(b)
        yield* rounds(a, b)
        for (const one of [a, b]) assert.include(yield* keysOf(one), "-k")
        cluster.heal()
        yield* settled
        for (let i = 0; i < 3; i++) yield* rounds(a, b, again)
        for (const one of [a, b, again]) {
          assert.deepStrictEqual(yield* keysOf(one), ["l"])
          assert.isTrue(Option.isNone(yield* one.records.read("n", "k")))
        }
      })
    )
  )

  it.effect("stays while an entry of several records has what it deleted, and goes after that everywhere", () =>
    test(
      Effect.gen(function* () {
        const { a, b, replicas } = yield* Cluster.running("abc", 2)
        yield* a.writer.commit([put("k"), put("m")])
        yield* b.writer.commit(remove("k"))
        yield* settled
        for (let i = 0; i < 3; i++) yield* rounds(...replicas)
        for (const one of replicas) assert.deepStrictEqual(yield* keysOf(one), ["-k", "k", "m"])
        yield* a.writer.commit(put("m", "newer"))
        yield* settled
        // Gone at one, and not at the others, of whom a member that begins anew would get it.
        for (let i = 0; i < 3; i++) yield* rounds(a)
        assert.deepStrictEqual(yield* keysOf(a), ["-k", "m"])
        for (let i = 0; i < 4; i++) yield* rounds(...replicas)
        for (const one of replicas) assert.deepStrictEqual(yield* keysOf(one), ["m"])
      })
    )
  )

  it.effect(
    "NoResurrection: stays while a member holds what it deleted again, because another committed that again",
    () =>
      test(
        Effect.gen(function* () {
          const { a, b, c, cluster, replicas } = yield* Cluster.running("abc", 2)
          yield* b.writer.commit(put("k"))
          yield* a.writer.commit(remove("k"))
          yield* b.writer.commit(put("l"))
          yield* a.writer.commit(put("m"))
          const old = Option.getOrThrow(yield* b.logs.read(b.logs.own, 0, 1))
          const stamp = Entry.stampAt(old.bytes, 0)
          yield* settled
          // All have swept what it deleted, and nobody has heard that of the others.
          for (const [from, to] of ["ab", "ac", "ba", "bc", "ca", "cb"]) cluster.cut(from!, to!)
          for (const { compaction } of replicas) yield* compaction.now
          const again = { after: undefined, unprobed: stamp.unprobed, drawn: stamp, again: true }
          yield* b.logs.appendWrites([put("k")], () => again)
          cluster.heal()
          yield* TestClock.adjust(20_000)
          for (let i = 0; i < 4; i++) {
            for (const one of [a, b, c]) {
              yield* rounds(one)
              const held = yield* Effect.forEach(replicas, keysOf)
              const isAnywhere = held.some((keys) => keys.includes("k"))
              if (isAnywhere) for (const keys of held) assert.include(keys, "-k")
            }
          }
          yield* settled
          for (let i = 0; i < 4; i++) yield* rounds(...replicas)
          for (const one of replicas) {
            assert.deepStrictEqual(yield* keysOf(one), ["l", "m"])
            assert.isTrue(Option.isNone(yield* one.records.read("n", "k")))
          }
        })
      )
  )

  it.effect("is held back by a member that does not compact, and every status names it", () =>
    test(
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b", "c"], 2)
        const [a, b] = [yield* cluster.start("a"), yield* cluster.start("b")]
        const c = yield* cluster.start("c", { replica: { compactionShare: 0 } })
        yield* TestClock.adjust(1000)
        const heldBackBy = (replica: Cluster.Running) => replica.status().compaction.heldBackBy
        yield* a.writer.commit(put("k"))
        yield* b.writer.commit(remove("k"))
        yield* a.writer.commit(put("l"))
        assert.deepStrictEqual([heldBackBy(a), heldBackBy(c)], [[], [c.id]])
        yield* settled
        yield* rounds(a)
        assert.deepStrictEqual(heldBackBy(a), [b.id, c.id])
        yield* rounds(b)
        assert.deepStrictEqual([heldBackBy(a), heldBackBy(b), heldBackBy(c)], [[c.id], [c.id], [c.id]])
        yield* rounds(c)
        yield* rounds(a, b)
        assert.deepStrictEqual([heldBackBy(a), heldBackBy(b)], [[], []])
        assert.deepStrictEqual(yield* keysOf(a), ["l"])
      })
    )
  )

  it.effect("is held back by a member with a range that no member has, and the status of the others names it", () =>
    test(
      Effect.gen(function* () {
        const { a: before, b, c, cluster } = yield* Cluster.running("abc", 1)
        const log = before.logs.own
        for (const other of ["b", "c"]) {
          cluster.cut("a", other)
          cluster.cut(other, "a")
        }
        for (const key of ["x", "y", "z"]) yield* before.writer.commit(put(key))
        // What it wrote last is in its memory too.
        yield* before.stop
        const store = cluster.stores.get("a") as ReplicaStore.MemoryStore
        store.damage(log, 2)
        yield* Effect.ignore(store.read(log, 1, 1))
        cluster.heal()
        const a = yield* cluster.start("a")
        yield* settled
        assert.deepStrictEqual(a.status().lost, [{ log, from: 2, to: 2 }])
        yield* b.writer.commit(put("k"))
        yield* c.writer.commit(remove("k"))
        yield* b.writer.commit(put("l"))
        yield* settled
        yield* rounds(a, b, c)
        yield* rounds(b, c)
        for (const one of [b, c]) {
          assert.deepStrictEqual(one.status().compaction.heldBackBy, [a.id])
          assert.include(yield* keysOf(one), "-k")
        }
      })
    )
  )

  it.effect("is not forgotten while more keys than are remembered stay for entries of several records", () =>
    test(
      Effect.gen(function* () {
        const { a, replicas } = yield* Cluster.running("abc", 2)
        const both = ["k1", "k2", "k3"]
        for (const key of both) yield* a.writer.commit([put(key), put(`m${key}`)])
        yield* a.writer.commit(put("x"))
        for (const key of [...both, "x"]) yield* a.writer.commit(remove(key))
        yield* a.writer.commit(put("l"))
        yield* settled
        for (let i = 0; i < 3; i++) yield* rounds(...replicas)
        for (const one of replicas) {
          assert.includeMembers(yield* keysOf(one), ["-k1", "-x"])
          assert.isNull(one.status().compaction.forgettable)
        }
        // Two of the entries can go, and what is left is remembered.
        for (const key of ["mk1", "mk2"]) yield* a.writer.commit(put(key, "newer"))
        for (let i = 0; i < 5; i++) {
          yield* settled
          yield* rounds(...replicas)
        }
        for (const one of replicas) {
          assert.deepStrictEqual(yield* keysOf(one), ["-k3", "k3", "l", "mk1", "mk2", "mk3"])
          assert.isNotNull(one.status().compaction.forgettable)
        }
      }).pipe(Effect.provideService(Compaction.KeptDeletesBytes, 140))
    )
  )

  it.effect("NoResurrection: is not said to be swept while a member lacks its disk, so that nothing can go", () =>
    test(
      Effect.gen(function* () {
        const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
        yield* a.writer.commit(put("k"))
        const { clock } = yield* b.writer.commit(remove("k"))
        yield* settled
        yield* c.stop
        cluster.wipe("c")
        // It is met, and gets nothing.
        let isHeldUp = true
        const heldUp = <A, E>(call: Effect.Effect<A, E>) => Effect.suspend(() => (isHeldUp ? Effect.never : call))
        for (const link of ["a>c", "b>c", "c>a", "c>b"]) {
          cluster.faults.set(link, (client) => ({
            ...client,
            pull: (asked) => heldUp(client.pull(asked)),
            push: (pushed) => heldUp(client.push(pushed))
          }))
        }
        const again = yield* cluster.start("c")
        yield* TestClock.adjust(1000)
        yield* rounds(a)
        const isBefore = HybridLogicalClock.compare(a.status().compaction.swept, clock) < 0
        assert.deepStrictEqual([yield* keysOf(a), isBefore], [["-k", "k"], true])
        isHeldUp = false
        yield* settled
        for (let i = 0; i < 3; i++) yield* rounds(a, b, again)
        assert.isAbove(HybridLogicalClock.compare(a.status().compaction.swept, clock), 0)
        assert.deepStrictEqual(yield* keysOf(a), [])
      })
    )
  )

  it.effect("is not forgotten after a start before all have swept beyond that", () =>
    test(
      Effect.gen(function* () {
        const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
        yield* a.writer.commit(put("k"))
        yield* settled
        yield* rounds(a, b, c)
        yield* rounds(a, b, c)
        assert.isNotNull(b.status().compaction.forgettable)
        // What it held last may have let something go.
        yield* a.writer.commit(put("l"))
        yield* a.stop
        const again = yield* cluster.start("a")
        yield* TestClock.adjust(3000)
        yield* rounds(again, b, c)
        assert.isNotNull(b.status().compaction.forgettable)
        assert.isNull(again.status().compaction.forgettable)
        yield* settled
        yield* rounds(again, b, c)
        assert.isNotNull(again.status().compaction.forgettable)
      })
    )
  )

  it.effect("NoResurrection: stays when a member has got back by mending what it had swept", () =>
    test(
      Effect.gen(function* () {
        const { a, b, c, cluster, replicas } = yield* Cluster.running("abc", 2)
        yield* a.writer.commit(put("k"))
        yield* b.writer.commit(remove("k"))
        yield* a.writer.commit(put("l"))
        yield* settled
        yield* rounds(b)
        const store = cluster.stores.get("b") as ReplicaStore.MemoryStore
        store.damage(a.logs.own, 1)
        yield* Effect.ignore(b.logs.read(a.logs.own, 0, 1))
        yield* TestClock.adjust(5000)
        assert.deepStrictEqual(b.logs.damaged(), [])
        yield* rounds(a, c)
        yield* rounds(a, c)
        for (const one of [a, c]) assert.include(yield* keysOf(one), "-k")
        yield* settled
        for (let i = 0; i < 3; i++) yield* rounds(...replicas)
        for (const one of replicas) assert.deepStrictEqual(yield* keysOf(one), ["l"])
      })
    )
  )
})
