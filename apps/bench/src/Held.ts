/**
 * How long the event loop of this process is held at most, by a timer that comes late. What other processes take of the
 * machine makes it late too, so the processor time of the same stop is looked at beside it.
 */

/** The longest stop, and the most that was computed in one, in milliseconds. */
export interface Held {
  readonly wallMillis: number
  readonly cpuMillis: number
}

/** Tells what was longest since it was asked before, and looks from the first time on. */
export const make = (): (() => Held) => {
  let wallMillis = 0
  let cpuMillis = 0
  let isLooking = false
  return () => {
    if (!isLooking) {
      isLooking = true
      look((wall, cpu) => {
        wallMillis = Math.max(wallMillis, wall)
        cpuMillis = Math.max(cpuMillis, cpu)
      })
    }
    const held = { wallMillis, cpuMillis }
    wallMillis = cpuMillis = 0
    return held
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** A timer of a millisecond is late by one when nothing holds it. */
const everyMillis = 1

const look = (took: (wall: number, cpu: number) => void): void => {
  let at = performance.now()
  let spent = process.threadCpuUsage()
  const timer = setInterval(() => {
    const now = performance.now()
    const { system, user } = process.threadCpuUsage(spent)
    took(Math.max(0, now - at - everyMillis), (system + user) / 1000)
    at = performance.now()
    spent = process.threadCpuUsage()
  }, everyMillis)
  timer.unref()
}
