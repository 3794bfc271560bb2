/**
 * The one thing that runs in a run: a queue of what may happen now, of which a seed picks the next, and what will happen
 * later on a virtual timeline. Time passes when nothing is left to do. There is no host loop under it: a run is one
 * synchronous call.
 */
import type { Scheduler } from "effect"
import type { Dice } from "./Dice.ts"

/** Whose work something is: a process, or the world outside all processes. */
export interface Owner {
  readonly name: string
  /** What is done for an owner that is gone never happens. */
  isAlive: boolean
  /** What is done for an owner that is paused waits here until it goes on. */
  paused: Array<() => void> | undefined
  /** When it went on after it was paused last; before everything when it never was. */
  wentOnAt: number
  /** Owners with a greater rank come first, where ranks count. */
  rank: number
}

/** Takes back what will happen later. */
export type Cancel = () => void

/** How the next of several things is picked: in order, any, or by the rank of its owner, which changes now and then. */
export type Strategy = "order" | "any" | "rank"

/** A timeline. */
export interface Timeline {
  /** Virtual milliseconds since the beginning. */
  readonly now: () => number
  /** How many things have happened: a counter that orders what happens at the same time. */
  readonly steps: () => number
  /** Lets something happen now, after what happens already. */
  readonly soon: (owner: Owner, task: () => void) => void
  /** Lets something happen at a time, or now when that has passed. */
  readonly at: (owner: Owner, time: number, task: () => void) => Cancel
  /** Lets an owner go on with what has waited while it was paused. */
  readonly unpause: (owner: Owner) => void
  /** Effect's scheduler of what an owner runs. */
  readonly scheduler: (owner: Owner) => Scheduler.Scheduler
  /** Lets things happen until `isDone`, until nothing is left, or until something makes no progress: then it says whose. */
  readonly run: (isDone: () => boolean) => "done" | "idle" | { readonly busy: Owner }
}

/** A new owner. */
export const owner = (name: string): Owner => ({
  name,
  isAlive: true,
  paused: undefined,
  wentOnAt: Number.NEGATIVE_INFINITY,
  rank: 0
})

/** How many things may happen without that time passes. */
const mostStepsAtOnce = 500_000

/** Starts at time 0. */
export const make = (dice: Dice): Timeline => {
  const strategy: Strategy = dice.pick(["order", "any", "any", "rank"])
  /** How many operations a fiber does before others get their turn; drawn anew each time. */
  const longest = dice.pick([8, 40, 200, 2048])
  let turn = longest
  let now = 0
  let steps = 0
  let stepsAtOnce = 0
  let ready: Array<{ readonly owner: Owner; readonly task: () => void }> = []
  let first = 0
  const later = makeHeap()

  const enter = (owner: Owner, task: () => void): void => {
    if (!owner.isAlive) return
    if (owner.paused !== undefined) return void owner.paused.push(task)
    steps++
    task()
  }

  const takeAt = (i: number) => {
    const taken = ready[i]!
    ready[i] = ready[ready.length - 1]!
    ready.pop()
    return taken
  }

  const take = () => {
    if (strategy === "any") return takeAt(dice.below(ready.length))
    if (strategy === "rank") {
      let best = 0
      for (let i = 1; i < ready.length; i++) if (ready[i]!.owner.rank > ready[best]!.owner.rank) best = i
      const { owner } = ready[best]!
      if (dice.chance(0.01)) owner.rank = dice.next()
      const taken = ready[best]!
      ready.splice(best, 1)
      return taken
    }
    const taken = ready[first++]!
    if (first > 1024) {
      ready = ready.slice(first)
      first = 0
    }
    return taken
  }

  const at = (owner: Owner, time: number, task: () => void): Cancel => later.add(Math.max(now, time), owner, task)

  const soon = (owner: Owner, task: () => void): void => void ready.push({ owner, task })

  return {
    now: () => now,
    steps: () => steps,
    soon,
    at,
    unpause: (owner) => {
      const waited = owner.paused ?? []
      owner.paused = undefined
      owner.wentOnAt = now
      for (const task of waited) soon(owner, task)
    },
    scheduler: (owner) => {
      const dispatcher: Scheduler.SchedulerDispatcher = {
        scheduleTask: (task) => soon(owner, task),
        flush: () => {}
      }
      return {
        executionMode: "sync",
        shouldYield: (fiber) => {
          if (fiber.currentOpCount < turn) return false
          turn = 4 + dice.below(longest)
          return true
        },
        makeDispatcher: () => dispatcher
      }
    },
    run: (isDone) => {
      while (!isDone()) {
        if (ready.length > first) {
          const { owner, task } = take()
          if (++stepsAtOnce > mostStepsAtOnce) return { busy: owner }
          enter(owner, task)
          continue
        }
        ready.length = 0
        first = 0
        const next = later.take()
        if (next === undefined) return "idle"
        if (next.time > now) stepsAtOnce = 0
        now = next.time
        enter(next.owner, next.task)
      }
      return "done"
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

interface Timer {
  readonly time: number
  readonly number: number
  readonly owner: Owner
  task: (() => void) | undefined
}

/** A binary heap of what will happen, by time, then in the order in which it was added. */
const makeHeap = () => {
  const heap: Array<Timer> = []
  let number = 0
  const isBefore = (a: Timer, b: Timer): boolean => a.time < b.time || (a.time === b.time && a.number < b.number)
  const up = (timer: Timer): void => {
    let i = heap.length
    heap.push(timer)
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!isBefore(timer, heap[parent]!)) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = timer
  }
  const down = (timer: Timer): void => {
    let i = 0
    while (true) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, timer)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = timer
  }
  return {
    add: (time: number, owner: Owner, task: () => void): Cancel => {
      const timer: Timer = { time, number: number++, owner, task }
      up(timer)
      return () => {
        timer.task = undefined
      }
    },
    take: (): { readonly time: number; readonly owner: Owner; readonly task: () => void } | undefined => {
      while (heap.length > 0) {
        const timer = heap[0]!
        const last = heap.pop()!
        if (heap.length > 0) down(last)
        const { owner, task, time } = timer
        if (task !== undefined && owner.isAlive) return { time, owner, task }
      }
      return undefined
    }
  }
}
