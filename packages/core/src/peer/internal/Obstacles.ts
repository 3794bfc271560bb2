/**
 * What keeps this replica from voting, or from writing: it lacks something that it was counted for, or another process has
 * its id.
 */
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type * as FormerLogs from "./FormerLogs.ts"
import type * as Missing from "./Missing.ts"
import type * as Renewal from "./Renewal.ts"
import type * as Standing from "./Standing.ts"

/** What it rests on. */
export interface Here {
  readonly self: ReplicaId
  readonly peers: ReadonlyArray<ReplicaId>
  readonly standing: Pick<ReturnType<typeof Standing.make>, "isVoting" | "obstacle">
  readonly missing: Pick<ReturnType<typeof Missing.make>, "toMend">
  readonly former: Pick<ReturnType<typeof FormerLogs.make>, "obstacle">
  readonly renewal: Pick<ReturnType<typeof Renewal.make>, "stopped">
  /** Called when a peer begins or ceases to say that another process has this replica's id. */
  readonly changed: () => void
}

/** Begins with nobody having said that another process has this replica's id. */
export const make = ({ changed, former, missing: { toMend }, peers, renewal: { stopped }, self, standing }: Here) => {
  /** Who says that another process has this replica's id: one that may have acked what is not here. */
  const duplicates = new Set<ReplicaId>()
  const isAlone = (): boolean => stopped() === undefined && duplicates.size === 0
  return {
    /** Whether no other process has this replica's id. */
    isAlone,
    /** Whether this replica counts for a quorum. */
    isVoting: (): boolean =>
      standing.isVoting() && isAlone() && toMend() === undefined && former.obstacle() === undefined,
    /** Why it does not vote, or must not write, in words; `undefined` when it may. */
    obstacle: (): string | undefined => {
      const reason = stopped()
      if (reason !== undefined) return reason
      const sayers = peers.filter((peer) => duplicates.has(peer))
      if (sayers.length > 0) return `another live process has the id ${self}, says ${sayers.join(", ")}`
      const range = toMend()
      if (standing.isVoting() && range !== undefined) {
        return `entries ${range.from} to ${range.to} of ${range.log} are damaged here, and are fetched from the members`
      }
      return standing.isVoting() ? former.obstacle() : standing.obstacle()
    },
    /** A peer says that another process has this replica's id. */
    duplicate: (peer: ReplicaId): void => {
      if (duplicates.has(peer)) return
      duplicates.add(peer)
      changed()
    },
    /** A peer knows this process as the one that has this replica's id. */
    known: (peer: ReplicaId): void => {
      if (duplicates.delete(peer)) changed()
    }
  }
}
