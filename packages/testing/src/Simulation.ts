/**
 * A whole replica set from one seed: the production code of every replica in one process, on virtual time, over disks,
 * clocks and a network that fail as the seed says. A run is one synchronous call, and the same seed gives the same run.
 *
 * A program is written against the services of a replica, and called from outside of them, as by clients, or run inside
 * of them, as an application that has a replica in it.
 */
import type { QuorumPolicy, Replica, ReplicaId } from "@quorum/core"
import { Cause, Effect, Exit, Fiber, Schema } from "effect"
import * as Convergence from "./internal/simulation/checks/Convergence.ts"
import * as watching from "./internal/simulation/checks/watching.ts"
import type * as Dice from "./internal/simulation/Dice.ts"
import type * as Machines from "./internal/simulation/Machines.ts"
import * as Nemesis from "./internal/simulation/Nemesis.ts"
import * as Run from "./internal/simulation/Run.ts"
import * as Scenario from "./internal/simulation/Scenario.ts"
import * as Shrink from "./internal/simulation/Shrink.ts"
import * as World from "./internal/simulation/World.ts"

export { Unreachable } from "./internal/simulation/World.ts"
export type { Violation } from "./internal/simulation/World.ts"

/** A kind of fault. */
export type FaultKind = Nemesis.Kind

/** All kinds of faults. */
export const faultKinds: ReadonlyArray<FaultKind> = Nemesis.all

/** What an application gets of a replica. */
export type Services = Machines.Services

/** A stream of random numbers that the seed decides. */
export type Random = Dice.Dice

/** The replica set of a run, as a program sees it. */
export interface Simulated {
  /** The replicas, by their ids. */
  readonly ids: ReadonlyArray<ReplicaId.ReplicaId>
  /**
   * Runs something in the process of a replica, and answers it to whoever calls from outside. It ends without an answer,
   * as `Unreachable`, when the replica does not run, or stops or crashes meanwhile: then it is not known what was done.
   */
  readonly at: <A, E>(
    id: ReplicaId.ReplicaId,
    effect: Effect.Effect<A, E, Services>
  ) => Effect.Effect<A, E | World.Unreachable>
  /** The stream of random numbers of a name. */
  readonly random: (name: string) => Random
  /** Virtual milliseconds since the beginning. */
  readonly now: () => number
  /** Writes a line into the trace. */
  readonly say: (line: string) => void
  /** Says that something happened that may not: `law` names the promise that was broken. */
  readonly violated: (law: string, detail: string) => void
}

/** What is run. */
export interface Options<A> {
  /** Decides everything. */
  readonly seed: number
  /** How many replicas; 3 unless given. */
  readonly replicas?: number
  /** The faults that happen while the program runs; none unless given. */
  readonly faults?: ReadonlyArray<FaultKind>
  /** The mean time between two faults, in virtual milliseconds; 1,000 unless given. */
  readonly faultEveryMillis?: number
  /** How wrong the clocks of the replicas are, in milliseconds at most; 100 unless given. */
  readonly skewMillis?: number
  readonly policy?: QuorumPolicy.QuorumPolicy
  /** How every replica is built. */
  readonly options?: Replica.Options
  /** Whether the outcome has a trace. */
  readonly isTraced?: boolean
  /** How long the program may take, in virtual milliseconds; an hour unless given. Longer is a violation. */
  readonly endsWithinMillis?: number
  /** What is done while faults happen. */
  readonly program: (set: Simulated) => Effect.Effect<A, unknown>
  /** What has to hold when all faults are mended, all replicas run, and what they hold had its time to become equal. */
  readonly check?: (set: Simulated, result: A) => Effect.Effect<void, unknown>
}

/** What came of a run. */
export interface Outcome {
  readonly seed: number
  readonly violations: ReadonlyArray<World.Violation>
  /** How often each fault has happened. */
  readonly faults: ReadonlyMap<string, number>
  readonly virtualMillis: number
  /** A line for everything that happened, if it was asked for. */
  readonly trace: ReadonlyArray<string>
}

