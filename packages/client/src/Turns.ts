/**
 * How many bytes of long values are under way at once. All at once they would share what there is of network and disk,
 * so that none is answered before its attempt ends, and each is sent again elsewhere, which is more of the same.
 */
import * as Failover from "./Failover.ts"

/** Gives turns in the order in which they are asked for. */
export interface Turns {
  /**
   * Waits until there is room for so many bytes, or nothing is under way; resolves to what gives the room back. Fails when
   * that takes longer than `millis`, or with the reason of the signal; then nothing was sent.
   */
  readonly take: (bytes: number, millis: number, signal: AbortSignal | undefined) => Promise<() => void>
}

/** The most bytes that are under way. One value that is longer is sent by itself. */
export const maxBytes = 4 * 1024 * 1024

/** Nothing is under way yet. */
export const make = (): Turns => {
  let underWay = 0
  const queue = new Set<{ readonly bytes: number; readonly go: () => void }>()

  const next = (): void => {
    for (const waiting of queue) {
      if (underWay > 0 && underWay + waiting.bytes > maxBytes) return
      underWay += waiting.bytes
      queue.delete(waiting)
      waiting.go()
    }
  }

  const take: Turns["take"] = (bytes, millis, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      const settle = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener("abort", onAbort)
      }
      const leave = (error: unknown): void => {
        settle()
        queue.delete(waiting)
        reject(error)
        // Who came after may need less room.
        next()
      }
      const onAbort = (): void => leave(signal?.reason)
      const timer = setTimeout(() => leave(Failover.conclude(undefined, undefined)), millis)
      const go = (): void => {
        settle()
        resolve(() => {
          underWay -= bytes
          next()
        })
      }
      signal?.addEventListener("abort", onAbort, { once: true })
      const waiting = { bytes, go }
      queue.add(waiting)
      next()
    })

  return { take }
}
