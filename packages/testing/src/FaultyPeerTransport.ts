/**
 * A transport on a bad network: calls and answers are lost, late, doubled or overtaken, connections break, and nothing
 * passes in one direction or in both.
 */
import { type ReplicaId } from "@quorum/core"
import { PeerMethods, PeerProtocol, PeerTransport } from "@quorum/core/adapter"
import { Deferred, Effect, Fiber, Layer } from "effect"
import * as Faults from "./Faults.ts"

/** What can go wrong with one call to a peer. */
export type LinkFault =
  /** The peer never gets the request, and the caller no answer: it waits until it gives up. */
  | { readonly _tag: "DroppedRequest" }
  /** The peer gets the request and does what it asks; the caller gets no answer. */
  | { readonly _tag: "DroppedAnswer" }
  /** The request is sent when `wait` ends. */
  | { readonly _tag: "Delay"; readonly wait: Effect.Effect<void> }
  /** The peer gets the request a second time after it has answered the first. */
  | { readonly _tag: "Duplicate" }
  /** The next request on the connection overtakes this one; without one it is sent after `withinMillis`, in order. */
  | { readonly _tag: "Reorder"; readonly withinMillis: number }
  /** The connection breaks: the request is not sent, and all that is under way or comes later fails. */
  | { readonly _tag: "Disconnect" }

/** Which way nothing passes: requests to the peer, its answers, or both. */
export type Direction = "requests" | "answers" | "both"

/** What the faults of a transport are asked about. */
export interface LinkCall {
  readonly peer: ReplicaId.ReplicaId
  readonly method: PeerMethods.Name
}

/** The source of a transport's faults. `Partition` counts the calls that a partition has swallowed. */
export interface LinkFaults extends Faults.Faults<LinkCall, LinkFault, LinkFault["_tag"] | "Partition"> {
  /** From now on nothing passes between this replica and the peer, in the direction; connecting hangs. */
  readonly partition: (peer: ReplicaId.ReplicaId, direction?: Direction) => void
  /** Ends the partition from one peer, or from all. What was swallowed stays lost. */
  readonly heal: (peer?: ReplicaId.ReplicaId) => void
  /** Breaks the open connections to one peer, or to all. */
  readonly disconnect: (peer?: ReplicaId.ReplicaId) => void
  /** What a decorated transport shares with its source. */
  readonly links: {
    readonly partitions: ReadonlyMap<ReplicaId.ReplicaId, Direction>
    readonly open: Set<{ readonly peer: ReplicaId.ReplicaId; readonly breakUp: () => void }>
  }
}

/** Makes the source of a transport's faults. */
export const faults = (plan?: Faults.Plan<LinkCall, LinkFault>): LinkFaults => {
  const source = Faults.make<LinkCall, LinkFault, LinkFault["_tag"] | "Partition">(plan)
  const partitions = new Map<ReplicaId.ReplicaId, Direction>()
  const open: LinkFaults["links"]["open"] = new Set()
  return {
    ...source,
    partition: (peer, direction = "both") => void partitions.set(peer, direction),
    heal: (peer) => {
      if (peer === undefined) partitions.clear()
      else partitions.delete(peer)
    },
    disconnect: (peer) => {
      for (const link of open) if (peer === undefined || link.peer === peer) link.breakUp()
    },
    links: { partitions, open }
  }
}

/** A request that never arrives. */
export const droppedRequest: LinkFault = { _tag: "DroppedRequest" }

/** An answer that never arrives. */
export const droppedAnswer: LinkFault = { _tag: "DroppedAnswer" }

/** A request that takes so long to be sent, in milliseconds. */
export const delay = (millis: number): LinkFault => ({ _tag: "Delay", wait: Effect.sleep(millis) })

/** A request that is sent when an effect ends. */
export const delayUntil = (wait: Effect.Effect<void>): LinkFault => ({ _tag: "Delay", wait })

/** A request that arrives twice. */
export const duplicate: LinkFault = { _tag: "Duplicate" }

/** A request that the next one overtakes, if one comes within so many milliseconds, 50 unless given. */
export const reorder = (withinMillis: number = 50): LinkFault => ({ _tag: "Reorder", withinMillis })

/** A connection that breaks. */
export const disconnect: LinkFault = { _tag: "Disconnect" }

/** Decorates a transport. */
export const make = (
  transport: PeerTransport.PeerTransport["Service"],
  source: LinkFaults
): PeerTransport.PeerTransport["Service"] =>
  PeerTransport.PeerTransport.of({
    ...transport,
    connect: Effect.fnUntraced(function* (peer) {
      if (source.links.partitions.has(peer)) {
        source.happened("Partition")
        return yield* Effect.never
      }
      return yield* decorate(peer, yield* transport.connect(peer), source)
    })
  })

