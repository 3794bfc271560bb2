/**
 * Decides, before a replica that recovered votes, what becomes of the entries that only it holds: see `OnlyHere`. What stays
 * is committed again under its own log, as the same versions, and what held it is given up.
 */
import { Effect, Result } from "effect"
import type * as Entry from "../../log/Entry.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { Membership } from "../Membership.ts"
import type { Keep } from "./Again.ts"
import * as Evidence from "./Evidence.ts"
import * as OneAtATime from "./OneAtATime.ts"
import * as OnlyHere from "./OnlyHere.ts"
import * as OwnStore from "./OwnStore.ts"

/** The work of one replica, shared by its replicators. `mayWrite` says whether it may append to its own log. */
export const make = (
  logs: ReplicaLogs["Service"],
  membership: Membership["Service"],
  store: OwnStore.OwnStore,
  keep: Keep,
  mayWrite: () => boolean
) => {
  const once = OneAtATime.make<"offering">()
  const { knownOf, questionOf } = Evidence.make(logs, store)

  const decide = Effect.fnUntraced(function* (found: OnlyHere.Tails) {
    const question = yield* questionOf(found)
    if (question instanceof OwnStore.OwnFault) return question
    const { keys, parts } = question
    const known = yield* knownOf(keys, found)
    if (known instanceof OwnStore.OwnFault) return known
    for (const { after, log, upTo } of parts) {
      const keeps = ({ entry }: { readonly entry: Entry.Entry }): boolean => OnlyHere.stays(entry, found, known)
      const fault = yield* keep({ log, after, upTo, because: "away", peer: null, keeps })
      if (fault !== undefined) return fault
      const gone = yield* store.once(`give up what only this replica holds of ${log}`, logs.giveUp(log, after, upTo))
      if (Result.isFailure(gone)) return new OwnStore.OwnFault()
    }
    // What was given up is asked for again: then there is nothing left.
    if (parts.length === 0) membership.offered()
    return undefined
  })

  /** Decides when it is time. An own fault ends it, and is returned. */
  return once(
    "offering",
    Effect.flatMap(membership.toOffer, (found): Effect.Effect<OwnStore.OwnFault | undefined> =>
      found === undefined || !mayWrite() ? Effect.undefined : decide(found)
    )
  )
}
