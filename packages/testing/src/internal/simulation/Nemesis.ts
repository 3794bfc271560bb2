/**
 * What goes wrong in a run: faults of the network, of disks, of clocks and of processes, drawn from a seed. Each run has
 * some of all kinds, because faults of one kind hide those of another. What was done is undone after a while.
 */
import { QuorumPolicy } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect, Result } from "effect"
import type { Dice } from "./Dice.ts"
import * as Disk from "./Disk.ts"
import * as Machines from "./Machines.ts"
import type { Link } from "./Network.ts"
import type { World } from "./World.ts"

/** The kinds of faults, and what each of them is counted as when it has happened. */
export const kinds = {
  loss: ["message_lost", "ack_lost"],
  delay: ["message_delayed"],
  overtaking: ["message_overtaken"],
  doubling: ["message_doubled"],
  slow_link: ["slow_link"],
  partition: ["partition"],
  one_way_partition: ["one_way_partition"],
  bridge_partition: ["bridge_partition"],
  broken_connection: ["connection_broken", "connection_broken_busy"],
  append_error: ["append_error"],
  uncertain_append: ["uncertain_held", "uncertain_lost"],
  full_disk: ["disk_full"],
  slow_disk: ["slow_disk"],
  crash: ["crash", "unsynced_lost", "unsynced_kept"],
  pause: ["pause"],
  stop: ["stop"],
  crash_of_all: ["crash_of_all"],
  power_cut: ["power_cut"],
  power_cut_of_all: ["power_cut_of_all"],
  wipe: ["wipe"],
  restore: ["restore"],
  clock_jump: ["clock_jump"],
  clock_drift: ["clock_drift"]
} as const

/** A kind of fault. */
export type Kind = keyof typeof kinds

/** All kinds. */
export const all = Object.keys(kinds) as ReadonlyArray<Kind>

/** Which faults a run has, and how often. */
export interface Options {
  readonly kinds: ReadonlyArray<Kind>
  /** The mean time from one to the next, in milliseconds. */
  readonly everyMillis: number
  /** Whether disks are lost that are needed: what was acknowledged is not safe then. */
  readonly isReckless: boolean
}

/** Lets faults happen until it is interrupted. */
export const run = Effect.fnUntraced(function* (world: World, options: Options) {
  const dice = world.dice("faults")
  while (options.kinds.length > 0) {
    yield* Effect.sleep(dice.wait(options.everyMillis))
    const kind = dice.pick(options.kinds)
    const undo = faults[kind](world, dice, options)
    if (undo === undefined) continue
    const { millis, what, end } = undo
    world.say("fault", `${kind}: ${what}`)
    yield* Effect.forkChild(Effect.andThen(Effect.sleep(millis), Effect.sync(end)))
  }
})

/** Undoes all that may still be wrong, and starts whoever does not run. What is on the disks stays as it is. */
export const mend = (world: World): void => {
  world.say("fault", "all is mended")
  world.network.mend()
  for (const machine of world.machines) {
    machine.clock.mend()
    Object.assign(machine.disk, { slowMillis: 0, isFull: false })
    machine.disk.faults.length = 0
    if (machine.process?.owner.paused !== undefined) world.timeline.unpause(machine.process.owner)
    // An append that was uncertain leaves a store that has to be opened again.
    if (machine.disk.isRefusing) Machines.crash(world.setting, machine)
    // Who is still stopping is started when it has stopped.
    if (machine.process?.isStopping === true) machine.process.onGone.add(startAgain(world, machine))
    else Machines.start(world.setting, machine)
  }
}

/** Whether a replica counts for nothing, because something may be missing from its disk; it need not know that yet. */
export const isRecovering = ({ disk: { content, place } }: Machines.Machine): boolean =>
  content.place !== place || (content.notes.get(ReplicaStore.recoveringNote) ?? "") !== ""

// ---------------------------------------------------------------------------------------------------------------------

/** What was done, how long it lasts, and how it ends; `undefined` when it could not be done. */
type Undo = { readonly what: string; readonly millis: number; readonly end: () => void } | undefined

type Fault = (world: World, dice: Dice, options: Options) => Undo

const nothing = (): void => {}

const some = <A>(dice: Dice, items: Iterable<A>): ReadonlyArray<A> => {
  const chance = dice.pick([0.2, 0.5, 1])
  return Array.from(items).filter(() => dice.chance(chance))
}

