/**
 * Faults by which a disk is lost, or what is on it: never of more replicas at once than the replica set can lose.
 */
import { LogId, QuorumPolicy, type ReplicaId } from "@quorum/core"
import { Result } from "effect"
import type { Dice } from "./Dice.ts"
import * as Disk from "./Disk.ts"
import { type Choice, downMillis, type Fault, nothing } from "./Fault.ts"
import * as Machines from "./Machines.ts"
import { type Link, soundLink } from "./Network.ts"
import type { World } from "./World.ts"

/** A machine whose replica runs, if there is one. */
export const running = (world: World, dice: Dice): Machines.Machine | undefined => {
  const found = world.machines.filter(({ process }) => process?.services !== undefined && !process.isStopping)
  return found.length === 0 ? undefined : dice.pick(found)
}

/** Starts the replica again, if it does not run. */
export const startAgain = (world: World, machine: Machines.Machine) => (): void => start(world, machine)

/** Starts a replica, on an empty disk when its folder was removed under it. */
export const start = (world: World, machine: Machines.Machine): void => {
  if (machine.process === undefined && machine.disk.isRemoved) replaceDisk(world, machine, emptyDisk(machine))
  Machines.start(world.setting, machine)
}

/** Whether so much may be lost of one replica: enough others are sure of what they acknowledged. */
const isSpare = (world: World, machine: Machines.Machine, options: Choice): boolean =>
  options.isReckless ||
  (areOthersSure(world, machine) && !isUnsure(world, machine) && !isAloneToRemember(world, machine))

/** Whether the disk of a replica may be lost. Who knows that it lacks something counts for nothing, and may lose all again. */
const isDiskSpare = (world: World, machine: Machines.Machine, options: Choice): boolean =>
  isSpare(world, machine, options) ||
  (Machines.isRecovering(machine) && !isDoubled(world, machine) && areOthersSure(world, machine))

const areOthersSure = (world: World, machine: Machines.Machine): boolean => {
  const { machines } = world
  const majority = Result.getOrThrow(QuorumPolicy.majority(machines.length)).w
  const others = machines.filter((other) => other !== machine && !isUnsure(world, other)).length
  return others >= machines.length - majority + 1
}

/** Puts another disk in, and keeps in mind what the one before held. */
export const replaceDisk = (world: World, machine: Machines.Machine, disk: Disk.Disk): void => {
  const { content } = machine.disk
  // Before the crash, in which what was written to it may become durable: a doubt about what is lost here, say.
  world.retired.push({ machine, content, at: world.timeline.now(), isForgotten: disk.putBack !== undefined })
  Machines.crash(world.setting, machine)
  Machines.replaceDisk(machine, disk)
}

/** An empty disk for a machine, in another place than the one before. */
export const emptyDisk = ({ boot, disk, situation }: Machines.Machine): Disk.Disk =>
  Disk.make(situation, disk.place + 1, boot, false)

/** Does something to a machine now, or right after its next ack: what was said with that is worth most then. */
export const onAny =
  (act: (machine: Machines.Machine) => Fault, chanceNow = 0.6): Fault =>
  (world, dice, options) => {
    const { afterAck, outside, timeline } = world
    const machine = dice.pick(world.machines)
    if (dice.chance(chanceNow)) return act(machine)(world, dice, options)
    afterAck.set(machine.id, () => {
      const undo = act(machine)(world, dice, options)
      if (undo === undefined) return
      world.say("fault", undo.what)
      timeline.at(outside, timeline.now() + undo.millis, undo.end)
    })
    return { what: `${machine.id}, after its next ack`, millis: 0, end: nothing }
  }

/** The disk of a replica is gone. */
export const loseDisk = (
  name: string,
  next: (machine: Machines.Machine, dice: Dice, world: World) => Disk.Disk | undefined,
  millis: (dice: Dice) => number = downMillis,
  chanceNow?: number
): Fault =>
  onAny(
    (machine) => (world, dice, options) => {
      const disk = isDiskSpare(world, machine, options) ? next(machine, dice, world) : undefined
      if (disk === undefined) return undefined
      replaceDisk(world, machine, disk)
      world.happened(name)
      return { what: `${name}: ${machine.id}`, millis: millis(dice), end: startAgain(world, machine) }
    },
    chanceNow
  )

