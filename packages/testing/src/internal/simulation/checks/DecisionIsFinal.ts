/** DecisionIsFinal: met stays met, and what came after the deadline has met nothing. */
import { QuorumWriter, WriteId } from "@quorum/core"
import { Effect, Result } from "effect"
import type { Evidence } from "../Evidence.ts"
import * as Held from "../Held.ts"
import * as History from "../History.ts"
import type { World } from "../World.ts"

export const check = ({ ackTimeoutMillis, history }: Evidence): ReadonlyArray<string> =>
  History.committed(history).flatMap(({ id, slowestMillis }) =>
    slowestMillis <= ackTimeoutMillis
      ? []
      : [`operation ${id} counts an ack that came ${slowestMillis.toFixed(1)} ms after it was waited for`]
  )

/** Met stays met: whoever is asked says that what was acknowledged is committed. */
export const ask = Effect.fnUntraced(function* (world: World, history: History.History) {
  const dice = world.dice("statuses")
  const majority = Math.floor(world.members.length / 2) + 1
  const strong = History.committed(history).filter(({ w }) => w >= majority)
  // A replica knows of the others what they said last.
  yield* Effect.sleep(heartbeatsMillis)
  for (let left = Math.min(8, strong.length); left > 0; left--) {
    const { id, writeId } = dice.pick(strong)
    const at = dice.pick(world.members)
    const ask = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) => writer.status(writeId!))
    const result = yield* Effect.result(world.at(at, ask))
    if (Result.isSuccess(result) && result.success.committed && result.success.writeId === writeId) continue
    // What is compacted was held by all; it is looked at elsewhere whether it was.
    const { log, seq } = WriteId.place(writeId!)
    const isGone = world.setting.erased.has(Held.placeOf(log, seq))
    if (Result.isFailure(result) && result.failure._tag === "WriteCompacted" && isGone) continue
    const said = Result.isSuccess(result) ? `only ${result.success.holders.join(", ")} hold it` : result.failure.message
    world.violated("DecisionIsFinal", `operation ${id} was acknowledged, and ${at} says: ${said}`)
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** Some heartbeats, in milliseconds. */
const heartbeatsMillis = 3500
