/** Reads of what is on one side of a log that forked, while nobody has given a side up yet. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Option } from "effect"
import { TestClock } from "effect/testing"
import { EntryBatch } from "../src/adapter.ts"
import { Entry } from "../src/index.ts"
import { ask, put, soon } from "./support/asks.ts"
import * as Cluster from "./support/cluster.ts"
import { apart, together } from "./support/copies.ts"
import { copyOf } from "./support/stores.ts"
import { during, failure, pass } from "./support/time.ts"

/**
 * `b` holds a write that `a` and `b` acknowledged before the store of `a` was put back as it was. Now `a` and `c` hold
 * others at its place and after it, and `a` does not meet `b`. Nothing is fetched before the gate is open.
 */
const forked = Effect.gen(function* () {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  const policy = Cluster.policy(3, 2, { order: "real-time" })
  const start = (id: string) => cluster.start(id, { policy })
  const [before, b, c] = yield* Effect.all([start("a"), start("b"), start("c")])
  yield* TestClock.adjust(1000)
  yield* during(before.writer.commit(Entry.put("n", "base", "")), 10)
  yield* TestClock.adjust(1000)
  const older = yield* copyOf(yield* cluster.storeOf("a"))
  apart(cluster, "c", "ab")
  yield* TestClock.adjust(5000)
  yield* during(before.writer.commit(put("1")), 100)
  yield* during(before.stop, 5000)
  cluster.stores.set("a", older)
  apart(cluster, "b", "ac")
  together(cluster, "a", "c")
  // So that b is heard first.
  cluster.faults.set("c>a", (client) => ({ ...client, read: (asked) => Effect.delay(client.read(asked), 20) }))
  const a = yield* start("a")
  yield* TestClock.adjust(3000)
  for (const key of ["other", "third"]) yield* during(a.writer.commit(Entry.put("n", key, "")), 100)
  yield* TestClock.adjust(6000)
  const gate = yield* Latch.make(false)
  for (const link of ["c>b", "b>c"]) {
    cluster.faults.set(link, (client) => ({
      ...client,
      pull: (asked) => Effect.andThen(gate.await, client.pull(asked))
    }))
  }
  together(cluster, "b", "c")
  yield* TestClock.adjust(1500)
  assert.isTrue([a, b, c].every(({ membership }) => membership.isVoting()))
  return { a, b, c, cluster, gate }
})

describe("AtomicRegister: a linearizable read of a log that forked", () => {
  for (const isErased of [false, true]) {
    it.effect(`counts nobody who holds another write at its place${isErased ? ", or had one there" : ""}`, () =>
      Effect.gen(function* () {
        const { a, c, cluster, gate } = yield* forked
        const log = c.logs.heads().find(({ seq }) => seq === 3)!.log
        if (isErased) {
          const batch = Option.getOrThrow(yield* a.logs.read(log, 1, 1 << 20))
          yield* a.logs.erase(EntryBatch.erase(batch, () => "superseded"))
        }
        const error = yield* during(failure(c.records.read("n", "k", linearizable), "ReadUnavailable"), 1500)
        assert.deepInclude({ ...error }, { answered: 1, needed: 2, reason: "timeout" })
        // A later read of these two shows nothing of it, and may not.
        apart(cluster, "b", "c")
        yield* TestClock.adjust(2500)
        assert.isUndefined(yield* during(ask(c, "linearizable"), 100))
        // Where the fork itself is erased nobody can settle it (decision 0042).
        if (isErased) return
        yield* gate.open
        cluster.heal()
        yield* pass(20_000)
        assert.strictEqual(yield* soon(ask(c, "linearizable")), "1")
      })
    )
  }
})

const linearizable = { consistency: "linearizable", withinMillis: 1000 } as const
