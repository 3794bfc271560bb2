/**
 * How much is under way at once: bytes of long values, and requests. All at once they would share what there is of network,
 * connections and disk, so that none is answered before its attempt ends, and each is sent again elsewhere, which is more
 * of the same.
 */
import { onAbort } from "./Signals.ts"

/** Gives turns in the order in which they are asked for. */
export interface Turns {
  /**
   * Waits until there is room for so much, or nothing is under way; resolves to what gives the room back, or to nothing when
   * that takes longer than `millis`. Fails with the reason of the signal. Then nothing was sent.
   */
  readonly take: (amount: number, millis: number, signal: AbortSignal | undefined) => Promise<(() => void) | undefined>
}

/** Nothing is under way yet. What is more than `most` goes by itself. */
export const make = (most: number): Turns => {
  let underWay = 0
  const queue = new Set<{ readonly amount: number; readonly go: () => void }>()

  const next = (): void => {
    for (const waiting of queue) {
      if (underWay > 0 && underWay + waiting.amount > most) return
      underWay += waiting.amount
      queue.delete(waiting)
      waiting.go()
    }
  }

  const giveBack = (amount: number) => (): void => {
    underWay -= amount
    next()
  }

  const take: Turns["take"] = async (amount, millis, signal) => {
    signal?.throwIfAborted()
    if (queue.size === 0 && (underWay === 0 || underWay + amount <= most)) {
      underWay += amount
      return giveBack(amount)
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer)
        forget()
      }
      const leave = (answer: () => void): void => {
        settle()
        queue.delete(waiting)
        answer()
        // Who came after may need less room.
        next()
      }
      const forget = onAbort(signal, () => leave(() => reject(signal?.reason)))
      const timer = setTimeout(() => leave(() => resolve(undefined)), Math.max(1, millis))
      const go = (): void => {
        settle()
        resolve(giveBack(amount))
      }
      const waiting = { amount, go }
      queue.add(waiting)
    })
  }

  return { take }
}
