/** How far a replica has come that recovers, as its status says it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Entry } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during, pass } from "./support/time.ts"

describe("a replica that recovers", () => {
  it.effect("says how many entries it has to fetch yet, and none when it votes", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      for (let i = 0; i < 7; i++) yield* during(a.writer.commit(Entry.put("n", `a${i}`, "v"), { w: "all" }), 20)
      for (let i = 0; i < 5; i++) yield* during(b.writer.commit(Entry.put("n", `b${i}`, "v"), { w: "all" }), 20)
      assert.deepStrictEqual(
        [a, b, c].map(({ status }) => status().toFetch),
        [0, 0, 0]
      )
      yield* during(c.stop, 5000)
      cluster.wipe("c")
      const withheld = new Set([a.logs.own, b.logs.own])
      for (const link of ["c>a", "c>b"]) {
        cluster.faults.set(link, (client) => ({
          ...client,
          pull: (request) => (withheld.has(request.log) ? Effect.succeed({ batch: null }) : client.pull(request))
        }))
      }
      for (const link of ["a>c", "b>c"]) {
        cluster.faults.set(link, (client) => ({ ...client, push: () => Effect.never }))
      }
      const again = yield* cluster.start("c")
      yield* pass(3000)
      assert.deepStrictEqual([again.status().voting, again.status().toFetch], [false, 12])
      withheld.delete(a.logs.own)
      yield* pass(5000)
      assert.deepStrictEqual([again.status().voting, again.status().toFetch], [false, 5])
      withheld.clear()
      yield* pass(5000)
      assert.deepStrictEqual([again.status().voting, again.status().toFetch], [true, 0])
    })
  )
})
