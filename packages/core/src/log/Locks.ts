/** Locks of which there is one for each log, made when it is first asked for. */
import { Semaphore } from "effect"
import type { LogId } from "../identity/LogId.ts"

/** Starts with none. */
export const make = (): ((log: LogId) => Semaphore.Semaphore) => {
  const locks = new Map<LogId, Semaphore.Semaphore>()
  return (log) => {
    const known = locks.get(log)
    if (known !== undefined) return known
    const lock = Semaphore.makeUnsafe(1)
    locks.set(log, lock)
    return lock
  }
}
