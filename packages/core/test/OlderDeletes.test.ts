/** Deletes that stand in an entry of several records, and are older than one of their key that is forgotten. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { StampToken } from "../src/index.ts"
import { RunId } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { put, remove, rounds, test } from "./support/deletes.ts"
import { during } from "./support/time.ts"

describe("an older delete beside a live record", () => {
  it.effect(
    "is no reason not to answer a linearizable read, where a newer one is forgotten by some and not by all",
    () =>
      test(
        Effect.gen(function* () {
          const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
          yield* a.writer.commit([remove("k"), put("live")])
          const { wallTime } = a.logs.clock()
          const version = { clock: { wallTime: wallTime + 1, logical: 0 }, tie: RunId.none, unprobed: true }
          const stamp = StampToken.make(version, [{ namespace: "n", key: "k" }])
          yield* b.writer.commit(remove("k"), { stamp })
          yield* a.writer.commit(put("l"))
          yield* TestClock.adjust(20_000)
          yield* rounds(a, b, c)
          yield* rounds(a, b)
          // Their indexes are built from what is left in the logs.
          yield* a.stop
          yield* b.stop
          const again = [yield* cluster.start("a"), yield* cluster.start("b")]
          yield* TestClock.adjust(3000)
          for (const { records } of [...again, c]) {
            const read = yield* during(records.read("n", "k", { consistency: "linearizable" }), 2000)
            assert.isTrue(Option.isNone(read))
          }
        })
      )
  )
})
