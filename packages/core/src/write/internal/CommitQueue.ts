/**
 * The writes that wait for an append, in the order in which they came.
 */
import type { Exit, Tracer } from "effect"
import * as Entry from "../../log/Entry.ts"
import type { Order } from "../../log/ReplicaClock.ts"
import type { QuorumPolicy } from "../../quorum/QuorumPolicy.ts"
import type { Receipt } from "../Receipt.ts"
import type { CommitError } from "../WriteOptions.ts"
import type { Waiter } from "./WriteGroup.ts"

/** A write that somebody waits for, and what decides about its stamp: nothing is made for that. */
export interface Commit extends Waiter, Order {
  /** When it came, among the marks of `Probes`. */
  readonly mark: number
  after: Order["after"]
  unprobed: boolean
  /** Absent once it is appended: the log has it then. */
  write: Entry.Writes | undefined
  /** Bytes of its values when it was admitted. */
  readonly valueBytes: number
  policy: QuorumPolicy
  /** The span in which it was committed, while anybody traces. */
  readonly span: Tracer.AnySpan | undefined
  readonly resume: (outcome: Exit.Exit<Receipt, CommitError>) => void
  /** Set when nothing is to be written but a stamp is wanted for it: called with that. */
  readonly onDrawn: ((stamp: Entry.Stamp, write: Entry.Writes) => void) | undefined
  /** Called as soon as it is durable here, and has its place. */
  readonly onDurable: ((commit: Commit) => void) | undefined
  /** Called when it is known that it is not written, also where somebody was told before that nobody knows. */
  readonly onNotWritten: (() => void) | undefined
}

/** The most bytes in one append, unless one write is larger. */
const maxAppendBytes = 512 * 1024

/** The writes that wait for an append. */
export interface CommitQueue {
  readonly size: () => number
  /** Bytes of the values that wait. */
  readonly bytes: () => number
  readonly offer: (commit: Commit) => void
  /** Takes the next writes for one append. Those that nobody waits for any more are left out, and are never written. */
  readonly takeBatch: () => ReadonlyArray<Commit>
  /** Takes out the writes that `isOverdue`. */
  readonly takeOverdue: (isOverdue: (commit: Commit) => boolean) => ReadonlyArray<Commit>
}

/** Starts empty. */
export const make = (): CommitQueue => {
  let pending: Array<Commit> = []
  let bytes = 0
  return {
    size: () => pending.length,
    bytes: () => bytes,
    offer: (commit) => {
      pending.push(commit)
      bytes += commit.valueBytes
    },
    takeBatch: () => {
      const batch: Array<Commit> = []
      let size = 0
      let i = 0
      for (; i < pending.length; i++) {
        const commit = pending[i]!
        const write = commit.write!
        const room = Entry.maxSize(write)
        if (batch.length > 0 && size + room > maxAppendBytes) break
        size += room
        bytes -= commit.valueBytes
        if (!commit.cancelled) batch.push(commit)
      }
      pending = pending.slice(i)
      return batch
    },
    takeOverdue: (isOverdue) => {
      const overdue: Array<Commit> = []
      const left: Array<Commit> = []
      for (const commit of pending) (isOverdue(commit) ? overdue : left).push(commit)
      pending = left
      for (const { valueBytes } of overdue) bytes -= valueBytes
      return overdue
    }
  }
}
