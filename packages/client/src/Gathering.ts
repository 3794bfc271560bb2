/**
 * Writes that are called at about the same time share a request: their stamps are drawn by one, and one carries them.
 *
 * A single writer waits for nobody. While some groups are under way the next one gathers, until one of them has been
 * answered for the first time; what it has to do after that, it does by itself.
 */
import type { Calls } from "./Calls.ts"
import { ClientClosed } from "./ClientError.ts"
import * as Group from "./Group.ts"
import type { Receipt } from "./Record.ts"

/** Gathers writes that ask for the same number of replicas. */
export interface Gathering {
  /** Fails with a `QuorumError`, or with the reason of the signal. */
  readonly write: (
    line: Group.Line,
    options: { readonly stamp?: string | undefined; readonly signal?: AbortSignal | undefined }
  ) => Promise<Receipt>
  /** Takes nothing more, and waits until all that was taken is answered. */
  readonly close: () => Promise<void>
}

/** Nothing is gathered yet. */
export const make = (calls: Calls, w: number | undefined, timeoutMillis: number): Gathering => {
  let queue: Array<Group.Waiting> = []
  let groupsUnderWay = 0
  let isScheduled = false
  let isClosed = false
  const unanswered = new Set<Promise<void>>()

  const send = (): void => {
    const { group, rest } = Group.take(queue)
    queue = rest
    if (group.length === 0) return
    groupsUnderWay++
    let isFirst = true
    const onFirst = (): void => {
      if (!isFirst) return
      isFirst = false
      groupsUnderWay--
      schedule()
    }
    const done = Group.run(calls, group, w, timeoutMillis, onFirst).then(() => {
      onFirst()
      unanswered.delete(done)
    })
    unanswered.add(done)
  }

  const schedule = async (): Promise<void> => {
    if (isScheduled || queue.length === 0 || groupsUnderWay >= maxGroups) return
    isScheduled = true
    // Those who were answered together write together: their turns come before this one.
    for (let i = 0; i < turns; i++) await undefined
    isScheduled = false
    while (queue.length > 0 && groupsUnderWay < maxGroups) send()
  }

  return {
    write: (line, { signal, stamp }) =>
      new Promise((resolve, reject) => {
        if (isClosed) return reject(new ClientClosed({ message: "the client is closed; nothing was written" }))
        const waiting = Group.waiting(line, stamp, signal, { resolve, reject })
        queue.push(waiting)
        void schedule()
      }),
    close: async () => {
      isClosed = true
      while (unanswered.size > 0 || queue.length > 0) {
        await Promise.all(unanswered)
        await undefined
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/**
 * How many groups are under way, after which the next one gathers: one for which stamps are drawn, and one that is written.
 * With more of them each is smaller, and costs as much.
 */
const maxGroups = 2

/** How many turns of promises lie between an answer and what its caller writes next, and some more. */
const turns = 12
