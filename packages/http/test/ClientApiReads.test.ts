/** Of how many replicas a read is asked over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { assertInvalid, cluster, get, put } from "./support/api.ts"
import * as Cluster from "./support/cluster.ts"

const read = (replica: Cluster.Running, query: string, namespace = "notes") =>
  get(replica, `/v1/records/${namespace}/k?withinMillis=1000&${query}`)

describe("a read of several replicas", () => {
  it.live("asks a majority, or as many as `r` says, and says how many it needs and how many have answered", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster()
      assert.strictEqual((yield* put(a, "k", "v", "?w=3")).status, 201)
      assert.strictEqual((yield* read(b, "consistency=quorum&r=3")).text, "v")
      yield* c.stop
      for (const query of ["consistency=quorum", "consistency=quorum&r=2", "consistency=linearizable"]) {
        const { status, text } = yield* read(a, query)
        assert.deepStrictEqual([status, text], [200, "v"], query)
      }
      const all = yield* read(a, "consistency=quorum&r=3")
      assert.strictEqual(all.status, 503)
      assert.deepInclude(all.json, { error: "read_unavailable", needed: 3 })
      yield* b.stop
      for (const query of ["consistency=quorum", "consistency=linearizable"]) {
        const { json, status } = yield* read(a, query)
        assert.strictEqual(status, 503, query)
        assert.deepInclude(json, { error: "read_unavailable", answered: 1, needed: 2 })
      }
      for (const query of ["", "consistency=local", "consistency=quorum&r=1"]) {
        assert.strictEqual((yield* read(a, query)).text, "v", query)
      }
    })
  )

  it.live("what cannot be asked for is 400, and the field is named", () =>
    Effect.gen(function* () {
      const set = yield* Cluster.make(["a", "b", "c"], { namespaces: { few: Cluster.policy(3, 1) } })
      const a = yield* set.start("a")
      for (const consistency of ["strong", "", "Quorum", "quorum&consistency=local"]) {
        assertInvalid(yield* read(a, `consistency=${consistency}`), "consistency")
      }
      for (const r of ["0", "4", "-1", "1.5", "x", "", "all", "1&r=2"]) {
        assertInvalid(yield* read(a, `consistency=quorum&r=${r}`), "r")
      }
      for (const query of ["r=2", "consistency=local&r=2", "consistency=linearizable&r=2"]) {
        assertInvalid(yield* read(a, query), "r")
      }
      const refused = yield* read(a, "consistency=linearizable", "few")
      assertInvalid(refused, "consistency")
      assert.include(refused.json.detail, "1 of 3 replicas")
    })
  )
})
