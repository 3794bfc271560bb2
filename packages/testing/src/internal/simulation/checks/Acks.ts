/**
 * Looks at what replicas tell each other while they do: an ack, and every watermark in a handshake, speaks of what the
 * one who says it holds durably (NoPhantomAck at its source).
 */
import { type Receipt, WriteId } from "@quorum/core"
import { Chain, type PeerProtocol, type Watermark } from "@quorum/core/adapter"
import * as Disk from "../Disk.ts"
import * as BoundedClocks from "./BoundedClocks.ts"
import * as Nemesis from "../Nemesis.ts"
import type { Passing } from "../Network.ts"
import type { World } from "../World.ts"

/** Looks at a receipt when it is made: whoever it counts holds the write, or has lost the disk that did since. */
export const onReceipt = (world: World, { acked, writeId }: Receipt.Receipt, askedAt: number): void => {
  const { check, log, seq } = WriteId.place(writeId)
  const holds = (content: Disk.Content): boolean => {
    const chain = Disk.chainAt(content, log, seq)
    return chain !== undefined && Chain.check(chain) === check
  }
  for (const { replica } of acked) {
    const machine = world.machine(replica)
    const isLost = world.retired.some(
      ({ at, content, machine: of }) => of === machine && at >= askedAt && holds(content)
    )
    if (holds(machine.disk.content) || isLost) continue
    world.violated("NoPhantomAck", `a receipt counts ${replica} for ${writeId}, which does not hold it`)
  }
}

/** Looks at a message. */
export const onPassing = (world: World, { answer, from, name, request }: Passing): void => {
  const isHeld = ({ chain, log, seq }: Watermark.Watermark): boolean =>
    Disk.chainAt(world.machine(from).disk.content, log, seq) === chain
  const expect = (said: Watermark.Watermark, where: string): void => {
    if (isHeld(said)) return
    world.violated("NoPhantomAck", `${from} says in ${where} that it holds ${said.log} up to ${said.seq}, and does not`)
  }
  const isRecovering = (): boolean => Nemesis.isRecovering(world.machine(from))
  if (name === "push" && answer !== undefined) {
    const ack = answer as PeerProtocol.Ack
    expect(ack, "an ack")
    BoundedClocks.onClock(world, from, ack.clock)
    if (ack.voting && isRecovering()) world.violated("RecoveringDoesNotVote", `${from} acks as one that votes`)
  }
  if (name === "hello") {
    const { clock, vector } = (answer ?? request) as PeerProtocol.Hello | PeerProtocol.Welcome
    for (const said of vector) expect(said, "a handshake")
    BoundedClocks.onClock(world, from, clock)
  }
  if (answer !== undefined && !answersAnyway.has(name) && isRecovering()) {
    world.violated("RecoveringDoesNotVote", `${from} answers a ${name}`)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** What a replica answers that does not vote: it stores, and gives others what it holds. */
const answersAnyway: ReadonlySet<string> = new Set(["hello", "push", "pull"])
