/**
 * What this replica says of its floor, beside what it holds and knows as it says so.
 */
import type * as DamagedRange from "../../log/DamagedRange.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as GivenUp from "../GivenUp.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"

/** The floor as of now. `isArriving` says that something may come to what is held that is not said of it. */
export const of = (
  logs: ReplicaLogs["Service"],
  known: ReadonlyArray<GivenUp.GivenUp>,
  lost: ReadonlyArray<DamagedRange.DamagedRange>,
  isArriving: boolean
): typeof PeerProtocol.Floor.Type => {
  const { own } = logs
  const end = logs.end(own).seq
  // What follows a lost range is held and not announced, so until it is committed again no floor counts.
  const isLeft = lost.some(
    (range) => GivenUp.leftAfter(range, logs.head(range.log).seq, known, logs.damaged()).length > 0
  )
  return { clock: logs.floor(), end, again: isLeft || isArriving ? end + 1 : GivenUp.lastIn(known, own) }
}
