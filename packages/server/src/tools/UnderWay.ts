/**
 * Work that is under way: what is of one key one after the other, and of other keys as much at once as there is room for.
 */

/** Nothing is under way. It is full with so many at once, or so many bytes that they hold. */
export const make = (most: number, maxBytes: number) => {
  /** What was started last of each key. */
  const ofKey = new Map<string, Promise<void>>()
  let count = 0
  let bytes = 0
  let goOn: (() => void) | undefined
  const isFull = (): boolean => count >= most || bytes >= maxBytes

  return {
    isFull,
    /** Waits until it is not full any more. */
    less: (): Promise<void> =>
      new Promise((resolve) => {
        goOn = resolve
      }),
    /** Starts work that holds so many bytes; it waits itself for what was started of its key `before`. */
    start: (key: string, held: number, work: (before: Promise<void> | undefined) => Promise<void>): void => {
      count++
      bytes += held
      const done: Promise<void> = work(ofKey.get(key)).then(() => {
        if (ofKey.get(key) === done) ofKey.delete(key)
        count--
        bytes -= held
        if (goOn === undefined || isFull()) return
        goOn()
        goOn = undefined
      })
      ofKey.set(key, done)
    },
    /** Waits for all that is under way. */
    settled: (): Promise<unknown> => Promise.all(ofKey.values())
  }
}
