/** A log of which two copies go on differently: which side stays, and that nothing of the other is lost. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Fiber, Option, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type LogId } from "../src/index.ts"
import { type Chain, EntryBatch, ReplicaStore, type RunId } from "../src/adapter.ts"
import * as Fork from "../src/peer/internal/Fork.ts"
import * as DamagedRange from "../src/log/DamagedRange.ts"
import * as GivenUp from "../src/peer/GivenUp.ts"
import * as Cluster from "./support/cluster.ts"
import { copyOf } from "./support/stores.ts"
import { during, failure } from "./support/time.ts"

const side = (wallTime: number, chain: string, tie = "00000000000000aa"): Fork.Side => ({
  clock: { wallTime, logical: 0 },
  tie: tie as RunId.RunId,
  chain: chain as Chain.Chain
})

/** A path in the tree of all copies of a log that there are. */
type Path = ReadonlyArray<Fork.Side>

const sameAt = (a: Path, b: Path, seq: number): boolean => a[seq - 1]!.chain === b[seq - 1]!.chain

/** Where two paths differ first, by asking for single places, as replicas do. */
const forkOf = (a: Path, b: Path): number | undefined => {
  const last = Math.min(a.length, b.length)
  let agreed = 0
  let differs: number | undefined
  for (let seq: number | undefined = last; seq !== undefined && seq > 0; seq = Fork.between(agreed, differs ?? last)) {
    if (sameAt(a, b, seq)) agreed = seq
    else differs = seq
  }
  return differs
}

describe("of two sides of a log", () => {
  it("the one that was begun earlier stays, and of two of one version that with the smaller chain", () => {
    assert.isTrue(Fork.stays(side(1, "2"), side(2, "1")))
    assert.isFalse(Fork.stays(side(2, "1"), side(1, "2")))
    assert.isTrue(Fork.stays(side(1, "2", "0000000000000001"), side(1, "1", "0000000000000002")))
    assert.isTrue(Fork.stays(side(1, "1"), side(1, "2")))
    assert.isFalse(Fork.stays(side(1, "2"), side(1, "1")))
  })

  it("the first entry that differs is found in a few steps, wherever it is", () => {
    const long: Path = Array.from({ length: 100_000 }, (_, i) => side(i, `a${i}`))
    for (const seq of [1, 2, 3, 77, 99_999, 100_000]) {
      const other = long.map((entry, i) => (i + 1 < seq ? entry : side(i, `b${i}`)))
      assert.strictEqual(forkOf(long, other), seq)
    }
    assert.isUndefined(forkOf(long, long.slice(0, 500)))
  })

  it("Convergence: all end with the same one, whoever meets whom and when, and every replica still has all that it had", () => {
    let state = 1
    const below = (n: number): number =>
      Math.floor(((state = (state * 1103515245 + 12345) % 2147483648) / 2147483648) * n)
    for (let round = 0; round < 2000; round++) {
      const size = 2 + below(4)
      let names = 0
      const paths: Array<Path> = []
      for (let i = 0; i < size; i++) {
        const root: Path = i === 0 ? [] : paths[below(i)]!
        const kept = root.slice(0, below(root.length + 1))
        // Clocks within a log need not rise.
        paths.push([...kept, ...Array.from({ length: below(5) }, () => side(below(4), `${names++}`, `${below(2)}`))])
      }
      const had = paths.map((path) => path.map(({ chain }) => chain))
      const own: Array<Array<string>> = paths.map(() => [])
      /** Replica i meets replica j, and looks whether to go on with what that holds. Whether anything changed. */
      const meet = (i: number, j: number): boolean => {
        const [mine, theirs] = [paths[i]!, paths[j]!]
        const seq = forkOf(mine, theirs)
        if (seq !== undefined && Fork.stays(mine[seq - 1]!, theirs[seq - 1]!)) return false
        if (seq === undefined && mine.length >= theirs.length) return false
        if (seq !== undefined) own[i]!.push(...mine.slice(seq - 1).map(({ chain }) => chain))
        // A page at a time, and others come in between.
        paths[i] = theirs.slice(0, Math.max(seq ?? mine.length + 1, below(theirs.length + 1)))
        const all = new Set([...paths[i]!.map(({ chain }) => chain), ...own[i]!])
        for (const chain of had[i]!) assert.isTrue(all.has(chain as never), `round ${round}: ${chain} is gone at ${i}`)
        return true
      }
      let steps = 0
      for (let quiet = 0; quiet < 100; steps++) {
        const i = below(size)
        const j = below(size)
        quiet = i !== j && meet(i, j) ? 0 : quiet + 1
      }
      for (const path of paths) assert.deepStrictEqual(path, paths[0], `round ${round}`)
      assert.isBelow(steps, 2000)
    }
  })
})

