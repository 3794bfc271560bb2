/**
 * What the benchmark must show, as data: which ratio of which part, and what it has to be.
 */
import type { Measured } from "./Bench.ts"
import { inWords } from "./ClosedLoop.ts"
import type { Outcome } from "./Part.ts"
import * as Clients from "./parts/Clients.ts"
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

/** The better of what both stores find in each round. */
const ofTheBest =
  (is: Goal["is"], of: (system: string) => Goal["values"]): Goal["values"] =>
  (outcome) => {
    const [one = [], other = []] = ["ws", "ws-lmdb"].map((system) => of(system)(outcome))
    const better = is === "at least" ? Math.max : Math.min
    return one.map((value, round) => better(value, other[round] ?? value))
  }

const ofCeiling = (writers: number, bound: number): Goal => ({
  name: `ws on the better store, ${inWords(writers)}: throughput of the ceiling's`,
  part: "commits",
  is: "at least",
  bound,
  unit: "×",
  values: ofTheBest("at least", (system) => ratio(system, "ceiling", writers, throughput))
})

const latencyOf = (
  against: string,
  whose: string,
  writers: number,
  what: string,
  of: (sample: Measured) => number,
  bound: number
): Goal => ({
  name: `ws on the better store, ${inWords(writers)}: ${what} of ${whose}`,
  part: "commits",
  is: "at most",
  bound,
  unit: "×",
  values: ofTheBest("at most", (system) => ratio(system, against, writers, of))
})

/** A figure of each of some systems, at so many writers. */
const each =
  (systems: ReadonlyArray<string>, writers: number, of: (sample: Measured) => number | undefined): Goal["values"] =>
  ({ samples }) =>
    samples
      .filter((sample) => systems.includes(sample.system) && sample.writers === writers)
      .flatMap((sample) => of(sample) ?? [])

const held = (part: string, what: string, systems: ReadonlyArray<string>, bound: number): Goal => ({
  name: `256 writers, ${what}: how long the event loop is held, p99.9`,
  part,
  is: "at most",
  bound,
  unit: "ms",
  values: each(systems, 256, ({ heldP999 }) => heldP999)
})

const written = (writers: number, bound: number): Goal => ({
  name: `ws on the better store, ${inWords(writers)}: bytes written to the disk, of those of the value`,
  part: "commits",
  is: "at most",
  bound,
  unit: "×",
  values: ofTheBest("at most", (system) =>
    each([system], writers, ({ writtenBytes }) => (writtenBytes === undefined ? undefined : writtenBytes / valueBytes))
  )
})

/** A ratio of what @quorum/client does from another process, and what users ask beside it. */
const ofClient = (against: string, whose: string, writers: number, is: Goal["is"], bound: number): Goal => ({
  name: `@quorum/client, ${inWords(writers)}: ${is === "at least" ? "throughput" : "p50"} of ${whose}`,
  part: "commits",
  is,
  bound,
  unit: "×",
  values: ratio("client-promises", against, writers, is === "at least" ? throughput : p50)
})

/** A figure of those who ask from other processes. */
const ofClients = (name: string, of: string, is: Goal["is"], bound: number, unit: string): Goal => ({
  name,
  part: "clients",
  is,
  bound,
  unit,
  values: figure(of)
})

/** The values of `commits` have so many bytes. */
const valueBytes = 128

/** What reads of a store are to reach. */
const readsOf = (store: string): ReadonlyArray<Goal> => {
  const found = (name: string, of: string, is: Goal["is"], bound: number, unit: string): Goal => ({
    name: `${store}, 1,000,000 records: ${name}`,
    part: "reads",
    is,
    bound,
    unit,
    values: figure(`${store}: ${of}`)
  })
  return [
    {
      ...found("reads by key, of a bare SELECT", "", "at least", 0.5, "×"),
      values: (outcome) => {
        const bare = figure(`${store}: a bare SELECT by key`)(outcome)
        return figure(`${store}: reads by key`)(outcome).map((value, round) => value / bare[round]!)
      }
    },
    found("reads by key", "reads by key", "at least", 100_000, "records/s"),
    found("lists with values", "lists, in pages of 1,000", "at least", 200_000, "records/s"),
    found("how long a list holds the event loop at most", "lists, loop held, at most", "at most", 5, "ms")
  ]
}

/** All goals: three replicas, 128-byte values, W = 2, fsync. */
export const all: ReadonlyArray<Goal> = [
  ofCeiling(256, 0.9),
  ofCeiling(1024, 1),
  ofCeiling(64, 0.75),
  ofCeiling(16, 0.75),
  latencyOf("ceiling", "the ceiling's", 1, "p50", p50, 1.1),
  latencyOf("postgres", "PostgreSQL's", 1, "p50", p50, 1),
  latencyOf("ceiling", "the ceiling's", 256, "p99", p99, 1),
  {
    name: "ws, 256 writers: throughput of etcd's",
    part: "commits",
    is: "at least",
    bound: 12,
    unit: "×",
    values: ratio("ws", "etcd", 256, throughput)
  },
  ofClient("redis", "Redis's", 256, "at least", 2),
  ofClient("nats", "NATS's", 256, "at least", 2),
  ofClient("etcd", "etcd's", 256, "at least", 12),
  ofClient("ws", "ws's, which is asked in a replica", 256, "at least", 0.5),
  ofClient("redis", "Redis's", 1, "at most", 1),
  ofClient("etcd", "etcd's", 1, "at most", 1),
  {
    name: "ws on the better store, 256 writers, 60 s: throughput of the ceiling's",
    part: "sustained",
    is: "at least",
    bound: 0.75,
    unit: "×",
    values: ofTheBest("at least", (system) => ratio(system, "ceiling", 256, throughput))
  },
  {
    name: "ws, 256 writers, 60 s: what the index falls behind, of what is written",
    part: "sustained",
    is: "at most",
    bound: 0.01,
    unit: "×",
    values: figure("ws: what the index falls behind, of what is written")
  },
  {
    name: "http, 256 writers: throughput of the ceiling's",
    part: "commits",
    is: "at least",
    bound: 0.75,
    unit: "×",
    values: ratio("http", "ceiling", 256, throughput)
  },
  {
    name: "core alone, 256 writers: time per commit",
    part: "commits",
    is: "at most",
    bound: 3,
    unit: "µs",
    values: each(["core"], 256, ({ writesPerSecond }) => 1e6 / writesPerSecond)
  },
  written(256, 2.2),
  written(1, 12),
  held("sustained", "60 s with their merges", ["ws"], 5),
  held("catch-up", "a replica catching up", ["during catch-up"], 5),
  held("stall", "a disk standing still for a second", ["a peer's", "its own"], 10),
  ...readsOf("sqlite"),
  ...readsOf("lmdb"),
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
  ofClients("quorum import of 1,000,000 lines", Clients.importing, "at least", 30_000, "lines/s"),
  ofClients("memory of the importer, last fifth of the first", Clients.importerMemory, "at most", 1.25, "×"),
  ofClients("memory of the replica meanwhile, last fifth of the first", Clients.replicaMemory, "at most", 1.25, "×"),
  ofClients("@quorum/client, a list of 100,000 records with values", Clients.listing, "at least", 100_000, "records/s"),
  ofClients("that list: how long it holds the event loop at most", Clients.listingLag, "at most", 20, "ms"),
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
