/**
 * Has a peer told how far the own log is durable here, of which it gets what was only written: while there are commits the
 * pushes say it, and after the last one, which is followed by none, another greeting does.
 */
import { Effect, Latch } from "effect"
import * as EntryBatch from "../../log/EntryBatch.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"

/** Begins with what is durable now as told. `sent` is the last entry that was pushed. */
export const make = (
  logs: Pick<ReplicaLogs["Service"], "own" | "head">,
  sent: () => number,
  greetAgain: () => void
) => {
  const news = Latch.makeUnsafe(false)
  /** How far the peer was told. */
  let told = logs.head(logs.own).seq
  return {
    /** More of the own log is durable. */
    durably: (): void => void news.openUnsafe(),
    /** How far it is said to be durable in a push of this batch; `undefined` when that is all of it. */
    saidWith: (batch: EntryBatch.EntryBatch): number | undefined => {
      const { seq } = logs.head(logs.own)
      const last = EntryBatch.last(batch)
      const durable = seq < last ? seq : undefined
      told = Math.max(told, durable ?? last)
      return durable
    },
    /** Has the peer greeted when it was not told for a while. Never ends. */
    run: Effect.gen(function* () {
      while (true) {
        news.closeUnsafe()
        const { seq } = logs.head(logs.own)
        const isUnsaid = (): boolean => told < seq && seq <= sent()
        if (isUnsaid()) yield* Effect.sleep(restMillis)
        if (isUnsaid()) greetAgain()
        yield* news.await
      }
    })
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** How long nothing is pushed before the peer is told in another way what is durable here, in milliseconds. */
const restMillis = 10