describe("what was committed again", () => {
  it("is remembered as few parts, and the oldest of many sides is forgotten", () => {
    const part = { from: 1, count: 2, log: "b@00000000000000bb" as LogId.LogId, at: 5 }
    const more = { ...part, from: 3, at: 7, count: 1 }
    assert.deepStrictEqual(GivenUp.joined([part], more), [{ ...part, count: 3 }])
    assert.strictEqual(GivenUp.joined([part], { ...more, at: 8 }).length, 2)
    assert.strictEqual(GivenUp.joined([part], { ...more, from: 4 }).length, 2)
    const one: GivenUp.GivenUp = {
      log: part.log,
      after: 0,
      upTo: 3,
      because: "fork",
      peer: null,
      again: [part],
      wallMillis: 0
    }
    let known: ReadonlyArray<GivenUp.GivenUp> = []
    for (let i = 0; i < 70; i++) known = GivenUp.added(known, { ...one, after: i })
    assert.deepStrictEqual([known.length, known[0]!.after, known[63]!.after], [64, 6, 69])
    assert.strictEqual(GivenUp.textOf(one), "b@00000000000000bb:5 to 6")
  })
})

describe("what follows a lost range", () => {
  const log = "b@00000000000000bb" as LogId.LogId
  /** Places of a log of eight entries. */
  const ranges = Arbitrary.schema(
    Schema.Array(Schema.Tuple([Schema.Literals([1, 2, 3, 4, 5, 6, 7, 8]), Schema.Literals([0, 1, 2])]))
  )
  const placesOf = ({ from, to }: { readonly from: number; readonly to: number }) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i)

  it.prop(
    "is committed again but for what is damaged, each entry once, in whatever order ranges are lost and mended",
    { lost: ranges, mended: ranges },
    ({ lost, mended }) => {
      const upTo = 8
      let known: ReadonlyArray<GivenUp.GivenUp> = []
      let damaged: ReadonlyArray<DamagedRange.DamagedRange> = []
      const again: Array<number> = []
      const rangeOf = ([from, more]: readonly [number, number]) => ({ log, from, to: Math.min(upTo, from + more) })
      for (const [step, drawn] of lost.entries()) {
        damaged = DamagedRange.joined([...damaged, rangeOf(drawn)])
        const healed = mended[step]
        if (healed !== undefined) damaged = DamagedRange.without(damaged, rangeOf(healed))
        for (const range of damaged) {
          for (const left of GivenUp.leftAfter(range, upTo, known, damaged)) {
            assert.isFalse(damaged.some((each) => DamagedRange.overlaps(each, left)))
            again.push(...placesOf(left))
            const more = { after: left.from - 1, upTo: left.to, because: "lost", peer: null } as const
            known = GivenUp.added(known, { log, ...more, again: [], wallMillis: 0 })
          }
        }
        const first = damaged[0]
        if (first === undefined) continue
        const gone = damaged.flatMap(placesOf)
        for (let seq = first.to + 1; seq <= upTo; seq++) {
          assert.strictEqual(again.includes(seq) || gone.includes(seq), true, `${seq} is left behind`)
        }
      }
      assert.strictEqual(new Set(again).size, again.length, "an entry was committed again twice")
    }
  )

  it("is not forgotten, however much is committed again, since it would be again", () => {
    const one = { log, after: 1, upTo: 2, because: "lost", peer: null, again: [], wallMillis: 0 } as const
    let known: ReadonlyArray<GivenUp.GivenUp> = []
    for (let i = 0; i < 70; i++) known = GivenUp.added(known, { ...one, after: i, upTo: i + 1 })
    for (let i = 0; i < 70; i++) known = GivenUp.added(known, { ...one, because: "fork" })
    assert.deepStrictEqual(GivenUp.leftAfter({ log, from: 0, to: 0 }, 70, known, []), [])
    assert.strictEqual(known.length, 134)
  })
})

