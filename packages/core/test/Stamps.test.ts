/** Writes that may be repeated: a stamp is drawn first, and every copy has its version. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type QuorumWriter, StampToken } from "../src/index.ts"
import { StampHorizon } from "../src/log/Floor.ts"
import { ClockBound } from "../src/log/ReplicaClock.ts"
import { EntryBatch, RunId, Version } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"

const put = (value: string, key = "k") => Entry.put("n", key, value)
const key = { namespace: "n", key: "k" }

const valueOf = ({ records }: Cluster.Running) =>
  Effect.map(records.read("n", "k"), (record) =>
    Option.getOrUndefined(Option.map(record, ({ value }) => new TextDecoder().decode(value)))
  )

/** Nothing passes between a replica and the others, in both directions. */
const cutOff = (cluster: { readonly cut: (from: string, to: string) => void }, id: string) => {
  for (const other of ["a", "b", "c"].filter((each) => each !== id)) {
    cluster.cut(id, other)
    cluster.cut(other, id)
  }
}

/** The versions of all entries of all logs that a replica holds, whose value is this. */
const versionsOf = Effect.fnUntraced(function* ({ logs }: Cluster.Running, value: string) {
  const found: Array<Version.Version> = []
  for (const { log, seq } of logs.heads()) {
    for (let after = 0; after < seq; after++) {
      const batch = EntryBatch.take(Option.getOrThrow(yield* logs.read(log, after, 1)), 1)
      const { clock, records, tie } = Entry.decodeAt(batch.bytes, 0)
      if (records.some((record) => new TextDecoder().decode(record.value) === value)) found.push({ clock, tie })
    }
  }
  return found
})

