import { parse, View } from "vega"
import { compile } from "vega-lite"
import { describe, expect, it } from "vitest"
import * as Charts from "../src/Charts.ts"
import type { Outcome } from "../src/Part.ts"
import type { Result } from "../src/Result.ts"
import { outcome, point, sample } from "./support/samples.ts"

const machine = { cpus: 2, cpu: "one", memoryGiB: 8, node: "v24.0.0", load: [0], at: "2026-01-02T03:04:05.678Z" }

const charts = (...outcomes: ReadonlyArray<Outcome>) =>
  Charts.of({ command: "bench", machine: { begin: machine, end: machine }, outcomes } satisfies Result)

const points = [1, 2, 3, 4].map((second) => point({ second, writes: second * 100, indexDelay: 5, lag: 9 }))

const systems = [sample({ system: "ceiling" }), sample({ system: "ws" })]

describe("of", () => {
  it("draws throughput, its ratio and latency of a table", () => {
    expect(charts(outcome({ part: "hot", samples: systems })).map(({ name }) => name)).toEqual([
      "hot",
      "hot-ratio",
      "hot-p50",
      "hot-p99"
    ])
  })

  it("draws no ratio where there is nothing to compare with", () => {
    const names = charts(outcome({ part: "hot", samples: [sample({ system: "ws" })] })).map(({ name }) => name)
    expect(names).toEqual(["hot", "hot-p50", "hot-p99"])
  })

  it("draws nothing of parts without samples", () => {
    expect(charts(outcome({ part: "start" }), outcome({ part: "commits" }))).toEqual([])
  })

  it("gives every system of the table of the goals a colour of its own", async () => {
    const samples = Array.from({ length: 12 }, (_, i) => sample({ system: `system ${i}` }))
    const [chart] = charts(outcome({ part: "hot", samples }))
    const view = await new View(parse(compile(chart!.spec).spec), { renderer: "none" }).runAsync()
    const colours = samples.map(({ system }) => (view.scale("color") as (system: string) => string)(system))
    expect(new Set(colours).size).toBe(12)
  })

  it("yields specifications that Vega-Lite takes without a warning", () => {
    const all = charts(
      outcome({ part: "commits", samples: [...systems, ...systems.map((one) => ({ ...one, writers: 1 }))] }),
      outcome({ part: "values", samples: systems }),
      outcome({ part: "sustained", samples: systems.map((one) => ({ ...one, points })) }),
      outcome({ part: "growth", parameters: { slice: 100 }, samples: [sample({ system: "ws", points })] }),
      outcome({ part: "peer-down", samples: [sample({ system: "one peer down", points })] }),
      outcome({ part: "catch-up", samples: [sample({ system: "during catch-up", points })] })
    )
    const warnings: Array<unknown> = []
    const quiet = { info: () => logger, debug: () => logger, error: (...args: Array<unknown>) => warn(args) }
    const warn = (args: Array<unknown>) => {
      warnings.push(...args)
      return logger
    }
    const logger = { ...quiet, warn: (...args: Array<unknown>) => warn(args), level: () => logger }
    for (const { spec } of all) compile(spec, { logger: logger as never })
    expect(all).toHaveLength(12)
    expect(warnings).toEqual([])
  })
})
