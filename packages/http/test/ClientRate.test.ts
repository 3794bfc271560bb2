import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Option } from "effect"
import { ClientRate, ClientTokens } from "../src/index.ts"
import { request } from "./support/request.ts"
import * as Stub from "./support/stub.ts"

const serve = Effect.provideService(
  Stub.serve({ newest: () => Effect.succeed(Option.none()) }),
  ClientRate.ClientRate,
  1
)

const tokens = ["one", "two"].map((name): ClientTokens.Token => ({
  name,
  sha256: createHash("sha256").update(name).digest("hex"),
  role: "read"
}))

/** The answers to so many requests, one after the other. */
const ask = (url: string, count: number, headers: Record<string, string> = {}) =>
  Effect.forEach(Array.from({ length: count }), () => request("GET", `${url}/v1/records/n/k`, { headers }))

describe("the rate of a client", () => {
  it("lets as many through at once as a second has, and then one after the other", () => {
    const take = ClientRate.meter(4)
    assert.deepStrictEqual(
      Array.from({ length: 5 }, () => take("a", 1000)),
      [0, 0, 0, 0, 250]
    )
    assert.strictEqual(take("b", 1000), 0)
    assert.strictEqual(take("a", 1249), 1)
    assert.deepStrictEqual([take("a", 1250), take("a", 1250)], [0, 250])
    assert.deepStrictEqual(
      Array.from({ length: 5 }, () => take("a", 10_000)),
      [0, 0, 0, 0, 250]
    )
  })

  it("does not save up what was not asked for", () => {
    const take = ClientRate.meter(4)
    take("a", 1000)
    assert.deepStrictEqual(
      Array.from({ length: 5 }, () => take("a", 1600)),
      [0, 0, 0, 0, 250]
    )
  })

  it("is kept over time, whatever the pace, and a refused request costs nothing", () => {
    for (const perSecond of [1, 3, 7, 1000]) {
      for (const everyMillis of [1, 13, 250]) {
        const take = ClientRate.meter(perSecond)
        let taken = 0
        let asked = 0
        for (let now = 0; now < 20_000; now += everyMillis, asked++) if (take("a", now) === 0) taken++
        const most = 21 * perSecond
        assert.isAtMost(taken, most)
        assert.isAtLeast(taken, Math.min(asked, 19 * perSecond))
      }
    }
  })

  it.live(
    "answers who asks too often with 429 and when to come back, and the others and the state of health as ever",
    () =>
      Effect.gen(function* () {
        const { url } = yield* serve
        const all = yield* ask(url, 20)
        assert.strictEqual(all[0]!.status, 404)
        const refused = all.find(({ status }) => status === 429)
        assert(refused !== undefined)
        assert.deepStrictEqual([refused.json["error"], refused.headers.get("retry-after")], ["rate_limited", "1"])
        for (const path of ["/healthz", "/readyz"]) {
          assert.notStrictEqual((yield* request("GET", url + path)).status, 429, path)
        }
      })
  )

  it.live("keeps nobody waiting for longer when the wall clock is set back", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let aheadMillis = 0
      const wall = () => clock.currentTimeMillisUnsafe() + aheadMillis
      const { url } = yield* Effect.provideService(serve, Clock.Clock, {
        ...clock,
        currentTimeMillisUnsafe: wall,
        currentTimeMillis: Effect.sync(wall),
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        sleep: (duration) => clock.sleep(duration)
      })
      const [first] = yield* ask(url, 1)
      aheadMillis = -3_600_000
      const all = [first!, ...(yield* ask(url, 20))]
      const waits = all.flatMap(({ headers }) => Number(headers.get("retry-after") ?? []))
      assert.deepStrictEqual(
        waits.filter((seconds) => seconds > 1),
        []
      )
    })
  )

  it.live("holds for what needs no token, by the address", () =>
    Effect.gen(function* () {
      const { url } = yield* serve.pipe(
        Effect.provideService(ClientTokens.ClientTokens, () => tokens),
        Effect.provideService(ClientTokens.RouteAccess, { "/v1/status": "open" })
      )
      const statuses = yield* Effect.forEach(Array.from({ length: 20 }), () =>
        Effect.map(request("GET", `${url}/v1/status`), ({ status }) => status)
      )
      assert.deepStrictEqual([statuses[0], statuses.includes(429)], [200, true])
    })
  )

  it.live("is each token's own, and an address that tries tokens has one for all of them", () =>
    Effect.gen(function* () {
      const { url } = yield* Effect.provideService(serve, ClientTokens.ClientTokens, () => tokens)
      const statuses = (count: number, token: (i: number) => string) =>
        Effect.forEach(Array.from({ length: count }), (_, i) =>
          Effect.map(ask(url, 1, { authorization: `Bearer ${token(i)}` }), ([answer]) => answer!.status)
        )
      const one = yield* statuses(20, () => "one")
      assert.deepStrictEqual([one[0], one.includes(429)], [404, true])
      assert.deepStrictEqual(yield* statuses(1, () => "two"), [404])
      const tries = yield* statuses(20, (i) => `try${i}`)
      assert.deepStrictEqual([tries[0], tries.includes(429)], [401, true])
    })
  )
})
