/** Bytes that no replica sends, and connections on which none are sent. Needs a port. */
import { assert } from "@effect/vitest"
import { Entry } from "@quorum/core"
import { EntryBatch, PeerProtocol } from "@quorum/core/adapter"
import { Effect, Exit, Fiber, Scope } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { Wire } from "../../Wire.ts"
import { first, head, held, range, source, texts } from "../entries.ts"
import { refused } from "../refused.ts"
import { until, within } from "../waiting.ts"
import { pushOnSlowDisk, unreachable } from "./broken.ts"
import * as Rig from "./rig.ts"
import * as TcpProxy from "./TcpProxy.ts"

const log = source(Rig.logA, 12)
const ack = JSON.stringify({ replica: "b", ...EntryBatch.watermark(log) })
const garbage = Uint8Array.from({ length: 4096 }, (_, i) => 0xff - (i % 5))

/** What other servers say to whatever they are asked. */
const page = (head: string, body = ""): Uint8Array =>
  new TextEncoder().encode(`HTTP/1.1 ${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)

const strangers: ReadonlyArray<readonly [what: string, bytes: Uint8Array]> = [
  ["a web server that has a page for everything", page("200 OK\r\nContent-Type: text/html", "<h1>It works!</h1>")],
  ["a web server that says what an ack would say", page("200 OK\r\nContent-Type: application/json", ack)],
  ["a web server that has nothing to say", page("204 No Content")],
  ["a proxy without a server behind it", page("503 Service Unavailable\r\nRetry-After: 1", "try later")],
  ["something that speaks in bytes of its own", Uint8Array.from({ length: 512 }, (_, i) => 0xff - (i % 3))]
]

/** Handshake and push both fail as unreachable: nothing that came back was taken for an answer. */
const noAnswer = Effect.fnUntraced(function* (rig: Rig.Rig) {
  const transport = yield* rig.transport()
  for (const call of ["hello", "push"] as const) {
    const connected = Effect.flatMap(transport.connect(Rig.b), (client): Effect.Effect<unknown, unknown> =>
      call === "hello" ? client.hello(Rig.hello) : client.push({ session: "x", batch: log })
    )
    const error = yield* refused(`the ${call}`, within(`the ${call}`)(Effect.scoped(connected)))
    assert.instanceOf(error, PeerProtocol.PeerUnreachable)
  }
})

export const cases: ReadonlyArray<Conformance.Case<Wire>> = [
  ...strangers.map(([what, bytes]) =>
    Conformance.make(
      `${what} gives no answer that counts`,
      Effect.gen(function* () {
        const rig = yield* Rig.make
        const proxy = yield* rig.proxyOf(Rig.b, yield* rig.serve(Rig.b))
        proxy.set({ _tag: "Answer", bytes })
        yield* noAnswer(rig)
        assert.isAbove(proxy.received(), 0, "nobody was asked")
      })
    )
  ),

  Conformance.make(
    "a redirect is not followed",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const proxy = yield* rig.proxyOf(Rig.b, yield* rig.serve(Rig.b))
      yield* rig.serve(Rig.c)
      for (const status of [301, 302, 307, 308]) {
        const target = `http://127.0.0.1:${rig.proxy(Rig.c).port}/peer`
        proxy.set({ _tag: "Answer", bytes: page(`${status} Elsewhere\r\nLocation: ${target}`) })
        yield* noAnswer(rig)
      }
      assert.isAbove(proxy.received(), 0, "nobody was asked")
      assert.strictEqual(rig.proxy(Rig.c).accepted(), 0, "the redirect was followed")
    })
  ),

  Conformance.make(
    "a peer that accepts connections and says nothing can be given up, and leaves nothing behind",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const proxy = yield* rig.proxyOf(Rig.b, yield* rig.serve(Rig.b))
      proxy.set({ _tag: "Silence" })
      const scope = yield* Scope.make()
      const transport = yield* Scope.provide(rig.transport(), scope)
      const call = yield* Effect.forkChild(
        Scope.provide(
          Effect.flatMap(transport.connect(Rig.b), (client) => client.hello(Rig.hello)),
          scope
        ),
        { startImmediately: true }
      )
      yield* until("the peer was asked", () => proxy.received() > 0)
      yield* within("interrupting the handshake", 2000)(Fiber.interrupt(call))
      yield* within("closing the transport", 2000)(Scope.close(scope, Exit.void))
      yield* until("the connection is gone", () => proxy.open() === 0)
    })
  ),

  Conformance.make(
    "a connection that falls silent can be given up, and leaves nothing behind",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const proxy = yield* rig.proxyOf(Rig.b, peer)
      const scope = yield* Scope.make()
      const transport = yield* Scope.provide(rig.transport(), scope)
      const { push } = yield* Scope.provide(Rig.connect(transport), scope)
      proxy.mute()
      proxy.set({ _tag: "Silence" })
      const before = proxy.received()
      const pushed = yield* Effect.forkChild(push(log), { startImmediately: true })
      yield* until("the push was sent", () => proxy.received() > before)
      assert.isUndefined(pushed.pollUnsafe(), "nobody can have answered")
      yield* within("interrupting the push", 2000)(Fiber.interrupt(pushed))
      yield* within("closing the transport", 2000)(Scope.close(scope, Exit.void))
      yield* until("the connection is gone", () => proxy.open() === 0)
      proxy.set({ _tag: "Forward", port: yield* peer.port })
      const again = yield* Rig.connect(yield* rig.transport())
      assert.strictEqual((yield* within("the push")(again.push(log))).seq, 12)
    })
  ),

  Conformance.make(
    "garbage in the middle of a connection ends its calls, and none of them as acked",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const proxy = yield* rig.proxyOf(Rig.b, peer)
      const transport = yield* rig.transport()
      const { push } = yield* Rig.connect(transport)
      const { disk, fiber } = yield* pushOnSlowDisk(peer.faults, push(log))
      proxy.inject(garbage)
      unreachable(yield* within("the push under way")(Fiber.await(fiber)))
      disk.openUnsafe()
      const again = yield* Rig.connect(transport)
      assert.strictEqual((yield* within("the push")(again.push(log))).seq, 12)
      assert.deepStrictEqual(yield* held(peer.store, Rig.logA), texts(log))
    })
  ),

  Conformance.make(
    "garbage that is sent to a server ends that connection, and hurts nobody else",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const port = yield* peer.port
      const { push } = yield* Rig.connect(yield* rig.transport())
      yield* within("the push")(push(range(log, 1, 4)))
      for (const bytes of [garbage, new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n")]) {
        yield* within("the end of the connection")(TcpProxy.send(port, bytes))
      }
      assert.strictEqual((yield* within("the push")(push(range(log, 5, 12)))).seq, 12)
      assert.deepStrictEqual(yield* peer.store.watermarks, [EntryBatch.watermark(log)])
    })
  ),

  Conformance.make(
    "a push beyond the limit is not acked, and the server goes on",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.serve(Rig.b)
      const transport = yield* rig.transport()
      const { push } = yield* Rig.connect(transport)
      const large = first(Rig.logA, [Entry.put("ns", "k", new Uint8Array(2 * PeerProtocol.maxMessageBytes()))])
      assert.isTrue(Exit.isFailure(yield* within("the push")(Effect.exit(push(large)))), "it was acked")
      assert.strictEqual((yield* head(peer.store, Rig.logA)).seq, 0)
      const again = yield* Rig.connect(transport)
      assert.strictEqual((yield* within("the push")(again.push(log))).seq, 12)
    })
  )
]
