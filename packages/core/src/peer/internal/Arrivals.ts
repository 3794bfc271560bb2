/**
 * Entries that come from other replicas, from when it is looked whose they are until they are durable or refused. What a
 * former life sends is not taken; what of it was taken before the next life was heard of may still be on its way to the
 * disk, and until then this replica does not know what it holds.
 */
import { Effect } from "effect"
import { SessionUnknown } from "../PeerProtocol.ts"

/** Starts with none. */
export const make = () => {
  const underWay = new Set<object>()
  let stragglers: ReadonlyArray<object> = []
  return {
    /** Stores what comes from a life of a replica, unless that is a former one by now. */
    receive: <A, E>(isFormer: () => boolean, store: Effect.Effect<A, E>): Effect.Effect<A, E | SessionUnknown> =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          const arrival = {}
          underWay.add(arrival)
          return arrival
        }),
        (): Effect.Effect<A, E | SessionUnknown> => (isFormer() ? Effect.fail(new SessionUnknown()) : store),
        (arrival) => Effect.sync(() => void underWay.delete(arrival))
      ),
    /** A newer life of some replica is known from now on. */
    onNewLife: (): void => void (stragglers = Array.from(underWay)),
    /** Whether something is under way that may be of a former life. */
    hasStragglers: (): boolean => {
      if (stragglers.length > 0) stragglers = stragglers.filter((arrival) => underWay.has(arrival))
      return stragglers.length > 0
    }
  }
}