describe("a stamped write", () => {
  it.effect("OnceByKey: is one write, with one version, however often and wherever it is committed", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      const stamp = yield* during(a.writer.stamp(key), 10)
      const { keys: _, unprobed: __, ...version } = Option.getOrThrow(StampToken.read(stamp))
      for (const replica of [b, c, a, a, b]) {
        const receipt = yield* during(replica.writer.commit(put("once"), { stamp }), 2000)
        assert.deepInclude({ ...receipt }, version)
      }
      yield* b.stop
      const again = yield* cluster.start("b")
      yield* TestClock.adjust(2000)
      assert.deepInclude({ ...(yield* during(again.writer.commit(put("once"), { stamp }), 2000)) }, version)
      yield* TestClock.adjust(2000)
      for (const replica of [a, again, c]) {
        const versions = yield* versionsOf(replica, "once")
        assert.isTrue(versions.length > 0 && versions.every((each) => Version.compare(each, version) === 0))
        assert.strictEqual(yield* valueOf(replica), "once")
      }
    })
  )

  it.effect("is completed and not written again where it is held, also by a commit at the same time", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("abc", 2)
      const stamp = yield* during(a.writer.stamp(key), 10)
      const commit = a.writer.commit(put("once"), { stamp })
      const both = yield* during(Effect.all([commit, commit], { concurrency: 2 }), 10)
      const later = yield* during(commit, 10)
      assert.strictEqual(new Set([...both, later].map(({ writeId }) => writeId)).size, 1)
      assert.strictEqual(a.logs.head(a.logs.own).seq, 1)
    })
  )

  it.effect("is looked for in the index, and in a log only where its version is that of the newest write", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const store = yield* cluster.storeOf("a")
      let reads = 0
      const read: typeof store.read = (...place) => Effect.suspend(() => (reads++, store.read(...place)))
      cluster.stores.set("a", { ...store, read })
      const a = yield* cluster.start("a")
      const b = yield* cluster.start("b")
      yield* cluster.start("c")
      yield* TestClock.adjust(2000)
      yield* during(b.writer.commit(put("before"), { w: "all" }), 10)
      const stamp = yield* during(a.writer.stamp(key), 10)
      reads = 0
      yield* during(a.writer.commit(put("once"), { stamp }), 10)
      assert.strictEqual(reads, 0)
      const stampOfB = yield* during(b.writer.stamp(key), 10)
      const { writeId } = yield* during(b.writer.commit(put("twice"), { stamp: stampOfB, w: "all" }), 10)
      const again = yield* during(a.writer.commit(put("twice"), { stamp: stampOfB }), 10)
      assert.strictEqual(again.writeId, writeId)
      assert.isAbove(reads, 0)
    })
  )

  it.effect("L58 a repeat at a replica that never got it overwrites nothing that came between", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      const stamp = yield* during(a.writer.stamp(key), 10)
      cutOff(cluster, "a")
      yield* during(failure(a.writer.commit(put("old"), { stamp }), "QuorumNotMet"), 2001)
      // Nobody else knows of it, and a newer write is acknowledged.
      yield* during(b.writer.commit(put("new")), 2000)
      const repeated = yield* during(c.writer.commit(put("old"), { stamp }), 2000)
      assert.deepInclude({ ...Option.getOrThrow(StampToken.read(stamp)) }, { clock: repeated.clock, tie: repeated.tie })
      cluster.heal()
      yield* TestClock.adjust(8000)
      for (const replica of [a, b, c]) assert.strictEqual(yield* valueOf(replica), "new")
    })
  )

  it.effect("L56 is not stamped a second time when its first try was written nowhere", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 2)
      const stamp = yield* during(a.writer.stamp(key), 10)
      yield* during(b.writer.commit(put("new")), 10)
      yield* during(a.writer.commit(put("old"), { stamp }), 10)
      yield* TestClock.adjust(2000)
      for (const replica of [a, b]) assert.strictEqual(yield* valueOf(replica), "new")
    })
  )

  it.effect("may be of several keys, in any order of them, and of deletes", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 2)
      const stamp = yield* during(a.writer.stamp([{ namespace: "n", key: "l" }, key]), 10)
      const writes = [put("1"), Entry.remove("n", "l")] as const
      const first = yield* during(a.writer.commit(writes, { stamp }), 10)
      yield* TestClock.adjust(2000)
      const [one, other] = writes
      for (const again of [writes, [other, one]] as const) {
        assert.strictEqual((yield* during(b.writer.commit(again, { stamp }), 10)).writeId, first.writeId)
      }
    })
  )

  it.effect("is drawn for each of many keys in their order, all of them or none", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 2)
      const keys = Array.from({ length: 50 }, (_, i) => ({ namespace: "n", key: `k${i}` }))
      const stamps = yield* during(a.writer.stampEach(keys), 10)
      assert.strictEqual(new Set(stamps).size, 50)
      const ids: Array<string> = []
      for (const [i, stamp] of stamps.entries()) {
        b.writer.commitUnsafe(
          put("v", `k${i}`),
          (outcome) => void (Exit.isSuccess(outcome) && ids.push(outcome.value.writeId)),
          { stamp }
        )
      }
      yield* TestClock.adjust(100)
      assert.strictEqual(new Set(ids).size, 50)
      const rejected = yield* failure(a.writer.stampEach([...keys, { namespace: "", key: "k" }]), "WriteRejected")
      assert.strictEqual(rejected.field, "namespace")
      assert.deepStrictEqual(yield* a.writer.stampEach([]), [])
      yield* TestClock.adjust(100)
      assert.strictEqual(a.logs.head(a.logs.own).seq, 0)
      assert.strictEqual(a.writer.waiting(), 0)
    })
  )

  it.effect("that waits for another copy of it may be taken back, and is not written", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("abc", 2)
      const stamp = yield* during(a.writer.stamp(key), 10)
      const told: Array<string> = []
      const commit = (name: string) =>
        a.writer.commitUnsafe(put("once"), (outcome) => void told.push(`${name} ${outcome._tag}`), { stamp })
      const first = commit("first")
      const second = commit("second")
      commit("third")
      first()
      second()
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(told, ["third Success"])
      assert.strictEqual(a.logs.head(a.logs.own).seq, 1)
    })
  )

  it.effect("other content under its stamp is refused where it is held, and writes nothing", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 3)
      const stamp = yield* during(a.writer.stamp(key), 10)
      const { writeId } = yield* during(a.writer.commit(put("one"), { stamp }), 10)
      yield* TestClock.adjust(1000)
      for (const replica of [a, b]) {
        for (const other of [
          put("two"),
          Entry.remove("n", "k"),
          Entry.put("n", "k", "one", { contentType: "text/plain" })
        ]) {
          const error = yield* failure(replica.writer.commit(other, { stamp }), "StampReused")
          assert.strictEqual(error.held, writeId)
        }
      }
      assert.strictEqual(b.logs.head(b.logs.own).seq, 0)
    })
  )

  it.effect("a stamp that is misspelt, of other keys or ahead of all clocks is rejected, and the replica goes on", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const stamp = yield* a.writer.stamp(key)
      const { clock, tie } = Option.getOrThrow(StampToken.read(stamp))
      const at = (wallTime: number) => StampToken.make({ clock: { wallTime, logical: 0 }, tie, unprobed: false }, [key])
      const ahead = at(10 ** 12)
      const latest = clock.wallTime + 2 * (yield* ClockBound)
      const misspelt = stamp.replace(/^[0-9]+/, "7")
      for (const bad of ["", "x", misspelt, ahead, at(latest + 1), null, 7, Symbol("s")]) {
        const options = { stamp: bad } as QuorumWriter.WriteOptions
        assert.strictEqual((yield* failure(a.writer.commit(put("v"), options), "WriteRejected")).field, "stamp")
      }
      assert.strictEqual((yield* failure(a.writer.commit(put("v", "l"), { stamp }), "WriteRejected")).field, "stamp")
      for (const bad of [undefined, null, [], [null], { namespace: "n" }, [key, key], new Proxy({}, { get: throws })]) {
        yield* failure(a.writer.stamp(bad as never), "WriteRejected")
      }
      for (const bad of [undefined, null, "x", key, [null], revoked()]) {
        assert.strictEqual((yield* failure(a.writer.stampEach(bad as never), "WriteRejected")).field, "keys")
      }
      assert.strictEqual(a.logs.head(a.logs.own).seq, 0)
      yield* a.writer.commit(put("v"), { stamp })
      yield* a.writer.commit(put("w"), { stamp: at(latest) })
    })
  )

  it.effect("beyond the horizon a stamp is too old to know, unless its write is held", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const [known, unknown] = [yield* a.writer.stamp(key), yield* a.writer.stamp(key)]
      const last = yield* a.writer.stamp({ namespace: "n", key: "last" })
      const { writeId } = yield* a.writer.commit(put("v"), { stamp: known })
      yield* TestClock.adjust("1 minute")
      yield* a.writer.commit(put("v", "last"), { stamp: last })
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* a.writer.commit(put("v"), { stamp: known })).writeId, writeId)
      const error = yield* failure(a.writer.commit(put("w"), { stamp: unknown }), "TooOldToKnow")
      assert.isAbove(error.ageMillis, error.horizonMillis)
      assert.strictEqual(a.logs.head(a.logs.own).seq, 2)
    }).pipe(Effect.provideService(StampHorizon, 60_000))
  )

  it("a stamp says whether a majority was probed for it", () => {
    const clock = { wallTime: 2 ** 48 - 1, logical: 2 ** 32 - 1 }
    for (const unprobed of [false, true]) {
      const token = StampToken.make({ clock, tie: RunId.none, unprobed }, [key])
      assert.deepInclude(Option.getOrThrow(StampToken.read(token)), { clock, tie: RunId.none, unprobed })
    }
  })

  it.effect("is followed as any other, and when it was made before its outcome is all that is told", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const stamp = yield* a.writer.stamp(key)
      const steps = Effect.map(Stream.runCollect(a.writer.progress(put("v"), { stamp })), (all) =>
        all.map(({ _tag }) => _tag)
      )
      assert.deepStrictEqual(yield* steps, ["Durable", "Committed"])
      assert.deepStrictEqual(yield* steps, ["Committed"])
    })
  )

  it.effect("a stamp that is drawn and not used leaves nothing behind", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 2)
      const stamps = yield* Effect.forEach([1, 2, 3], () => during(a.writer.stamp(key), 10))
      assert.strictEqual(new Set(stamps).size, 3)
      assert.deepStrictEqual([a.writer.waiting(), a.logs.head(a.logs.own).seq], [0, 0])
      yield* TestClock.adjust(2000)
      assert.strictEqual(b.logs.head(a.logs.own).seq, 0)
    })
  )
})

