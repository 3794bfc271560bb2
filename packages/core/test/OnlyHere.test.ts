/** What only a replica holds that was thought lost, or was away: offered again before it votes, and never merged blindly. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { type Entry, type HybridLogicalClock, LogId, ReplicaId } from "../src/index.ts"
import type { Chain, Watermark } from "../src/adapter.ts"
import { keyOf } from "../src/log/KeyText.ts"
import * as RunId from "../src/identity/RunId.ts"
import * as PeerProtocol from "../src/peer/PeerProtocol.ts"
import * as OnlyHere from "../src/peer/internal/OnlyHere.ts"
import type * as Voting from "../src/peer/internal/Voting.ts"
import * as Cluster from "./support/cluster.ts"
import { put, remove, rounds, test, valueOf } from "./support/deletes.ts"

/** Until what was done before is stable, and all know it. */
const settled = TestClock.adjust(20_000)

/** A write that waits for nobody. */
const alone = { w: 1 }

/**
 * c writes what nobody else gets, and then its disk is thought lost: another one takes its place. `meanwhile` goes on
 * without the old disk, which is put back at the end.
 */
const putBack = Effect.fnUntraced(function* (
  tail: ReadonlyArray<Entry.Writes>,
  meanwhile: (a: Cluster.Running, b: Cluster.Running) => Effect.Effect<unknown, unknown>
) {
  const { a: first, b: second, c, cluster } = yield* Cluster.running("abc", 2)
  let [a, b] = [first, second]
  yield* a.writer.commit(put("old", "1"))
  yield* settled
  for (const link of ["a", "b"]) {
    cluster.cut("c", link)
    cluster.cut(link, "c")
  }
  for (const writes of tail) yield* c.writer.commit(writes, alone)
  const log = c.logs.own
  yield* c.stop
  const disk = cluster.stores.get("c")!
  cluster.wipe("c")
  cluster.heal()
  const other = yield* cluster.start("c")
  yield* settled
  yield* meanwhile(a, b)
  yield* settled
  for (let i = 0; i < 4; i++) yield* rounds(a, b, other)
  yield* other.stop
  // Who has swept knows so after a start, too.
  for (const one of [a, b]) yield* one.stop
  ;[a, b] = [yield* cluster.start("a"), yield* cluster.start("b")]
  cluster.stores.set("c", disk)
  const again = yield* cluster.start("c")
  yield* TestClock.adjust(10_000)
  return { again, all: [a, b, again], log }
})

describe("what only a replica holds whose disk was thought lost", () => {
  it.effect("NoResurrection L37: is not brought back where its key may have been deleted since, and is named", () =>
    test(
      Effect.gen(function* () {
        const { again, all, log } = yield* putBack([put("k", "tail")], (a, b) =>
          Effect.andThen(a.writer.commit(put("k", "later")), b.writer.commit(remove("k")))
        )
        yield* settled
        for (const one of all) {
          assert.isTrue(one.status().voting)
          assert.isUndefined(yield* valueOf(one, "k"))
          assert.strictEqual(yield* valueOf(one, "old"), "1")
        }
        const [given, ...more] = again.status().givenUp
        assert.deepStrictEqual(more, [])
        assert.deepStrictEqual(
          [given?.because, given?.log, given?.dropped],
          ["away", log, { entries: 1, keys: [{ seq: 1, namespace: "n", key: "k" }] }]
        )
      })
    )
  )

  it.effect("is kept where its key has another write still, as the same version, and newer writes win", () =>
    test(
      Effect.gen(function* () {
        const { again, all, log } = yield* putBack([put("old", "tail")], () => Effect.void)
        yield* settled
        for (const one of all) assert.strictEqual(yield* valueOf(one, "old"), "tail")
        const [given] = again.status().givenUp
        assert.deepStrictEqual(given?.again, [{ from: 1, count: 1, log: again.logs.own, at: 1 }])
        assert.strictEqual(all[0]!.logs.head(log).seq, 0)
      })
    )
  )

  it.effect("OneEntryPerPlace: is not committed again while a member says that another process has the id", () =>
    test(
      Effect.gen(function* () {
        const { a, b, c, cluster } = yield* Cluster.running("abcd", 2)
        yield* a.writer.commit(put("old", "1"))
        yield* settled
        for (const link of "abd") {
          cluster.cut("c", link)
          cluster.cut(link, "c")
        }
        yield* c.writer.commit(put("old", "tail"), alone)
        yield* c.stop
        const disk = cluster.stores.get("c")!
        cluster.wipe("c")
        cluster.heal()
        const other = yield* cluster.start("c")
        yield* settled
        yield* rounds(a, b)
        yield* other.stop
        cluster.stores.set("c", disk)
        const refused = new PeerProtocol.HandshakeRefused({ reason: "duplicate", detail: "another live process" })
        cluster.faults.set("c>d", (client) => ({ ...client, hello: () => Effect.fail(refused) }))
        const again = yield* cluster.start("c")
        yield* TestClock.adjust(10_000)
        assert.include(again.membership.obstacle(), "another live process has the id c, says d")
        assert.deepStrictEqual([again.logs.head(again.logs.own).seq, again.status().givenUp], [0, []])
        cluster.faults.clear()
        yield* TestClock.adjust(60_000)
        assert.deepStrictEqual([again.logs.head(again.logs.own).seq, again.status().voting], [1, true])
        assert.strictEqual(yield* valueOf(a, "old"), "tail")
      })
    )
  )

  it.effect("is kept in its own place where it is later than all that was swept", () =>
    test(
      Effect.gen(function* () {
        const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
        yield* settled
        for (const link of ["a", "b"]) {
          cluster.cut("c", link)
          cluster.cut(link, "c")
        }
        yield* c.writer.commit(put("k", "tail"), alone)
        yield* c.stop
        const disk = cluster.stores.get("c")!
        cluster.wipe("c")
        cluster.heal()
        const other = yield* cluster.start("c")
        yield* TestClock.adjust(2000)
        yield* other.stop
        cluster.stores.set("c", disk)
        const again = yield* cluster.start("c")
        yield* TestClock.adjust(10_000)
        for (const one of [a, b, again]) assert.strictEqual(yield* valueOf(one, "k"), "tail")
        assert.deepStrictEqual(again.status().givenUp, [])
        assert.strictEqual(a.logs.head(c.logs.own).seq, 1)
      })
    )
  )
})

