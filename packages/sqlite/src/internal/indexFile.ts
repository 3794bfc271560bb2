/**
 * Whose the file of an index is, and whether what it says can be used.
 */
import type { ReplicaStore } from "@quorum/core/adapter"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Pointers from "./pointers.ts"

/** Why a file has to be built again from the logs, which end at `heads`; `undefined` when it can be used. */
export const whyUnusable = (
  db: DatabaseSync,
  {
    doubt,
    identity: { cluster, incarnation, replica }
  }: Pick<ReplicaStore.ReplicaStore["Service"], "doubt" | "identity">,
  boot: string,
  heads: ReadonlyMap<string, number>
): string | undefined => {
  const found = db.prepare("SELECT * FROM store").get()
  if (found?.["cluster"] !== cluster || found["replica"] !== replica) return "belongs to another store"
  // After another boot, or a sync that failed, the same store has a new incarnation.
  const isRenewed = doubt === "other_boot" || doubt === "sync_failed"
  if (found["incarnation"] !== incarnation && !isRenewed) return "belongs to another store"
  if (found["open_in"] !== "" && found["open_in"] !== boot) return "was open when the machine went down"
  for (const [name, seq] of Pointers.progressOf(db)) {
    const held = heads.get(name) ?? 0
    if (seq > held) return `covers ${name} up to ${seq}, and the log ends at ${held}`
  }
  return undefined
}
