/**
 * One run: the machines, the network between them, whoever calls them from outside, and what was seen.
 */
import { LogId, type QuorumPolicy, type Replica, ReplicaId } from "@quorum/core"
import type { EntryBatch } from "@quorum/core/adapter"
import { type Context, Effect, type Exit, Schema } from "effect"
import * as Dice from "./Dice.ts"
import * as Disk from "./Disk.ts"
import type * as Held from "./Held.ts"
import * as MachineClock from "./MachineClock.ts"
import * as Machines from "./Machines.ts"
import * as Network from "./Network.ts"
import * as Timeline from "./Timeline.ts"

/** Something that may not be was seen. `law` is the name of the promise that it breaks. */
export interface Violation {
  readonly law: string
  readonly detail: string
  /** When, in virtual milliseconds. */
  readonly at: number
}

/**
 * The replica was not there, or went away during a call. `isSent` says that what was asked may have been begun, and may
 * have been done.
 */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", { isSent: Schema.Boolean }) {}

/** A disk that was taken out: what it held it did hold. */
export interface Retired {
  readonly machine: Machines.Machine
  readonly content: Disk.Content
  /** When, in virtual milliseconds. */
  readonly at: number
  /** It was put back in its place as it had been: of what nobody else got nobody can know that it was there. */
  readonly isForgotten?: boolean
}

/** A run. */
export interface World {
  readonly seed: number
  readonly members: ReadonlyArray<ReplicaId.ReplicaId>
  readonly machines: ReadonlyArray<Machines.Machine>
  /** Machines that run a copy of another's disk, with its id, beside it. */
  readonly clones: Array<Machines.Machine>
  readonly setting: Machines.Setting
  readonly timeline: Timeline.Timeline
  readonly network: Network.Network
  /** The world outside all processes, and what its fibers run with. */
  readonly outside: Timeline.Owner
  readonly context: Context.Context<never>
  /** The disks that were taken out, in order. */
  readonly retired: Array<Retired>
  /** The lives of replicas that were left out, by the incarnation that nobody lives, and the disks as they were last seen. */
  readonly leftOut: Map<string, Retired & { readonly without: LogId.Incarnation }>
  /** What happens to a replica right after it has acked a push the next time. */
  readonly afterAck: Map<ReplicaId.ReplicaId, () => void>
  /** What happens when a replica is left out: to whoever does so, before it has told anybody. */
  readonly whenLeftOut: Map<ReplicaId.ReplicaId, (by: Machines.Machine) => void>
  readonly violations: ReadonlyArray<Violation>
  readonly faults: ReadonlyMap<string, number>
  readonly trace: ReadonlyArray<string>
  readonly dice: (name: string) => Dice.Dice
  readonly machine: (id: ReplicaId.ReplicaId) => Machines.Machine
  readonly happened: (fault: string) => void
  readonly violated: (law: string, detail: string) => void
  readonly say: (who: string, line: string) => void
  readonly isTraced: boolean
  /**
   * Runs something in the process of a replica, and gives the answer back to whoever calls from outside; when `isEnded`, it
   * is ended there when the caller does not wait any more.
   */
  readonly at: <A, E>(
    id: ReplicaId.ReplicaId,
    effect: Effect.Effect<A, E, Machines.Services>,
    isEnded?: boolean
  ) => Effect.Effect<A, E | Unreachable>
}

/** How a run is made. */
export interface Options {
  readonly seed: number
  readonly replicas: number
  readonly policy: QuorumPolicy.QuorumPolicy | undefined
  readonly options: Replica.Options
  /** How old a stamp may be, in milliseconds; a day unless given. */
  readonly horizonMillis?: number
  /** How wrong the clocks are at the beginning, in milliseconds at most; and how much too fast or slow they run. */
  readonly skewMillis: number
  readonly drift: number
  /** Whether, and how, replicas compact their logs; they do so as they always do unless given. */
  readonly compacts?: Machines.Compacts | undefined
  readonly isTraced: boolean
  readonly watch: Watch
}

/** Looks at what happens, as it happens. */
export interface Watch {
  /** A message passes between replicas. */
  readonly onPassing: (world: World, message: Network.Passing) => void
  /** A batch has become durable on a disk, or was put in the place of what was. */
  readonly onHeld: (world: World, machine: Machines.Machine, batch: EntryBatch.EntryBatch) => void
  /** Something was noted on a disk. */
  readonly onNoted: (world: World, machine: Machines.Machine, notes: Readonly<Record<string, string>>) => void
  /** Entries are about to be erased on a disk. */
  readonly onErased: (world: World, machine: Machines.Machine, going: ReadonlyArray<Held.Held>) => void
  /** A log on a disk is about to be cut. */
  readonly onCut: (world: World, machine: Machines.Machine) => void
}

/** The stream of random numbers of this name, in the run of this seed. */
export const diceOf = (seed: number, name: string): Dice.Dice => Dice.make(seed, name)

/** The machine on which a process runs. */
export const machineOf = ({ clones, machines }: World, process: Timeline.Owner): Machines.Machine | undefined =>
  machines.find((machine) => machine.process?.owner === process) ??
  clones.find((machine) => machine.process?.owner === process)

/** The machines that run, or ran, a replica of this id. */
export const machinesOf = (world: World, id: ReplicaId.ReplicaId): ReadonlyArray<Machines.Machine> => [
  world.machine(id),
  ...world.clones.filter((clone) => clone.id === id)
]

/** Whether no other life of the replica is newer: what a former one says counts for nothing where the newer is known. */
export const isNewest = (world: World, machine: Machines.Machine): boolean => {
  const others = [
    ...machinesOf(world, machine.id).map(({ disk }) => disk.content),
    ...world.retired.filter((each) => each.machine.id === machine.id).map(({ content }) => content)
  ]
  const { incarnation } = machine.disk.content
  return others.every((content) => LogId.newer(content.incarnation, incarnation) === incarnation)
}

