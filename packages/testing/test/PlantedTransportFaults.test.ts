/** A suite that nobody has seen fail proves nothing: here every fault that it is for is planted, and found. */
import { assert, describe, it } from "@effect/vitest"
import type { LogId, ReplicaId } from "@quorum/core"
import {
  Chain,
  EntryBatch,
  Life,
  type PeerHandler,
  type PeerMethods,
  type PeerProtocol,
  type PeerTransport
} from "@quorum/core/adapter"
import { Effect, Layer, type Scope } from "effect"
import { FaultyPeerTransport, TransportConformance, Wire } from "../src/index.ts"
import { type Finds, finds } from "./support/finds.ts"
import * as MemoryWire from "./support/memoryWire.ts"

/** Remembers what a peer says of itself, so that a lie about what it holds is a lie about nothing else. */
const truthOf = <E>(peer: PeerMethods.PeerMethods<E>) => {
  let said: PeerProtocol.Welcome | undefined
  const hello: typeof peer.hello = (request) =>
    Effect.tap(peer.hello(request), (welcome) => Effect.sync(() => (said = welcome)))
  const ack = (replica: ReplicaId.ReplicaId, batch: EntryBatch.EntryBatch): PeerProtocol.Ack => ({
    replica,
    incarnation: said?.incarnation ?? ("00000000000000bb" as LogId.Incarnation),
    members: Life.hash(said?.members ?? {}),
    clock: { wallTime: 0, logical: 0 },
    voting: true,
    ...EntryBatch.watermark(batch)
  })
  return { hello, ack }
}

type Handler = PeerHandler.PeerHandler["Service"]

