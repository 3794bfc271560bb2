import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Failover from "../src/Failover.ts"
import { errorOf } from "../src/Answers.ts"
import { type OutcomeUnknown, TimedOut, Unreachable } from "../src/ClientError.ts"

const ended = (error: string, fields: object = {}) => errorOf(503, { error, message: error, ...fields }, "http://a")

const unreachable = new Unreachable({ message: "refused", url: "http://a" })

const none = new Set<number>()

describe("the choice of a replica", () => {
  it("asks the preferred one first, and then the others in their order", () => {
    const health = [Failover.well, Failover.well, Failover.well]
    const choose = (tried: ReadonlySet<number>) => Failover.choose({ health, now: 0, preferred: 1, tried })?.replica
    assert.strictEqual(choose(none), 1)
    assert.strictEqual(choose(new Set([1])), 2)
    assert.strictEqual(choose(new Set([1, 2])), 0)
    assert.isUndefined(choose(new Set([0, 1, 2])))
  })

  it("leaves a replica alone that failed, as long as another one may be asked", () => {
    const resting = { failures: 1, failedAt: 0, restUntil: 100 }
    const choose = (now: number) =>
      Failover.choose({ health: [resting, Failover.well], now, preferred: 0, tried: none })
    assert.deepStrictEqual(choose(0), { replica: 1, afterMillis: 0 })
    assert.deepStrictEqual(choose(100), { replica: 0, afterMillis: 0 })
    // Those that work are asked again before one is waited for that does not.
    const health = [resting, Failover.well]
    assert.isUndefined(Failover.choose({ health, now: 0, preferred: 0, tried: new Set([1]) }))
  })

  it("asks the one whose rest ends first when all are at rest", () => {
    const health = [300, 100, 200].map((restUntil) => ({ failures: 1, failedAt: 0, restUntil }))
    const choice = Failover.choose({ health, now: 50, preferred: 0, tried: none })
    assert.deepStrictEqual(choice, { replica: 1, afterMillis: 50 })
  })

  it("doubles the rest with every failure in a row, never beyond five seconds, and spreads it by chance", () => {
    let health = Failover.well
    const rests: Array<number> = []
    for (let i = 0; i < 10; i++) {
      health = Failover.failed(health, { begun: 1000, now: 1000 }, 1)
      rests.push(health.restUntil - 1000)
    }
    assert.deepStrictEqual(rests.slice(0, 4), [100, 200, 400, 800])
    assert.strictEqual(rests.at(-1), 5000)
    assert.strictEqual(Failover.failed(Failover.well, { begun: 0, now: 0 }, 0).restUntil, 50)
  })

  it("counts what fails together as one failure, so that many calls make no rest longer than one does", () => {
    const first = Failover.failed(Failover.well, { begun: 0, now: 100 }, 1)
    let health = first
    for (let i = 0; i < 64; i++) health = Failover.failed(health, { begun: 99, now: 110 + i }, 1)
    assert.deepStrictEqual(health, first)
    assert.strictEqual(Failover.failed(health, { begun: 200, now: 201 }, 1).restUntil, 401)
  })

  it("L22 pauses twice as long after every round of all, never more than a second, and spreads it by chance", () => {
    assert.deepStrictEqual(
      [1, 2, 3, 4, 50].map((rounds) => Failover.pauseMillis(rounds, 1)),
      [40, 80, 160, 320, 1000]
    )
    assert.deepStrictEqual(
      [1, 50].map((rounds) => Failover.pauseMillis(rounds, 0)),
      [20, 500]
    )
  })
})

