/**
 * NoPhantomAck: nobody is counted who did not durably append exactly that entry. Looked at when a run has ended, and
 * while replicas speak: an ack, every watermark in a handshake, and whoever a receipt counts is compared with the disk
 * of the one who says it, or of whom it is said.
 */
import { type Receipt, WriteId } from "@quorum/core"
import { Chain, type PeerProtocol, type Watermark } from "@quorum/core/adapter"
import * as Disk from "../Disk.ts"
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"
import type { Passing } from "../Network.ts"
import { machineOf, machinesOf, type World } from "../World.ts"

export const check = ({ history, holdings, lost, majority, world }: Evidence): ReadonlyArray<string> => {
  // What a replica took alone until it heard that it was left out may be dropped.
  const leftOut = new Set(Array.from(world.leftOut.values(), ({ machine }) => machine.id))
  return History.committed(history).flatMap(({ acked, id, w, writeId }) => {
    const held = new Set(
      [...Array.from(holdings, ([machine, holding]) => ({ machine, holding })), ...lost]
        .filter(({ holding }) => holding.has(writeId!))
        .map(({ machine }) => machine.id)
    )
    const phantoms = acked.filter((replica) => !held.has(replica) && (w >= majority || !leftOut.has(replica)))
    return phantoms.length === 0
      ? []
      : [`operation ${id} counts ${phantoms.join(", ")} for ${writeId}, which never held it`]
  })
}

/** Whether a disk holds a write. */
export const holds = (content: Disk.Content, writeId: WriteId.WriteId): boolean => {
  const { check, log, seq } = WriteId.place(writeId)
  return Disk.holds(content, log, seq, check)
}

/** Looks at a receipt when it is made: whoever it counts holds the write, or has lost the disk that did since. */
export const onReceipt = (world: World, { acked, writeId }: Receipt.Receipt, askedAt: number): void => {
  for (const { replica } of acked) {
    const isHeld = machinesOf(world, replica).some(({ disk }) => holds(disk.content, writeId))
    const isLost = world.retired.some(
      ({ at, content, machine }) => machine.id === replica && at >= askedAt && holds(content, writeId)
    )
    if (isHeld || isLost) continue
    world.violated("NoPhantomAck", `a receipt counts ${replica} for ${writeId}, which does not hold it`)
  }
}

/** Looks at what replicas said of a receipt, when it is answered: who is said to hold it does, or did until its disk was lost. */
export const onVerification = (world: World, { copies, writeId }: Receipt.Verification): void => {
  for (const [replica, state] of Object.entries(copies)) {
    if (state !== "held" && state !== "superseded") continue
    const id = world.members.find((member) => member === replica)
    const isHeld = id !== undefined && machinesOf(world, id).some(({ disk }) => holds(disk.content, writeId))
    const isLost = world.retired.some(({ content, machine }) => machine.id === replica && holds(content, writeId))
    if (!isHeld && !isLost) world.violated("NoPhantomAck", `${replica} is said to hold ${writeId}, and does not`)
  }
}

/** Looks at a message. */
export const onPassing = (world: World, { answer, by, from, name, request }: Passing): void => {
  const content = machineOf(world, by)?.disk.content
  if (content === undefined) return
  const expect = ({ chain, log, seq }: Watermark.Watermark, where: string): void => {
    if (Disk.holds(content, log, seq, Chain.check(chain))) return
    world.violated("NoPhantomAck", `${from} says in ${where} that it holds ${log} up to ${seq}, and does not`)
  }
  if (name === "push" && answer !== undefined) expect(answer as PeerProtocol.Ack, "an ack")
  if (name !== "hello") return
  for (const said of ((answer ?? request) as PeerProtocol.Hello).vector) expect(said, "a handshake")
}
