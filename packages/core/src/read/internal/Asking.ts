/**
 * Asks all replicas for their newest write of a key, side by side, and goes on with the first that answer.
 */
import { Effect, Result, type Scope } from "effect"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import type { StoreError } from "../../log/ReplicaStore.ts"
import { Connections } from "../../peer/Connections.ts"
import { KeyReader, type NewestWrite } from "../../peer/KeyReader.ts"
import { Peers } from "../../peer/Peers.ts"
import type * as QuorumError from "../../quorum/QuorumError.ts"
import type * as Questions from "./Questions.ts"
import * as Reading from "./Reading.ts"
import * as SideBySide from "./SideBySide.ts"

/** Asks with these questions. */
export const make = Effect.fnUntraced(function* ({ askPeer }: Questions.Questions) {
  const { peers: peerIds, self } = yield* ReplicaSet
  const peers = yield* Peers
  const connections = yield* Connections
  const reader = yield* KeyReader
  const replicas = [self, ...peerIds]

  /**
   * Waits for the first `needed` answers. This replica's own is among them unless what it holds of the key is damaged
   * here: then it is no answer, as that of any other in its place.
   */
  return Effect.fnUntraced(function* (
    reading: Reading.Reading,
    needed: number
  ): Effect.fn.Return<void, StoreError | QuorumError.ReadUnavailable, Scope.Scope> {
    const { key } = reading
    Reading.begin(reading)
    const own = yield* Effect.result(reader.newest(key.namespace, key.key))
    const have = Result.getOrUndefined(own)
    Reading.note(reading, { replica: self, result: Result.mapBoth(own, { onFailure: refusedBy, onSuccess: answerOf }) })
    if (reading.answers.size >= needed) return
    const asked = yield* SideBySide.make
    const up = connections.all()
    for (const { id, link } of peers.all()) {
      if (link._tag === "Down") reading.verdicts.set(id, link.verdict)
      const connection = up.find(({ peer }) => peer === id)
      if (connection !== undefined) yield* asked.ask(askPeer(connection, key, have, null))
    }
    while (reading.answers.size < needed) {
      if (reading.answers.size + asked.open() < needed) {
        // What is wrong here says more than that there are too few others.
        return yield* Result.isFailure(own)
          ? own.failure
          : Reading.unavailable(reading, replicas, needed, "unreachable")
      }
      Reading.note(reading, yield* asked.next)
    }
  })
})

// ---------------------------------------------------------------------------------------------------------------------

const refusedBy = ({ message }: StoreError): QuorumError.Verdict => ({ _tag: "refused", detail: message })

const answerOf = (newest: NewestWrite | undefined): Questions.Answer => ({ newest, confirmed: false })
