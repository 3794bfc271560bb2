/**
 * DamageIsLocal: damage of a copy that was found does not count as held, and nothing that is served is damaged.
 */
import { EntryBatch, type PeerProtocol, type Watermark } from "@quorum/core/adapter"
import { Result } from "effect"
import type { Passing } from "../Network.ts"
import { machineOf, type World } from "../World.ts"

/** What was being said when it was found is said all the same, for so many milliseconds. */
export const grace = 50

/** Looks at a message. */
export const onPassing = (world: World, { answer, by, from, name, request }: Passing): void => {
  const machine = machineOf(world, by)
  if (machine === undefined || machine.disk.content.flipped.size === 0) return
  const { found } = machine.disk
  const expect = ({ log, seq }: Watermark.Watermark, where: string): void => {
    const known = found.find(
      (range) => range.log === log && range.from <= seq && range.at < world.timeline.now() - grace
    )
    if (known === undefined) return
    world.violated(
      "DamageIsLocal",
      `${from} says in ${where} that it holds ${log} up to ${seq}; ${known.from} is damaged`
    )
  }
  if (name === "push" && answer !== undefined) expect(answer as PeerProtocol.Ack, "an ack")
  if (name === "hello")
    for (const said of ((answer ?? request) as PeerProtocol.Hello).vector) expect(said, "a handshake")
  const batch =
    name === "push" && answer === undefined
      ? (request as PeerProtocol.Push).batch
      : name === "pull" && answer !== undefined
        ? (answer as PeerProtocol.Pulled).batch
        : null
  if (batch === null) return
  if (Result.isFailure(EntryBatch.validate(batch))) {
    world.violated("DamageIsLocal", `${from} sends entries of ${batch.log} from ${batch.from} that are damaged`)
  }
}