/** Decorates the transport in context: `FaultyPeerTransport.layer(faults).pipe(Layer.provide(WsPeerTransport.layer(…)))`. */
export const layer = (
  source: LinkFaults
): Layer.Layer<PeerTransport.PeerTransport, never, PeerTransport.PeerTransport> =>
  Layer.effect(
    PeerTransport.PeerTransport,
    Effect.map(PeerTransport.PeerTransport, (transport) => make(transport, source))
  )

// ---------------------------------------------------------------------------------------------------------------------

/** One connection and its faults. */
const decorate = Effect.fnUntraced(function* (
  peer: ReplicaId.ReplicaId,
  client: PeerMethods.PeerClient,
  source: LinkFaults
) {
  const scope = yield* Effect.scope
  const gone = new PeerProtocol.PeerUnreachable({ peer, reason: "refused", detail: "a fault: the connection broke" })
  const broken = Deferred.makeUnsafe<never, PeerProtocol.PeerUnreachable>()
  const link = { peer, breakUp: () => breakUp() }
  /** Requests that wait for another to overtake them. */
  const overtaken = new Set<Deferred.Deferred<void>>()

  const breakUp = (): void => {
    if (!source.links.open.delete(link)) return
    source.happened("Disconnect")
    Deferred.doneUnsafe(broken, Effect.fail(gone))
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => source.links.open.add(link)),
    () => Effect.sync(() => source.links.open.delete(link))
  )

  const blocks = (direction: Direction): boolean => {
    const partition = source.links.partitions.get(peer)
    return partition === "both" || partition === direction
  }
  const swallowed = (tag: Parameters<LinkFaults["happened"]>[0]) =>
    Effect.suspend(() => {
      source.happened(tag)
      return Effect.never
    })

  /** Sends a request ahead of those that wait to be overtaken. */
  const overtake = <A, E>(send: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const behind = Array.from(overtaken)
      if (behind.length === 0) return send
      return Effect.flatMap(Effect.forkIn(send, scope, { startImmediately: true }), (fiber) => {
        for (const each of behind) Deferred.doneUnsafe(each, Effect.void)
        return Effect.onInterrupt(Fiber.join(fiber), () => Fiber.interrupt(fiber))
      })
    })

  const reordered = <A, E>(send: Effect.Effect<A, E>, withinMillis: number): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const turn = Deferred.makeUnsafe<void>()
      overtaken.add(turn)
      return Deferred.await(turn).pipe(
        Effect.andThen(Effect.sync(() => source.happened("Reorder"))),
        Effect.timeoutOption(withinMillis),
        Effect.ensuring(Effect.sync(() => overtaken.delete(turn))),
        Effect.andThen(send)
      )
    })

  const withFault = <A, E>(fault: LinkFault | undefined, send: Effect.Effect<A, E>): Effect.Effect<A, E> => {
    switch (fault?._tag) {
      case undefined:
        return overtake(send)
      case "DroppedRequest":
        return swallowed("DroppedRequest")
      case "DroppedAnswer":
        return Effect.andThen(Effect.exit(send), swallowed("DroppedAnswer"))
      case "Delay":
        source.happened("Delay")
        return Effect.andThen(fault.wait, send)
      case "Duplicate":
        return Effect.tap(overtake(send), () => {
          source.happened("Duplicate")
          return Effect.forkIn(Effect.exit(send), scope, { startImmediately: true })
        })
      case "Reorder":
        return reordered(send, fault.withinMillis)
      case "Disconnect":
        breakUp()
        return Effect.never
    }
  }

  const call = <A, E>(send: Effect.Effect<A, E>, method: PeerMethods.Name) =>
    Effect.suspend((): Effect.Effect<A, E | PeerProtocol.PeerUnreachable> => {
      if (Deferred.isDoneUnsafe(broken)) return Effect.fail(gone)
      const sent = Effect.suspend((): Effect.Effect<A, E> => (blocks("requests") ? swallowed("Partition") : send))
      const answered = Effect.flatMap(
        Effect.exit(withFault(source.decide({ peer, method }), sent)),
        (exit): Effect.Effect<A, E> => (blocks("answers") ? swallowed("Partition") : exit)
      )
      return Effect.raceFirst(answered, Deferred.await(broken))
    })

  return PeerMethods.wrap(client, call)
})
