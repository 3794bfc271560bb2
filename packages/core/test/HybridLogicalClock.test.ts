import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Result, Schema } from "effect"
import { HybridLogicalClock } from "../src/index.ts"

const { compare, zero } = HybridLogicalClock
const tick = (last: HybridLogicalClock.HybridLogicalClock, now: number) =>
  Result.getOrThrow(HybridLogicalClock.tick(last, now))
const receive = (last: HybridLogicalClock.HybridLogicalClock, remote: HybridLogicalClock.HybridLogicalClock) =>
  HybridLogicalClock.receive(last, remote, Number.POSITIVE_INFINITY)

const within = (millis: number) => Math.min(Math.max(0, millis), 2 ** 48 - 2)

/** Few values, so that ties are common, and far ones. */
const Millis = Arbitrary.schema(Schema.Literals([0, 1, 2, 3, 1000, 1_700_000_000_000, 2 ** 32, 2 ** 48 - 2]))
const Clock = Arbitrary.map(
  Arbitrary.all({ wallTime: Millis, logical: Arbitrary.schema(Schema.Literals([0, 1, 2, 2 ** 31, 2 ** 32 - 2])) }),
  (clock): HybridLogicalClock.HybridLogicalClock => clock
)
const Clocks = Arbitrary.array(Clock, { minLength: 3, maxLength: 3 })

describe("HybridLogicalClock", () => {
  it.prop(
    "a tick is after the last timestamp and not before the wall time",
    { last: Clock, now: Millis },
    ({ last, now }) => {
      const next = tick(last, now)
      assert.isAbove(compare(next, last), 0)
      assert.isAtLeast(next.wallTime, now)
      assert.isAtLeast(next.wallTime, last.wallTime)
    }
  )

  it("a tick that has counted to the end goes on at the next millisecond, and not before", () => {
    for (const [logical, next] of [
      [2 ** 32 - 2, { wallTime: 5, logical: 2 ** 32 - 1 }],
      [2 ** 32 - 1, { wallTime: 6, logical: 0 }]
    ] as const) {
      assert.deepStrictEqual(tick({ wallTime: 5, logical }, 5), next)
    }
  })

  it("a tick takes the wall time as soon as that is ahead, and counts until then", () => {
    const first = tick(zero, 1000)
    assert.deepStrictEqual(first, { wallTime: 1000, logical: 0 })
    const second = tick(first, 1000)
    assert.deepStrictEqual(second, { wallTime: 1000, logical: 1 })
    const back = tick(second, 10)
    assert.deepStrictEqual(back, { wallTime: 1000, logical: 2 })
    assert.deepStrictEqual(tick(back, 1001), { wallTime: 1001, logical: 0 })
  })

  it.prop(
    "ticks are monotone whatever the wall time does",
    { start: Clock, times: Arbitrary.array(Millis, { maxLength: 30 }) },
    ({ start, times }) => {
      let last = start
      for (const now of times) {
        const next = tick(last, now)
        assert.isAbove(compare(next, last), 0)
        last = next
      }
    }
  )

  it.prop(
    "after a remote timestamp was seen, every tick is after it and after the own ones",
    { last: Clock, remote: Clock, now: Millis },
    ({ last, now, remote }) => {
      const seen = receive(last, remote)
      assert.isAtLeast(compare(seen, last), 0)
      assert.isAtLeast(compare(seen, remote), 0)
      assert.isTrue(seen === last || seen === remote)
      const next = tick(seen, now)
      assert.isAbove(compare(next, last), 0)
      assert.isAbove(compare(next, remote), 0)
      assert.strictEqual(receive(last, last), last)
    }
  )

  it.prop(
    "messages between replicas with wrong wall clocks never go back in time",
    {
      events: Arbitrary.array(
        Arbitrary.all({
          from: Arbitrary.schema(Schema.Literals([0, 1, 2])),
          to: Arbitrary.schema(Schema.Literals([0, 1, 2])),
          now: Millis
        }),
        { maxLength: 40 }
      )
    },
    ({ events }) => {
      const clocks = [zero, zero, zero]
      const skew = [0, -900, 5_000]
      for (const { from, now, to } of events) {
        const sent = tick(clocks[from]!, within(now + skew[from]!))
        clocks[from] = sent
        clocks[to] = receive(clocks[to]!, sent)
        const answer = tick(clocks[to]!, within(now + skew[to]!))
        clocks[to] = answer
        assert.isAbove(compare(answer, sent), 0)
      }
    }
  )

  it.prop("compare is a total order: by wall time, then by logical", { clocks: Clocks }, ({ clocks }) => {
    const [a, b, c] = clocks as [
      HybridLogicalClock.HybridLogicalClock,
      HybridLogicalClock.HybridLogicalClock,
      HybridLogicalClock.HybridLogicalClock
    ]
    assert.strictEqual(Math.sign(compare(a, b)), -Math.sign(compare(b, a)) + 0)
    assert.strictEqual(compare(a, a), 0)
    assert.strictEqual(compare(a, b) === 0, a.wallTime === b.wallTime && a.logical === b.logical)
    if (compare(a, b) <= 0 && compare(b, c) <= 0) assert.isAtMost(compare(a, c), 0)
    if (a.wallTime < b.wallTime) assert.isBelow(compare(a, b), 0)
    assert.isAtMost(compare(zero, a), 0)
  })

  it("a tick fails at the end of the range, and never goes on from the beginning", () => {
    const last = { wallTime: 2 ** 48 - 1, logical: 2 ** 32 - 2 }
    const end = tick(last, 2 ** 48 - 1)
    assert.deepStrictEqual(end, { wallTime: 2 ** 48 - 1, logical: 2 ** 32 - 1 })
    for (const now of [0, 2 ** 48 - 1, 2 ** 48, 2 ** 53, Number.POSITIVE_INFINITY]) {
      assert.isTrue(Result.isFailure(HybridLogicalClock.tick(end, now)), `${now}`)
    }
    assert.isTrue(Result.isFailure(HybridLogicalClock.tick(zero, 2 ** 48)))
    assert.deepStrictEqual(tick({ wallTime: 7, logical: 2 ** 32 - 1 }, 0), { wallTime: 8, logical: 0 })
  })

  it.prop(
    "L51 a timestamp beyond the limit moves no clock, one at the limit does",
    { last: Clock, remote: Clock, limit: Millis },
    ({ last, limit, remote }) => {
      const seen = HybridLogicalClock.receive(last, remote, limit)
      assert.strictEqual(seen, remote.wallTime <= limit ? receive(last, remote) : last)
    }
  )

  it("the schema takes what fits the bytes of an entry and nothing else", () => {
    const decode = Schema.decodeUnknownResult(HybridLogicalClock.HybridLogicalClock)
    assert.isTrue(Result.isSuccess(decode(zero)))
    assert.isTrue(Result.isSuccess(decode({ wallTime: 2 ** 48 - 1, logical: 2 ** 32 - 1 })))
    const wrong = [
      { wallTime: 2 ** 48, logical: 0 },
      { wallTime: 0, logical: 2 ** 32 },
      { wallTime: -1, logical: 0 },
      { wallTime: 0, logical: -1 },
      { wallTime: 0.5, logical: 0 },
      { wallTime: "1", logical: 0 },
      { wallTime: 1 }
    ]
    for (const clock of wrong) assert.isTrue(Result.isFailure(decode(clock)), JSON.stringify(clock))
  })
})
