/**
 * Looks at what replicas tell each other while they do: an ack, and every watermark in a handshake, speaks of what the
 * one who says it holds durably (NoPhantomAck at its source).
 */
import { type PeerProtocol, type Watermark } from "@quorum/core/adapter"
import * as Disk from "../Disk.ts"
import type { Passing } from "../Network.ts"
import type { World } from "../World.ts"

/** Looks at a message. */
export const onPassing = (world: World, { answer, from, name, request }: Passing): void => {
  const isHeld = ({ chain, log, seq }: Watermark.Watermark): boolean =>
    Disk.chainAt(world.machine(from).disk.content, log, seq) === chain
  const expect = (said: Watermark.Watermark, where: string): void => {
    if (isHeld(said)) return
    world.violated("NoPhantomAck", `${from} says in ${where} that it holds ${said.log} up to ${said.seq}, and does not`)
  }
  if (name === "push" && answer !== undefined) expect(answer as PeerProtocol.Ack, "an ack")
  if (name === "hello") {
    const { vector } = (answer ?? request) as PeerProtocol.Hello | PeerProtocol.Welcome
    for (const said of vector) expect(said, "a handshake")
  }
}
