/**
 * The machines of a run: each has a clock and a disk, and runs one replica, or none. A process that crashes does nothing
 * any more, not even what it would do to end in order.
 */
import {
  type ClientSessions,
  type QuorumPolicy,
  type QuorumWriter,
  type Records,
  Replica,
  type ReplicaEvents,
  type ReplicaId,
  ReplicaSet,
  type ReplicaStatus
} from "@quorum/core"
import {
  Compaction,
  type EntryBatch,
  Floor,
  PeerHandler,
  PeerTransport,
  RecordIndex,
  ReplicaStore
} from "@quorum/core/adapter"
import { Cause, Clock, Context, Effect, Exit, Layer, Logger, Random, References, Scheduler, Scope } from "effect"
import * as Dice from "./Dice.ts"
import * as Disk from "./Disk.ts"
import type * as Held from "./Held.ts"
import * as MachineClock from "./MachineClock.ts"
import type * as Network from "./Network.ts"
import * as Store from "./Store.ts"
import * as Timeline from "./Timeline.ts"

/** What an application gets of a replica. */
export type Services =
  | QuorumWriter.QuorumWriter
  | Records.Records
  | ClientSessions.ClientSessions
  | ReplicaStatus.ReplicaStatus
  | ReplicaEvents.ReplicaEvents

/** A process that runs a replica, or did. */
export interface Process {
  readonly owner: Timeline.Owner
  readonly context: Context.Context<never>
  readonly scope: Scope.Closeable
  /** Absent while it starts. */
  services: Context.Context<Services> | undefined
  isStopping: boolean
  /** Called when it is gone. */
  readonly onGone: Set<() => void>
}

/** A machine. */
export interface Machine {
  readonly id: ReplicaId.ReplicaId
  readonly clock: MachineClock.MachineClock
  readonly situation: Disk.Situation
  disk: Disk.Disk
  /** Copies of its disk that were made now and then. */
  readonly copies: Array<Disk.Content>
  /** The index of its records, as long as it is as good as the disk. */
  index: RecordIndex.RecordIndex["Service"]
  boot: number
  process: Process | undefined
  /** How many processes it has run. */
  runs: number
}

/** How replicas compact their logs in seconds instead of hours. */
export type Compacts = Context.Service.Shape<typeof Compaction.CompactionPace>

/** Looks at what happens to the disks of machines, as it happens. */
export interface Watch {
  /** A batch has become durable, or was put in the place of what was. */
  readonly onHeld: (machine: Machine, batch: EntryBatch.EntryBatch) => void
  /** Something was noted. */
  readonly onNoted: (machine: Machine, notes: Readonly<Record<string, string>>) => void
  /** Entries are about to be erased. */
  readonly onErased: (machine: Machine, going: ReadonlyArray<Held.Held>) => void
  /** A log is about to be cut. */
  readonly onCut: (machine: Machine) => void
}

/** What machines are part of. */
export interface Setting {
  readonly seed: number
  readonly members: ReadonlyArray<ReplicaId.ReplicaId>
  readonly policy: QuorumPolicy.QuorumPolicy | undefined
  readonly options: Replica.Options
  /** How old a stamp may be, and how far floors are behind the time, in milliseconds. */
  readonly horizonMillis: number
  readonly timeline: Timeline.Timeline
  readonly network: Network.Network
  readonly onFault: (fault: string) => void
  readonly compacts: Compacts | undefined
  /** What any disk of the run has erased. */
  readonly erased: Held.Erased
  /** Looks at what happens to the disks. */
  readonly watch: Watch
  /** Writes a line of the trace; `undefined` when nobody reads it. */
  readonly trace: ((who: string, line: string) => void) | undefined
  /** Something happened that may not: in a process, a defect or a start that failed for no reason. */
  readonly onDefect: (who: string, detail: string) => void
}

/** The name of the replica set of a run. */
export const cluster = "simulated"

/** A machine whose replica does not run yet. */
export const make = (
  setting: Setting,
  id: ReplicaId.ReplicaId,
  offsetMillis: number,
  rate: number,
  { founded, hasSteps }: { readonly founded: boolean; readonly hasSteps: boolean }
): Machine => {
  const { erased, onFault, seed, timeline } = setting
  const clock = MachineClock.make(timeline, offsetMillis, rate)
  const situation: Unwatched = {
    cluster,
    replica: id,
    timeline,
    dice: Dice.make(seed, `disk ${id}`),
    clock,
    hasSteps,
    erased,
    onFault
  }
  return machineWith(setting, id, clock, situation, (all) => Disk.make(all, 1, 1, founded))
}

/** Another machine, whose clock is wrong by `offsetMillis`, with a copy of the disk of one. */
export const cloneOf = (setting: Setting, machine: Machine, offsetMillis: number, place: number): Machine => {
  const { disk, id, situation } = machine
  const clock = MachineClock.make(setting.timeline, offsetMillis, 1)
  const copy = Disk.holding(Disk.copyOf(disk.content), place)
  const clone = machineWith(setting, id, clock, { ...situation, clock }, () => copy)
  // Its processes draw other names than those of the first.
  return Object.assign(clone, { runs: 1000 })
}

type Unwatched = Omit<Disk.Situation, keyof Watch>

const machineWith = (
  { watch }: Setting,
  id: ReplicaId.ReplicaId,
  clock: MachineClock.MachineClock,
  unwatched: Unwatched,
  diskOf: (situation: Disk.Situation) => Disk.Disk
): Machine => {
  const situation: Disk.Situation = {
    ...unwatched,
    onHeld: (batch) => watch.onHeld(machine, batch),
    onNoted: (notes) => watch.onNoted(machine, notes),
    onErased: (going) => watch.onErased(machine, going),
    onCut: () => watch.onCut(machine)
  }
  const machine: Machine = {
    id,
    clock,
    situation,
    disk: diskOf(situation),
    copies: [],
    index: Store.slowIndex(situation),
    boot: 1,
    process: undefined,
    runs: 0
  }
  return machine
}

