/**
 * What goes wrong in a run: faults of the network, of disks, of clocks and of processes, drawn from a seed. Each run has
 * some of all kinds, because faults of one kind hide those of another. What was done is undone after a while.
 */
import { Effect } from "effect"
import type { Dice } from "./Dice.ts"
import * as Disk from "./Disk.ts"
import { type Choice, downMillis, type Fault, nothing, type Undo } from "./Fault.ts"
import * as Losses from "./Losses.ts"
import * as Machines from "./Machines.ts"
import { type Link, soundLink } from "./Network.ts"
import type { World } from "./World.ts"

/** The kinds of faults, and what each of them is counted as when it has happened. */
export const kinds = {
  loss: ["message_lost", "ack_lost"],
  delay: ["message_delayed"],
  overtaking: ["message_overtaken"],
  doubling: ["message_doubled"],
  slow_link: ["slow_link"],
  distant: ["distant"],
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
  replaced: ["replaced"],
  moved: ["moved"],
  restore: ["restore"],
  put_back: ["put_back"],
  remove: ["removed_folder"],
  clone: ["cloned"],
  stand_in: ["stood_in"],
  away: ["left_out", "away_in_turn"],
  damage: ["bit_flipped", "damage_found"],
  clock_jump: ["clock_jump"],
  clock_drift: ["clock_drift"]
} as const

/** A kind of fault. */
export type Kind = keyof typeof kinds

/** All kinds. */
export const all = Object.keys(kinds) as ReadonlyArray<Kind>

/**
 * Kinds that any others may come with. Who is away is so for longer than most runs: it has runs of its own. A store that is
 * put back byte for byte shows it to nobody but those who remember more: it asks them when it starts, and waits for none of
 * them.
 */
export const usual: ReadonlyArray<Kind> = all.filter((kind) => kind !== "put_back" && kind !== "away")

/** Kinds that matter together: what one of them does shows by another. */
export const mixes: ReadonlyArray<ReadonlyArray<Kind>> = [
  ["replaced", "slow_link"],
  ["replaced", "partition", "slow_disk", "slow_link"],
  ["replaced", "one_way_partition", "pause"],
  ["replaced", "distant"],
  ["moved"],
  ["wipe", "replaced", "clock_jump", "pair_partition"],
  ["wipe", "pair_partition", "slow_link"],
  ["wipe", "pair_partition", "one_way_partition", "slow_link"],
  ["wipe", "restore", "remove", "bridge_partition", "slow_link"],
  ["wipe", "pause", "delay", "broken_connection"],
  ["clone", "partition", "clock_jump"],
  ["stand_in", "slow_link"],
  ["put_back", "append_error", "clock_jump"],
  ["damage", "crash", "power_cut", "partition"],
  ["power_cut_of_all", "clock_jump", "partition"],
  ["crash_of_all", "power_cut", "uncertain_append", "slow_disk"],
  ["stop", "crash", "full_disk", "append_error"]
]

/** Which faults a run has, and how often. */
export interface Options extends Choice {
  readonly kinds: ReadonlyArray<Kind>
  /** The mean time from one to the next, in milliseconds. */
  readonly everyMillis: number
}

/** Kinds by which no disk is lost, nor what is on it. */
export const ofNoDisk: ReadonlyArray<Kind> = usual.filter(
  (kind) => !["wipe", "replaced", "moved", "restore", "remove", "clone", "stand_in", "damage"].includes(kind)
)

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
  world.whenLeftOut.clear()
  world.network.mend()
  for (const copy of Array.from(world.clones)) Losses.endClone(world, world.machine(copy.id), copy, false)
  for (const machine of world.machines) {
    machine.clock.mend()
    // What is damaged stays: it is found soon after a start, and mended by itself. What no member has an operator gives up.
    if (machine.disk.isRemoved || Losses.isBeyondMending(world, machine))
      Losses.replaceDisk(world, machine, Losses.emptyDisk(machine))
    Object.assign(machine.disk, { slowMillis: 0, isFull: false })
    machine.disk.faults.length = 0
    if (machine.process?.owner.paused !== undefined) world.timeline.unpause(machine.process.owner)
    // An append that was uncertain leaves a store that has to be opened again.
    if (machine.disk.isRefusing || Disk.isDamaged(machine.disk)) Machines.crash(world.setting, machine)
    // Who is still stopping is started when it has stopped.
    if (machine.process?.isStopping === true) machine.process.onGone.add(Losses.startAgain(world, machine))
    else Losses.start(world, machine)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

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
    // By a comparator that contradicts itself: how often it is asked, and what comes of that, is as V8 sorts. Another way to
    // shuffle would change what every seed means.
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
    const machine = Losses.running(world, dice)
    if (machine === undefined) return undefined
    const { what, ...undo } = act(machine, world, dice)
    return { what: what === undefined ? machine.id : `${machine.id}, ${what}`, ...undo }
  }

