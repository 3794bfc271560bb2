/** How much JSON is taken apart: each bound on both sides of its edge, wherever the bytes are cut. */
import { assert, describe, it } from "@effect/vitest"
import * as JsonBounds from "../src/log/JsonBounds.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const excessOf = (text: string) => JsonBounds.excessOf(bytes(text))

const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)
/** A list of so many parts: its brackets, and the commas between them. */
const wide = (parts: number) => `[${"1,".repeat(parts - 2)}1]`

describe("L63 the bounds of JSON", () => {
  it("are as many levels, and as many parts, and not one more", () => {
    const { maxDepth, maxParts } = JsonBounds
    assert.isUndefined(excessOf(nested(maxDepth)))
    assert.include(excessOf(nested(maxDepth + 1)), "deeper")
    assert.include(excessOf('{"a":'.repeat(maxDepth + 1)), "deeper")
    assert.isUndefined(excessOf(wide(maxParts)))
    assert.include(excessOf(wide(maxParts + 1)), "parts")
    assert.isUndefined(excessOf(`[${`${nested(maxDepth - 1)},`.repeat(100)}1]`))
  })

  it("do not count what is within a text, whatever is escaped there", () => {
    const text = nested(1000) + wide(100_000)
    for (const json of [JSON.stringify(text), JSON.stringify(`\\"${text}\\`), JSON.stringify({ [text]: `${text}"` })]) {
      assert.isUndefined(excessOf(json), json.slice(0, 20))
    }
    assert.isDefined(excessOf(`"\\\\"${nested(65)}`))
  })

  it("are those of a line, where there are several, and of all of them, where it is one text", () => {
    const many = `${wide(1000)}\n`.repeat(100)
    assert.isUndefined(JsonBounds.counter()(bytes(many)))
    assert.include(excessOf(many), "parts")
    assert.isUndefined(JsonBounds.counter()(bytes(`"not ended\n`.repeat(3) + nested(64))))
  })

  it("hold wherever the bytes are cut, and tell where the line of what is too much begins", () => {
    const lines = bytes(`${nested(64)}\n"\\"["\n${nested(65)}\n`)
    const lineAt = lines.indexOf(0x0a, lines.indexOf(0x0a) + 1) + 1
    for (let cut = 0; cut <= lines.length; cut++) {
      const count = JsonBounds.counter()
      const first = count(lines.subarray(0, cut))
      const excess = first ?? count(lines.subarray(cut))
      assert.include(excess?.detail, "deeper")
      assert.strictEqual(excess?.lineAt, first === undefined ? Math.max(0, lineAt - cut) : lineAt, `cut at ${cut}`)
    }
  })
})
