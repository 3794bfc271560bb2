/**
 * The network between the replicas of a run: every call takes its time, links lose, delay, double and reorder what they
 * carry, and nothing passes where a partition is. A connection ends with the processes at its ends.
 */
import { type ReplicaId } from "@quorum/core"
import { type PeerHandler, PeerMethods, type PeerProtocol, PeerTransport } from "@quorum/core/adapter"
import { type Context, Effect } from "effect"
import * as Carrying from "./Carrying.ts"
import type { Dice } from "./Dice.ts"
import type { Owner, Timeline } from "./Timeline.ts"

/** What goes wrong on a link, in one direction. */
export interface Link {
  /** The kind of partition because of which nothing passes. */
  blocked: string | undefined
  /** The chances, from 0 to 1, that a message is lost, and that a request is carried twice. */
  loss: number
  doubling: number
  /** The chance that a message takes up to a second longer, and whether others may overtake it then. */
  delay: number
  overtaking: boolean
  /** Milliseconds that every message takes, and up to how many more. */
  base: number
  jitter: number
}

/** A link on which nothing goes wrong. */
export const soundLink = (): Link => ({
  blocked: undefined,
  loss: 0,
  doubling: 0,
  delay: 0,
  overtaking: false,
  base: 0.2,
  jitter: 0.6
})

/** A process that can be called. */
export interface Endpoint {
  readonly owner: Owner
  readonly handler: PeerHandler.PeerHandler["Service"]
  readonly context: Context.Context<never>
}

/** A message that passes between two processes, for whoever looks at them. */
export interface Passing {
  /** The process that says it. */
  readonly by: Owner
  readonly from: ReplicaId.ReplicaId
  readonly to: ReplicaId.ReplicaId
  readonly name: PeerMethods.Name
  readonly request: unknown
  /** The answer; absent when it is a request that passes. */
  readonly answer?: unknown
}

/** How many pushes may be under way on one connection. */
export const maxInFlight = 4

/** What a network is part of. */
export interface Situation {
  readonly timeline: Timeline
  readonly dice: Dice
  readonly world: Owner
  /** Whether the messages are carried as the bytes of frames. */
  readonly asFrames: boolean
  readonly onPassing: (message: Passing) => void
  readonly onFault: (fault: string) => void
}

/** A network. */
export interface Network {
  readonly link: (from: ReplicaId.ReplicaId, to: ReplicaId.ReplicaId) => Link
  readonly links: () => Iterable<Link>
  /** Makes all links sound. */
  readonly mend: () => void
  /** Lets a process be called, until it is gone. */
  readonly register: (replica: ReplicaId.ReplicaId, endpoint: Endpoint) => void
  /** A process is gone. `silently` when nobody is told: the machine is gone too. */
  readonly gone: (owner: Owner, silently: boolean) => void
  /** Breaks one of the open connections of a replica. Returns whether there was one. */
  readonly breakOne: (replica: ReplicaId.ReplicaId) => boolean
  /** How many connections of a process to a replica are open, and the most pushes that are under way on one of them. */
  readonly traffic: (owner: Owner, to: ReplicaId.ReplicaId) => { readonly connections: number; readonly pushes: number }
  /** The transport of a process. */
  readonly transport: (self: ReplicaId.ReplicaId, owner: Owner) => PeerTransport.PeerTransport["Service"]
}

/** A network without processes. */
export const make = (situation: Situation): Network => {
  const { dice, onFault, timeline, world } = situation
  const links = new Map<string, Link>()
  /** Who listens for calls of a replica: more than one while a copy of it runs. */
  const endpoints = new Map<ReplicaId.ReplicaId, ReadonlyArray<Endpoint>>()
  const connections = new Set<Carrying.Connection>()
  const link = (from: ReplicaId.ReplicaId, to: ReplicaId.ReplicaId): Link => {
    const id = `${from} ${to}`
    const known = links.get(id) ?? soundLink()
    links.set(id, known)
    return known
  }
  const call = Carrying.make(situation, link)

  const breakUp = (connection: Carrying.Connection): void => {
    if (connection.isBroken) return
    connection.isBroken = true
    connections.delete(connection)
    for (const fail of Array.from(connection.calls)) timeline.soon(connection.caller, fail)
  }

  return {
    link,
    links: () => links.values(),
    mend: () => {
      for (const [id] of links) Object.assign(links.get(id)!, soundLink())
    },
    register: (replica, endpoint) => void endpoints.set(replica, [...(endpoints.get(replica) ?? []), endpoint]),
    gone: (owner, silently) => {
      for (const [replica, known] of endpoints)
        endpoints.set(
          replica,
          known.filter((each) => each.owner !== owner)
        )
      for (const connection of Array.from(connections)) {
        if (connection.caller === owner) {
          if (!owner.isAlive) connections.delete(connection)
        } else if (connection.endpoint.owner === owner && !silently) {
          timeline.at(world, timeline.now() + 1, () => {
            if (link(connection.to, connection.from).blocked === undefined) breakUp(connection)
          })
        }
      }
    },
    breakOne: (replica) => {
      const open = Array.from(connections).filter(({ from, to }) => from === replica || to === replica)
      if (open.length === 0) return false
      const connection = dice.pick(open)
      onFault(connection.calls.size > 0 ? "connection_broken_busy" : "connection_broken")
      breakUp(connection)
      return true
    },
    traffic: (owner, to) => {
      const open = Array.from(connections).filter((each) => each.caller === owner && each.to === to)
      return { connections: open.length, pushes: Math.max(0, ...open.map(({ pushes }) => pushes)) }
    },
    transport: (self, owner) =>
      PeerTransport.PeerTransport.of({
        maxInFlight,
        connect: Effect.fnUntraced(function* (peer) {
          yield* roundTrip(situation, owner, [link(self, peer), link(peer, self)])
          const known = endpoints.get(peer) ?? []
          const endpoint = known.length > 1 ? dice.pick(known) : known[0]
          if (endpoint === undefined) return yield* Carrying.unreachable(peer, "nothing listens there")
          const connection: Carrying.Connection = {
            from: self,
            to: peer,
            caller: owner,
            endpoint,
            isBroken: false,
            calls: new Set(),
            pushes: 0,
            requestsUntil: 0,
            answersUntil: 0
          }
          // In one step: a caller that gives up in between would leave it open for ever.
          yield* Effect.acquireRelease(
            Effect.sync(() => connections.add(connection)),
            () => Effect.sync(() => breakUp(connection))
          )
          return PeerMethods.make<PeerProtocol.PeerUnreachable>(
            (name, request) => call(connection, name, request) as PeerMethods.AnyCall<PeerProtocol.PeerUnreachable>
          )
        })
      })
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** A way there and back; it never ends where nothing passes. */
const roundTrip = ({ dice, onFault, timeline }: Situation, owner: Owner, ways: readonly [Link, Link]) =>
  Effect.callback<void>((resume) => {
    const blocked = ways.find((way) => way.blocked !== undefined)?.blocked
    if (blocked !== undefined) return onFault(blocked)
    const millis = ways[0].base + ways[1].base + dice.next() * (ways[0].jitter + ways[1].jitter)
    return Effect.sync(timeline.at(owner, timeline.now() + millis, () => resume(Effect.void)))
  })
