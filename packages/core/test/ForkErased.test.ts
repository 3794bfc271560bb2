/** A log that forked of which one side is compacted: where it forked is found by chains, and never taken for agreed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { EntryBatch } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { put, valueOf } from "./support/deletes.ts"
import { copyOf } from "./support/stores.ts"

/**
 * All hold six entries of a log, of which `b` and `c` have erased some. The store of its owner was put back as it was
 * after the second, with nobody in reach, and has written `count` others.
 */
const forked = Effect.fnUntraced(function* (erased: ReadonlyArray<number>, count: number) {
  const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
  for (const i of [1, 2]) yield* a.writer.commit(put(`k${i}`), { w: "all" })
  const older = yield* copyOf(yield* cluster.storeOf("a"))
  for (const i of [3, 4, 5, 6]) yield* a.writer.commit(put(`k${i}`), { w: "all" })
  // Something newer of each.
  for (let i = 1; i <= 6; i++) yield* b.writer.commit(put(`k${i}`, "newer"), { w: "all" })
  yield* TestClock.adjust(3000)
  const log = a.logs.own
  yield* a.stop
  for (const { logs } of [b, c]) {
    const batch = Option.getOrThrow(yield* logs.read(log, 0, 1 << 20))
    yield* logs.erase(EntryBatch.erase(batch, (seq) => (erased.includes(seq) ? "superseded" : "kept")))
  }
  cluster.stores.set("a", older)
  for (const link of ["ab", "ba", "ac", "ca"]) cluster.cut(link[0]!, link[1]!)
  const back = yield* cluster.start("a", { policy: Cluster.policy(3, 1) })
  yield* TestClock.adjust(10_000)
  const keys = Array.from({ length: count }, (_, i) => `other${i}`)
  for (const key of keys) yield* back.writer.commit(put(key))
  assert.deepStrictEqual(back.logs.head(log).seq, 2 + count)
  cluster.heal()
  yield* TestClock.adjust(60_000)
  return { log, keys, replicas: [back, b, c] as const }
})

const vectorOf = ({ logs }: Cluster.Running) =>
  logs
    .vector()
    .map(({ chain, log, seq }) => `${log} ${seq} ${chain}`)
    .sort()

describe("OneEntryPerPlace L53: a log that forked, and is compacted on one side", () => {
  for (const [where, erased] of [
    ["before", [1, 2]],
    ["after", [4, 5]],
    ["before and after", [2, 4, 6]],
    ["to the end after", [4, 5, 6]]
  ] as const) {
    for (const count of [2, 4, 7]) {
      it.effect(`keeps both sides when it is erased ${where} the fork, and the other side has ${count}`, () =>
        Effect.gen(function* () {
          const { keys, replicas } = yield* forked(erased, count)
          for (const replica of replicas) {
            assert.deepStrictEqual(vectorOf(replica), vectorOf(replicas[1]))
            for (const { drifted } of replica.status().peers) assert.deepStrictEqual(drifted, [])
            for (const key of keys) assert.strictEqual(yield* valueOf(replica, key), "v", `${key} at ${replica.id}`)
            for (let i = 1; i <= 6; i++) assert.strictEqual(yield* valueOf(replica, `k${i}`), "newer")
          }
        })
      )
    }
  }

  it.effect("is not settled where the fork itself is erased, since nobody can say where it was: it is named", () =>
    Effect.gen(function* () {
      for (const count of [2, 4]) {
        const { keys, log, replicas } = yield* forked([3, 4], count)
        const [a, b] = replicas
        assert.strictEqual(a.logs.head(log).seq, 2 + count)
        assert.deepStrictEqual(a.status().peers.find(({ replica }) => replica === b.id)?.drifted, [log])
        for (const key of keys) assert.isUndefined(yield* valueOf(b, key))
        assert.deepStrictEqual([a.status().voting, a.status().givenUp], [false, []])
      }
    })
  )
})
