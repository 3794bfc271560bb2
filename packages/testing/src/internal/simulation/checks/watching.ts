/** The promises that are looked at while a run goes on. */
import type { Receipt } from "@quorum/core"
import type { EntryBatch, PeerProtocol } from "@quorum/core/adapter"
import * as EverHeld from "../EverHeld.ts"
import type * as Held from "../Held.ts"
import type { Machine } from "../Machines.ts"
import type { Passing } from "../Network.ts"
import type { Owner } from "../Timeline.ts"
import { machineOf, type World } from "../World.ts"
import * as Bounded from "./Bounded.ts"
import * as BoundedClocks from "./BoundedClocks.ts"
import * as CatchUpSkipsNothing from "./CatchUpSkipsNothing.ts"
import * as DamageIsLocal from "./DamageIsLocal.ts"
import * as ErasedIsSuperseded from "./ErasedIsSuperseded.ts"
import * as FrontierIsHeld from "./FrontierIsHeld.ts"
import * as LeftOutByMajority from "./LeftOutByMajority.ts"
import * as NoFalseDoubt from "./NoFalseDoubt.ts"
import * as NoPhantomAck from "./NoPhantomAck.ts"
import * as RecoveringDoesNotVote from "./RecoveringDoesNotVote.ts"
import * as StableTimeIsStable from "./StableTimeIsStable.ts"

/** Looks at a message between replicas. */
export const onPassing = (world: World, message: Passing): void => {
  NoPhantomAck.onPassing(world, message)
  DamageIsLocal.onPassing(world, message)
  CatchUpSkipsNothing.onPassing(world, message)
  RecoveringDoesNotVote.onPassing(world, message)
  const { answer, by, from, name, request } = message
  if (name === "push" && answer !== undefined) BoundedClocks.onClock(world, from, (answer as PeerProtocol.Ack).clock)
  if (name !== "hello") return
  BoundedClocks.onClock(world, from, ((answer ?? request) as PeerProtocol.Hello).clock)
  // With every heartbeat a replica looks what is stable.
  const machine = machineOf(world, by)
  if (machine !== undefined) StableTimeIsStable.onSaid(world, machine)
}

/** Looks at a batch that a disk holds from now on. */
export const onHeld = (world: World, machine: Machine, batch: EntryBatch.EntryBatch): void => {
  StableTimeIsStable.beforeHeld(world, batch)
  const held = EverHeld.add(world, machine.id, batch)
  StableTimeIsStable.onHeld(world, machine, held)
  ErasedIsSuperseded.onHeld(world, machine, held)
}

/** Looks at what was noted on a disk. */
export const onNoted = (world: World, machine: Machine, notes: Readonly<Record<string, string>>): void => {
  LeftOutByMajority.onNoted(world, notes)
  NoFalseDoubt.onNoted(world, machine, notes)
  StableTimeIsStable.onNoted(world, machine, notes)
  ErasedIsSuperseded.onNoted(world, machine, notes)
}

/** Looks at entries that are about to be erased. */
export const onErased = (world: World, machine: Machine, going: ReadonlyArray<Held.Held>): void => {
  StableTimeIsStable.onSaid(world, machine)
  ErasedIsSuperseded.onErased(world, machine, going)
}

/** Looks at a disk of which a log is about to be cut. */
export const onCut = (world: World, machine: Machine): void => LeftOutByMajority.onCut(world, machine)

/** Looks at a receipt of something that was asked for at a time, when it is made, and by which process. */
export const onReceipt = (world: World, receipt: Receipt.Receipt, askedAt: number, by?: Owner): void => {
  NoPhantomAck.onReceipt(world, receipt, askedAt)
  RecoveringDoesNotVote.onReceipt(world, receipt, by)
}

/** Looks at the replicas as they are now; `isRare` for what costs more. */
export const onSample = (world: World, isRare: boolean): void => {
  Bounded.onSample(world)
  if (!isRare) return
  FrontierIsHeld.onSample(world)
  StableTimeIsStable.onSample(world)
}