const hour = 3_600_000

const faults: Readonly<Record<Kind, Fault>> = {
  loss: onLinks("loss", (_, dice) => ({ loss: dice.pick([0.02, 0.2, 0.6]) }), { loss: 0 }),
  delay: onLinks("delay", (_, dice) => ({ delay: dice.pick([0.05, 0.5]) }), { delay: 0 }),
  overtaking: onLinks("overtaking", () => ({ overtaking: true, jitter: 20 }), { overtaking: false, jitter: 0.6 }),
  doubling: onLinks("doubling", (_, dice) => ({ doubling: dice.pick([0.05, 0.5]) }), { doubling: 0 }),
  slow_link: onLinks("slow", (_, dice) => ({ base: dice.pick([10, 100, 900]) }), { base: 0.2 }),
  // One replica is far from all others but one, while nothing else is.
  distant: (world, dice) => {
    const { members, network } = world
    if (Array.from(network.links()).some(({ base }) => base > soundLink().base)) return undefined
    const from = dice.pick(members)
    const near = dice.pick(members)
    const base = dice.pick([50, 150, 400])
    const ways = members.flatMap((to) =>
      to === from || to === near ? [] : [network.link(from, to), network.link(to, from)]
    )
    for (const way of ways) way.base = base
    world.happened("distant")
    const end = (): void => ways.forEach((way) => (way.base = soundLink().base))
    return { what: `${from}, not from ${near}, by ${base} ms`, millis: dice.wait(4000), end }
  },
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
      Losses.start(world, machine)
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
    return { millis: downMillis(dice), end: Losses.startAgain(world, machine) }
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
      Losses.startAgain(world, machine)()
    }
    return { millis: 3500 + downMillis(dice), end }
  }),
  crash_of_all: (world, dice) => {
    world.happened("crash_of_all")
    for (const machine of world.machines) Machines.crash(world.setting, machine)
    const end = () => world.machines.forEach((machine) => Losses.start(world, machine))
    return { what: "all", millis: downMillis(dice), end }
  },
  power_cut: Losses.onAny((machine) => (world, dice) => {
    world.happened("power_cut")
    Machines.powerCut(world.setting, machine)
    return { what: `power_cut: ${machine.id}`, millis: downMillis(dice), end: Losses.startAgain(world, machine) }
  }),
  power_cut_of_all: (world, dice) => {
    world.happened("power_cut_of_all")
    for (const machine of world.machines) Machines.powerCut(world.setting, machine)
    const end = () => world.machines.forEach((machine) => Losses.start(world, machine))
    return { what: "all", millis: downMillis(dice), end }
  },
  wipe: Losses.loseDisk("wipe", Losses.emptyDisk),
  // Another machine in its place, soon as a rule, which some of the others do not reach at first.
  replaced: Losses.loseDisk(
    "replaced",
    (machine, dice, { members, network, timeline, outside }) => {
      const only = dice.chance(0.5) ? dice.pick(members) : undefined
      for (const other of members) {
        if (other === machine.id || (only === undefined ? dice.chance(0.6) : other !== only)) continue
        const ways = [network.link(machine.id, other), network.link(other, machine.id)]
        for (const way of ways) way.blocked = "partition"
        const until = timeline.now() + dice.wait(2000)
        timeline.at(outside, until, () => ways.forEach((way) => (way.blocked = undefined)))
      }
      return Losses.emptyDisk(machine)
    },
    (dice) => dice.wait(dice.pick([20, 20, 200, 3000]))
  ),
  moved: Losses.move,
  restore: Losses.loseDisk("restore", ({ clock, copies, disk }, dice) => {
    if (copies.length === 0) return undefined
    // On another machine as often as on this one.
    if (dice.chance(0.5)) clock.jump(dice.between(-2000, 2000))
    return Disk.holding(Disk.copyOf(dice.pick(copies)), disk.place + 1)
  }),
  put_back: Losses.putBack,
  remove: Losses.remove,
  clone: Losses.clone,
  stand_in: Losses.standIn,
  away: Losses.away,
  damage: Losses.damage,
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
