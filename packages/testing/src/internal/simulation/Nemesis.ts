/**
 * What goes wrong in a run: faults of the network, of disks, of clocks and of processes, drawn from a seed. Each run has
 * some of all kinds, because faults of one kind hide those of another. What was done is undone after a while.
 */
import { QuorumPolicy } from "@quorum/core"
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
  pair_partition: ["pair_partition"],
  broken_connection: ["connection_broken", "connection_broken_busy"],
  append_error: ["append_error"],
  uncertain_append: ["uncertain_held", "uncertain_lost"],
  full_disk: ["disk_full"],
  slow_disk: ["slow_disk"],
  crash: ["crash", "write_lost", "write_kept"],
  pause: ["pause"],
  stop: ["stop"],
  crash_of_all: ["crash_of_all"],
  power_cut: ["power_cut", "unsynced_lost", "unsynced_kept", "unsynced_torn"],
  power_cut_of_all: ["power_cut_of_all"],
  wipe: ["wipe"],
  restore: ["restore"],
  remove: ["removed_folder"],
  clone: ["cloned"],
  damage: ["bit_flipped", "damage_found"],
  clock_jump: ["clock_jump"],
  clock_drift: ["clock_drift"]
} as const

/** A kind of fault. */
export type Kind = keyof typeof kinds

/** All kinds. */
export const all = Object.keys(kinds) as ReadonlyArray<Kind>

/** Kinds that matter together: what one of them does shows by another. */
export const mixes: ReadonlyArray<ReadonlyArray<Kind>> = [
  ["wipe", "pair_partition", "slow_link"],
  ["wipe", "pair_partition", "one_way_partition", "slow_link"],
  ["wipe", "restore", "remove", "bridge_partition", "slow_link"],
  ["wipe", "pause", "delay", "broken_connection"],
  ["clone", "partition", "clock_jump"],
  ["damage", "crash", "power_cut", "partition"],
  ["power_cut_of_all", "clock_jump", "partition"],
  ["crash_of_all", "power_cut", "uncertain_append", "slow_disk"],
  ["stop", "crash", "full_disk", "append_error"]
]

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
  world.afterAck.clear()
  world.network.mend()
  for (const copy of Array.from(world.clones)) endClone(world, world.machine(copy.id), copy, false)
  for (const machine of world.machines) {
    machine.clock.mend()
    // What is damaged is thrown away, as an operator is told to, and comes back from the others.
    if (Disk.isDamaged(machine.disk) || machine.disk.isRemoved) replaceDisk(world, machine, emptyDisk(machine))
    Object.assign(machine.disk, { slowMillis: 0, isFull: false })
    machine.disk.faults.length = 0
    if (machine.process?.owner.paused !== undefined) world.timeline.unpause(machine.process.owner)
    // An append that was uncertain leaves a store that has to be opened again.
    if (machine.disk.isRefusing) Machines.crash(world.setting, machine)
    // Who is still stopping is started when it has stopped.
    if (machine.process?.isStopping === true) machine.process.onGone.add(startAgain(world, machine))
    else start(world, machine)
  }
}

/**
 * Whether a replica may lack something that it was counted for, as far as a disk may be lost: it recovers, it is damaged,
 * another process has its id, or had it with a newer life.
 */
const isUnsure = ({ clones, retired }: World, machine: Machines.Machine): boolean =>
  Machines.isRecovering(machine) ||
  Disk.isDamaged(machine.disk) ||
  machine.disk.isRemoved ||
  clones.some(({ id }) => id === machine.id) ||
  retired.some(
    ({ content, machine: of }) => of.id === machine.id && content.incarnation > machine.disk.content.incarnation
  )

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
const startAgain = (world: World, machine: Machines.Machine) => (): void => start(world, machine)

/** Starts a replica, on an empty disk when its folder was removed under it. */
const start = (world: World, machine: Machines.Machine): void => {
  if (machine.process === undefined && machine.disk.isRemoved) replaceDisk(world, machine, emptyDisk(machine))
  Machines.start(world.setting, machine)
}

/** Down for a moment, or for long. */
const downMillis = (dice: Dice): number => dice.wait(dice.pick([20, 200, 3000, 3000]))

/** Whether so much may be lost of one replica: enough others are sure of what they acknowledged. */
const isSpare = (world: World, machine: Machines.Machine, { isReckless }: Options): boolean => {
  const { machines } = world
  const majority = Result.getOrThrow(QuorumPolicy.majority(machines.length)).w
  const others = machines.filter((other) => other !== machine && !isUnsure(world, other)).length
  return isReckless || (others >= machines.length - majority + 1 && !isUnsure(world, machine))
}

/** Puts another disk in, and keeps in mind what the one before held. */
const replaceDisk = (world: World, machine: Machines.Machine, disk: Disk.Disk): void => {
  Machines.crash(world.setting, machine)
  world.retired.push({ machine, content: machine.disk.content, at: world.timeline.now() })
  Machines.replaceDisk(machine, disk)
}