/** What was asked for cannot be run: `field` is the option, `detail` what is wrong with it and what to do. */
export class InvalidOptions extends Schema.TaggedError<InvalidOptions>()("InvalidOptions", {
  field: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.field}: ${this.detail}`
  }
}

/** Runs a program. Whatever fails in it, or in its check, is a violation. Throws {@link InvalidOptions}. */
export const run = <A>(options: Options<A>): Outcome => {
  checkAll(options)
  const { faultEveryMillis = 1000, faults = [], isTraced = false, replicas = 3, seed, skewMillis = 100 } = options
  const world = World.make({
    seed,
    replicas,
    policy: options.policy,
    options: options.options ?? {},
    skewMillis,
    drift: 0,
    isTraced,
    watch: watching
  })
  const nemesis = { kinds: faults, everyMillis: faultEveryMillis, isReckless: false }
  Run.run(world, play(world, options, nemesis))
  const { timeline, trace, violations } = world
  return { seed, violations, faults: world.faults, virtualMillis: timeline.now(), trace }
}

/** What a standard run is made of: clients, faults, clocks. Plain values. */
export type StandardScenario = Scenario.Scenario

/** What came of a standard run. */
export type StandardOutcome = Scenario.Outcome

/**
 * The standard run that a seed decides: clients that write, delete and read few keys while faults happen; with these kinds of
 * faults, of {@link faultKinds}, besides those that the seed draws.
 */
export const standard: (
  seed: number,
  replicas?: number,
  withKinds?: StandardScenario["nemesis"]["kinds"]
) => StandardScenario = Scenario.draw

/** Runs a standard run, and looks at all promises. */
export const runStandard: (scenario: StandardScenario, isTraced?: boolean) => StandardOutcome = Scenario.run

/** Makes a standard run that breaks a promise smaller, by at most so many runs. */
export const shrink = (scenario: StandardScenario, law: string, runs: number): StandardScenario =>
  Shrink.shrink(scenario, law, Scenario.run, runs)

/** What each kind of fault is counted as when it has happened. */
export const faultCounts: Readonly<Record<FaultKind, ReadonlyArray<string>>> = Nemesis.kinds

// ---------------------------------------------------------------------------------------------------------------------

const play = Effect.fnUntraced(function* <A>(
  world: World.World,
  { check, endsWithinMillis = hour, program }: Options<A>,
  nemesis: Nemesis.Options
) {
  const { at, dice, members, say, timeline, violated } = world
  const set: Simulated = {
    ids: members,
    at,
    random: dice,
    now: timeline.now,
    say: (line) => say("program", line),
    violated
  }
  yield* Effect.sleep(startMillis)
  const trouble = yield* Effect.forkChild(Nemesis.run(world, nemesis))
  const result = yield* Effect.exit(
    Effect.timeoutOrElse(program(set), {
      duration: endsWithinMillis,
      orElse: () => Effect.die(`the program has not ended after ${endsWithinMillis} virtual milliseconds`)
    })
  )
  yield* Fiber.interrupt(trouble)
  Nemesis.mend(world)
  yield* Effect.sleep(settleMillis)
  // However long the program took, the replicas have as long as that after it.
  const latest = timeline.now() + Convergence.bound
  while (!Convergence.isConverged(world) && timeline.now() < latest) yield* Effect.sleep(1000)
  if (!Convergence.isConverged(world))
    violated("Convergence", "the replicas do not hold the same when faults have stopped")
  if (Exit.isFailure(result)) return violated("Program", Cause.pretty(result.cause))
  if (check === undefined) return
  const checked = yield* Effect.exit(check(set, result.value))
  if (Exit.isFailure(checked)) violated("Check", Cause.pretty(checked.cause))
})

const hour = 3_600_000

/** What cannot be run, by the option that says so. */
const need = (field: string, isFine: boolean, detail: string): void => {
  if (!isFine) throw new InvalidOptions({ field, detail })
}

const checkAll = <A>({ endsWithinMillis, faultEveryMillis, faults = [], replicas, seed, skewMillis }: Options<A>) => {
  need("seed", Number.isSafeInteger(seed), `a whole number is needed, not ${seed}`)
  need("replicas", isWithin(replicas, 1, World.maxReplicas), `1 to ${World.maxReplicas} can be run, not ${replicas}`)
  for (const kind of faults) {
    need("faults", Nemesis.all.includes(kind), `there is no ${JSON.stringify(kind)}; see Simulation.faultKinds`)
  }
  for (const [field, value] of Object.entries({ endsWithinMillis, faultEveryMillis })) {
    need(field, value === undefined || value > 0, `more than 0 ms are needed, not ${value}`)
  }
  need("skewMillis", skewMillis === undefined || skewMillis >= 0, `0 ms or more are needed, not ${skewMillis}`)
}

const isWithin = (value: number | undefined, least: number, most: number): boolean =>
  value === undefined || (Number.isInteger(value) && value >= least && value <= most)

/** How long the replicas have to find each other before anything else happens, and when faults have stopped. */
const startMillis = 200
const settleMillis = 5000