const [a, b, c] = [..."abc"].map((name) => ReplicaId.make(name)) as [
  ReplicaId.ReplicaId,
  ReplicaId.ReplicaId,
  ReplicaId.ReplicaId
]
const incarnation = (n: number) => n.toString(16).padStart(16, "0") as LogId.Incarnation
const at = (owner: ReplicaId.ReplicaId, life: number, seq: number): Watermark.Watermark => ({
  log: LogId.make(owner, incarnation(life)),
  seq,
  chain: "00000000000000ff" as Chain.Chain
})
const clockAt = (wallTime: number): HybridLogicalClock.HybridLogicalClock => ({ wallTime, logical: 0 })
const life = (n: number) => ({ incarnation: incarnation(n), starts: 1, run: RunId.none, startedAt: 0 })
const answer = (vector: Watermark.VersionVector, everSwept: number, voting = true): Voting.Answer => ({
  incarnation: incarnation(1),
  voting,
  blank: false,
  restoredFrom: undefined,
  vector,
  floor: clockAt(0),
  everSwept: clockAt(everSwept)
})

describe("how far anybody has ever swept", () => {
  it.effect("is said by all who have heard of it", () =>
    test(
      Effect.gen(function* () {
        const cluster = yield* Cluster.make([..."abc"], 2)
        const said: Array<number> = []
        cluster.faults.set("c>a", (client) => ({
          ...client,
          hello: (hello) => {
            said.push(hello.everSwept?.wallTime ?? -1)
            return client.hello(hello)
          }
        }))
        const b = (yield* Effect.forEach([..."abc"], (id) => cluster.start(id)))[1]!
        yield* TestClock.adjust(1000)
        yield* b.writer.commit(put("k"))
        yield* settled
        assert.strictEqual(said.at(-1), 0)
        yield* rounds(b)
        assert.isAbove(b.status().compaction.swept.wallTime, 0)
        assert.strictEqual(said.at(-1), b.status().compaction.swept.wallTime)
      })
    )
  )
})

