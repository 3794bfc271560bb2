import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Cluster from "./support/cluster.ts"
import * as Stub from "./support/stub.ts"
import { request } from "./support/request.ts"

describe("health", () => {
  it.live("L68 health says why while every write fails, and says ok again after one that worked", () =>
    Effect.gen(function* () {
      const { faults, replica: a } = yield* Cluster.failing()
      const health = () => request("GET", `${a.url}/healthz`)
      assert.strictEqual((yield* health()).status, 200)
      faults.always()
      assert.strictEqual((yield* request("PUT", `${a.url}/v1/records/n/k`, { body: "v" })).status, 503)
      const failing = yield* health()
      assert.deepStrictEqual([failing.status, failing.json.error, failing.json.reason], [503, "unhealthy", "disk_full"])
      // Reads go on, and change nothing about it.
      assert.strictEqual((yield* request("GET", `${a.url}/v1/records/n/k`)).status, 404)
      assert.strictEqual((yield* health()).status, 503)
      assert.strictEqual((yield* request("GET", `${a.url}/readyz`)).status, 503)
      faults.never()
      assert.strictEqual((yield* request("PUT", `${a.url}/v1/records/n/k`, { body: "v" })).status, 201)
      assert.strictEqual((yield* health()).status, 200)
    })
  )

  it.live("L55 readiness counts a peer that is up only when it votes", () =>
    Effect.gen(function* () {
      const peer = { replica: Cluster.id("b"), link: "up" as const, voting: false }
      const alone = { ...Stub.status, policy: Cluster.policy(2, 2), peers: [{ ...Stub.peer, ...peer }] }
      const together = { ...alone, peers: [{ ...Stub.peer, ...peer, voting: true }] }
      for (const [replica, status] of [
        [alone, 503],
        [together, 200]
      ] as const) {
        const { url } = yield* Stub.serve({ replica })
        assert.strictEqual((yield* request("GET", `${url}/readyz`)).status, status)
      }
    })
  )

  it.live("a replica that cannot be read while its index is built again is alive, and not ready", () =>
    Effect.gen(function* () {
      const up = { ...Stub.status, policy: Cluster.policy(1, 1) }
      const well = yield* Stub.serve({ replica: up })
      const building = yield* Stub.serve({ replica: { ...up, readable: false } })
      assert.strictEqual((yield* request("GET", `${well.url}/readyz`)).status, 200)
      const answer = yield* request("GET", `${building.url}/readyz`)
      assert.deepStrictEqual([answer.status, answer.json.error], [503, "not_ready"])
      assert.include(answer.json.detail, "record index")
      assert.strictEqual((yield* request("GET", `${building.url}/healthz`)).status, 200)
    })
  )

  it.live("readiness asks for as many replicas as a write does", () =>
    Effect.gen(function* () {
      const set = yield* Cluster.make(["a", "b", "c"])
      const a = yield* set.start("a")
      const ready = () => request("GET", `${a.url}/readyz`)
      assert.deepInclude((yield* ready()).json, { error: "not_ready" })
      const b = yield* set.start("b")
      yield* Cluster.connected(a, "b")
      yield* Cluster.until("a may append", () => a.status().recovered)
      assert.strictEqual((yield* ready()).status, 200)
      yield* b.stop
      yield* Cluster.lost(a, "b")
      assert.strictEqual((yield* ready()).status, 503)
    })
  )
})
