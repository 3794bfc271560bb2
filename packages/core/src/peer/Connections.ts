/**
 * The connections to the peers that are greeted and up, for whoever has a question for all of them.
 */
import { Context, Effect, Latch, Layer, type Scope } from "effect"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import type { PeerClient } from "./PeerMethods.ts"

/** A connection on which the handshake was made. */
export interface Connection {
  readonly peer: ReplicaId
  readonly client: PeerClient
  readonly session: string
}

/** The connections to the peers. */
export class Connections extends Context.Service<
  Connections,
  {
    readonly all: () => ReadonlyArray<Connection>
    /** A connection was made. It is known until the scope closes. */
    readonly made: (connection: Connection) => Effect.Effect<void, never, Scope.Scope>
    /** Has what is missing here fetched from every peer now, and not at the next heartbeat. */
    readonly fetchNow: () => void
    /** Waits until {@link fetchNow} is asked for; what was asked for before counts once. */
    readonly wanted: (peer: ReplicaId) => Effect.Effect<void>
  }
>()("@quorum/core/Connections") {}

/** Starts without connections. */
export const layer: Layer.Layer<Connections> = Layer.sync(Connections, () => {
  const connections = new Map<ReplicaId, Connection>()
  const wanted = new Map<ReplicaId, Latch.Latch>()
  const latchOf = (peer: ReplicaId): Latch.Latch => {
    const known = wanted.get(peer)
    if (known !== undefined) return known
    const latch = Latch.makeUnsafe(false)
    wanted.set(peer, latch)
    return latch
  }
  return Connections.of({
    all: () => Array.from(connections.values()),
    made: (connection) =>
      Effect.acquireRelease(
        Effect.sync(() => void connections.set(connection.peer, connection)),
        () =>
          Effect.sync(() => {
            if (connections.get(connection.peer) === connection) connections.delete(connection.peer)
          })
      ),
    fetchNow: () => {
      for (const latch of wanted.values()) latch.openUnsafe()
    },
    wanted: (peer) =>
      Effect.suspend(() => {
        const latch = latchOf(peer)
        return Effect.andThen(
          latch.await,
          Effect.sync(() => latch.closeUnsafe())
        )
      })
  })
})
