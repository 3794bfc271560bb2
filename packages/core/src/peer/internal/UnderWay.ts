/**
 * The calls to one peer that are under way over one connection, and how long the oldest has been: one timer watches
 * over all of them, because a timer for each costs more than the call.
 */
import { Effect, Latch } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as Thrown from "../../log/Thrown.ts"
import * as PeerProtocol from "../PeerProtocol.ts"

/** No answer came in time. */
export const silent = (peer: ReplicaId, millis: number) =>
  new PeerProtocol.PeerUnreachable({ peer, reason: "timed_out", detail: `no answer within ${millis} ms` })

/** A defect on the way to a peer ends the connection, not the replicator. */
export const broken = (peer: ReplicaId, defect: unknown) =>
  new PeerProtocol.PeerUnreachable({
    peer,
    reason: "invalid_answer",
    detail: `the call failed: ${Thrown.textOf(defect)}`
  })

/** Starts with none. */
export const make = (peer: ReplicaId, timeoutMillis: number, monotonicMillis: () => number) => {
  /** When each call was made, the oldest first. */
  const calls = new Map<object, number>()
  const some = Latch.makeUnsafe(false)
  return {
    count: (): number => calls.size,
    began: (call: object): void => {
      calls.set(call, monotonicMillis())
      some.openUnsafe()
    },
    ended: (call: object): void => void calls.delete(call),
    /** Fails when a call stays without an answer for too long. */
    watch: Effect.gen(function* () {
      while (true) {
        const [oldest] = calls.values()
        if (oldest === undefined) {
          some.closeUnsafe()
          yield* some.await
          continue
        }
        const left = oldest + timeoutMillis - monotonicMillis()
        if (left <= 0) return yield* silent(peer, timeoutMillis)
        yield* Effect.sleep(left)
      }
    })
  }
}
