/**
 * A network inside one process: the in-memory twin of the port for reaching peers, and of a transport's server.
 */
import { Context, Deferred, Effect, Fiber, Layer, type Scope } from "effect"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import { PeerCaller } from "./PeerCaller.ts"
import * as PeerMethods from "./PeerMethods.ts"
import * as PeerHandler from "./PeerHandler.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import { PeerTransport } from "./PeerTransport.ts"

/**
 * A network inside one process. Replicas that are built with the same network reach each other by id; a replica whose
 * scope closes can no longer be reached, and calls to it that are under way fail.
 */
export class MemoryNetwork extends Context.Service<
  MemoryNetwork,
  {
    readonly register: (
      replica: ReplicaId.ReplicaId,
      handler: PeerHandler.PeerHandler["Service"]
    ) => Effect.Effect<void, never, Scope.Scope>
    readonly connect: (
      peer: ReplicaId.ReplicaId
    ) => Effect.Effect<PeerMethods.PeerClient, PeerProtocol.PeerUnreachable, Scope.Scope>
  }
>()("@quorum/core/MemoryNetwork") {}

/** A new network without replicas. */
export const layer: Layer.Layer<MemoryNetwork> = Layer.sync(MemoryNetwork, () => makeNetwork())

/** Reaches peers over the {@link MemoryNetwork}. */
export const layerTransport: Layer.Layer<PeerTransport, never, MemoryNetwork> = Layer.effect(
  PeerTransport,
  Effect.map(MemoryNetwork, (network) => PeerTransport.of({ maxInFlight: 4, connect: network.connect }))
)

/** The transport of a replica set of one, which has nobody to reach. */
export const layerAlone: Layer.Layer<PeerTransport> = Layer.provide(layerTransport, layer)

/** Lets peers reach this replica over the {@link MemoryNetwork}. */
export const layerServer: Layer.Layer<never, never, MemoryNetwork | PeerHandler.PeerHandler | ReplicaSet> = Layer.fresh(
  Layer.effectDiscard(
    Effect.gen(function* () {
      const network = yield* MemoryNetwork
      const { self } = yield* ReplicaSet
      yield* network.register(self, yield* PeerHandler.PeerHandler)
    })
  )
)

/** Gives a replica this transport, and lets its peers reach it: `Replica.layer().pipe(MemoryNetwork.serve)`. */
export const serve = <A, E, R>(
  replica: Layer.Layer<A | PeerHandler.PeerHandler, E, R>
): Layer.Layer<A | PeerHandler.PeerHandler, E, Exclude<R, PeerTransport> | MemoryNetwork | ReplicaSet> =>
  layerServer.pipe(Layer.provideMerge(replica), Layer.provide(layerTransport))

// ---------------------------------------------------------------------------------------------------------------------

const makeNetwork = (): MemoryNetwork["Service"] => {
  interface Endpoint {
    readonly handler: PeerHandler.PeerHandler["Service"]
    readonly closed: Deferred.Deferred<void>
  }
  const endpoints = new Map<ReplicaId.ReplicaId, Endpoint>()
  return MemoryNetwork.of({
    register: (replica, handler) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const endpoint: Endpoint = { handler, closed: Deferred.makeUnsafe() }
          endpoints.set(replica, endpoint)
          return endpoint
        }),
        (endpoint) =>
          Effect.suspend(() => {
            if (endpoints.get(replica) === endpoint) endpoints.delete(replica)
            return Deferred.succeed(endpoint.closed, undefined)
          })
      ).pipe(Effect.asVoid),
    connect: (peer) =>
      Effect.suspend(() => {
        const refused = (detail: string) => new PeerProtocol.PeerUnreachable({ peer, reason: "refused", detail })
        const endpoint = endpoints.get(peer)
        if (endpoint === undefined) return Effect.fail(refused("no such replica in the network"))
        const gone = Effect.flatMap(Deferred.await(endpoint.closed), () => Effect.fail(refused("the replica is gone")))
        let isOpen = true
        const fromHere = Effect.provideService(PeerCaller, { connection: {}, isOpen: () => isOpen })
        return Effect.as(
          Effect.addFinalizer(() => Effect.sync(() => (isOpen = false))),
          PeerMethods.wrap(endpoint.handler, (call): PeerMethods.AnyCall<PeerProtocol.PeerUnreachable> =>
            Deferred.isDoneUnsafe(endpoint.closed) ? gone : apart(fromHere(call), gone)
          )
        )
      })
  })
}

/**
 * Runs what a peer does in a fiber of the peer's: a caller that gives up, or a peer that is gone, waits neither for the
 * peer's disk nor for anything else there that cannot be interrupted.
 */
const apart = <A, E, E2>(work: Effect.Effect<A, E>, gone: Effect.Effect<never, E2>): Effect.Effect<A, E | E2> =>
  Effect.flatMap(
    Effect.forkDetach(work, { startImmediately: true }),
    // What was answered at once, as most is, has nobody wait for it.
    (fiber): Effect.Effect<A, E | E2> => fiber.pollUnsafe() ?? Effect.raceFirst(joined(fiber), gone)
  )

const joined = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<A, E> =>
  Effect.onInterrupt(Fiber.join(fiber), () => Effect.sync(() => fiber.interruptUnsafe()))
