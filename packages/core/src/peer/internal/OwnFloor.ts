/**
 * This replica's floor: what it says of it, beside what it holds and knows as it says so, and how it takes up those of the
 * members.
 */
import { Effect } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type * as DamagedRange from "../../log/DamagedRange.ts"
import { compare } from "../../log/HybridLogicalClock.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as ReplicaStore from "../../log/ReplicaStore.ts"
import * as GivenUp from "../GivenUp.ts"
import type { Said } from "../Greeting.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"

/** What it rests on. */
export interface Here {
  readonly logs: ReplicaLogs["Service"]
  /** What was committed again. */
  readonly known: () => ReadonlyArray<GivenUp.GivenUp>
  readonly lost: () => ReadonlyArray<DamagedRange.DamagedRange>
  /** Whether something may come to what is held that is not said of it. */
  readonly isArriving: () => boolean
}

/** Begins with none of the members' floors taken up. */
export const make = ({ isArriving, known, logs, lost }: Here) => {
  /** Whose floor this run has begun with. */
  const begunWith = new Set<ReplicaId>()
  return {
    /** The floor as of now. */
    says: (): typeof PeerProtocol.Floor.Type => {
      const end = logs.end(logs.own).seq
      const again = known()
      // What follows a lost range is held and not announced, so until it is committed again no floor counts.
      const isLeft = lost().some(
        (range) => GivenUp.leftAfter(range, logs.head(range.log).seq, again, logs.damaged()).length > 0
      )
      return { clock: logs.floor(), end, again: isLeft || isArriving() ? end + 1 : GivenUp.lastIn(again, logs.own) }
    },
    /**
     * Takes up the floor of a member once in a run: whoever rests on one that this replica gave and does not know any
     * more, because its store was put back as it was before, rests on one of each other member too (see `Floors`).
     */
    beginWith: ({ floor, replica }: Pick<Said, "floor" | "replica">): Effect.Effect<void, ReplicaStore.StoreError> =>
      Effect.suspend(() => {
        if (floor === undefined || begunWith.has(replica)) return Effect.void
        const raised = compare(floor.clock, logs.floor()) > 0 ? logs.raiseFloor(floor.clock) : Effect.void
        return Effect.map(raised, () => void begunWith.add(replica))
      })
  }
}