/** An empty disk for a machine, in another place than the one before. */
const emptyDisk = ({ boot, disk, situation }: Machines.Machine): Disk.Disk =>
  Disk.make(situation, disk.place + 1, boot, false)

/** Does something to a machine now, or right after its next ack: what was said with that is worth most then. */
const onAny =
  (act: (machine: Machines.Machine) => Fault): Fault =>
  (world, dice, options) => {
    const { afterAck, outside, timeline } = world
    const machine = dice.pick(world.machines)
    if (dice.chance(0.6)) return act(machine)(world, dice, options)
    afterAck.set(machine.id, () => {
      const undo = act(machine)(world, dice, options)
      if (undo === undefined) return
      world.say("fault", undo.what)
      timeline.at(outside, timeline.now() + undo.millis, undo.end)
    })
    return { what: `${machine.id}, after its next ack`, millis: 0, end: nothing }
  }

/** The disk of a replica is gone. */
const loseDisk = (name: string, next: (machine: Machines.Machine, dice: Dice) => Disk.Disk | undefined): Fault =>
  onAny((machine) => (world, dice, options) => {
    const disk = isSpare(world, machine, options) ? next(machine, dice) : undefined
    if (disk === undefined) return undefined
    replaceDisk(world, machine, disk)
    world.happened(name)
    return { what: `${name}: ${machine.id}`, millis: downMillis(dice), end: startAgain(world, machine) }
  })

/** A copy of a replica's disk is started beside it; after a while one of the two is stopped for good. */
const clone: Fault = (world, dice, options) => {
  const machine = running(world, dice)
  if (machine === undefined || !isSpare(world, machine, options)) return undefined
  const copy = Machines.cloneOf(world.setting, machine, dice.between(-1, 1) * 1000, machine.disk.place + 100)
  world.clones.push(copy)
  Machines.start(world.setting, copy)
  world.happened("cloned")
  const isMoved = dice.chance(0.5)
  const end = (): void => endClone(world, machine, copy, isMoved)
  return { what: `${machine.id}${isMoved ? ", to stay" : ""}`, millis: dice.wait(4000), end }
}

/** Ends one of two processes with one id, and starts the other anew, as an operator is asked to. */
const endClone = (world: World, machine: Machines.Machine, copy: Machines.Machine, isMoved: boolean): void => {
  const at = world.clones.indexOf(copy)
  if (at < 0) return
  Machines.crash(world.setting, copy)
  world.clones.splice(at, 1)
  if (isMoved)
    replaceDisk(
      world,
      machine,
      Object.assign(Disk.holding(copy.disk.content, copy.disk.place), { written: copy.disk.written })
    )
  else {
    world.retired.push({ machine, content: copy.disk.content, at: world.timeline.now() })
    Machines.crash(world.setting, machine)
  }
  start(world, machine)
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
  pair_partition: partition("pair_partition", (from, to) => from + to === 1),
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
      start(world, machine)
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
    const end = () => world.machines.forEach((machine) => start(world, machine))
    return { what: "all", millis: downMillis(dice), end }
  },
  power_cut: onAny((machine) => (world, dice) => {
    world.happened("power_cut")
    Machines.powerCut(world.setting, machine)
    return { what: `power_cut: ${machine.id}`, millis: downMillis(dice), end: startAgain(world, machine) }
  }),
  power_cut_of_all: (world, dice) => {
    world.happened("power_cut_of_all")
    for (const machine of world.machines) Machines.powerCut(world.setting, machine)
    const end = () => world.machines.forEach((machine) => start(world, machine))
    return { what: "all", millis: downMillis(dice), end }
  },
  wipe: loseDisk("wipe", emptyDisk),
  restore: loseDisk("restore", ({ clock, copies, disk }, dice) => {
    if (copies.length === 0) return undefined
    // On another machine as often as on this one.
    if (dice.chance(0.5)) clock.jump(dice.between(-2000, 2000))
    return Disk.holding(Disk.copyOf(dice.pick(copies)), disk.place + 1)
  }),
  remove: (world, dice, options) => {
    const machine = running(world, dice)
    if (machine === undefined || !isSpare(world, machine, options)) return undefined
    const { disk } = machine
    disk.isRemoved = true
    const end = (): void => {
      if (machine.disk === disk) replaceDisk(world, machine, emptyDisk(machine))
      startAgain(world, machine)()
    }
    return { what: machine.id, millis: dice.wait(1500), end }
  },
  clone,
  damage: (world, dice, options) => {
    const machine = dice.pick(world.machines)
    const where = isSpare(world, machine, options) ? Disk.flip(machine.disk, machine.situation) : undefined
    // The store finds it when it reads there, at the latest after a start.
    return where === undefined ? undefined : { what: `${machine.id}, ${where}`, millis: 0, end: nothing }
  },
  clock_jump: (world, dice) => {
    const machine = dice.pick(world.machines)
    const millis =
      dice.pick([-1, 1]) * dice.pick([5000, 150_000, 0.1 * hour, hour, 30 * hour, 24 * 365 * 5 * hour]) * dice.next()
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
