/** The network in memory, as a wire. */
import { ReplicaSet } from "@quorum/core"
import { MemoryNetwork, PeerTransport } from "@quorum/core/adapter"
import { Context, Effect, Layer } from "effect"
import { Wire } from "../../src/index.ts"

/** A network of its own for every case. */
export const wire: Layer.Layer<Wire.Wire> = Layer.effect(
  Wire.Wire,
  Effect.map(MemoryNetwork.MemoryNetwork, (network) =>
    Wire.Wire.of({
      serve: (replica, handler) => Effect.as(network.register(replica, handler), undefined),
      transport: (members) =>
        MemoryNetwork.layerTransport.pipe(
          Layer.provide(Layer.succeed(MemoryNetwork.MemoryNetwork, network)),
          Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, members)),
          Layer.build,
          Effect.map((context) => Context.get(context, PeerTransport.PeerTransport))
        )
    })
  )
).pipe(Layer.provide(MemoryNetwork.layer))