/** What the replicas are called. */
const names = "abcdefghijk"

/** The most replicas of a run. */
export const maxReplicas = names.length

/** A run in which nothing has happened yet. */
export const make = (options: Options): World => {
  const { isTraced, seed, watch } = options
  const timeline = Timeline.make(Dice.make(seed, "order"))
  const outside = Timeline.owner("outside")
  const violations: Array<Violation> = []
  const faults = new Map<string, number>()
  const trace: Array<string> = []
  const say = (who: string, line: string): void => {
    trace.push(`${timeline.now().toFixed(3).padStart(12)} ${who.padEnd(8)} ${line}`)
  }
  const happened = (fault: string): void => void faults.set(fault, (faults.get(fault) ?? 0) + 1)
  const violated = (law: string, detail: string): void => {
    if (isTraced) say("", `VIOLATION ${law}: ${detail}`)
    violations.push({ law, detail, at: timeline.now() })
  }
  const members = Array.from({ length: options.replicas }, (_, i) => ReplicaId.make(names[i]!))
  const networkDice = Dice.make(seed, "network")
  const network = Network.make({
    timeline,
    dice: networkDice,
    world: outside,
    asFrames: networkDice.chance(0.15),
    onPassing: (message) => {
      watch.onPassing(world, message)
      // As it was before that ack, it may be put back.
      if (message.name === "push" && message.answer === undefined && world.afterAck.has(message.to)) {
        const { copies, disk } = world.machine(message.to)
        copies.push(Disk.copyOf(disk.content))
      }
      const next = message.name === "push" && message.answer !== undefined && world.afterAck.get(message.from)
      if (!next) return
      world.afterAck.delete(message.from)
      timeline.soon(outside, next)
    },
    onFault: happened
  })
  const setting: Machines.Setting = {
    seed,
    members,
    policy: options.policy,
    options: options.options,
    horizonMillis: options.horizonMillis ?? 86_400_000,
    timeline,
    network,
    erased: new Map(),
    watch: {
      onHeld: (machine, batch) => watch.onHeld(world, machine, batch),
      onNoted: (machine, notes) => {
        const before = world.leftOut.size
        watch.onNoted(world, machine, notes)
        for (const { machine: left } of Array.from(world.leftOut.values()).slice(before)) {
          const next = world.whenLeftOut.get(left.id)
          world.whenLeftOut.delete(left.id)
          next?.(machine)
        }
      },
      onErased: (machine, going) => watch.onErased(world, machine, going),
      onCut: (machine) => watch.onCut(world, machine)
    },
    compacts: options.compacts,
    onFault: happened,
    trace: isTraced ? say : undefined,
    onDefect: (who, detail) => violated("NoDefect", `${who} ${detail}`)
  }
  const clockDice = Dice.make(seed, "clocks")
  /** Some stores tell writing and syncing apart, and some do not. */
  const hasSteps = Dice.make(seed, "steps").chance(0.7)
  /** Some replica sets start for the first time: each replica has to hear that all the others do too. */
  const founded = !Dice.make(seed, "founding").chance(0.2)
  const machines = members.map((id) =>
    Machines.make(
      setting,
      id,
      clockDice.between(-1, 1) * options.skewMillis,
      1 + clockDice.between(-1, 1) * options.drift,
      { founded, hasSteps }
    )
  )
  const machine = (id: ReplicaId.ReplicaId) => machines[members.indexOf(id)]!
  const trueClock = MachineClock.make(timeline, 0, 1)
  const world: World = {
    seed,
    members,
    machines,
    clones: [],
    setting,
    timeline,
    network,
    outside,
    context: Machines.contextOf(setting, outside, trueClock, "outside"),
    retired: [],
    leftOut: new Map(),
    afterAck: new Map(),
    whenLeftOut: new Map(),
    violations,
    faults,
    trace,
    dice: (name) => Dice.make(seed, name),
    machine,
    happened,
    violated,
    say: isTraced ? say : () => {},
    isTraced,
    at: (id, effect, isEnded = false) =>
      members.includes(id)
        ? callAt(world, machine(id), effect, isEnded)
        : Effect.die(new Error(`there is no replica ${JSON.stringify(id)}, but ${members.join(", ")}`))
  }
  return world
}

// ---------------------------------------------------------------------------------------------------------------------

const callAt = <A, E>(
  { outside, timeline }: World,
  machine: Machines.Machine,
  effect: Effect.Effect<A, E, Machines.Services>,
  isEnded: boolean
): Effect.Effect<A, E | Unreachable> =>
  Effect.callback((resume) => {
    let end = (): void => undefined
    const later = (millis: number, task: () => void) => timeline.at(outside, timeline.now() + millis, task)
    later(0.3, () => {
      const { process } = machine
      if (process?.services === undefined || process.isStopping)
        return resume(Effect.fail(new Unreachable({ isSent: false })))
      const { context, onGone, owner, services } = process
      const gone = () => later(1, () => resume(Effect.fail(new Unreachable({ isSent: true }))))
      onGone.add(gone)
      timeline.soon(owner, () => {
        const run: Effect.Effect<A, E> = Effect.provideContext(effect, services)
        const fiber = Effect.runForkWith(context)(run)
        end = () => timeline.soon(owner, () => fiber.interruptUnsafe())
        fiber.addObserver((exit: Exit.Exit<A, E>) => {
          onGone.delete(gone)
          if (owner.isAlive) later(0.3, () => resume(exit))
        })
      })
    })
    return isEnded ? Effect.sync(() => later(0.3, () => end())) : undefined
  })
