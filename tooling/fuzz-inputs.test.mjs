import assert from "node:assert/strict"
import { test } from "node:test"
import { diceOf, mutated, request } from "./fuzz-inputs.mjs"

const routes = [{ method: "put", path: "/v1/records/{namespace}/{key}", query: ["w"] }]
const inputs = (seed, count) =>
  Array.from({ length: count }, (_, i) => {
    const roll = diceOf(seed, i)
    return [request(roll, routes), mutated(Buffer.from("a frame of some bytes"), roll, [Buffer.from("others")])]
  })

test("an input follows from its seed and its number, and another seed has others", () => {
  assert.deepEqual(inputs(7, 300), inputs(7, 300))
  const [one, other] = [7, 8].map((seed) => inputs(seed, 300).map(([bytes]) => bytes.toString("latin1")))
  assert.ok(one.filter((text, i) => text === other[i]).length < 30)
})

test("some inputs are as they should be, and most are not", () => {
  const frames = inputs(1, 1000).map(([, frame]) => frame.toString("latin1"))
  const right = frames.filter((text) => text === "a frame of some bytes").length
  assert.ok(right > 100 && right < 500, String(right))
  assert.ok(new Set(frames).size > 400)
})
