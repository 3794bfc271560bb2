/** What this replica is like when a write comes, read from those who know it. */
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type * as Limits from "../../log/Limits.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { Room } from "../../log/Room.ts"
import type { Membership } from "../../peer/Membership.ts"
import type { Peers } from "../../peer/Peers.ts"
import type * as Admission from "./Admission.ts"
import type * as Appender from "./Appender.ts"
import type * as InFlight from "./InFlight.ts"

/** Asked field by field, each time anew. */
export const of = ({
  appender,
  inFlight,
  isClosing,
  limits,
  logs,
  membership,
  peers,
  room,
  self
}: {
  readonly self: ReplicaId
  readonly limits: Limits.Limits
  readonly logs: ReplicaLogs["Service"]
  readonly peers: Peers["Service"]
  readonly membership: Membership["Service"]
  readonly room: Room["Service"]
  readonly appender: Appender.Appender
  readonly inFlight: InFlight.InFlight
  readonly isClosing: () => boolean
}): Admission.Situation => ({
  self,
  get own() {
    return logs.own
  },
  limits,
  peers: peers.all(),
  get closing() {
    return isClosing()
  },
  get broken() {
    return appender.broken()
  },
  get low() {
    return room.refusal()
  },
  get waiting() {
    return appender.waiting() + inFlight.waiting()
  },
  get pendingBytes() {
    return appender.bytes()
  },
  get voting() {
    return membership.isVoting()
  },
  get monotonicMillis() {
    return inFlight.monotonicMillis()
  }
})
