/** Those who want to hear of something. They must not throw, and must be quick. */

/** Starts with none. */
export const make = <A = void>() => {
  const listeners = new Set<(news: A) => void>()
  return {
    tell: (news: A): void => {
      for (const listener of listeners) listener(news)
    },
    /** Adds one; the result takes it away again. */
    listen: (listener: (news: A) => void): (() => void) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    }
  }
}