describe("L50 the transport suite finds", { concurrent: true }, () => {
  const planted = (
    what: string,
    decorate: {
      readonly handler?: (handler: Handler, replica: ReplicaId.ReplicaId) => Handler
      readonly transport?: (
        transport: PeerTransport.PeerTransport["Service"]
      ) => Effect.Effect<PeerTransport.PeerTransport["Service"], never, Scope.Scope>
    },
    expected: Finds
  ) => it.live(what, () => finds(TransportConformance.cases, brokenWire(decorate), expected))

  const client = (decorate: (client: PeerMethods.PeerClient) => Partial<PeerMethods.PeerClient>) => ({
    transport: (transport: PeerTransport.PeerTransport["Service"]) =>
      Effect.succeed({
        ...transport,
        connect: (peer: ReplicaId.ReplicaId) =>
          Effect.map(transport.connect(peer), (inner) => ({ ...inner, ...decorate(inner) }))
      })
  })

  it.live("an ack before the append, of a server that ends when all that it began has ended", () =>
    finds(
      TransportConformance.cases,
      Layer.effect(
        Wire.Wire,
        Effect.map(Wire.Wire, (wire) =>
          Wire.Wire.of({
            ...wire,
            serve: (replica, handler) =>
              Effect.flatMap(Effect.scope, (scope) => {
                const { ack, hello } = truthOf(handler)
                const push: Handler["push"] = (request) =>
                  Effect.as(Effect.forkIn(Effect.ignore(handler.push(request)), scope), ack(replica, request.batch))
                return wire.serve(replica, { ...handler, hello, push })
              })
          })
        )
      ).pipe(Layer.provide(MemoryWire.wire)),
      [["an ack comes only when the peer's store holds the entries", /acked before it was held/]]
    )
  )

  planted(
    "an ack before the append",
    {
      handler: (handler, replica) => {
        const truth = truthOf(handler)
        return {
          ...handler,
          hello: truth.hello,
          push: (request) =>
            Effect.as(Effect.forkDetach(Effect.ignore(handler.push(request))), truth.ack(replica, request.batch))
        }
      }
    },
    [
      ["an ack comes only when the peer's store holds the entries", /acked before it was held/],
      [
        "a replicator delivers everything, and counts nothing that is not held, while its peer dies again and again",
        /./
      ]
    ]
  )

  planted(
    "an ack without its chain",
    client((inner) => ({
      push: (request) => Effect.map(inner.push(request), (ack) => ({ ...ack, chain: Chain.empty }))
    })),
    [["an ack echoes the replica, the log, the place and the chain", /AssertionError/]]
  )

  planted(
    "a gap that is acked",
    {
      handler: (handler, replica) => ({
        ...handler,
        push: (request) =>
          Effect.catchIf(
            handler.push(request),
            (error) => error._tag === "AppendGap",
            () => Effect.succeed(truthOf(handler).ack(replica, request.batch))
          )
      })
    },
    [["a gap is answered with the head that the peer has", /a gap was accepted/]]
  )

  planted(
    "a drift that is acked",
    {
      handler: (handler, replica) => ({
        ...handler,
        push: (request) =>
          Effect.catchIf(
            handler.push(request),
            (error) => error._tag === "AppendDrift",
            () => Effect.succeed(truthOf(handler).ack(replica, request.batch))
          )
      })
    },
    [["a drift is answered as one, and overwrites nothing", /a drift was accepted/]]
  )

  planted(
    "a handshake that accepts the replica itself",
    {
      handler: (handler, replica) => ({
        ...handler,
        hello: (request) =>
          handler.hello(request.replica === replica ? { ...request, replica: "a" as ReplicaId.ReplicaId } : request)
      })
    },
    [["a handshake of the replica that is called is refused as self", /the handshake was accepted/]]
  )

  planted(
    "a push that is lost when the connection breaks, and waited for ever after",
    client((inner) => ({
      push: (request) =>
        Effect.catchIf(
          inner.push(request),
          (error) => error._tag === "PeerUnreachable",
          () => Effect.never
        )
    })),
    [
      [
        "a push under way when the peer dies fails, and what was not acked is made good on the next connection",
        /the push under way did not end/
      ]
    ]
  )

  planted(
    "a push that is lost when the connection breaks, and taken for acked",
    client((inner) => {
      const truth = truthOf(inner)
      return {
        hello: truth.hello,
        push: (request) =>
          Effect.catchIf(
            inner.push(request),
            (error) => error._tag === "PeerUnreachable",
            () => Effect.succeed(truth.ack("b" as ReplicaId.ReplicaId, request.batch))
          )
      }
    }),
    [
      [
        "a push under way when the peer dies fails, and what was not acked is made good on the next connection",
        /it was answered/
      ],
      [
        "a replicator delivers everything, and counts nothing that is not held, while its peer dies again and again",
        /./
      ]
    ]
  )

  it.live("pushes that overtake each other", () =>
    Effect.gen(function* () {
      let pushes = 0
      const faults = FaultyPeerTransport.faults((call) =>
        call.method === "push" && ++pushes % 4 === 0 ? FaultyPeerTransport.reorder() : undefined
      )
      const broken = brokenWire({ transport: (inner) => Effect.succeed(FaultyPeerTransport.make(inner, faults)) })
      yield* finds(TransportConformance.cases, broken, [
        [
          "pushes arrive in the order in which they were made, as many under way as the transport allows",
          /AppendGap|log/
        ]
      ])
      assert.isAbove(faults.count("Reorder"), 0)
    })
  )

  planted(
    "a call that cannot be given up",
    client((inner) => ({ push: (request) => Effect.uninterruptible(inner.push(request)) })),
    [["a call that is interrupted ends at once, and the connection goes on", /interrupting the push did not end/]]
  )

  planted(
    "a fiber that is left behind",
    {
      transport: (transport) => Effect.as(Effect.forkDetach(Effect.sleep(30_000)), transport)
    },
    [
      [
        "no fiber and no listener is left when the scopes of a transport and a server have closed",
        /all fibers have ended/
      ]
    ]
  )
})

const brokenWire = (decorate: {
  readonly handler?: (handler: Handler, replica: ReplicaId.ReplicaId) => Handler
  readonly transport?: (
    transport: PeerTransport.PeerTransport["Service"]
  ) => Effect.Effect<PeerTransport.PeerTransport["Service"], never, Scope.Scope>
}): Layer.Layer<Wire.Wire> =>
  Layer.effect(
    Wire.Wire,
    Effect.map(Wire.Wire, (wire) =>
      Wire.Wire.of({
        serve: (replica, handler) => wire.serve(replica, decorate.handler?.(handler, replica) ?? handler),
        transport: (members, portOf) =>
          Effect.flatMap(wire.transport(members, portOf), (transport) =>
            decorate.transport === undefined ? Effect.succeed(transport) : decorate.transport(transport)
          )
      })
    )
  ).pipe(Layer.provide(MemoryWire.wire))
