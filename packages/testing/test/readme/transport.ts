import { ReplicaSet } from "@quorum/core"
import { MemoryNetwork, PeerTransport } from "@quorum/core/adapter"
import { TransportConformance, Wire } from "../../src/index.ts"
import { Context, Effect, Layer } from "effect"

/** Both ends of a transport. One that has ports returns the port from `serve`, and reaches peers at `portOf(peer)`. */
const wire = Layer.effect(
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

TransportConformance.suite("a transport in memory", wire, {
  skip: TransportConformance.needPorts.map((name) => ({ case: name, reason: "values are passed, not bytes" }))
})
