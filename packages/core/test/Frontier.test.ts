/** How far every member holds each log, and who holds that back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type LogId, type ReplicaId } from "../src/index.ts"
import { Chain, type Watermark } from "../src/adapter.ts"
import * as Frontier from "../src/peer/Frontier.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

const put = (key: string) => Entry.put("notes", key, "v")
const log = "a@0000000000000001" as LogId.LogId
const logOf = (which: number) => `a@000000000000000${which}` as LogId.LogId
const Members = Schema.NonEmptyArray(
  Schema.Array(
    Schema.Struct({
      which: Schema.Literals([1, 2, 3]),
      seq: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
    })
  )
)
const at = (seq: number) => [{ log, seq, chain: Chain.empty }]

describe("the frontier of a log", () => {
  it("is the least that any member holds, of which nothing is known nothing, and names who that is", () => {
    const holds = (seqs: ReadonlyArray<number | undefined>) =>
      new Map(seqs.map((seq, i) => [Cluster.id("abc"[i]!), seq === undefined ? [] : at(seq)]))
    assert.deepStrictEqual(Frontier.of(holds([5, 3, 4]), [], 10), [
      { log, seq: 3, head: 5, heldBackBy: [Cluster.id("b")], since: 10 }
    ])
    assert.deepStrictEqual(Frontier.of(holds([5, undefined, 0]), [], 10), [
      { log, seq: 0, head: 5, heldBackBy: [Cluster.id("b"), Cluster.id("c")], since: 10 }
    ])
    assert.deepStrictEqual(Frontier.of(holds([5, 5, 5]), [], 10), [
      { log, seq: 5, head: 5, heldBackBy: [], since: null }
    ])
  })

  it("says since when it has not moved, whoever else does", () => {
    const step = (before: ReadonlyArray<Frontier.LogFrontier>, a: number, b: number, now: number) =>
      Frontier.of(
        new Map([
          [Cluster.id("a"), at(a)],
          [Cluster.id("b"), at(b)]
        ]),
        before,
        now
      )
    let now = step([], 5, 3, 10)
    now = step(now, 9, 3, 20)
    assert.strictEqual(now[0]!.since, 10)
    now = step(now, 9, 4, 30)
    assert.strictEqual(now[0]!.since, 30)
    now = step(now, 9, 9, 40)
    assert.isNull(now[0]!.since)
    now = step(now, 10, 9, 50)
    assert.strictEqual(now[0]!.since, 50)
  })

  it.prop(
    "is never beyond what a member holds, and names all who hold no more",
    { members: Members },
    ({ members }) => {
      const holdings = new Map<ReplicaId.ReplicaId, Watermark.VersionVector>()
      for (const [i, held] of members.entries()) {
        const vector = new Map(held.map(({ seq, which }) => [which, { log: logOf(which), seq, chain: Chain.empty }]))
        holdings.set(Cluster.id(`m${i}`), Array.from(vector.values()))
      }
      for (const { heldBackBy, log, seq } of Frontier.of(holdings, [], 0)) {
        const seqs = Array.from(holdings, ([id, vector]) => ({
          id,
          seq: vector.find((each) => each.log === log)?.seq ?? 0
        }))
        assert.isTrue(seqs.every((each) => each.seq >= seq) && seqs.some((each) => each.seq === seq))
        const isLevel = seqs.every((each) => each.seq === seq)
        assert.deepStrictEqual(heldBackBy, isLevel ? [] : seqs.filter((each) => each.seq === seq).map(({ id }) => id))
      }
    }
  )

  it.effect(
    "shows in the status who holds it back, through restarts, and a member that lost its disk holds back all",
    () =>
      Effect.gen(function* () {
        const { a, c, cluster } = yield* Cluster.running("abc", 2)
        yield* during(a.writer.commit(put("1"), { w: "all" }), 100)
        const { own } = a.logs
        const frontier = (replica = a) => replica.status().frontier.find(({ log }) => log === own)
        yield* TestClock.adjust(2000)
        assert.deepInclude(frontier(), { seq: 1, head: 1, heldBackBy: [], since: null })
        yield* during(c.stop, 5000)
        for (const key of ["2", "3"]) yield* during(a.writer.commit(put(key)), 100)
        yield* TestClock.adjust(10_000)
        assert.deepInclude(frontier(), { seq: 1, head: 3, heldBackBy: [Cluster.id("c")] })
        const { since } = frontier()!
        yield* TestClock.adjust(10_000)
        assert.strictEqual(frontier()?.since, since)
        // What was heard of the others is remembered.
        yield* during(a.stop, 10_000)
        const again = yield* cluster.start("a")
        assert.deepInclude(frontier(again), { seq: 1, head: 3, heldBackBy: [Cluster.id("c")] })
        cluster.wipe("c")
        const empty = yield* cluster.start("c")
        yield* TestClock.adjust(500)
        yield* TestClock.adjust(30_000)
        assert.isTrue(empty.membership.isVoting())
        assert.deepInclude(frontier(again), { seq: 3, head: 3, heldBackBy: [], since: null })
      })
  )
})