/**
 * A disk as it was a while ago, in its place. What its replica acked since is remembered by the owners of the logs alone
 * for about a heartbeat: of those none may have lost its disk too. Who acks what a member has forgotten looks like one
 * that is behind, so nothing can give it away. Most often it is as it was right before an ack, so that nothing else tells;
 * as often as not the machine is away for so long that the others take it in again at once; and as a rule the disk is slow
 * then, as a volume is that is read from a snapshot, so that what it lacks comes late.
 */
export const putBack: Fault = loseDisk(
  "put_back",
  (machine, dice, world) => {
    const { copies, disk } = machine
    const fitting = copies.filter(({ place }) => place === disk.place)
    const [newest] = fitting.slice(-1)
    if (newest === undefined) return undefined
    // As often as not the machine boots meanwhile.
    const isBooted = dice.chance(0.5)
    const content = Disk.copyOf(dice.chance(0.7) ? newest : dice.pick(fitting))
    const owners = logsOfMore(disk.content, content).map(LogId.owner)
    if (world.machines.some((other) => other !== machine && owners.includes(other.id) && isUnsure(world, other)))
      return undefined
    if (isBooted) machine.boot++
    const back = Object.assign(Disk.holding(content, disk.place), { putBack: content.incarnation })
    if (dice.chance(0.7)) {
      const until = world.timeline.now() + forgottenMillis + dice.wait(2000)
      back.slowMillis = dice.pick([20, 100, 300])
      world.timeline.at(world.outside, until, () => (back.slowMillis = 0))
    }
    return back
  },
  (dice) => (dice.chance(0.5) ? forgottenMillis : downMillis(dice)),
  0.3
)

