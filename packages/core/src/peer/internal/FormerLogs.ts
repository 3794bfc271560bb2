/**
 * What members hold of the logs that this replica's life goes on from by boots, where that is more than is here.
 *
 * Who writes a log counts itself for what it has synced, and says so with its next push or greeting only. So of an entry
 * that only others hold after a boot, nobody can tell whether it was lost before it was synced, with the power, or after
 * it had been counted, with a disk that was put back as it was a while ago (decision 0064).
 */
import * as LogId from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as Watermark from "../../log/Watermark.ts"
import type * as Kept from "./Kept.ts"

/** What it rests on. */
export interface Here {
  readonly logs: Pick<ReplicaLogs["Service"], "own" | "identity" | "head">
  readonly kept: Pick<Kept.Kept, "has">
  /** Members that an operator has given up: nothing is waited for from them. */
  readonly givenUp: () => ReadonlySet<ReplicaId>
  /** Called when something begins to be missing, and when nothing is any more. */
  readonly changed: () => void
}

/** Begins with nothing heard. */
export const make = ({ changed, givenUp, kept, logs }: Here) => {
  const held = new Map<ReplicaId, Watermark.VersionVector>()
  const isFormer = (log: LogId.LogId): boolean =>
    LogId.owner(log) === logs.identity.replica && LogId.goesOn(LogId.incarnation(log), logs.identity.incarnation)
  // What was committed again, and given up with its side of a fork, is not missing.
  const isMissing = ({ log, seq }: Watermark.Watermark): boolean =>
    seq > logs.head(log).seq && !kept.has("fork", log, seq)

  /** What this replica has to fetch before it votes, in words; `undefined` when there is nothing. */
  const obstacle = (): string | undefined => {
    for (const [peer, watermarks] of held) {
      const missing = givenUp().has(peer) ? undefined : watermarks.find(isMissing)
      if (missing === undefined) continue
      const { log, seq } = missing
      return `${peer} holds its former log ${log} up to ${seq}, which ends at ${logs.head(log).seq} here; that is fetched`
    }
    return undefined
  }
  return {
    obstacle,
    /**
     * Takes in what a member says that it holds; what it said before does not count any more. Returns {@link obstacle}
     * when that is news.
     */
    heard: (peer: ReplicaId, vector: Watermark.VersionVector): string | undefined => {
      const before = obstacle()
      const more = vector.filter((watermark) => isFormer(watermark.log) && isMissing(watermark))
      if (more.length > 0) held.set(peer, more)
      else held.delete(peer)
      const now = obstacle()
      if ((before === undefined) === (now === undefined)) return undefined
      changed()
      return now
    },
    /** Something was appended here, to any log. */
    appended: (): void => {
      if (held.size === 0 || obstacle() !== undefined) return
      held.clear()
      changed()
    },
    /** This replica has another life, of which more is asked than that. */
    forget: (): void => held.clear()
  }
}
