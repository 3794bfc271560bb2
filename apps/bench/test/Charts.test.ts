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

const ofReads = [
  { name: "sqlite: reads by key", unit: "records/s", value: 50_000, round: 1 },
  { name: "sqlite: reads by key", unit: "records/s", value: 60_000, round: 2 },
  { name: "sqlite: reads by key", unit: "records/s", value: 70_000, round: 3 },
  { name: "lmdb: reads by key", unit: "records/s", value: 100_000, round: 1 },
  { name: "lmdb: lists, loop held, p99.9", unit: "ms", value: 3, round: 1 },
  { name: "lmdb: lists, loop held, at most", unit: "ms", value: 4, round: 1 }
]

describe("of", () => {
  it("draws throughput, its ratio, latency and how long the loop is held of a table", () => {
    expect(charts(outcome({ part: "hot", samples: systems })).map(({ name }) => name)).toEqual([
      "hot",
      "hot-ratio",
      "hot-p50",
      "hot-p99",
      "hot-held"
    ])
  })

  it("draws no ratio where there is nothing to compare with", () => {
    const names = charts(outcome({ part: "hot", samples: [sample({ system: "ws" })] })).map(({ name }) => name)
    expect(names).toEqual(["hot", "hot-p50", "hot-p99", "hot-held"])
  })

  it("draws nothing of parts without samples", () => {
    expect(charts(outcome({ part: "start" }), outcome({ part: "commits" }))).toEqual([])
  })

  it("draws how fast is read, and how long that holds the loop, the stores beside each other", async () => {
    const [rates, held] = charts(outcome({ part: "reads", figures: ofReads }))
    const bars = async (chart: typeof rates) => {
      const view = await new View(parse(compile(chart!.spec).spec), { renderer: "none" }).runAsync()
      return view.data("source_0").map(({ store, value, what }) => [store, what, value])
    }
    expect(rates!.name).toBe("reads")
    expect(await bars(rates)).toEqual([
      ["sqlite", "reads by key", 60_000],
      ["lmdb", "reads by key", 100_000]
    ])
    expect(held!.name).toBe("reads-held")
    expect(await bars(held)).toEqual([["lmdb", "lists", 4]])
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
      outcome({ part: "reads", figures: ofReads }),
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
    expect(all).toHaveLength(16)
    expect(warnings).toEqual([])
  })
})
