/**
 * Keys of which it is decided here, just now, whether they are written for the first time. Until that is over nobody may
 * be told that they are not held.
 */
import { Context, Layer } from "effect"

/** The undecided keys of this replica. */
export class UndecidedKeys extends Context.Service<
  UndecidedKeys,
  {
    readonly has: (namespace: string, key: string) => boolean
    /**
     * Marks a key, before anybody is asked about it. Returns how to unmark it: when it is durable here, or not written. Said
     * again, that leaves the mark of a later attempt.
     */
    readonly add: (namespace: string, key: string) => () => void
  }
>()("@quorum/core/UndecidedKeys") {}

/** Starts with none. */
export const layer: Layer.Layer<UndecidedKeys> = Layer.sync(UndecidedKeys, () => {
  const marked = new Map<string, symbol>()
  return UndecidedKeys.of({
    has: (namespace, key) => marked.size > 0 && marked.has(`${namespace}\0${key}`),
    add: (namespace, key) => {
      const name = `${namespace}\0${key}`
      const mark = Symbol(name)
      marked.set(name, mark)
      return () => void (marked.get(name) === mark && marked.delete(name))
    }
  })
})
