/**
 * The network between the replicas of a run: every call takes its time, links lose, delay, double and reorder what they
 * carry, and nothing passes where a partition is. A connection ends with the processes at its ends.
 */
import { type ReplicaId } from "@quorum/core"
import { PeerCaller, PeerFrame, type PeerHandler, PeerMethods, PeerProtocol, PeerTransport } from "@quorum/core/adapter"
import { type Context, Effect, Exit, Result } from "effect"
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

interface Connection {
  readonly from: ReplicaId.ReplicaId
  readonly to: ReplicaId.ReplicaId
  readonly caller: Owner
  readonly endpoint: Endpoint
  isBroken: boolean
  /** The calls under way, and how they fail. */
  readonly calls: Set<() => void>
  pushes: number
  /** When the last request, and the last answer, arrives: what follows arrives later. */
  requestsUntil: number
  answersUntil: number
}

/** A network without processes. */
export const make = (situation: Situation): Network => {
  const { asFrames, dice, onFault, onPassing, timeline, world } = situation
  const links = new Map<string, Link>()
  /** Who listens for calls of a replica: more than one while a copy of it runs. */
  const endpoints = new Map<ReplicaId.ReplicaId, ReadonlyArray<Endpoint>>()
  const connections = new Set<Connection>()
  const link = (from: ReplicaId.ReplicaId, to: ReplicaId.ReplicaId): Link => {
    const id = `${from} ${to}`
    const known = links.get(id) ?? soundLink()
    links.set(id, known)
    return known
  }

  const breakUp = (connection: Connection): void => {
    if (connection.isBroken) return
    connection.isBroken = true
    connections.delete(connection)
    for (const fail of Array.from(connection.calls)) timeline.soon(connection.caller, fail)
  }

  /** When a message arrives; `undefined` when it is lost. */
  const arrival = (from: ReplicaId.ReplicaId, to: ReplicaId.ReplicaId, after: number): number | undefined => {
    const { base, blocked, delay, jitter, loss, overtaking } = link(from, to)
    if (blocked !== undefined) return void onFault(blocked)
    if (loss > 0 && dice.chance(loss)) return void onFault("message_lost")
    let time = timeline.now() + base + dice.next() * jitter
    if (base > 5) onFault("slow_link")
    if (delay > 0 && dice.chance(delay)) {
      onFault("message_delayed")
      time += dice.between(0, 1000)
    }
    if (time >= after) return time
    if (overtaking) onFault("message_overtaken")
    return overtaking ? time : after
  }

  /** Has the peer do what it is asked, and gives its answer back. */
  const deliver = (
    connection: Connection,
    name: PeerMethods.Name,
    request: unknown,
    back: (exit: Exit.Exit<unknown, unknown>) => void
  ): void => {
    const { context, handler } = connection.endpoint
    const call = handler[name](request as never) as Effect.Effect<unknown, unknown>
    const from = Effect.provideService(PeerCaller.PeerCaller, { connection, isOpen: () => !connection.isBroken })
    Effect.runForkWith(context)(from(call)).addObserver(back)
  }

  const call = (connection: Connection, name: PeerMethods.Name, request: PeerMethods.RequestOf<PeerMethods.Name>) =>
    Effect.callback<unknown, unknown>((resume) => {
      const { caller, endpoint, from, to } = connection
      const fail = () => resume(Effect.fail(unreachable(to, "the connection broke")))
      if (connection.isBroken) return fail()
      connection.calls.add(fail)
      if (name === "push") connection.pushes++
      const ended = (): void => {
        if (connection.calls.delete(fail) && name === "push") connection.pushes--
      }
      const answered = (exit: Exit.Exit<unknown, unknown>): void => {
        const time = arrival(to, from, connection.answersUntil)
        if (time === undefined) {
          if (name === "push" && Exit.isSuccess(exit)) onFault("ack_lost")
          return
        }
        connection.answersUntil = Math.max(connection.answersUntil, time)
        if (Exit.isSuccess(exit))
          onPassing({ by: endpoint.owner, from: to, to: from, name, request, answer: exit.value })
        const carried = asFrames ? throughFrame(name, exit) : exit
        timeline.at(caller, time, () => {
          ended()
          if (!connection.isBroken) resume(carried)
        })
      }
      const arrive = (): void => {
        // A peer that is gone turns the connection away.
        if (!endpoint.owner.isAlive || connection.isBroken) return
        const carried = asFrames ? requestThroughFrame(name, request) : request
        timeline.soon(endpoint.owner, () => deliver(connection, name, carried, answered))
      }
      onPassing({ by: caller, from, to, name, request })
      const time = arrival(from, to, connection.requestsUntil)
      if (time !== undefined) {
        connection.requestsUntil = Math.max(connection.requestsUntil, time)
        timeline.at(world, time, arrive)
        if (dice.chance(link(from, to).doubling)) {
          timeline.at(world, time + dice.between(0, 50), () => {
            if (endpoint.owner.isAlive && !connection.isBroken) onFault("message_doubled")
            arrive()
          })
        }
      }
      return Effect.sync(ended)
    })

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
          if (endpoint === undefined) return yield* unreachable(peer, "nothing listens there")
          const connection: Connection = {
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

const unreachable = (peer: ReplicaId.ReplicaId, detail: string) =>
  new PeerProtocol.PeerUnreachable({ peer, reason: "refused", detail })

/** A way there and back; it never ends where nothing passes. */
const roundTrip = ({ dice, onFault, timeline }: Situation, owner: Owner, ways: readonly [Link, Link]) =>
  Effect.callback<void>((resume) => {
    const blocked = ways.find((way) => way.blocked !== undefined)?.blocked
    if (blocked !== undefined) return onFault(blocked)
    const millis = ways[0].base + ways[1].base + dice.next() * (ways[0].jitter + ways[1].jitter)
    return Effect.sync(timeline.at(owner, timeline.now() + millis, () => resume(Effect.void)))
  })

const requestThroughFrame = (name: PeerMethods.Name, request: unknown): unknown => {
  const frame = PeerFrame.encodeRequest(1, { _tag: name, payload: request } as PeerFrame.Request)
  return Result.getOrThrow(PeerFrame.decodeRequest(frame)).message.payload
}

const throughFrame = (name: PeerMethods.Name, exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  const result = Exit.isSuccess(exit) ? Result.succeed(exit.value) : resultOf(exit)
  if (result === undefined) return exit
  const frame = PeerFrame.encodeAnswer(1, { _tag: name, result } as PeerFrame.Answer)
  return Effect.runSyncExit(
    Effect.fromResult<unknown, unknown>(Result.getOrThrow(PeerFrame.decodeAnswer(frame)).message.result)
  )
}

/** The typed failure of an exit; `undefined` for a defect, which no frame carries. */
const resultOf = (exit: Exit.Exit<unknown, unknown>): Result.Result<unknown, unknown> | undefined => {
  const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
  return reason?._tag === "Fail" ? Result.fail(reason.error) : undefined
}
