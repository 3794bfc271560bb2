/** What a log holds. */
import { Effect, Option } from "effect"
import { EntryBatch } from "../../src/adapter.ts"
import type * as Cluster from "./cluster.ts"

/** The places of the entries that a replica holds of a log, those that are erased left out. */
export const entriesOf = Effect.fnUntraced(function* ({ logs }: Cluster.Running, log = logs.own) {
  const seqs: Array<number> = []
  for (let at = 0; at < logs.head(log).seq;) {
    const batch = Option.getOrThrow(yield* logs.read(log, at, 1 << 20))
    EntryBatch.forEach(batch, (seq) => void seqs.push(seq))
    at = EntryBatch.last(batch)
  }
  return seqs
})
