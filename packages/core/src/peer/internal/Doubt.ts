/**
 * Whether what a peer says shows that something is missing here: places that were given away, or entries that were acked.
 */
import type { LogId } from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { VersionVector } from "../../log/Watermark.ts"
import type { Said } from "../Greeting.ts"
import type * as Kept from "./Kept.ts"

/** Why, if there is a reason; what this replica acked counts only where the peer `isAsked` about this life of it. */
export const of = (
  logs: ReplicaLogs["Service"],
  kept: Kept.Kept,
  { remembered, replica, vector }: Pick<Said, "remembered" | "replica" | "vector">,
  isAsked: boolean
) => ofPlaces(logs, replica, vector) ?? (isAsked ? ofAcks(logs, kept, replica, remembered) : undefined)

// ---------------------------------------------------------------------------------------------------------------------

/** The peer holds more of this replica's own log than this replica does. */
const ofPlaces = (logs: ReplicaLogs["Service"], replica: ReplicaId, vector: VersionVector) => {
  const mine = vector.find(({ log }) => log === logs.own)
  const end = logs.end(logs.own).seq
  // Where a log ends whose end is damaged nobody can tell.
  if (mine === undefined || mine.seq <= end || logs.damageAt(logs.own, end) !== undefined) return undefined
  return { because: `${replica} holds this replica's own log up to ${mine.seq}, which ends at ${end} here` }
}

/** The peer remembers more of what this replica acked than this replica holds. */
const ofAcks = (logs: ReplicaLogs["Service"], kept: Kept.Kept, replica: ReplicaId, remembered: VersionVector) => {
  const end = (log: LogId): number => logs.head(log).seq
  // What was committed again, and given up with its side of a fork, is not missing.
  const acked = remembered.find(({ log, seq }) => seq > end(log) && !kept.has("fork", log, seq))
  if (acked === undefined) return undefined
  const { log, seq } = acked
  return {
    because: `${replica} remembers that this replica acked ${log} up to ${seq}, which ends at ${end(log)} here`
  }
}