const links = (world: World): ReadonlyArray<Link> =>
  world.members.flatMap((from) => world.members.flatMap((to) => (from === to ? [] : [world.network.link(from, to)])))

/** Changes some links for a while. */
const onLinks =
  (what: string, change: (link: Link, dice: Dice) => Partial<Link>, sound: Partial<Link>): Fault =>
  (world, dice) => {
    const changed = some(dice, links(world))
    for (const link of changed) Object.assign(link, change(link, dice))
    return {
      what: `${what} on ${changed.length} links`,
      millis: dice.wait(2500),
      end: () => {
        for (const link of changed) Object.assign(link, sound)
      }
    }
  }

/** Lets nothing pass between some pairs. */
const partition =
  (name: string, isCut: (from: number, to: number, split: number, order: ReadonlyArray<number>) => boolean): Fault =>
  (world, dice) => {
    const { members, network } = world
    const order = members.map((_, i) => i).sort(() => dice.next() - 0.5)
    const split = 1 + dice.below(members.length - 1)
    const cut: Array<Link> = []
    for (const [i, from] of members.entries()) {
      for (const [j, to] of members.entries()) {
        if (i === j || !isCut(order[i]!, order[j]!, split, order)) continue
        const link = network.link(from, to)
        link.blocked = name
        cut.push(link)
      }
    }
    return {
      what: `order ${order.join("")}, split ${split}`,
      millis: dice.wait(3000),
      end: () => {
        for (const link of cut) if (link.blocked === name) link.blocked = undefined
      }
    }
  }

const running = (world: World, dice: Dice): Machines.Machine | undefined => {
  const found = world.machines.filter(({ process }) => process?.services !== undefined && !process.isStopping)
  return found.length === 0 ? undefined : dice.pick(found)
}

/** Does something to a machine whose replica runs. */
const onMachine =
  (
    act: (
      machine: Machines.Machine,
      world: World,
      dice: Dice
    ) => Omit<NonNullable<Undo>, "what"> & { readonly what?: string }
  ): Fault =>
  (world, dice) => {
    const machine = running(world, dice)
    if (machine === undefined) return undefined
    const { what, ...undo } = act(machine, world, dice)
    return { what: what === undefined ? machine.id : `${machine.id}, ${what}`, ...undo }
  }

/** Starts the replica again, if it does not run. */
const startAgain = (world: World, machine: Machines.Machine) => (): void => Machines.start(world.setting, machine)

/** Down for a moment, or for long. */
const downMillis = (dice: Dice): number => (dice.chance(0.5) ? dice.wait(200) : dice.wait(3000))

/** The disk of a replica is gone, unless too few others are sure of what they acknowledged. */
const loseDisk =
  (name: string, next: (machine: Machines.Machine, world: World, dice: Dice) => Disk.Disk | undefined): Fault =>
  (world, dice, { isReckless }) => {
    const { happened, machines, retired, setting, timeline } = world
    const machine = dice.pick(machines)
    const n = machines.length
    const majority = Result.getOrThrow(QuorumPolicy.majority(n)).w
    const others = machines.filter((other) => other !== machine && !isRecovering(other)).length
    if (!isReckless && (others < n - majority + 1 || isRecovering(machine))) return undefined
    const disk = next(machine, world, dice)
    if (disk === undefined) return undefined
    Machines.crash(setting, machine)
    retired.push({ machine, content: machine.disk.content, at: timeline.now() })
    Machines.replaceDisk(machine, disk)
    happened(name)
    return { what: machine.id, millis: downMillis(dice), end: startAgain(world, machine) }
  }

const hour = 3_600_000