/** A copy of a replica's disk is started beside it; after a while one of the two is stopped for good. */
export const clone: Fault = (world, dice, options) => {
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

/** A machine is off, and a copy of its disk runs elsewhere in its place, until that is stopped for good and the first boots. */
export const standIn: Fault = (world, dice, options) => {
  const machine = running(world, dice)
  if (machine === undefined || !isSpare(world, machine, options)) return undefined
  Machines.powerCut(world.setting, machine)
  const copy = Machines.cloneOf(world.setting, machine, dice.between(-1, 1) * 1000, machine.disk.place + 100)
  world.clones.push(copy)
  Machines.start(world.setting, copy)
  world.happened("stood_in")
  return { what: machine.id, millis: dice.wait(4000), end: () => endClone(world, machine, copy, false) }
}

/** Ends one of two processes with one id, and starts the other anew, as an operator is asked to. */
export const endClone = (world: World, machine: Machines.Machine, copy: Machines.Machine, isMoved: boolean): void => {
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

/**
 * A replica reaches nobody for a while, so that what it takes nobody else gets, and is down then for longer than the others
 * wait for it. Its disk counts as lost when they leave it out. As often as not whoever does so first is away itself from then
 * on, before it has told anybody, and the other is back at once.
 */
export const away: Fault = (world, dice, options) => {
  const machine = running(world, dice)
  if (machine === undefined || !isSpare(world, machine, options)) return undefined
  const { machines, outside, timeline, whenLeftOut } = world
  // While two of three are away nobody is left out.
  if (machines.some((other) => other !== machine && isAway(world, other)) && dice.chance(0.8)) return undefined
  const back = leave(world, machine, dice)
  // As often as not until the others have swept beyond what it took alone.
  const millis = dice.chance(0.5) ? 5000 + dice.wait(4000) : 15_000
  const inTurn = 5000 + dice.wait(4000)
  const isInTurn = dice.chance(0.5)
  if (isInTurn) {
    whenLeftOut.set(machine.id, (by) => {
      world.happened("away_in_turn")
      world.say("fault", `away in turn: ${by.id}`)
      timeline.at(outside, timeline.now() + inTurn, leave(world, by, dice))
      timeline.soon(outside, back)
    })
  }
  const end = (): void => {
    whenLeftOut.delete(machine.id)
    back()
  }
  return { what: `${machine.id}${isInTurn ? ", and who leaves it out in turn" : ""}`, millis, end }
}

/** Whether a replica is down, or reaches nobody. */
const isAway = ({ members, network }: World, { id, process }: Machines.Machine): boolean =>
  process === undefined || members.every((other) => other === id || network.link(id, other).blocked !== undefined)

/** A replica reaches nobody from now on, and is down soon. Returns what brings it back. */
const leave = (world: World, machine: Machines.Machine, dice: Dice): (() => void) => {
  const { members, network, outside, timeline } = world
  const ways = members.flatMap((other) =>
    other === machine.id ? [] : [network.link(machine.id, other), network.link(other, machine.id)]
  )
  for (const way of ways) way.blocked = "partition"
  const open = (): void => {
    for (const way of ways) if (way.blocked === "partition") way.blocked = undefined
  }
  const { process } = machine
  timeline.at(outside, timeline.now() + dice.wait(4000), () => {
    // All was mended meanwhile.
    if (ways.every((way) => way.blocked === undefined)) return
    if (machine.process === process) Machines.crash(world.setting, machine)
    open()
  })
  return () => {
    open()
    start(world, machine)
  }
}

/**
 * A replica reaches one other alone, which is far from the rest. When it has been silent to those for so long that they
 * forget its process, a machine in another place is put in for it right after an ack: that one reaches the rest, and not
 * yet the one to which it acked.
 */
export const move: Fault = (world, dice, options) => {
  const { afterAck, members, network, outside, timeline } = world
  if (Array.from(network.links()).some(({ base }) => base > soundLink().base)) return undefined
  // As V8 sorts: see what partitions are made of.
  const [near, far, ...rest] = members.toSorted(() => dice.next() - 0.5)
  if (near === undefined || far === undefined) return undefined
  const machine = world.machine(near)
  const between = (a: ReplicaId.ReplicaId, b: ReplicaId.ReplicaId) => [network.link(a, b), network.link(b, a)]
  const cut = rest.flatMap((other) => between(near, other))
  const slow = rest.flatMap((other) => between(far, other))
  const base = dice.pick([50, 150, 400])
  for (const way of cut) way.blocked = "partition"
  for (const way of slow) way.base = base
  const open = (ways: ReadonlyArray<Link>): void => {
    for (const way of ways) if (way.blocked === "partition") way.blocked = undefined
  }
  const since = timeline.now()
  const moved = (): void => {
    // All was mended meanwhile.
    if (cut.every((way) => way.blocked === undefined)) return
    if (timeline.now() - since < forgottenMillis) return void afterAck.set(near, moved)
    open(cut)
    if (!isDiskSpare(world, machine, options)) return
    for (const way of between(near, far)) way.blocked = "partition"
    replaceDisk(world, machine, emptyDisk(machine))
    world.happened("moved")
    world.say("fault", `moved: ${near}`)
    timeline.at(outside, timeline.now() + dice.wait(20), startAgain(world, machine))
  }
  afterAck.set(near, moved)
  const end = (): void => {
    if (afterAck.get(near) === moved) afterAck.delete(near)
    for (const way of slow) way.base = soundLink().base
    open([...cut, ...between(near, far)])
  }
  return { what: `${near}, away from ${far}`, millis: forgottenMillis + 1500 + dice.wait(1500), end }
}

/** The folder of a replica is removed under it. */
export const remove: Fault = (world, dice, options) => {
  const machine = running(world, dice)
  if (machine === undefined || !isSpare(world, machine, options)) return undefined
  const { disk } = machine
  disk.isRemoved = true
  const end = (): void => {
    if (machine.disk === disk) replaceDisk(world, machine, emptyDisk(machine))
    startAgain(world, machine)()
  }
  return { what: machine.id, millis: dice.wait(1500), end }
}

/** Bits of an entry are flipped. The store finds it when it reads there, at the latest after a start. */
export const damage: Fault = (world, dice, options) => {
  const machine = dice.pick(world.machines)
  if (!isSpare(world, machine, options)) return undefined
  // What only this disk holds may be gone for good, as that of one that is replaced.
  const content = Disk.copyOf(machine.disk.content)
  const where = Disk.flip(machine.disk, machine.situation)
  if (where === undefined) return undefined
  world.retired.push({ machine, content, at: world.timeline.now() })
  return { what: `${machine.id}, ${where}`, millis: 0, end: nothing }
}

/** Whether entries of a disk are damaged that no other member holds whole. */
export const isBeyondMending = ({ machines }: World, { disk, id }: Machines.Machine): boolean => {
  const isWhole = (content: Disk.Content, log: LogId.LogId, seq: number): boolean =>
    Disk.headOf(content, log).seq >= seq && !Disk.isFlipped(content, log, seq)
  return Array.from(disk.content.flipped).some(([log, seqs]) =>
    Array.from(seqs).some((seq) => machines.every((other) => other.id === id || !isWhole(other.disk.content, log, seq)))
  )
}

// ---------------------------------------------------------------------------------------------------------------------

/** How long a process has to be silent until those who knew it take another of its id for the one after it. */
const forgottenMillis = 3500

/**
 * Whether a replica may lack something that it was counted for, as far as a disk may be lost: it recovers, it is damaged,
 * another process has its id, or had it with a newer life.
 */
const isUnsure = (world: World, machine: Machines.Machine): boolean =>
  Machines.isRecovering(machine) ||
  isBehindItself(world, machine) ||
  Disk.isDamaged(machine.disk) ||
  machine.disk.isRemoved ||
  isDoubled(world, machine) ||
  isLeftOut(world, machine) ||
  world.retired.some(
    ({ content, machine: of }) => of.id === machine.id && content.incarnation > machine.disk.content.incarnation
  )

/** Whether the others go on without it. */
const isLeftOut = ({ leftOut }: World, machine: Machines.Machine): boolean =>
  Array.from(leftOut.values()).some(
    ({ machine: of, without }) => of === machine && without > machine.disk.content.incarnation
  )

/** Whether its disk was put back as it had been, lacks what it held before, and goes on as if it did not. */
const isBehindItself = (world: World, machine: Machines.Machine): boolean =>
  Disk.isUnaware(machine.disk, world.timeline.now()) || forgotten(world, machine).size > 0

/**
 * The owners of the logs of which a disk that was put back lacks what it held before, and goes on as if it did not. What
 * nobody else holds it was not counted for on a majority, and nobody will ever bring it.
 */
const forgotten = ({ machines, retired }: World, machine: Machines.Machine): ReadonlySet<ReplicaId.ReplicaId> => {
  const { content } = machine.disk
  const before = Disk.goesOnAsBefore(machine.disk) ? retired.filter((each) => each.machine === machine) : []
  const others = machines.filter((other) => other !== machine)
  return new Set(
    before.flatMap((each) =>
      logsOfMore(each.content, content)
        .filter((log) => others.some(({ disk }) => Disk.headOf(disk.content, log).seq > Disk.headOf(content, log).seq))
        .map(LogId.owner)
    )
  )
}

/** The logs of which the first of two disks holds more. */
const logsOfMore = (first: Disk.Content, second: Disk.Content): ReadonlyArray<LogId.LogId> =>
  Array.from(first.logs.keys()).filter((log) => Disk.headOf(first, log).seq > Disk.headOf(second, log).seq)

/** Whether another replica's disk was put back, and lacks what only this one may remember that it acked. */
const isAloneToRemember = (world: World, machine: Machines.Machine): boolean =>
  world.machines.some((other) => other !== machine && forgotten(world, other).has(machine.id))

/** Whether another process has its id. */
const isDoubled = ({ clones }: World, machine: Machines.Machine): boolean => clones.some(({ id }) => id === machine.id)
