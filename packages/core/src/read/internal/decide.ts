/**
 * What a read that asks several replicas may answer: the newest write that a majority told of, once a majority is known
 * to hold it durably. Pure.
 *
 * Source: H. Attiya, A. Bar-Noy, D. Dolev, "Sharing Memory Robustly in Message-Passing Systems" (JACM 42, 1995); for
 * several writers N. Lynch, A. Shvartsman, "Robust emulation of shared memory using dynamic quorum-acknowledged
 * broadcasts" (FTCS 1997). Their write-back is the second half here: nobody is written to, and those that miss the write
 * are asked to fetch it from the logs.
 */
import * as Version from "../../log/Version.ts"
import type { NewestWrite } from "../../peer/KeyReader.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"

/** What replicas that vote said of a key: their newest write of it, or that they have none. */
export type Answers = ReadonlyMap<ReplicaId, NewestWrite | undefined>

/** The newest write of all answers, and who told of it first; `undefined` when nobody has one. */
export const newestOf = (answers: Answers): NewestWrite | undefined => {
  let newest: NewestWrite | undefined
  for (const write of answers.values()) {
    if (write !== undefined && (newest === undefined || Version.compare(write, newest) > 0)) newest = write
  }
  return newest
}

/** Who told of something older than the newest write, or of nothing. */
export const staleOf = (newest: NewestWrite, answers: Answers): ReadonlyArray<ReplicaId> =>
  Array.from(answers).flatMap(([replica, told]) =>
    told === undefined || Version.compare(told, newest) < 0 ? [replica] : []
  )

/**
 * Who is known to hold a write durably: whoever told of the same version (copies under other places are one write), and
 * whoever `holds` its place. A write that was stamped without asking a majority counts only where it was the newest of
 * its key: a newer one that was acknowledged before it may be elsewhere. Who has `forgotten` it, a delete, has nothing newer.
 */
export const holdersOf = (
  write: NewestWrite,
  answers: Answers,
  holds: (replica: ReplicaId) => boolean,
  forgotten: ReadonlySet<ReplicaId>,
  replicas: ReadonlyArray<ReplicaId>
): ReadonlyArray<ReplicaId> =>
  replicas.filter((replica) => {
    if (forgotten.has(replica)) return true
    const told = answers.get(replica)
    return (told !== undefined && Version.compare(told, write) === 0) || (!write.unprobed && holds(replica))
  })
