/**
 * How calls are carried on the connections of a network: how long a request and its answer take, and whether they arrive,
 * once or twice, before or after others.
 */
import type { ReplicaId } from "@quorum/core"
import { PeerCaller, PeerFrame, type PeerMethods, PeerProtocol } from "@quorum/core/adapter"
import { Effect, Exit, Result } from "effect"
import type { Endpoint, Link, Situation } from "./Network.ts"
import type { Owner } from "./Timeline.ts"

/** A connection of a process to another one. */
export interface Connection {
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

/** Carries calls by what is wrong with a link just then. */
export const make = (
  { asFrames, dice, onFault, onPassing, timeline, world }: Situation,
  link: (from: ReplicaId.ReplicaId, to: ReplicaId.ReplicaId) => Link
) => {
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

  return (connection: Connection, name: PeerMethods.Name, request: PeerMethods.RequestOf<PeerMethods.Name>) =>
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
}

/** Why a peer was not reached. */
export const unreachable = (peer: ReplicaId.ReplicaId, detail: string) =>
  new PeerProtocol.PeerUnreachable({ peer, reason: "refused", detail })

// ---------------------------------------------------------------------------------------------------------------------

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
