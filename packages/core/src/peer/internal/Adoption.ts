/**
 * Brings a copy that may be old up to what the members have erased: a store that was restored, copied or put back, or of
 * which a part was lost, may hold what was deleted since, while the delete is forgotten everywhere.
 *
 * It goes over all logs of one voting member and erases what is erased there. That is enough: a delete is forgotten when
 * every member has swept what it deleted, so the member has erased it, or the delete is not forgotten by anybody who
 * knows of this life of the replica. Whoever recovers, and takes entries from such a copy, is one too (decision 0058).
 */
import { Effect, Result } from "effect"
import * as EntryBatch from "../../log/EntryBatch.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as Watermark from "../../log/Watermark.ts"
import type { Membership } from "../Membership.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import { faultOf, type Source } from "./CatchUp.ts"
import * as ForkSearch from "./ForkSearch.ts"
import * as OneAtATime from "./OneAtATime.ts"
import type * as OwnStore from "./OwnStore.ts"

/** Adopts what the peers of one replica have erased, from one of them at a time. */
export const make = (logs: ReplicaLogs["Service"], membership: Membership["Service"], store: OwnStore.OwnStore) => {
  const once = OneAtATime.make<"adopting">()
  const { forkOf } = ForkSearch.make(logs)
  /**
   * Takes over what is erased of a log, up to where both hold it, or to where the two differ: of those one gives its side
   * up, and what it holds comes again as new entries. False when the peer does not give it today, or nobody can tell yet
   * where they differ.
   */
  const take = Effect.fnUntraced(function* (source: Source, session: string, { log, seq }: Watermark.Watermark) {
    const { batchBytes, client, peer } = source
    let last = seq
    for (let at = 0; at < Math.min(last, logs.head(log).seq);) {
      const answer = yield* Effect.result(client.pull({ session, log, after: at, maxBytes: batchBytes() }))
      if (Result.isFailure(answer)) {
        if (answer.failure._tag !== "StoreError") return yield* answer.failure
        return false
      }
      const { batch } = answer.success
      const fault = batch === null ? "it has none" : faultOf(batch, log, at)
      if (batch === null || fault !== undefined) {
        yield* Effect.logError(`cannot compare ${log} with ${peer}: ${fault}`)
        return false
      }
      const part = EntryBatch.upTo(batch, last)
      if (EntryBatch.erasedAt(part) !== undefined) {
        const put = yield* store.once(`erase entries of ${log}`, logs.adopt(part))
        if (Result.isFailure(put) && put.failure._tag === "OwnFault") return put.failure
        if (Result.isFailure(put) && put.failure._tag === "AppendDrift") {
          const fork = yield* forkOf({ source, session, log }, Math.min(last, logs.head(log).seq))
          if (fork === undefined || fork === "unknown" || fork.seq > last) return false
          last = fork.seq - 1
          continue
        }
        if (Result.isFailure(put)) return false
      }
      at = EntryBatch.last(part)
    }
    return true
  })

  /** Takes over all that a voting peer has erased. An own fault ends it, and is returned. */
  return Effect.fnUntraced(function* (source: Source, { session, vector, voting }: PeerProtocol.Welcome) {
    if (!voting || !membership.isStale()) return undefined
    const { peer } = source
    return yield* once(
      "adopting",
      Effect.gen(function* () {
        const life = logs.identity.incarnation
        const borrowed = membership.borrowed()
        yield* Effect.logInfo(`comparing all that is held with what ${peer} has erased`)
        for (const watermark of vector) {
          const taken = yield* take(source, session, watermark)
          if (taken === false) return undefined
          if (taken !== true) return taken
        }
        yield* logs.tellErased
        // Of another life it may be another copy.
        if (life === logs.identity.incarnation) membership.adopted(borrowed)
        return undefined
      }).pipe(Effect.ensuring(logs.tellErased))
    )
  })
}