const put = (key: string, value = key) => Entry.put("n", key, value)

const valueOf = (replica: Cluster.Running, key: string) =>
  Effect.map(during(replica.records.read("n", key), 10), (record) =>
    Option.match(record, { onNone: () => undefined, onSome: ({ value }) => new TextDecoder().decode(value) })
  )

/**
 * Two writes of one place, each acknowledged by two of three: the store of `a` was put back as it was before the first
 * while `b`, which holds that, could not be reached. `c` was away before, and holds the second.
 */
const forked = Effect.gen(function* () {
  const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
  yield* during(a.writer.commit(put("both")), 10)
  yield* TestClock.adjust(1000)
  const older = yield* copyOf(yield* cluster.storeOf("a"))
  yield* during(c.stop, 5000)
  const first = yield* during(a.writer.commit([put("first"), put("same", "first")]), 10)
  yield* during(a.writer.commit(put("second")), 10)
  yield* during(a.stop, 5000)
  cluster.stores.set("a", older)
  for (const link of ["ab", "ba", "bc", "cb"]) cluster.cut(link[0]!, link[1]!)
  const back = yield* cluster.start("c", { policy: Cluster.policy(3, 2, { ackTimeout: 20_000 }) })
  const again = yield* cluster.start("a")
  yield* TestClock.adjust(3000)
  const other = yield* during(again.writer.commit([put("other"), put("same", "other")]), 10)
  for (const key of ["third", "fourth"]) yield* during(again.writer.commit(put(key)), 10)
  const log = a.logs.own
  assert.strictEqual(again.logs.own, log)
  // So long that it is noted what the others acked.
  yield* TestClock.adjust(6000)
  assert.deepStrictEqual(
    other.acked.map(({ replica }) => replica),
    [again.id, back.id]
  )
  return { cluster, log, first, other, replicas: [again, b, back] as const }
})

const vectorOf = ({ logs }: Cluster.Running) =>
  logs
    .vector()
    .map(({ chain, log, seq }) => `${log} ${seq} ${chain}`)
    .sort()

const keys = ["both", "first", "second", "other", "third", "fourth"]

