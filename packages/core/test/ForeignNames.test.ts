/** What no client may name a record by comes in from no peer either: a listing would have to show it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { EntryBatch, PeerProtocol, Watermark } from "../src/adapter.ts"
import { Entry, HybridLogicalClock, LogId } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { says } from "./support/greeting.ts"
import { during, failure } from "./support/time.ts"

/** A batch that its sender did not look at, with one write. */
const batchOf = (log: LogId.LogId, namespace: string, key: string) =>
  EntryBatch.encode(Watermark.none(log), [Entry.put(namespace, key, "v")], HybridLogicalClock.zero, 1).batch

const names = [
  ["a namespace with NUL", "n\0n", "k"],
  ["a key with NUL", "n", "k\0k"],
  ["a key of NUL alone", "n", "\0"]
] as const

describe("a name that no client may use", () => {
  it.effect("is refused when it is pushed, and what is right is taken afterwards", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const a = yield* cluster.start("a")
      const client = yield* cluster.network.connect(a.id)
      const { incarnation } = says("00000000000000bb")
      const { session } = yield* client.hello({
        version: PeerProtocol.versions[0],
        cluster: "test",
        replica: Cluster.id("b"),
        ...says(incarnation),
        vector: [],
        sentAt: 0
      })
      const log = LogId.make(Cluster.id("b"), incarnation)
      for (const [what, namespace, key] of names) {
        const refused = yield* failure(client.push({ session, batch: batchOf(log, namespace, key) }), "PushRejected")
        assert.match(refused.detail, /is not a name$/, what)
        assert.strictEqual(a.logs.head(log).seq, 0)
      }
      yield* client.push({ session, batch: batchOf(log, "n", "k") })
      assert.deepStrictEqual(yield* keysOf(a), ["k"])
    }).pipe(Effect.scoped)
  )

  for (const [what, namespace, key] of names) {
    it.effect(`is not taken from an answer to a pull (${what}), and what is right is taken later`, () =>
      Effect.gen(function* () {
        const { a, b, cluster } = yield* Cluster.running("abc", 2, "ab")
        yield* during(a.writer.commit(Entry.put("n", "k", "v")), 100)
        let [lies, pulls] = [true, 0]
        for (const link of ["c>a", "c>b"]) {
          cluster.faults.set(link, (client) => ({
            ...client,
            pull: (asked) => {
              if (!lies || asked.log !== a.logs.own) return client.pull(asked)
              pulls++
              return Effect.succeed({ batch: batchOf(asked.log, namespace, key) })
            }
          }))
        }
        // What it lacks it has to pull.
        for (const { id } of [a, b])
          cluster.faults.set(`${id}>c`, (client) => ({ ...client, push: () => Effect.never }))
        const c = yield* cluster.start("c")
        yield* TestClock.adjust(5000)
        assert.isAbove(pulls, 0)
        assert.strictEqual(c.logs.head(a.logs.own).seq, 0)
        assert.deepStrictEqual(yield* keysOf(c), [])
        lies = false
        yield* TestClock.adjust(10_000)
        assert.deepStrictEqual(yield* keysOf(c), ["k"])
      })
    )
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const keysOf = ({ records }: Cluster.Running) =>
  Effect.map(records.page({ limit: 100 }), (page) => page.records.map((record) => record.key))