/** Whether a replica counts for nothing, because something may be missing from its disk; it need not know that yet. */
export const isRecovering = ({ disk: { content, place } }: Machine): boolean =>
  content.place !== place || (content.notes.get(Disk.blank) ?? "") !== ""

/** Starts a process, unless there is one. It is of use when it has `services`. */
export const start = (setting: Setting, machine: Machine): void => {
  if (machine.process !== undefined) return
  const { compacts, horizonMillis, members, network, onDefect, options, policy, trace } = setting
  const { id } = machine
  machine.runs++
  const owner = Timeline.owner(id)
  trace?.(id, `starts, run ${machine.runs}`)
  const context = Context.add(
    contextOf(setting, owner, machine.clock, `process ${id} ${machine.runs}`),
    Floor.StampHorizon,
    horizonMillis
  ) as Context.Context<never>
  const process: Process = {
    owner,
    context,
    scope: Effect.runSync(Scope.make()),
    services: undefined,
    isStopping: false,
    onGone: new Set()
  }
  machine.process = process
  const store = Store.open(machine.disk, machine.boot, owner, machine.situation)
  const compacting = compacts === undefined ? Layer.empty : Layer.succeed(Compaction.CompactionPace, compacts)
  const layer = Replica.layer({ ...(policy === undefined ? {} : { policy }), ...options }).pipe(
    Layer.provide([
      Layer.succeed(RecordIndex.RecordIndex, machine.index),
      Layer.succeed(ReplicaStore.ReplicaStore, store),
      Layer.succeed(PeerTransport.PeerTransport, network.transport(id, owner)),
      ReplicaSet.layer({ cluster, self: id, members }),
      compacting
    ])
  )
  const fiber = Effect.runForkWith(context)(Layer.buildWithScope(layer, process.scope))
  fiber.addObserver((exit) => {
    if (!owner.isAlive) return
    if (Exit.isFailure(exit)) {
      onDefect(id, `does not start: ${Cause.pretty(exit.cause)}`)
      return end(setting, machine, false)
    }
    process.services = exit.value
    network.register(id, { owner, handler: Context.get(exit.value, PeerHandler.PeerHandler), context })
    trace?.(id, "serves")
  })
}

/** The process is gone at once. What was under way on the disk is lost or not. */
export const crash = (setting: Setting, machine: Machine): void => {
  if (machine.process === undefined) return
  setting.trace?.(machine.id, "crashes")
  Disk.crash(machine.disk, machine.situation)
  end(setting, machine, false)
}

/** The machine loses its power, and is started anew later. */
export const powerCut = (setting: Setting, machine: Machine): void => {
  setting.trace?.(machine.id, "loses its power")
  Disk.powerCut(machine.disk, machine.situation)
  machine.boot++
  // An index needs no sync: what it lost is built again.
  machine.index = Store.slowIndex(machine.situation)
  end(setting, machine, true)
}

/** Stops the process in order, however long that takes. */
export const stop = (setting: Setting, machine: Machine): void => {
  const { process } = machine
  if (process === undefined || process.isStopping) return
  process.isStopping = true
  setting.trace?.(machine.id, "is stopped")
  // Whatever serves a replica, to peers and to clients, is closed before it.
  setting.network.gone(process.owner, false)
  Effect.runForkWith(process.context)(Scope.close(process.scope, Exit.void)).addObserver(() => {
    if (machine.process !== process) return
    setting.trace?.(machine.id, "has stopped")
    // What is under way on the disk does not wait for a process that is gone.
    Disk.crash(machine.disk, machine.situation)
    end(setting, machine, false)
  })
}

/** Puts another disk in; the process has to be gone. */
export const replaceDisk = (machine: Machine, disk: Disk.Disk): void => {
  machine.disk = disk
  machine.index = Store.slowIndex(machine.situation)
}

/** What an owner's fibers run with: its scheduler, its clock, its randomness, its log. */
export const contextOf = (
  { onDefect, seed, timeline, trace }: Pick<Setting, "onDefect" | "seed" | "timeline" | "trace">,
  owner: Timeline.Owner,
  clock: MachineClock.MachineClock,
  name: string
): Context.Context<never> => {
  const logger = Logger.make(({ logLevel, message }) => {
    const text = Array.isArray(message) ? message.map(String).join(" ") : String(message)
    trace?.(owner.name, `[${logLevel}] ${text}`)
    // Of an index no run damages anything.
    if (text.startsWith("the record index is damaged")) onDefect(owner.name, `says: ${text}`)
  })
  return Context.empty().pipe(
    Context.add(Scheduler.Scheduler, timeline.scheduler(owner)),
    Context.add(Clock.Clock, clock.service(owner)),
    Context.add(Random.Random, Dice.asRandom(Dice.make(seed, name))),
    Context.add(References.CurrentLoggers, new Set([logger])),
    Context.add(References.MinimumLogLevel, trace === undefined ? "Error" : "Info")
  ) as Context.Context<never>
}

// ---------------------------------------------------------------------------------------------------------------------

const end = ({ network }: Setting, machine: Machine, silently: boolean): void => {
  const { process } = machine
  if (process === undefined) return
  process.owner.isAlive = false
  machine.process = undefined
  network.gone(process.owner, silently)
  for (const each of process.onGone) each()
}
