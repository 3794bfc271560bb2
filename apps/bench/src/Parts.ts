/**
 * All parts of the benchmark, in the order in which they run.
 */
import type { Part } from "./Part.ts"
import { catchUp, join } from "./parts/CatchUp.ts"
import { clients } from "./parts/Clients.ts"
import { compaction } from "./parts/Compaction.ts"
import { growth } from "./parts/Growth.ts"
import { lists } from "./parts/Lists.ts"
import { metricsCost } from "./parts/MetricsCost.ts"
import { peerDown } from "./parts/PeerDown.ts"
import { reads } from "./parts/Reads.ts"
import { stall } from "./parts/Stall.ts"
import { requests } from "./parts/Requests.ts"
import { rebuild, start } from "./parts/Start.ts"
import { sustained } from "./parts/Sustained.ts"
import * as Tables from "./parts/Tables.ts"

/** All parts. */
export const all: ReadonlyArray<Part> = [
  Tables.commits,
  Tables.values,
  Tables.hot,
  Tables.policies,
  sustained,
  catchUp,
  join,
  peerDown,
  growth,
  stall,
  compaction,
  rebuild,
  start,
  reads,
  lists,
  requests,
  clients,
  metricsCost
]
