/**
 * The standard run: clients at work while faults happen, then all is mended, and everything has to become as it should.
 */
import { Entry, QuorumPolicy, QuorumWriter, Records } from "@quorum/core"
import { Effect, Fiber, Option, Result } from "effect"
import * as Convergence from "./checks/Convergence.ts"
import { checks } from "./checks/index.ts"
import * as Disk from "./Disk.ts"
import * as Evidence from "./Evidence.ts"
import * as History from "./History.ts"
import * as Nemesis from "./Nemesis.ts"
import * as Run from "./Run.ts"
import * as Workload from "./Workload.ts"
import * as World from "./World.ts"
import * as Acks from "./checks/Acks.ts"

/** What a standard run is made of. */
export interface Scenario {
  readonly seed: number
  readonly replicas: number
  readonly workload: Workload.Options
  readonly nemesis: Nemesis.Options
  readonly skewMillis: number
  readonly drift: number
  /** Whether writes are promised to take effect in the order of real time, or in that of the clocks. */
  readonly order: "clock" | "real-time"
  /** How the replicas really order writes, where that is not what is promised: to see that it is found. */
  readonly orderedBy?: "clock" | "real-time"
}

/** What came of a run. */
export interface Outcome {
  readonly scenario: Scenario
  readonly violations: ReadonlyArray<World.Violation>
  readonly faults: ReadonlyMap<string, number>
  readonly operations: ReadonlyArray<History.Operation>
  readonly virtualMillis: number
  readonly steps: number
  readonly trace: ReadonlyArray<string>
}

/** The scenario that a seed decides. */
export const draw = (seed: number, replicas?: number): Scenario => {
  const dice = World.diceOf(seed, "scenario")
  const count = dice.pick([3, 3, 3, 4, 5, 5, 7])
  const share = dice.pick([0, 0.15, 0.35, 0.6])
  return {
    seed,
    replicas: replicas ?? count,
    workload: {
      clients: dice.pick([4, 8, 8, 12]),
      operations: dice.pick([15, 25, 25]),
      keys: dice.pick([1, 2, 4, 6]),
      pauseMillis: dice.pick([20, 60, 200]),
      reads: dice.pick([0.2, 0.35, 0.5]),
      otherW: dice.pick([0, 0.1, 0.2])
    },
    nemesis: {
      kinds: Nemesis.all.filter(() => dice.chance(share)),
      everyMillis: dice.pick([150, 400, 1000]),
      isReckless: false
    },
    skewMillis: dice.pick([0, 50, 2000, 20_000, 3_600_000]),
    drift: dice.pick([0, 0.0001, 0.01]),
    order: dice.chance(0.15) ? "clock" : "real-time"
  }
}

