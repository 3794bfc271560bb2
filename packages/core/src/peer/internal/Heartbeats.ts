/**
 * Greets the peers, when a connection is made and on every heartbeat, and does then what the greeting shows to be due: what
 * is erased is taken over, what is damaged is mended, forks are settled, and what is missing is pulled.
 */
import { Effect, type Latch } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import { Connections } from "../Connections.ts"
import { Membership } from "../Membership.ts"
import type * as PeerMethods from "../PeerMethods.ts"
import * as PeerProtocol from "../PeerProtocol.ts"
import { Peers } from "../Peers.ts"
import * as Adoption from "./Adoption.ts"
import * as Again from "./Again.ts"
import * as CatchUp from "./CatchUp.ts"
import * as Forks from "./Forks.ts"
import * as Handshake from "./Handshake.ts"
import type * as Links from "./Links.ts"
import * as Mending from "./Mending.ts"
import * as Offering from "./Offering.ts"
import type * as OwnStore from "./OwnStore.ts"

/** What all heartbeats of this replica share. */
export const make = Effect.fnUntraced(function* ({
  heartbeatMillis,
  links,
  mayWrite,
  store
}: {
  readonly store: OwnStore.OwnStore
  readonly links: Pick<Effect.Success<ReturnType<typeof Links.make>>, "heldBy" | "serves" | "works">
  readonly mayWrite: () => boolean
  readonly heartbeatMillis: number
}) {
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const membership = yield* Membership
  const handshake = yield* Handshake.make
  const connections = yield* Connections
  const catchUp = yield* CatchUp.make(logs, peers, store, membership.differs, membership.receive, membership.borrows)
  const mend = Mending.make(logs, membership, store)
  const adopt = Adoption.make(logs, membership, store)
  const keep = yield* Again.make(logs, membership, store)
  const settleForks = yield* Forks.make(logs, membership, peers, store, keep, mayWrite)
  const offer = Offering.make(logs, membership, store, keep, mayWrite)
  // What is damaged is fetched when it is found, and not at the next heartbeat.
  yield* Effect.acquireRelease(
    Effect.sync(() => logs.onDamage(({ _tag }) => void (_tag === "Found" && connections.fetchNow()))),
    (stop) => Effect.sync(stop)
  )
  return {
    /** The first greeting on a connection. */
    greet: (peer: ReplicaId, client: PeerMethods.PeerClient) =>
      handshake(peer, client, (welcome) => {
        peers.reset(peer)
        catchUp.forget(peer)
        return catchUp.compare(peer, welcome)
      }),
    /** Does what is due after the first greeting, and greets again on every heartbeat. Ends only by failing. */
    run: Effect.fnUntraced(function* (
      link: Links.Link,
      source: CatchUp.Source,
      first: PeerProtocol.Welcome,
      again: Latch.Latch
    ) {
      const { peer } = link
      let before: PeerProtocol.Welcome | undefined
      let welcome = first
      let isWanted = false
      while (true) {
        yield* adopt(source, welcome)
        yield* offer
        // What is damaged here may be erased elsewhere, and an old copy would bring it back.
        if (welcome.stale !== true) yield* mend(source, welcome)
        yield* settleForks(source, welcome)
        yield* catchUp.fetchMissing(source, welcome, before, isWanted)
        isWanted = yield* Effect.raceFirst(
          Effect.as(Effect.raceFirst(Effect.sleep(heartbeatMillis), again.await), false),
          Effect.as(connections.wanted(peer), true)
        )
        again.closeUnsafe()
        before = welcome
        welcome = yield* handshake(peer, source.client, (welcome) => catchUp.compare(peer, welcome))
        if (welcome.session !== before.session) return yield* new PeerProtocol.SessionUnknown()
        // It has got the entry from another peer since: the log goes on from there.
        const rejected = peers.get(peer).rejected.get(logs.own)
        if (rejected !== undefined && links.heldBy(peer) >= rejected.seq) {
          return yield* new PeerProtocol.SessionUnknown()
        }
        if (links.serves(link)) links.works(link)
      }
    })
  }
})
