import { assert, describe, it } from "@effect/vitest"
import { Entry, type LogId, ReplicaId, WriteId } from "@quorum/core"
import { RunId } from "@quorum/core/adapter"
import * as History from "../src/soak/History.ts"
import * as Memory from "../src/soak/Memory.ts"

const tie = RunId.RunId.make("0000000000000001")

describe("what a soak remembers", () => {
  it("tells the operation that wrote a value, and bytes that nobody wrote", () => {
    for (const operation of [0, 1, 399, 123_456]) {
      assert.strictEqual(History.operationOf(History.valueOf(operation)), operation)
    }
    for (const text of ["", "x", "7", "7 y", `${new TextDecoder().decode(History.valueOf(7))}x`]) {
      assert.isUndefined(History.operationOf(Entry.put("n", "k", text).value), text)
    }
  })

  it("keeps of a write that was sent twice the first receipt, and gives it up only where both requests say so", () => {
    const history = History.make()
    const begin = () => History.begin(history, { kind: "put", key: "hot/k", at: "a" })
    const [neither, one] = [begin(), begin()]
    History.giveUp(neither, { _tag: "Unavailable", detail: "" }, false)
    assert.strictEqual(neither.outcome, "nothing")
    History.giveUp(neither, { _tag: "Unknown", detail: "" }, false)
    History.giveUp(neither, { _tag: "Unavailable", detail: "" }, false)
    assert.strictEqual(neither.outcome, "unknown")
    const [writeId, version] = [
      WriteId.make("b@0000000000000001" as LogId.LogId, 1, 9),
      { clock: { wallTime: 1001, logical: 0 }, tie }
    ]
    const receipt = {
      ...version,
      writeId,
      acked: [{ replica: ReplicaId.make("b"), afterMillis: 0, how: "push" }]
    } as const
    History.giveUp(one, { _tag: "Unavailable", detail: "" }, false)
    History.acknowledge(history, one, "b", receipt)
    History.giveUp(one, { _tag: "Unknown", detail: "" }, false)
    History.acknowledge(history, one, "a", receipt)
    assert.deepInclude(one, { outcome: "acknowledged", at: "b", counted: ["b"], again: [{ writeId, version }] })
  })

  it("counts a write as not written only when the first answer says so, and no replica has said that it holds it", () => {
    const outcomeOf = (answer: Parameters<typeof History.giveUp>[1], isHeld: boolean) => {
      const operation = History.begin(History.make(), { kind: "put", key: "hot/k", at: "a" })
      History.giveUp(operation, answer, isHeld)
      return operation.outcome
    }
    assert.strictEqual(outcomeOf({ _tag: "Unavailable", detail: "" }, false), "nothing")
    assert.strictEqual(outcomeOf({ _tag: "Unreachable", detail: "" }, false), "nothing")
    assert.strictEqual(outcomeOf({ _tag: "Unavailable", detail: "" }, true), "unknown")
    assert.strictEqual(outcomeOf({ _tag: "Unreachable", detail: "" }, true), "unknown")
    assert.strictEqual(outcomeOf({ _tag: "Unknown", detail: "" }, false), "unknown")
  })

  it("Bounded: compares the first third of a run with the last", () => {
    const samples = Array.from({ length: 30 }, (_, i) => ({
      atMillis: i * 1000,
      mb: i < 10 ? 100 : i < 20 ? 500 : 130
    }))
    assert.deepStrictEqual(Memory.thirds(samples, 30_000), { first: 100, last: 130 })
    assert.isUndefined(Memory.thirds(samples.slice(0, 15), 30_000))
  })
})
