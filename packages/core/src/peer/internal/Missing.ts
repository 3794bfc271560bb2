/**
 * What is damaged here: what of it will be mended, and what is lost because all members that are waited for lack it.
 */
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as DamagedRange from "../../log/DamagedRange.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as Lacking from "./Lacking.ts"

/** Starts with nobody having said that it lacks something. */
export const make = (logs: ReplicaLogs["Service"], waitedFor: () => ReadonlyArray<ReplicaId>) => {
  let lacking: Lacking.Lacking = new Map()
  const damaged = (): ReadonlyArray<DamagedRange.DamagedRange> => DamagedRange.joined(logs.damaged())
  const lost = (): ReadonlyArray<DamagedRange.DamagedRange> =>
    logs.damaged().length === 0 ? [] : Lacking.lost(lacking, damaged(), waitedFor())
  return {
    lost,
    /** What will be mended: until then this replica lacks what it was counted for. */
    toMend: (): DamagedRange.DamagedRange | undefined => {
      if (logs.damaged().length === 0) return undefined
      const gone = lost()
      return logs.unknownEnds().length > 0 ? damaged()[0] : damaged().find((range) => !gone.includes(range))
    },
    /** Why this replica must write no more to its own log, or must not vote because nobody can tell what one ends with. */
    endOfLog: (isVoting: boolean): { readonly because: string } | undefined => {
      // Who does not vote has only to write no more to such a log.
      const end = logs.unknownEnds().find((log) => isVoting || log === logs.own)
      if (end !== undefined) return { because: `the end of ${end} is damaged here, so what it was is not known` }
      // Nobody could be brought what follows, so nothing in it could be committed any more.
      const gap = lost().find(({ log }) => log === logs.own)
      return (
        gap && { because: `no member has the entries ${gap.from} to ${gap.to} of this replica's own log ${gap.log}` }
      )
    },
    /** A member lacks a range. Returns whether something more is lost. */
    lacks: (peer: ReplicaId, range: DamagedRange.DamagedRange): boolean => {
      const { length } = lost()
      lacking = Lacking.noted(lacking, peer, range, damaged())
      return lost().length > length
    }
  }
}
