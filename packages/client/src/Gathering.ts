/**
 * Calls that are made at about the same time share a request.
 *
 * A single caller waits for nobody. While some groups are under way the next one gathers, until one of them has been
 * answered for the first time; what it has to do after that, it does by itself.
 */
import * as Waiting from "./Waiting.ts"

/** How calls of a kind are put together, and sent. */
export interface Kind<W extends Waiting.Waiting<never>> {
  /** How many groups are under way, after which the next one gathers. */
  readonly most: number
  /** The next group of those that wait, and the others. */
  readonly take: (queue: ReadonlyArray<W>) => { readonly group: ReadonlyArray<W>; readonly rest: Array<W> }
  /** Settles a group. `onFirst` is called when it has been answered once, however. Never fails. */
  readonly run: (group: ReadonlyArray<W>, onFirst: () => void) => Promise<void>
}

/** Sends a call with those that are alike and come at about the same time: they ask for the same, and have the same time. */
export type Gathering<W extends Waiting.Waiting<never>> = (alike: string, kind: () => Kind<W>, waiting: W) => void

/** Nothing is gathered yet. */
export const make = <W extends Waiting.Waiting<never>>(): Gathering<W> => {
  const queues = new Map<string, (waiting: W) => void>()
  return (alike, kind, waiting) => {
    const add = queues.get(alike) ?? queueOf(kind(), () => queues.delete(alike))
    queues.set(alike, add)
    add(waiting)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Those that are alike. `onIdle` is called when nothing waits any more, and no group is under way. */
const queueOf = <W extends Waiting.Waiting<never>>(kind: Kind<W>, onIdle: () => void): ((waiting: W) => void) => {
  let queue: Array<W> = []
  let groupsUnderWay = 0
  let isScheduled = false
  let timer: ReturnType<typeof setTimeout> | undefined

  const send = (): void => {
    const { group, rest } = kind.take(queue)
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
    void kind.run(group, onFirst).then(onFirst)
  }

  const schedule = async (): Promise<void> => {
    if (isScheduled) return
    if (queue.length === 0) {
      if (groupsUnderWay === 0) onIdle()
      return
    }
    if (groupsUnderWay >= kind.most) {
      timer ??= setTimeout(expire, Math.max(1, queue[0]!.deadline - performance.now()))
      return
    }
    isScheduled = true
    // Those who were answered together call together: their turns come before this one.
    for (let i = 0; i < turns; i++) await undefined
    isScheduled = false
    while (queue.length > 0 && groupsUnderWay < kind.most) send()
    clearTimeout(timer)
    timer = undefined
    void schedule()
  }

  /** Ends those whose time is over before they could be sent. */
  const expire = (): void => {
    timer = undefined
    queue = Waiting.unexpired(queue)
    void schedule()
  }

  return (waiting) => {
    queue.push(waiting)
    void schedule()
  }
}

/** How many turns of promises lie between an answer and what its caller asks next, and some more. */
const turns = 12