/** Runs a scenario. */
export const run = (scenario: Scenario, isTraced = false): Outcome => {
  const { drift, orderedBy = scenario.order, replicas, seed, skewMillis } = scenario
  const world = World.make({
    seed,
    replicas,
    policy: { ...Result.getOrThrow(QuorumPolicy.majority(replicas)), order: orderedBy },
    options: {},
    skewMillis,
    drift,
    isTraced,
    onPassing: Acks.onPassing
  })
  const history = History.make()
  Run.run(world, play(world, history, scenario))
  const { faults, timeline, trace, violations } = world
  return {
    scenario,
    violations,
    faults,
    operations: history.operations,
    virtualMillis: timeline.now(),
    steps: timeline.steps(),
    trace
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const play = Effect.fnUntraced(function* (world: World.World, history: History.History, scenario: Scenario) {
  const { nemesis, workload } = scenario
  yield* Effect.sleep(200)
  const trouble = yield* Effect.forkChild(Effect.raceFirst(Nemesis.run(world, nemesis), copies(world)))
  const clients = Array.from({ length: workload.clients }, (_, i) => Workload.client(world, history, i, workload))
  yield* Effect.all(clients, { concurrency: "unbounded", discard: true })
  yield* Fiber.interrupt(trouble)
  Nemesis.mend(world)
  yield* heal(world)
  yield* lastReads(world, history, workload.keys)
  yield* lastStatuses(world, history)
  const pages = yield* Effect.forEach(world.members, (id) => pageOf(world, id), { concurrency: "unbounded" })
  const evidence = Evidence.gather(world, history, pages, scenario.order)
  for (const [law, check] of Object.entries(checks)) for (const detail of check(evidence)) world.violated(law, detail)
})

/** Copies of the disks, as a backup makes them. */
const copies = Effect.fnUntraced(function* (world: World.World) {
  const dice = world.dice("copies")
  while (true) {
    yield* Effect.sleep(dice.wait(2000))
    const { copies, disk } = dice.pick(world.machines)
    copies.push(Disk.copyOf(disk.content))
  }
})

/** Liveness: every replica takes a write that all have to hold, and then all disks become equal. */
const heal = Effect.fnUntraced(function* (world: World.World) {
  const { members, timeline } = world
  const began = timeline.now()
  yield* Effect.forEach(
    members,
    Effect.fnUntraced(function* (id) {
      const write = Entry.put("healed", id, History.bytesOf(id))
      const commit = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) => writer.commit(write, { w: members.length }))
      let said = "nothing"
      while (timeline.now() - began < Convergence.bound) {
        const result = yield* Effect.result(Effect.timeoutOption(world.at(id, commit), 10_000))
        if (Result.isSuccess(result) && Option.isSome(result.success)) return
        said = Result.isFailure(result) ? result.failure.message : "nothing for 10 s"
        yield* Effect.sleep(500)
      }
      world.violated(
        "Liveness",
        `${id} took no write that all hold for ${Convergence.bound / 1000} s without faults: ${said}`
      )
    }),
    { concurrency: "unbounded", discard: true }
  )
  while (!Convergence.isConverged(world) && timeline.now() - began < Convergence.bound) yield* Effect.sleep(1000)
})

/** When all is well, every replica answers every kind of read, if not at once. */
const lastReads = Effect.fnUntraced(function* (world: World.World, history: History.History, keys: number) {
  for (const id of world.members) {
    for (let key = 0; key < keys; key++) {
      for (const consistency of ["linearizable", "local"] as const) {
        const read = Workload.read(world, history, -1, id, `k${key}`, consistency, undefined)
        let { outcome } = yield* read
        for (let tries = 0; outcome !== "read" && tries < 20; tries++) {
          yield* Effect.sleep(500)
          outcome = (yield* read).outcome
        }
        if (outcome !== "read") {
          world.violated("Liveness", `${id} answers no ${consistency} read for 10 s without faults: ${outcome}`)
        }
      }
    }
  }
})

/** Met stays met: whoever is asked says that what was acknowledged is committed. */
const lastStatuses = Effect.fnUntraced(function* (world: World.World, history: History.History) {
  const dice = world.dice("statuses")
  const majority = Math.floor(world.members.length / 2) + 1
  const strong = History.committed(history).filter(({ w }) => w >= majority)
  // A replica knows of the others what they said last.
  yield* Effect.sleep(heartbeatsMillis)
  for (let left = Math.min(8, strong.length); left > 0; left--) {
    const { id, writeId } = dice.pick(strong)
    const at = dice.pick(world.members)
    const ask = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) => writer.status(writeId!))
    const result = yield* Effect.result(world.at(at, ask))
    if (Result.isSuccess(result) && result.success.committed && result.success.writeId === writeId) continue
    const said = Result.isSuccess(result) ? `only ${result.success.holders.join(", ")} hold it` : result.failure.message
    world.violated("DecisionIsFinal", `operation ${id} was acknowledged, and ${at} says: ${said}`)
  }
})

const pageOf = (world: World.World, id: World.World["members"][number]) =>
  Effect.map(
    Effect.option(
      world.at(
        id,
        Effect.flatMap(Records.Records, (records) => records.page({ limit: 1000 }))
      )
    ),
    (page): Evidence.Page => {
      if (Option.isNone(page)) world.violated("Liveness", `${id} answers no reads`)
      const records = Option.isNone(page) ? [] : page.value.records
      return { id, values: new Map(records.map(({ key, value }) => [key, History.textOf(value)])) }
    }
  )

/** Some heartbeats, in milliseconds. */
const heartbeatsMillis = 3500
