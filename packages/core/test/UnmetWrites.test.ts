import { assert, describe, it } from "@effect/vitest"
import { LogId } from "../src/index.ts"
import * as LateAnswers from "../src/write/internal/LateAnswers.ts"
import * as UnmetWrites from "../src/write/internal/UnmetWrites.ts"
import * as Cluster from "./support/cluster.ts"

const [b, c] = [Cluster.id("b"), Cluster.id("c")]
const log = LogId.make(Cluster.id("a"), "00000000000000aa" as LogId.Incarnation)
const other = LogId.make(b, "00000000000000bb" as LogId.Incarnation)

describe("writes whose quorum was not met", () => {
  it("whoever had not acked one of them is late, and who had acked it in time is not", () => {
    const unmet = UnmetWrites.make()
    unmet.remember(log, [5, 6], [b])
    assert.deepStrictEqual(
      [5, 6].map((seq) => [unmet.isLate(log, seq, b), unmet.isLate(log, seq, c)]),
      [
        [false, true],
        [false, true]
      ]
    )
    assert.deepStrictEqual(
      [unmet.isLate(log, 7, c), unmet.isLate(log, 4, c), unmet.isLate(other, 5, c)],
      [false, false, false]
    )
  })

  it("Bounded: the oldest beyond 65,536 is forgotten", () => {
    const unmet = UnmetWrites.make()
    const seqs = Array.from({ length: 65_536 }, (_, i) => i + 1)
    unmet.remember(log, seqs, [])
    assert.isTrue(unmet.isLate(log, 1, c))
    unmet.remember(log, [65_537], [])
    assert.deepStrictEqual(
      [1, 2, 65_537].map((seq) => unmet.isLate(log, seq, c)),
      [false, true, true]
    )
  })
})

describe("answers after the answer", () => {
  it("Bounded: of one peer that does not answer the newest 1,024 are remembered", () => {
    for (const [count, told] of [
      [1024, 1024],
      [1025, 1024]
    ] as const) {
      const heard: Array<number> = []
      const late = LateAnswers.make({
        active: () => true,
        tell: (event) => void (event._tag === "PeerAnswered" && heard.push(event.afterMillis))
      })
      // The number of a write is when it began, so that it shows which were told.
      for (let seq = 1; seq <= count; seq++) {
        late.remember(b, { log, seq, writes: 1, startedAt: seq, deadline: 10_000 })
      }
      const watermark = { log, seq: count, chain: "0000000000000001" as never }
      late.hear({
        _tag: "Ack",
        how: "push",
        incarnation: "00000000000000bb" as never,
        peer: b,
        watermark,
        monotonicMillis: 2000
      })
      assert.deepStrictEqual([heard.length, heard[0]], [told, 2000 - (count - told + 1)])
    }
  })
})