describe("OneEntryPerPlace: a log that forked", () => {
  it.effect("L53 keeps both sides: one in the log, the other in logs of those who held it, on every replica", () =>
    Effect.gen(function* () {
      const { cluster, first, log, other, replicas } = yield* forked
      const [a, b, c] = replicas
      const before = c.logs.identity
      const told: Array<string> = []
      c.events.listen((event) => {
        if (event._tag === "CommittedAgain") told.push(`${event.log} ${event.after} ${event.upTo} ${event.because}`)
      })
      cluster.heal()
      yield* TestClock.adjust(15_000)
      for (const replica of replicas) {
        assert.isTrue(replica.membership.isVoting(), replica.id)
        assert.deepStrictEqual(replica.logs.head(log), b.logs.head(log))
        assert.deepStrictEqual(vectorOf(replica), vectorOf(b))
        for (const peer of replica.status().peers) assert.deepStrictEqual(peer.drifted, [])
        for (const key of keys) assert.strictEqual(yield* valueOf(replica, key), key)
        // The later of the two, also where it has another place.
        assert.strictEqual(yield* valueOf(replica, "same"), "other")
        assert.isTrue((yield* replica.writer.status(first.writeId)).committed)
        const { held } = yield* failure(replica.writer.status(other.writeId), "WriteReplaced")
        assert.strictEqual(held, first.writeId)
        const record = Option.getOrThrow(yield* during(replica.records.read("n", "other"), 10))
        assert.deepStrictEqual(record.clock, other.clock)
      }
      assert.notStrictEqual(a.logs.own, log)
      assert.deepStrictEqual(told, [`${log} 1 4 fork`])
      const [kept] = c.status().givenUp
      assert.deepInclude(kept, { log, after: 1, upTo: 4, because: "fork", peer: b.id })
      assert.deepStrictEqual(kept!.again, [{ from: 2, count: 3, log: c.logs.own, at: 1 }])
      assert.strictEqual(c.logs.head(c.logs.own).seq, 3)
      assert.deepStrictEqual(c.logs.identity, before)
      assert.deepStrictEqual(b.status().givenUp, [])
      yield* during(a.writer.commit(put("more"), { w: "all" }), 100)
    })
  )

  it.effect(
    "is followed by verify, from any replica: what was committed again is held, at the place that it has now",
    () =>
      Effect.gen(function* () {
        const { cluster, first, other, replicas } = yield* forked
        const [a, b, c] = replicas
        cluster.heal()
        yield* TestClock.adjust(15_000)
        for (const replica of replicas) {
          const moved = yield* during(replica.writer.verify(other), 100)
          // Both of its holders have committed it again.
          assert.deepStrictEqual(
            [...moved.movedTo!].sort(),
            [yield* Cluster.idAt(a.logs, 1), yield* Cluster.idAt(c.logs, 1)].sort()
          )
          assert.deepStrictEqual(moved.copies, { [a.id]: "held", [b.id]: "held", [c.id]: "held" })
          assert.isTrue(moved.committed)
          const stayed = yield* during(replica.writer.verify(first), 100)
          assert.deepInclude({ ...stayed }, { held: 3, committed: true })
          assert.isUndefined(stayed.movedTo)
        }
        // Another write of that place, which nobody has, is not taken for it.
        const never = { ...other, clock: { ...other.clock, logical: other.clock.logical + 1 } }
        assert.deepInclude({ ...(yield* during(c.writer.verify(never), 100)) }, { held: 0, committed: false })
        yield* during(b.writer.commit([put("other"), put("same")]), 100)
        yield* TestClock.adjust(2000)
        yield* during(a.stop, 5000)
        const later = yield* during(b.writer.verify(other), 5000)
        assert.deepStrictEqual(later.copies, { [a.id]: "unknown", [b.id]: "superseded", [c.id]: "superseded" })
      })
  )

  it.effect("says where each entry is that was committed again, after erased ones too", () =>
    Effect.gen(function* () {
      const { cluster, log, replicas } = yield* forked
      const [a, , c] = replicas
      yield* during(a.writer.commit(put("fifth")), 10)
      const side = Option.getOrThrow(yield* c.logs.read(log, 1, 1 << 20))
      yield* c.logs.erase(EntryBatch.erase(side, (seq) => (seq === 4 ? "superseded" : "kept")))
      cluster.heal()
      yield* TestClock.adjust(15_000)
      const [kept] = c.status().givenUp
      const own = c.logs.own
      assert.deepStrictEqual(kept!.again, [
        { from: 2, count: 2, log: own, at: 1 },
        { from: 5, count: 1, log: own, at: 3 }
      ])
      assert.deepStrictEqual(GivenUp.placesOf([kept!], log, 4), [])
      const copy = Option.getOrThrow(yield* c.logs.read(own, 2, 1))
      assert.strictEqual(Entry.decodeAt(copy.bytes, 0).records[0]!.key, "fifth")
    })
  )

  it.effect("L53 an id of the side that gave way is never said to be compacted, when the entry at its place is", () =>
    Effect.gen(function* () {
      const { cluster, log, other, replicas } = yield* forked
      const [, , c] = replicas
      cluster.heal()
      yield* TestClock.adjust(15_000)
      const side = Option.getOrThrow(yield* c.logs.read(log, 0, 1 << 20))
      yield* c.logs.erase(EntryBatch.erase(side, (seq) => (seq === 2 ? "superseded" : "kept")))
      const own = c.logs.own
      const { held } = yield* failure(c.writer.status(other.writeId), "WriteReplaced")
      assert.strictEqual(held, yield* Cluster.idAt(c.logs, 1))
      assert.isTrue((yield* c.writer.status(held as never)).committed)
      // The copy is superseded too.
      const copies = Option.getOrThrow(yield* c.logs.read(own, 0, 1 << 20))
      yield* c.logs.erase(EntryBatch.erase(copies, (seq) => (seq === 1 ? "superseded" : "kept")))
      yield* failure(c.writer.status(other.writeId), "WriteCompacted")
    })
  )

  it.effect("NoPhantomAck: who holds another entry at the place of a write is never counted for it", () =>
    Effect.gen(function* () {
      const { cluster, other, replicas } = yield* forked
      const [, , c] = replicas
      const fiber = yield* Effect.forkChild(Effect.result(c.writer.resume(other.writeId, { w: 3 })))
      yield* TestClock.adjust(100)
      cluster.heal()
      yield* TestClock.adjust(15_000)
      const result = yield* Fiber.join(fiber)
      assert(Result.isFailure(result) && result.failure._tag === "QuorumNotMet")
      assert.strictEqual(result.failure.reason, "id_drift")
    })
  )

  it.effect("RecoveringDoesNotVote: its owner waits for what the others hold, in whichever log that is then", () =>
    Effect.gen(function* () {
      const { cluster, log, replicas } = yield* forked
      const [a, , c] = replicas
      // The other does not get to give its side up, and holds what it committed again where nobody gets it.
      for (const link of ["ac", "bc"]) {
        cluster.faults.set(link.split("").join(">"), (client) => ({
          ...client,
          pull: (request) => (request.log === c.logs.own ? Effect.never : client.pull(request))
        }))
      }
      cluster.cut("c", "a")
      cluster.cut("c", "b")
      cluster.join("a", "b")
      cluster.join("b", "a")
      cluster.join("b", "c")
      yield* TestClock.adjust(10_000)
      assert.notStrictEqual(a.logs.own, log)
      assert.isFalse(a.membership.isVoting())
      cluster.faults.clear()
      cluster.heal()
      yield* TestClock.adjust(15_000)
      assert.isTrue(a.membership.isVoting())
    })
  )

  it.effect.each([
    ["first", "bc"],
    ["last", "ab"]
  ] as const)("is settled when its owner is the %s to meet the other side, and its owner votes then", ([, away]) =>
    Effect.gen(function* () {
      const { cluster, replicas } = yield* forked
      const [a, b] = replicas
      cluster.heal()
      cluster.cut(away[0]!, away[1]!)
      cluster.cut(away[1]!, away[0]!)
      yield* TestClock.adjust(20_000)
      cluster.heal()
      yield* TestClock.adjust(15_000)
      assert.isTrue(a.membership.isVoting())
      for (const replica of replicas) {
        assert.deepStrictEqual(vectorOf(replica), vectorOf(b))
        for (const key of keys) assert.strictEqual(yield* valueOf(replica, key), key)
      }
    })
  )

  it.effect("of which the side to give up is damaged waits until that is mended, and makes no copies meanwhile", () =>
    Effect.gen(function* () {
      const { cluster, log, replicas } = yield* forked
      const [, , c] = replicas
      const store = cluster.stores.get("c") as ReplicaStore.MemoryStore
      store.damage(log, 3)
      for (const link of ["bc", "cb"]) cluster.join(link[0]!, link[1]!)
      for (const link of ["ac", "ca"]) cluster.cut(link[0]!, link[1]!)
      yield* TestClock.adjust(15_000)
      // One at most: the damage is found when it is read.
      assert.isAtMost(c.logs.head(c.logs.own).seq, 1)
      cluster.heal()
      yield* TestClock.adjust(30_000)
      for (const replica of replicas) {
        for (const key of keys) assert.strictEqual(yield* valueOf(replica, key), key, `${key} at ${replica.id}`)
        assert.isTrue(replica.membership.isVoting())
      }
    })
  )

  it.effect(
    "is settled again after a crash before the side was given up, which makes another copy and no other harm",
    () =>
      Effect.gen(function* () {
        const { cluster, log, replicas } = yield* forked
        const [, b, c] = replicas
        const store = yield* cluster.storeOf("c")
        const { cut } = store
        let failures = 0
        const notToday = new ReplicaStore.StoreError({ reason: "unavailable", detail: "not today" })
        Object.assign(store, {
          cut: (...args: Parameters<typeof cut>) => (failures++ < 2 ? Effect.fail(notToday) : cut(...args))
        })
        cluster.heal()
        yield* TestClock.adjust(20_000)
        assert.isAbove(failures, 2)
        assert.isAbove(c.status().givenUp.length, 2)
        for (const replica of replicas) {
          assert.deepStrictEqual(replica.logs.head(log), b.logs.head(log))
          for (const key of keys) assert.strictEqual(yield* valueOf(replica, key), key)
        }
        yield* during(c.stop, 5000)
        const restarted = yield* cluster.start("c")
        yield* TestClock.adjust(5000)
        assert.isTrue(restarted.membership.isVoting())
        assert.strictEqual(restarted.logs.own, c.logs.own)
        assert.deepStrictEqual(restarted.status().givenUp, c.status().givenUp)
      })
  )
})
