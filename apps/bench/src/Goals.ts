/**
 * What the benchmark must show, as data: which ratio of which part, and what it has to be.
 */
import type { Measured } from "./Bench.ts"
import { inWords } from "./ClosedLoop.ts"
import type { Outcome } from "./Part.ts"
import { firstPage, firstPageLag } from "./parts/Lists.ts"
import { upperEnd, upperEndOfTraces } from "./parts/MetricsCost.ts"
import * as Rows from "./Rows.ts"
import { type Spread, spread } from "./Statistics.ts"

/** A bound on something that a part finds once a round. */
export interface Goal {
  readonly name: string
  readonly part: string
  readonly is: "at least" | "at most"
  readonly bound: number
  readonly unit: string
  /** Its values in an outcome of the part, one for each round; none when it was not measured. */
  readonly values: (outcome: Outcome) => ReadonlyArray<number>
}

/** A goal and what was found. */
export interface Verdict {
  readonly goal: Goal
  readonly value: Spread
  /** Whether the median keeps the bound. */
  readonly holds: boolean
}

const throughput = (sample: Measured): number => sample.writesPerSecond
const p50 = (sample: Measured): number => sample.p50
const p99 = (sample: Measured): number => sample.p99

/** A ratio of two systems. */
const ratio =
  (system: string, against: string, writers: number, of: (sample: Measured) => number): Goal["values"] =>
  ({ samples }) =>
    Rows.ratios(samples, { system, against, writers, of })

/** A figure, by its name. */
const figure =
  (name: string): Goal["values"] =>
  ({ figures }) =>
    figures.filter((figure) => figure.name === name).map(({ value }) => value)

const ofCeiling = (system: string, writers: number, bound: number): Goal => ({
  name: `${system}, ${inWords(writers)}: throughput of the ceiling's`,
  part: "commits",
  is: "at least",
  bound,
  unit: "×",
  values: ratio(system, "ceiling", writers, throughput)
})

const latencyOfCeiling = (
  system: string,
  writers: number,
  what: string,
  of: (sample: Measured) => number,
  bound: number
): Goal => ({
  name: `${system}, ${inWords(writers)}: ${what} of the ceiling's`,
  part: "commits",
  is: "at most",
  bound,
  unit: "×",
  values: ratio(system, "ceiling", writers, of)
})

