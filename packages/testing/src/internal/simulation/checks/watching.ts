/** The promises that are looked at while a run goes on. */
import type { Receipt } from "@quorum/core"
import type { PeerProtocol } from "@quorum/core/adapter"
import type { Passing } from "../Network.ts"
import type { Owner } from "../Timeline.ts"
import type { World } from "../World.ts"
import * as Bounded from "./Bounded.ts"
import * as BoundedClocks from "./BoundedClocks.ts"
import * as CatchUpSkipsNothing from "./CatchUpSkipsNothing.ts"
import * as DamageIsLocal from "./DamageIsLocal.ts"
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
  const { answer, from, name, request } = message
  if (name === "push" && answer !== undefined) BoundedClocks.onClock(world, from, (answer as PeerProtocol.Ack).clock)
  if (name === "hello") BoundedClocks.onClock(world, from, ((answer ?? request) as PeerProtocol.Hello).clock)
}

/** Looks at a receipt of something that was asked for at a time, when it is made, and by which process. */
export const onReceipt = (world: World, receipt: Receipt.Receipt, askedAt: number, by?: Owner): void => {
  NoPhantomAck.onReceipt(world, receipt, askedAt)
  RecoveringDoesNotVote.onReceipt(world, receipt, by)
}

/** Looks at the replicas as they are now; `isRare` for what costs more. */
export const onSample = (world: World, isRare: boolean): void => {
  Bounded.onSample(world)
  LeftOutByMajority.onSample(world)
  if (!isRare) return
  FrontierIsHeld.onSample(world)
  StableTimeIsStable.onSample(world)
  NoFalseDoubt.onSample(world)
}
