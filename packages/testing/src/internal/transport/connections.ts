/** What is left of connections when scopes close: nothing. Needs a port. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { Wire } from "../../Wire.ts"
import { until, within } from "../waiting.ts"
import * as Rig from "./rig.ts"
import * as TcpProxy from "./TcpProxy.ts"
import { useAndClose } from "./useAndClose.ts"

export const cases: ReadonlyArray<Conformance.Case<Wire>> = [
  Conformance.make(
    "a connection is closed with its scope",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const proxy = yield* rig.proxyOf(Rig.b, yield* rig.serve(Rig.b))
      const transport = yield* rig.transport()
      const scope = yield* Scope.make()
      yield* Scope.provide(Rig.connect(transport), scope)
      assert.isAbove(proxy.open(), 0)
      yield* within("closing the connection")(Scope.close(scope, Exit.void))
      yield* until("the connection is closed", () => proxy.open() === 0, 10_000)
    })
  ),

  Conformance.make(
    "connecting again and again does not add up",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const proxy = yield* rig.proxyOf(Rig.b, yield* rig.serve(Rig.b))
      const transport = yield* rig.transport()
      for (let i = 0; i < 20; i++) yield* Effect.scoped(Rig.connect(transport))
      assert.isAbove(proxy.accepted(), 0)
      yield* until("at most one connection is open", () => proxy.open() <= 1, 10_000)
    })
  ),

  Conformance.make(
    "a transport leaves no connection open, whatever happened on it",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const proxy = yield* rig.proxyOf(Rig.b, peer)
      yield* useAndClose(rig, peer)
      assert.isAbove(proxy.accepted(), 0)
      yield* until("all connections are closed", () => proxy.open() === 0)
    })
  ),

  Conformance.make(
    "a server that has stopped leaves no connection open, and does not listen",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const proxy = yield* rig.proxyOf(Rig.b, peer)
      const port = yield* peer.port
      yield* Rig.connect(yield* rig.transport())
      assert.isTrue(yield* TcpProxy.listens(port))
      yield* within("stopping")(peer.stop)
      assert.isFalse(yield* TcpProxy.listens(port))
      yield* until("its connections are closed", () => proxy.open() === 0)
    })
  )
]
