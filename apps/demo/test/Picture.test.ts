import { assert, describe, it } from "@effect/vitest"
import * as Picture from "../src/Picture.ts"

const points = [
  [100, 0],
  [101, 5],
  [109, 5],
  [110, 5]
] as const

describe("Picture", () => {
  it("puts the labels of a series into its legend", () => {
    assert.strictEqual(Picture.legendOf("p99 {{instance}} {{quorum_peer}}", { instance: "a" }), "p99 a")
    assert.strictEqual(Picture.legendOf("{{instance}} {{reason}}", { instance: "a", reason: "timeout" }), "a timeout")
  })

  it("says values as one reads them", () => {
    const said = [
      Picture.readable(0, "s"),
      Picture.readable(0.0123, "s"),
      Picture.readable(75, "s"),
      Picture.readable(1536, "bytes"),
      Picture.readable(3 * 2 ** 20, "Bps"),
      Picture.readable(1234, "ops"),
      Picture.readable(-2, "short")
    ]
    assert.deepStrictEqual(said, ["0", "12.3 ms", "75 s", "1.5 KiB", "3 MiB/s", "1.23 k/s", "-2"])
  })

  it("draws every line with gaps where values are missing, and what happened when", () => {
    const panel = { title: "Lag < all", unit: "short", lines: [{ legend: "a c", points }] } as const
    const svg = Picture.draw({
      rows: [{ title: "Peers", panels: [panel] }],
      from: 100,
      to: 110,
      marks: [{ second: 105, text: "c killed" }]
    })
    assert.include(svg, '<path d="M58 130L91 30M355 30L388 30"')
    assert.include(svg, "Lag &lt; all")
    assert.include(svg, "M223 30V130")
    assert.include(svg, "c killed")
  })
})
