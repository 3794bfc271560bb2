/** Why something was not appended to a log of this replica, where the store's own word for it does not do. */
import * as ReplicaStore from "./ReplicaStore.ts"

/** Why a store did not append. */
export type Failure = ReplicaStore.AppendGap | ReplicaStore.AppendDrift | ReplicaStore.StoreError

/** Nobody else appends to the own log, so what does not follow its end was changed from outside. */
export const changed = (error: ReplicaStore.AppendGap | ReplicaStore.AppendDrift): ReplicaStore.StoreError => {
  const detail = `the store was changed by somebody else: ${error.message}`
  return new ReplicaStore.StoreError({ reason: "wrong_identity", detail })
}

/** What was written and could not be synced may be there, and may have been pushed. */
export const notSynced = ({ cause, detail }: ReplicaStore.StoreError): ReplicaStore.StoreError =>
  new ReplicaStore.StoreError({ reason: "uncertain", detail, ...(cause === undefined ? {} : { cause }) })

/** The own log was another one when the append was decided. */
export const anotherLog = new ReplicaStore.StoreError({
  reason: "unavailable",
  detail: "this replica has opened another log meanwhile; nothing was written"
})
