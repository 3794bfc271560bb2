/**
 * Work of which one is done at a time for each name: whoever comes meanwhile does without. However it ends, and wherever it
 * is interrupted, the next may begin.
 */
import { Effect } from "effect"

/** Nothing is under way. */
export const make = <Name>() => {
  const underWay = new Set<Name>()
  return <A, E>(name: Name, work: Effect.Effect<A, E>): Effect.Effect<A | undefined, E> =>
    Effect.uninterruptibleMask((restore) => {
      if (underWay.has(name)) return Effect.undefined
      underWay.add(name)
      return Effect.ensuring(
        restore(work),
        Effect.sync(() => underWay.delete(name))
      )
    })
}
