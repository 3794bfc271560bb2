/**
 * ChangesMissNothing: whoever follows the changes sees every write at least once, in the order of each log, wherever it
 * goes on.
 */
import { type Changes, type LogId, type ReplicaId, WriteId } from "@quorum/core"
import { Chain } from "@quorum/core/adapter"
import * as Disk from "../Disk.ts"
import * as Held from "../Held.ts"
import type { World } from "../World.ts"
import { holds } from "./NoPhantomAck.ts"

/** The last write that was seen of each log. */
export type Seen = Map<LogId.LogId, WriteId.WriteId>

/** Looks at a page where it is shown: that replica holds all of it durably. */
export const onShown = (world: World, at: ReplicaId.ReplicaId, { changes }: Changes.Page): void => {
  const { content } = world.machine(at).disk
  const early = changes.find(({ writeId }) => !holds(content, writeId))
  if (early !== undefined) world.violated("ChangesMissNothing", `${at} shows ${early.writeId}, and does not hold it`)
}

/** Looks at a page that follows what was seen. */
export const onPage = (
  world: World,
  at: ReplicaId.ReplicaId,
  who: string,
  seen: Seen,
  { changes, position }: Changes.Page
): void => {
  const { erased } = world.machine(at).disk.content
  /** The place before that was not erased by anybody. */
  const goBack = (log: LogId.LogId, seq: number): number =>
    erased.has(Held.placeOf(log, seq)) ? goBack(log, seq - 1) : seq
  for (const { writeId } of changes) {
    const { log, seq } = WriteId.place(writeId)
    const before = seqOf(seen, log)
    const isNext = (seq > before && goBack(log, seq - 1) <= before) || (seq === before && seen.get(log) === writeId)
    if (!isNext) world.violated("ChangesMissNothing", `${who} is shown ${writeId} after ${seen.get(log) ?? "nothing"}`)
    seen.set(log, writeId)
  }
  for (const { log, seq } of position) {
    const last = seqOf(seen, log)
    if (goBack(log, seq) > last || last > seq)
      world.violated("ChangesMissNothing", `${who} is at ${seq} of ${log}, and has seen ${last}`)
  }
}

/** Looks at what was seen when all disks hold the same: that is all of it. */
export const atEnd = ({ machines, violated }: World, who: string, seen: Seen): void => {
  const { content } = machines[0]!.disk
  for (const log of content.logs.keys()) {
    const { chain, seq } = Disk.headOf(content, log)
    const last = seen.get(log)
    // What was shown and was lost with its disk before anybody else had it was seen all the same.
    if (seqOf(seen, log) > seq) continue
    if (content.erased.has(Held.placeOf(log, seq))) continue
    if (last !== undefined && seqOf(seen, log) === seq && WriteId.place(last).check === Chain.check(chain)) continue
    violated("ChangesMissNothing", `${who} has seen ${last ?? "nothing"} of ${log}, which ends at ${seq}`)
  }
}

/** A reader goes on from here, after it was told that it has missed deletes. */
export const goesOnFrom = (seen: Seen, position: Changes.Vector): void => {
  seen.clear()
  for (const { chain, log, seq } of position) seen.set(log, WriteId.make(log, seq, Chain.check(chain)))
}

// ---------------------------------------------------------------------------------------------------------------------

const seqOf = (seen: Seen, log: LogId.LogId): number => {
  const last = seen.get(log)
  return last === undefined ? 0 : WriteId.place(last).seq
}