/** All goals: three replicas, 128-byte values, W = 2, fsync. */
export const all: ReadonlyArray<Goal> = [
  ofCeiling("ws", 256, 0.75),
  {
    name: "ws, 256 writers: throughput of etcd's",
    part: "commits",
    is: "at least",
    bound: 12,
    unit: "×",
    values: ratio("ws", "etcd", 256, throughput)
  },
  {
    name: "ws, 256 writers, 60 s: throughput of the ceiling's",
    part: "sustained",
    is: "at least",
    bound: 0.6,
    unit: "×",
    values: ratio("ws", "ceiling", 256, throughput)
  },
  {
    name: "ws, 256 writers, 60 s: what the index falls behind, of what is written",
    part: "sustained",
    is: "at most",
    bound: 0.01,
    unit: "×",
    values: figure("ws: what the index falls behind, of what is written")
  },
  ofCeiling("ws", 1024, 0.65),
  ofCeiling("ws", 64, 0.65),
  ofCeiling("ws", 16, 0.65),
  latencyOfCeiling("ws", 1, "p50", p50, 1.8),
  {
    name: "ws, 1 writer: p50 of PostgreSQL's",
    part: "commits",
    is: "at most",
    bound: 1,
    unit: "×",
    values: ratio("ws", "postgres", 1, p50)
  },
  latencyOfCeiling("ws", 256, "p99", p99, 1.5),
  ofCeiling("http", 256, 0.6),
  latencyOfCeiling("http", 1, "p50", p50, 3.5),
  {
    name: "core alone, 256 writers: time per commit",
    part: "commits",
    is: "at most",
    bound: 5,
    unit: "µs",
    values: ({ samples }) =>
      samples
        .filter(({ system, writers }) => system === "core" && writers === 256)
        .map(({ writesPerSecond }) => 1e6 / writesPerSecond)
  },
  {
    name: "majority of N = 7, 256 writers: throughput of N = 3's",
    part: "policies",
    is: "at least",
    bound: 0.5,
    unit: "×",
    values: ratio("W=4 of N=7", "W=2 of N=3", 256, throughput)
  },
  {
    name: "five million entries in the log: throughput of an empty one's",
    part: "growth",
    is: "at least",
    bound: 0.9,
    unit: "×",
    values: figure("last slice of the first")
  },
  {
    // Of those before: the slower the commits meanwhile, the better a ratio to them would look.
    name: "catch-up of a replica that was away: entries/s of the commits' before",
    part: "catch-up",
    is: "at least",
    bound: 2,
    unit: "×",
    values: figure("catch-up against commits before")
  },
  {
    name: "commits while a replica catches up: throughput of that before",
    part: "catch-up",
    is: "at least",
    bound: 0.7,
    unit: "×",
    values: figure("commits meanwhile, of those before")
  },
  {
    name: "a replica with an empty disk joins a million records: records/s",
    part: "join",
    is: "at least",
    bound: 100_000,
    unit: "records/s",
    values: figure("join")
  },
  {
    name: "commits while a replica joins: throughput of that before",
    part: "join",
    is: "at least",
    bound: 0.8,
    unit: "×",
    values: figure("commits meanwhile, of those before")
  },
  ...["sqlite", "lmdb"].flatMap((store): ReadonlyArray<Goal> => [
    {
      name: `ten million overwrites on ${store}: files at rest of what is live`,
      part: "compaction",
      is: "at most",
      bound: 1.5,
      unit: "×",
      values: figure(`${store}: files at rest of live entries`)
    },
    {
      name: `ten million overwrites on ${store}: throughput of that without compaction`,
      part: "compaction",
      is: "at least",
      bound: 0.9,
      unit: "×",
      values: figure(`${store}: writes of those without compaction`)
    },
    {
      name: `ten million overwrites on ${store}: how long the event loop is held, p99.9`,
      part: "compaction",
      is: "at most",
      bound: 5,
      unit: "ms",
      values: ({ samples }) => samples.filter(({ system }) => system === store).map(({ heldP999 }) => heldP999)
    }
  ]),
  {
    name: "a peer down during a million commits: half the range of memory",
    part: "peer-down",
    is: "at most",
    bound: 20,
    unit: "MB",
    values: (outcome) => figure("memory, half its range")(outcome).map((mebibytes) => (mebibytes * 2 ** 20) / 1e6)
  },
  {
    name: "a peer down during a million commits: throughput of that with all up",
    part: "peer-down",
    is: "at least",
    bound: 0.95,
    unit: "×",
    values: figure("throughput of that with all up")
  },
  {
    name: "100,000 keys that the index does not have yet: the first page of a list",
    part: "lists",
    is: "at most",
    bound: 50,
    unit: "ms",
    values: figure(firstPage)
  },
  {
    name: "100,000 keys that the index does not have yet: how long that holds the event loop",
    part: "lists",
    is: "at most",
    bound: 20,
    unit: "ms",
    values: figure(firstPageLag)
  },
  {
    name: "metrics, 256 writers: processor time that they add to a commit, upper end of its interval",
    part: "metrics",
    is: "at most",
    bound: 0.02,
    unit: "×",
    values: figure(upperEnd)
  },
  {
    name: "metrics and traces, 256 writers: processor time that they add to a commit, upper end of its interval",
    part: "metrics",
    is: "at most",
    bound: 0.05,
    unit: "×",
    values: figure(upperEndOfTraces)
  }
]

/** A verdict on every goal for which there are measurements. */
export const verdicts = (outcomes: ReadonlyArray<Outcome>, goals: ReadonlyArray<Goal> = all): ReadonlyArray<Verdict> =>
  goals.flatMap((goal) => {
    const values = outcomes.filter(({ part }) => part === goal.part).flatMap(goal.values)
    if (values.length === 0) return []
    const value = spread(values)
    return [{ goal, value, holds: goal.is === "at least" ? value.median >= goal.bound : value.median <= goal.bound }]
  })