const throws = (): never => {
  throw new Error("a getter threw")
}

const revoked = (): unknown => {
  const { proxy, revoke } = Proxy.revocable([], {})
  revoke()
  return proxy
}

/** Numbers from a seed (mulberry32). */
const numbers = (seed: number) => (below: number) => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below) | 0
}

describe("repeats at random", () => {
  for (let seed = 1; seed <= 24; seed++) {
    it.effect(`OnceByKey: of one stamp, with restarts and other writes between, are one write (seed ${seed})`, () =>
      Effect.gen(function* () {
        const pick = numbers(seed)
        const cluster = yield* Cluster.make(["a", "b", "c"], 2)
        const options = { policy: Cluster.policy(3, 2, { order: seed % 2 === 0 ? "clock" : "real-time" }) }
        const live = yield* Effect.forEach(["a", "b", "c"], (id) => cluster.start(id, options))
        yield* TestClock.adjust(1000)
        const stamp = yield* during(live[pick(3)]!.writer.stamp(key), 200)
        const version = Option.getOrThrow(StampToken.read(stamp))
        /** What was acknowledged last, in the order of the acknowledgments of other writes. */
        let last: string | undefined
        let isCommitted = false
        for (let step = 0; step < 10; step++) {
          const at = pick(3)
          switch (pick(4)) {
            case 0: {
              yield* during(live[at]!.stop, 4000)
              yield* TestClock.adjust(pick(3000))
              live[at] = yield* cluster.start("abc"[at]!, options)
              yield* TestClock.adjust(3000)
              break
            }
            case 1: {
              yield* TestClock.adjust(1)
              yield* during(live[at]!.writer.commit(put(`w${step}`)), 3000)
              last = `w${step}`
              break
            }
            default: {
              if (pick(2) === 0) cluster.cut("abc"[at]!, "abc"[(at + 1) % 3]!)
              const receipt = yield* during(live[at]!.writer.commit(put("stamped"), { stamp }), 4000)
              assert.deepInclude({ ...receipt }, { clock: version.clock, tie: version.tie })
              isCommitted = true
              cluster.heal()
              yield* TestClock.adjust(pick(4000))
            }
          }
        }
        cluster.heal()
        yield* TestClock.adjust(10_000)
        const expected = last ?? (isCommitted ? "stamped" : undefined)
        for (const replica of live) {
          for (const each of yield* versionsOf(replica, "stamped"))
            assert.strictEqual(Version.compare(each, version), 0)
          assert.strictEqual(yield* valueOf(replica), expected)
        }
      })
    )
  }
})