const faults: Readonly<Record<Kind, Fault>> = {
  loss: onLinks("loss", (_, dice) => ({ loss: dice.pick([0.02, 0.2, 0.6]) }), { loss: 0 }),
  delay: onLinks("delay", (_, dice) => ({ delay: dice.pick([0.05, 0.5]) }), { delay: 0 }),
  overtaking: onLinks("overtaking", () => ({ overtaking: true, jitter: 20 }), { overtaking: false, jitter: 0.6 }),
  doubling: onLinks("doubling", (_, dice) => ({ doubling: dice.pick([0.05, 0.5]) }), { doubling: 0 }),
  slow_link: onLinks("slow", (_, dice) => ({ base: dice.pick([10, 100, 900]) }), { base: 0.2 }),
  partition: partition("partition", (from, to, split) => from < split !== to < split),
  one_way_partition: partition("one_way_partition", (from, to, split) => from < split && to >= split),
  bridge_partition: partition(
    "bridge_partition",
    (from, to, split, { length }) => length > 2 && from !== 0 && to !== 0 && from <= split !== to <= split
  ),
  broken_connection: (world, dice) => {
    const id = dice.pick(world.members)
    return world.network.breakOne(id) ? { what: id, millis: 0, end: nothing } : undefined
  },
  append_error: onMachine(({ disk }, _, dice) => {
    for (let left = 1 + dice.below(3); left > 0; left--) disk.faults.push("append_error")
    return { millis: 0, end: nothing }
  }),
  uncertain_append: onMachine((machine, world, dice) => {
    const { disk } = machine
    disk.faults.push(dice.pick(["uncertain_held", "uncertain_lost"]))
    const end = (): void => {
      if (machine.disk !== disk || !disk.isRefusing) return
      Machines.crash(world.setting, machine)
      Machines.start(world.setting, machine)
    }
    return { millis: dice.wait(2000), end }
  }),
  full_disk: onMachine(({ disk }, _, dice) => {
    disk.isFull = true
    return { millis: dice.wait(2000), end: () => (disk.isFull = false) }
  }),
  slow_disk: onMachine(({ disk }, _, dice) => {
    disk.slowMillis = dice.pick([20, 300, 3000])
    return { millis: dice.wait(2500), end: () => (disk.slowMillis = 0) }
  }),
  crash: onMachine((machine, world, dice) => {
    world.happened("crash")
    Machines.crash(world.setting, machine)
    return { millis: downMillis(dice), end: startAgain(world, machine) }
  }),
  pause: onMachine((machine, world, dice) => {
    const { owner } = machine.process!
    if (owner.paused === undefined) world.happened("pause")
    owner.paused ??= []
    return { millis: dice.chance(0.5) ? dice.wait(500) : dice.wait(4000), end: () => world.timeline.unpause(owner) }
  }),
  stop: onMachine((machine, world, dice) => {
    world.happened("stop")
    // Now and then while it waits for its disk.
    if (dice.chance(0.3)) machine.disk.slowMillis = 5000
    Machines.stop(world.setting, machine)
    const end = (): void => {
      machine.disk.slowMillis = 0
      startAgain(world, machine)()
    }
    return { millis: 3500 + downMillis(dice), end }
  }),
  crash_of_all: (world, dice) => {
    world.happened("crash_of_all")
    for (const machine of world.machines) Machines.crash(world.setting, machine)
    const end = () => world.machines.forEach((machine) => Machines.start(world.setting, machine))
    return { what: "all", millis: downMillis(dice), end }
  },
  power_cut: (world, dice) => {
    const machine = dice.pick(world.machines)
    world.happened("power_cut")
    Machines.powerCut(world.setting, machine)
    return { what: machine.id, millis: downMillis(dice), end: startAgain(world, machine) }
  },
  power_cut_of_all: (world, dice) => {
    world.happened("power_cut_of_all")
    for (const machine of world.machines) Machines.powerCut(world.setting, machine)
    const end = () => world.machines.forEach((machine) => Machines.start(world.setting, machine))
    return { what: "all", millis: downMillis(dice), end }
  },
  wipe: loseDisk("wipe", ({ boot, disk, situation }) => Disk.make(situation, disk.place + 1, boot, false)),
  restore: loseDisk("restore", ({ copies, disk, situation }, _, dice) => {
    if (copies.length === 0) return undefined
    return { ...Disk.make(situation, disk.place + 1, 0, true), content: Disk.copyOf(dice.pick(copies)) }
  }),
  clock_jump: (world, dice) => {
    const machine = dice.pick(world.machines)
    const millis =
      dice.pick([-1, 1]) * dice.pick([5000, 0.1 * hour, hour, 30 * hour, 24 * 365 * 5 * hour]) * dice.next()
    world.happened("clock_jump")
    machine.clock.jump(millis)
    const what = `${machine.id} by ${(millis / 1000).toFixed(0)} s`
    return { what, millis: dice.wait(3000), end: () => (dice.chance(0.5) ? machine.clock.mend() : undefined) }
  },
  clock_drift: (world, dice) => {
    const machine = dice.pick(world.machines)
    world.happened("clock_drift")
    machine.clock.drift(dice.pick([0.9, 0.99, 1.01, 1.1]))
    return { what: machine.id, millis: dice.wait(5000), end: () => machine.clock.drift(1) }
  }
}
