/** A replica that is started on the store of a set whose members were others. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Entry } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

describe("a replica whose members are others than its store knew", () => {
  it.effect("says which logs are of no member, and that who is in a set does not change", () =>
    Effect.gen(function* () {
      const said: Array<string> = []
      const logger = Logger.layer([
        Logger.make(({ logLevel, message }) => void (logLevel === "Error" && said.push(String(message))))
      ])
      const before = yield* Cluster.make(["a", "b"], 2)
      const a = yield* before.start("a", { logger })
      const b = yield* before.start("b")
      yield* TestClock.adjust(2000)
      yield* during(b.writer.commit(Entry.put("n", "k", "v")), 100)
      yield* a.stop
      const again = yield* before.start("a", { logger })
      yield* again.stop
      assert.deepStrictEqual(said, [])
      const after = yield* Cluster.make(["a", "x"], 2)
      after.stores.set("a", yield* before.storeOf("a"))
      yield* after.start("a", { logger })
      assert.deepStrictEqual(said, [
        "it holds what b wrote, and its members are a, x: who is in a set does not change, give it the peers that it had"
      ])
    })
  )
})