describe("what only one holds", () => {
  const lives = { [a]: life(5), [b]: life(1), [c]: life(1) }
  const owners = { lives, before: [] }

  it("is what is beyond the furthest of the voting answers, but for logs that are written still", () => {
    const heads = [at(a, 1, 9), at(a, 5, 3), at(b, 1, 8), at(c, 7, 2)]
    const answers: Voting.Answers = new Map([
      [b, answer([at(a, 1, 4)], 70)],
      [c, answer([at(a, 1, 6), at(c, 7, 2)], 50)]
    ])
    assert.deepStrictEqual(OnlyHere.of(heads, answers, owners), {
      tails: [{ log: LogId.make(a, incarnation(1)), after: 6, upTo: 9 }],
      horizon: clockAt(70)
    })
    const hearsay = new Map(answers).set(c, answer([at(a, 1, 9)], 90, false))
    assert.deepStrictEqual(OnlyHere.of([at(a, 1, 9)], hearsay, owners), {
      tails: [{ log: LogId.make(a, incarnation(1)), after: 4, upTo: 9 }],
      horizon: clockAt(70)
    })
  })

  it("is what was here of the log of a member that goes on, where that does not hold it, and not what came since", () => {
    const before = { lives, before: [at(b, 1, 8)] }
    const tailsWith = (held: number) => OnlyHere.of([at(b, 1, 9)], new Map([[b, answer([at(b, 1, held)], 0)]]), before)
    assert.deepStrictEqual(tailsWith(7).tails, [{ log: LogId.make(b, incarnation(1)), after: 7, upTo: 9 }])
    assert.deepStrictEqual(tailsWith(8).tails, [])
  })

  it("is not said to be held before the chain of a voting member was compared up to there, but to the owner", () => {
    const heads = [at(a, 1, 9), at(a, 5, 3), at(b, 1, 8)]
    const shared = (compared: Watermark.VersionVector, before: Watermark.VersionVector = [], peer = c) =>
      OnlyHere.shared(heads, [new Map(compared.map((each) => [each.log, each]))], { lives, before }, peer)
    assert.deepStrictEqual(shared([]), heads.slice(1))
    assert.deepStrictEqual(shared([at(a, 1, 8)]), heads.slice(1))
    assert.deepStrictEqual(shared([at(a, 1, 9)]), heads)
    // Its disk may have been put back since this was here.
    assert.deepStrictEqual(shared([at(a, 1, 9), at(b, 1, 6)], [at(b, 1, 7)]), heads.slice(0, 2))
    assert.deepStrictEqual(shared([at(a, 1, 9), at(b, 1, 7)], [at(b, 1, 7)]), heads)
    assert.deepStrictEqual(shared([at(a, 1, 9)], [at(b, 1, 7)], b), heads)
    assert.deepStrictEqual(shared([], [], a), heads.slice(1))
  })

  it("stays when it is later than what was swept, or each of its keys is known", () => {
    const tails = { tails: [], horizon: clockAt(5) }
    const entry = (wallTime: number, ...keys: ReadonlyArray<string>): Entry.Entry => ({
      clock: clockAt(wallTime),
      tie: RunId.none,
      unprobed: true,
      records: keys.map((key) => put(key))
    })
    const known = new Map<string, HybridLogicalClock.HybridLogicalClock>()
    OnlyHere.learn(known, keyOf("n", "k"), { kind: "put", clock: clockAt(4), isAlone: true })
    assert.isTrue(OnlyHere.stays(entry(6, "l"), tails, known))
    assert.isFalse(OnlyHere.stays(entry(5, "l"), tails, known))
    assert.isTrue(OnlyHere.stays(entry(5, "k"), tails, known))
    assert.isFalse(OnlyHere.stays(entry(5, "k", "l"), tails, known))
  })

  it("NoResurrection: does not stay for a delete that came after it, which some may have forgotten and others have still", () => {
    const tails = { tails: [], horizon: clockAt(5) }
    const stays = (wallTime: number, ...others: ReadonlyArray<readonly ["put" | "delete", number, "beside"?]>) => {
      const known = new Map<string, HybridLogicalClock.HybridLogicalClock>()
      for (const [kind, at, beside] of others) {
        const other = { kind, clock: clockAt(at), isAlone: beside === undefined }
        OnlyHere.learn(known, keyOf("n", "k"), other)
      }
      const tail = { clock: clockAt(wallTime), tie: RunId.none, unprobed: true, records: [put("k")] }
      return OnlyHere.stays(tail, tails, known)
    }
    assert.isFalse(stays(3, ["delete", 4]))
    assert.isFalse(stays(3, ["delete", 5]))
    assert.isTrue(stays(3, ["delete", 2]), "were a later delete forgotten, this one would be erased everywhere")
    assert.isTrue(stays(3, ["delete", 4], ["delete", 2]))
    assert.isTrue(stays(3, ["delete", 4], ["put", 2]))
    assert.isFalse(stays(3, ["delete", 2, "beside"]), "it stands beside another record, whatever was forgotten later")
    assert.isTrue(stays(3, ["put", 2, "beside"]), "it keeps every delete that came after it")
    assert.isFalse(stays(3, ["put", 3]), "it is this entry, or of the same time")
    for (const later of [5, 6]) {
      assert.isFalse(stays(3, ["put", later]), "a delete in between may be forgotten, and it may not be everywhere yet")
      assert.isTrue(stays(3, ["put", later], ["put", 2]))
    }
  })
})
