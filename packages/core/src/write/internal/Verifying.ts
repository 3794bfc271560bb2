/**
 * Asks the replicas of today for the copies of a write that a receipt counts.
 */
import { Effect, Result, Schema } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as WriteId from "../../identity/WriteId.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import { Connections } from "../../peer/Connections.ts"
import * as Copies from "../../peer/Copies.ts"
import { KeyReader } from "../../peer/KeyReader.ts"
import { Membership } from "../../peer/Membership.ts"
import type * as PeerProtocol from "../../peer/PeerProtocol.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type { CopyState, Receipt, Verification } from "../Receipt.ts"

/** Asks on the connections that are up. */
export const make = Effect.gen(function* () {
  const { peers, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const reader = yield* KeyReader
  const membership = yield* Membership
  const connections = yield* Connections

  const ownAnswer = (state: PeerProtocol.CopyState): PeerProtocol.Verified => ({ state, members: membership.hash() })

  const here = (writeId: WriteId.WriteId) =>
    Effect.suspend(() =>
      membership.isVoting() ? said(Effect.map(Copies.stateOf(logs, reader, writeId), ownAnswer)) : unknown
    )

  const there = (peer: ReplicaId, writeId: WriteId.WriteId) =>
    Effect.suspend(() => {
      const connection = connections.all().find((each) => each.peer === peer)
      if (connection === undefined) return unknown
      const { client, session } = connection
      return said(client.verify({ session, writeId }))
    })

  return Effect.fnUntraced(function* (receipt: Receipt): Effect.fn.Return<Verification, QuorumError.WriteUnknown> {
    const { acked, policy, writeId } = receipt
    if (!isWriteId(writeId)) return yield* new QuorumError.WriteUnknown({ writeId }, { disableChecks: true })
    const copies: Record<ReplicaId, CopyState> = {}
    let held = 0
    const answers = yield* Effect.forEach(
      [self, ...peers],
      (replica) =>
        Effect.map(replica === self ? here(writeId) : there(replica, writeId), (answer) => ({ replica, answer })),
      { concurrency: "unbounded" }
    )
    // Compared last: of a former life it may have been heard while others were asked, and it lacks what was lost since.
    const members = membership.hash()
    for (const { answer, replica } of answers) {
      const state = answer?.members === members ? answer.state : "unknown"
      const wasCounted = acked.some((each) => each.replica === replica)
      copies[replica] = state === "missing" || state === "replaced" ? (wasCounted ? "lost" : "missing") : state
      if (state === "held" || state === "superseded") held++
    }
    return { writeId, copies, held, committed: held >= policy.w }
  })
})

// ---------------------------------------------------------------------------------------------------------------------

const isWriteId = Schema.is(WriteId.WriteId)

type Said = PeerProtocol.Verified | undefined

const unknown: Effect.Effect<Said> = Effect.undefined

/** Whoever cannot say what it holds is not known to hold anything. */
const said = <E>(answer: Effect.Effect<PeerProtocol.Verified, E>): Effect.Effect<Said> =>
  Effect.catchDefect(Effect.map(Effect.result(answer), Result.getOrUndefined), () => unknown)
