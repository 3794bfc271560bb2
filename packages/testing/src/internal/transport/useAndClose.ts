/** A transport's life in short. */
import { Effect, Exit, Latch, Scope } from "effect"
import * as FaultyReplicaStore from "../../FaultyReplicaStore.ts"
import { range, source } from "../entries.ts"
import { within } from "../waiting.ts"
import * as Rig from "./rig.ts"

const log = source(Rig.logA, 12)

/** Uses a transport in all the ways that might leave something behind. Its scope is closed when this returns. */
export const useAndClose = (
  rig: Rig.Rig,
  peer: { readonly faults: FaultyReplicaStore.StoreFaults }
): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const transport = yield* Scope.provide(rig.transport(), scope)
    const connect = Scope.provide(Rig.connect(transport), scope)
    yield* (yield* connect).push(range(log, 1, 4))
    // A connection whose own scope has closed.
    yield* Effect.scoped(Rig.connect(transport))
    // A call that was interrupted.
    const disk = Latch.makeUnsafe()
    peer.faults.inject(FaultyReplicaStore.slowDiskUntil(disk.await))
    yield* Effect.ensuring(Effect.timeoutOption((yield* connect).push(range(log, 5, 6)), 50), disk.open)
    // A call that was refused, and a peer that nobody serves.
    yield* Effect.exit((yield* connect).push(range(log, 9, 12)))
    yield* Effect.exit(Scope.provide(Rig.connect(transport, Rig.c), scope))
    yield* within("closing the transport")(Scope.close(scope, Exit.void))
  })
