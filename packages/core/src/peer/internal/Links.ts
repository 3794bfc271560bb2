/**
 * The links to the peers, each over all its connections: whether a peer is up or down, as writes are told, and for how long
 * it is left alone when a connection has ended.
 */
import { Clock, Effect, Random } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { Peers } from "../Peers.ts"
import * as LinkState from "./LinkState.ts"
import type * as OwnStore from "./OwnStore.ts"
import type * as StartCheck from "./StartCheck.ts"

/** The link to one peer. */
export interface Link {
  readonly peer: ReplicaId
  state: LinkState.LinkState
}

/** This replica has another incarnation: a connection on which it said the one before is of no use. */
export class Renewed {
  readonly _tag = "Renewed"
}

/** A link to a peer on which nothing has failed yet. */
export const linkTo = (peer: ReplicaId): Link => ({ peer, state: LinkState.make(peer) })

/** What is done about links. */
export const make = Effect.fnUntraced(function* ({
  check,
  heartbeatMillis,
  logs,
  peers
}: {
  readonly logs: Pick<ReplicaLogs["Service"], "own" | "head">
  readonly peers: Peers["Service"]
  readonly check: StartCheck.StartCheck
  readonly heartbeatMillis: number
}) {
  const clock = yield* Clock.Clock
  const monotonicMillis = () => Monotonic.millis(clock)

  /** How far the peer holds the own log. */
  const heldBy = (peer: ReplicaId): number => peers.get(peer).watermarks.get(logs.own)?.seq ?? 0

  return {
    heldBy,
    /** Whether writes can count on the peer: its store did not fail, or has all of our log by now. */
    serves: ({ peer, state }: Link): boolean => !state.failsToStore || heldBy(peer) >= logs.head(logs.own).seq,
    /** The peer does what it is for. */
    works: (link: Link): void => {
      const { peer } = link
      link.state = LinkState.works(link.state)
      if (peers.get(peer).link._tag === "Up") return
      const up = { _tag: "Up", sinceWallMillis: clock.currentTimeMillisUnsafe() } as const
      peers.report({ _tag: "Link", peer, link: up, monotonicMillis: monotonicMillis() })
    },
    /** A connection has ended. Returns when it is time for another. */
    failed: (link: Link, error: LinkState.LinkFailure | OwnStore.OwnFault | Renewed) =>
      Effect.suspend(() => {
        const { peer } = link
        const now = monotonicMillis()
        if (error._tag === "Renewed") return Effect.void
        check.failed(peer, now)
        if (error._tag === "OwnFault") return Effect.sleep(heartbeatMillis)
        link.state = LinkState.failed(link.state, error)
        const before = peers.get(peer).link
        const down = before._tag === "Down" ? before : undefined
        peers.report({
          _tag: "Link",
          peer,
          link: {
            _tag: "Down",
            sinceWallMillis: down?.sinceWallMillis ?? clock.currentTimeMillisUnsafe(),
            sinceMonotonicMillis: down?.sinceMonotonicMillis ?? now,
            verdict: LinkState.verdictOf(error),
            detail: error.message
          },
          monotonicMillis: now
        })
        const what = before._tag === "Up" ? "lost" : "cannot reach"
        const said =
          down?.detail === error.message ? Effect.void : Effect.logWarning(`${what} ${peer}: ${error.message}`)
        return Effect.andThen(
          said,
          Effect.flatMap(Random.next, (random) => Effect.sleep(LinkState.pauseMillis(link.state, random)))
        )
      })
  }
})
