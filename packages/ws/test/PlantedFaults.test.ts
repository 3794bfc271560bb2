/** Faults of a real socket, planted to see that the transport suite finds them. */
import { assert, describe, it } from "@effect/vitest"
import type { PeerTransport } from "@quorum/core/adapter"
import { Conformance, TransportConformance, Wire } from "@quorum/testing"
import { Cause, Effect, Exit, Layer, Scope } from "effect"
import * as WsWire from "./support/wire.ts"

/** A transport whose connections outlive the scopes that they were opened in. */
const leaking = (inner: PeerTransport.PeerTransport["Service"], leaked: Scope.Scope) => ({
  ...inner,
  connect: (peer: Parameters<typeof inner.connect>[0]) => Scope.provide(inner.connect(peer), leaked)
})

describe("the transport suite finds", () => {
  it.live("a leaked socket", () =>
    Effect.gen(function* () {
      const leaked = yield* Effect.scope
      const wire = WsWire.make()
      const broken = Layer.succeed(Wire.Wire, {
        ...wire,
        transport: (members, portOf) =>
          Effect.map(wire.transport(members, portOf), (transport) => leaking(transport, leaked))
      })
      const check = Effect.fnUntraced(function* (name: string, message: RegExp) {
        const found = TransportConformance.cases.find((each) => each.name === name)
        assert(found !== undefined, name)
        const exit = yield* Effect.exit(Conformance.run(found, broken))
        assert(Exit.isFailure(exit), `not found by: ${name}`)
        assert.match(String(Cause.squash(exit.cause)), message)
      })
      yield* Effect.all(
        [
          check("a connection is closed with its scope", /the connection is closed/),
          check("connecting again and again does not add up", /at most one connection is open/),
          check("a transport leaves no connection open, whatever happened on it", /all connections are closed/)
        ],
        { concurrency: "unbounded" }
      )
    })
  )
})
