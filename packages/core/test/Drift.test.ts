import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { EntryBatch, type PeerMethods, Watermark } from "../src/adapter.ts"
import { Entry, HybridLogicalClock, LogId } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"

const put = (value: string) => Entry.put("n", "k", value)

/** Where `a` calls `b`, which says nothing of what it holds. */
const untold = (client: PeerMethods.PeerClient): PeerMethods.PeerClient => ({
  ...client,
  hello: (request) => Effect.map(client.hello(request), (welcome) => ({ ...welcome, vector: [] }))
})

describe("a write whose place is another entry's at a peer", () => {
  it.effect("L3 L12 fails with id_drift as soon as that peer refuses it, which a real receiver does", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      const { identity } = yield* cluster.storeOf("a")
      const log = LogId.make(identity.replica, identity.incarnation)
      const { batch } = EntryBatch.encode(Watermark.none(log), [put("another")], HybridLogicalClock.zero, 1)
      yield* (yield* cluster.storeOf("b")).append(batch)
      cluster.faults.set("a>b", untold)
      // What it would do about its copy once it hears of the write.
      cluster.cut("b", "a")
      const a = yield* cluster.start("a")
      yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      assert.strictEqual(a.logs.own, log)
      const error = yield* failure(during(a.writer.commit(put("mine")), 100), "QuorumNotMet")
      assert.deepInclude({ ...error }, { got: 1, reason: "id_drift" })
      assert.deepStrictEqual(error.verdicts[Cluster.id("b")], { _tag: "drifted" })
    })
  )
})
