/**
 * Writes that are called at about the same time share a request: their stamps are drawn by one, and one carries them.
 *
 * A single writer waits for nobody. While some groups are under way the next one gathers, until one of them has been
 * answered for the first time; what it has to do after that, it does by itself.
 */
import type { Calls } from "./Calls.ts"
import * as Group from "./Group.ts"

/** Gathers writes that ask for the same number of replicas, and have the same time. */
export interface Gathering {
  /** Sends a write with those that come at about the same time. */
  readonly write: (waiting: Group.Waiting) => void
}

/** Nothing is gathered yet. `onIdle` is called when nothing waits any more, and no group is under way. */
export const make = (calls: Calls, w: number | undefined, onIdle: () => void): Gathering => {
  let queue: Array<Group.Waiting> = []
  let groupsUnderWay = 0
  let isScheduled = false
  let timer: ReturnType<typeof setTimeout> | undefined

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
      void schedule()
    }
    void Group.run(calls, group, w, onFirst).then(onFirst)
  }

  const schedule = async (): Promise<void> => {
    if (isScheduled) return
    if (queue.length === 0) {
      if (groupsUnderWay === 0) onIdle()
      return
    }
    if (groupsUnderWay >= maxGroups) {
      timer ??= setTimeout(expire, Math.max(1, queue[0]!.deadline - performance.now()))
      return
    }
    isScheduled = true
    // Those who were answered together write together: their turns come before this one.
    for (let i = 0; i < turns; i++) await undefined
    isScheduled = false
    while (queue.length > 0 && groupsUnderWay < maxGroups) send()
    clearTimeout(timer)
    timer = undefined
    void schedule()
  }

  /** Ends those whose time is over before they could be sent. */
  const expire = (): void => {
    timer = undefined
    queue = Group.unexpired(queue)
    void schedule()
  }

  return {
    write: (waiting) => {
      queue.push(waiting)
      void schedule()
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
