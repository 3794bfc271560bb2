/** A replica that recovers while members hold different sides of a log that forked. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { apart, together } from "./support/copies.ts"
import { copyOf } from "./support/stores.ts"
import { during } from "./support/time.ts"

const put = (key: string) => Entry.put("n", key, key)

describe("a replica that lost its store while members hold different sides of a log", () => {
  it.effect("RecoveringDoesNotVote: does not take as much of the one side for what others hold of the other", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster, replicas } = yield* Cluster.running("abcde", 3)
      const [, , , d, e] = replicas
      for (const one of "de") apart(cluster, one, "abc")
      const older = yield* copyOf(yield* cluster.storeOf("a"))
      yield* during(a.writer.commit(put("acked")), 1000)
      yield* during(a.stop, 5000)
      // The store of `a` is put back in its place while it reaches nobody, and `c` loses its own.
      cluster.stores.set("a", older)
      apart(cluster, "a", "bc")
      const again = yield* cluster.start("a")
      yield* TestClock.adjust(3000)
      for (const key of ["other", "more"]) yield* during(again.writer.commit(put(key), { w: 1 }), 1000)
      const log = a.logs.own
      assert.strictEqual(again.logs.own, log)
      yield* during(c.stop, 5000)
      cluster.wipe("c")
      // It hears of all that `b` holds, and gets none of it before `b` is gone.
      together(cluster, "c", "ad")
      cluster.faults.set("c>b", (client) => ({ ...client, pull: () => Effect.never }))
      const back = yield* cluster.start("c")
      yield* TestClock.adjust(1500)
      assert.strictEqual(back.logs.head(log).seq, 2)
      apart(cluster, "c", "b")
      yield* TestClock.adjust(10_000)
      assert.isFalse(back.membership.isVoting())
      cluster.faults.clear()
      cluster.heal()
      yield* TestClock.adjust(20_000)
      for (const replica of [again, b, back, d!, e!]) {
        assert.isTrue(replica.membership.isVoting(), replica.id)
        for (const key of ["acked", "other", "more"]) {
          assert.isTrue(Option.isSome(yield* during(replica.records.read("n", key), 10)), `${key} at ${replica.id}`)
        }
      }
    })
  )
})