describe("what an error says of the next attempt", () => {
  it("nothing, when every replica would answer the same", () => {
    for (const code of ["invalid_request", "write_rejected", "forbidden", "stamp_reused", "too_old_to_know"]) {
      assert.strictEqual(Failover.verdictOf(ended(code)), "final", code)
    }
  })

  it("L22 nothing, whatever the request is blamed for, but for what another replica or a later time may change", () => {
    for (const [status, codes] of [
      [400, ["invalid_request", "write_rejected"]],
      [401, ["unauthorized"]],
      [403, ["forbidden"]],
      [404, ["not_found", "route_unknown"]],
      [405, ["method_not_allowed"]],
      [406, ["not_acceptable"]],
      [409, ["write_replaced", "stamp_reused"]],
      [410, ["write_compacted", "changes_forgotten", "too_old_to_know"]],
      [413, ["request_too_large", "write_rejected"]],
      [415, ["unsupported_media_type"]],
      [421, ["host_unknown"]],
      [422, ["idempotency_key_reused"]],
      [501, ["not_implemented"]]
    ] as const) {
      for (const code of codes) {
        const error = errorOf(status, { error: code, message: code }, "http://a")
        assert.strictEqual(Failover.verdictOf(error), "final", `${status} ${code}`)
      }
    }
    assert.strictEqual(Failover.verdictOf(ended("write_unknown")), "once")
    assert.strictEqual(Failover.verdictOf(ended("rate_limited")), "rest")
  })

  it("to ask another one, and to leave alone what does not work", () => {
    for (const code of ["quorum_not_met", "quorum_unavailable", "not_yet_visible"]) {
      assert.strictEqual(Failover.verdictOf(ended(code)), "elsewhere", code)
    }
    for (const code of ["replica_closing", "write_uncertain", "internal", "not_ready", "overloaded"]) {
      assert.strictEqual(Failover.verdictOf(ended(code)), "rest", code)
    }
    assert.strictEqual(Failover.verdictOf(unreachable), "rest")
  })

  it("to go on where the answer was not a replica's, unless it blames the request", () => {
    const of = (status: number) => Failover.verdictOf(errorOf(status, "a page of a proxy", "http://a"))
    assert.deepStrictEqual([502, 404, 429, 408, 200].map(of), ["rest", "rest", "rest", "rest", "rest"])
    assert.deepStrictEqual([400, 407, 413].map(of), ["final", "final", "final"])
  })
})

describe("what a call is answered with when there is no time left", () => {
  it("why an attempt failed, and not that one with hardly any time left had no answer", () => {
    assert.strictEqual(Failover.latest(1000, undefined), 1000)
    const failed = Failover.recorded(undefined, unreachable, false)
    assert.strictEqual(Failover.latest(1000, failed), 980)
  })

  const of = (...errors: ReadonlyArray<Parameters<typeof Failover.recorded>[1]>) => {
    let history: Failover.History | undefined
    for (const error of errors) history = Failover.recorded(history, error, true)
    return Failover.conclude(history, "stamp")
  }

  it("the last refusal, when no attempt may have written", () => {
    const last = ended("quorum_unavailable")
    assert.strictEqual(of(ended("not_ready"), last), last)
    assert.strictEqual(Failover.conclude(undefined, "stamp").written, "no")
  })

  it("what a replica said, and not that the others could not be asked, when nothing was sent that writes", () => {
    const said = ended("quorum_unavailable")
    const read = (...errors: ReadonlyArray<Parameters<typeof Failover.recorded>[1]>) => {
      let history: Failover.History | undefined
      for (const error of errors) history = Failover.recorded(history, error, false)
      return Failover.conclude(history, undefined)
    }
    assert.strictEqual(read(unreachable, said, unreachable), said)
    assert.strictEqual(read(ended("not_ready"), said, new TimedOut({ message: "late" })), said)
    assert.strictEqual(read(unreachable), unreachable)
  })

  it("that nobody knows, when one of them may have: a later refusal takes nothing back", () => {
    for (const first of [unreachable, new TimedOut({ message: "late" }), ended("write_uncertain"), ended("internal")]) {
      for (const errors of [
        [first],
        [first, ended("quorum_unavailable")],
        [ended("not_ready"), first],
        [first, ended("forbidden")]
      ]) {
        const answer = of(...errors)
        assert.strictEqual(answer.code, "outcome_unknown")
        assert.deepStrictEqual([answer.written, (answer as OutcomeUnknown).stamp], ["perhaps", "stamp"])
        assert.strictEqual(answer.cause, errors.at(-1))
      }
    }
  })

  it("the id to resume, when one of them wrote", () => {
    const here = ended("quorum_not_met", { writeId: "a@1:1.1" })
    for (const errors of [[here], [unreachable, here], [here, unreachable], [here, ended("quorum_unavailable")]]) {
      assert.strictEqual(of(...errors), here)
    }
  })

  it.prop(
    "never that nothing was written after an attempt that may have written, in any order",
    {
      places: Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 7 }))), {
        minLength: 1
      })
    },
    ({ places }) => {
      const errors = places.map((i) => all[i]!)
      assert.strictEqual(of(...errors).written === "no", !errors.some((error) => all.indexOf(error) < 4))
    }
  )
})

/** Those that may have written come first. */
const all = [
  unreachable,
  ended("write_uncertain"),
  ended("internal"),
  ended("quorum_not_met"),
  ended("quorum_unavailable"),
  ended("not_ready"),
  ended("invalid_request"),
  ended("forbidden")
]
