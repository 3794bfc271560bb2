/**
 * What one replica is asked in a read, or known to have said before: its newest write of a key, and whether it holds one.
 */
import { Clock, Effect, Result } from "effect"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as WriteId from "../../identity/WriteId.ts"
import * as Arrival from "../../log/Arrival.ts"
import * as Chain from "../../log/Chain.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as Version from "../../log/Version.ts"
import { type Connection, Connections } from "../../peer/Connections.ts"
import { KeyReader, type NewestWrite } from "../../peer/KeyReader.ts"
import { Membership } from "../../peer/Membership.ts"
import type * as PeerProtocol from "../../peer/PeerProtocol.ts"
import { Peers } from "../../peer/Peers.ts"
import type * as QuorumError from "../../quorum/QuorumError.ts"
import type { RecordKey } from "../../record/RecordKey.ts"

/** What one replica said: an answer, or why there is none that counts. */
export interface Said {
  readonly replica: ReplicaId
  readonly result: Result.Result<Answer, QuorumError.Verdict>
}

/** What a replica that votes said of a key, and whether it holds the write that it was asked to. */
export interface Answer {
  readonly newest: NewestWrite | undefined
  readonly confirmed: boolean
}

/** Asks on the connections of this replica. */
export const make = Effect.gen(function* () {
  const { self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const peers = yield* Peers
  const membership = yield* Membership
  const connections = yield* Connections
  const reader = yield* KeyReader
  const clock = yield* Clock.Clock

  /** Asks one peer. What does not count for a quorum, of a replica that does not vote say, is no answer. */
  const askPeer = (
    { client, peer, session }: Connection,
    { key, namespace }: RecordKey,
    have: NewestWrite | undefined,
    confirm: PeerProtocol.Read["confirm"]
  ): Effect.Effect<Said> => {
    const version = have === undefined ? null : { clock: have.clock, tie: have.tie }
    return client.read({ session, namespace, key, have: version, confirm }).pipe(
      Effect.match({
        onFailure: (error) => Result.fail(verdictOf(error)),
        onSuccess: (answer) =>
          answer.head.members === membership.hash()
            ? Result.succeed({ newest: newestIn(answer, have), confirmed: answer.head.confirmed })
            : Result.fail(strange)
      }),
      Effect.catchDefect(() => Effect.succeed(Result.fail(silent))),
      Effect.map((result) => ({ replica: peer, result }))
    )
  }

  /** Whether a peer is known to hold a write by what it acked. */
  const acks = (peer: ReplicaId, writeId: WriteId.WriteId): boolean => {
    const { check, log, seq } = WriteId.place(writeId)
    const { link, watermarks } = peers.get(peer)
    const watermark = watermarks.get(log)
    if (link._tag !== "Up" || watermark === undefined || watermark.seq < seq) return false
    return watermark.seq > seq || Chain.check(watermark.chain) === check
  }

  /** Asks a replica to hold a write until a time, and for its newest of the key then; nothing where it cannot be asked. */
  const hold = (
    replica: ReplicaId,
    key: RecordKey,
    write: NewestWrite,
    until: number
  ): Effect.Effect<Said> | undefined => {
    if (replica === self) {
      connections.fetchNow()
      const here = Effect.andThen(Arrival.reached(logs, write.writeId), Arrival.isHeld(logs, write.writeId))
      return here.pipe(
        Effect.flatMap((confirmed) =>
          Effect.map(reader.newest(key.namespace, key.key), (newest) => Result.succeed({ newest, confirmed }))
        ),
        Effect.catch(() => Effect.succeed(Result.fail(silent))),
        Effect.map((result) => ({ replica, result }))
      )
    }
    const connection = connections.all().find(({ peer }) => peer === replica)
    // A read may wait without an end, and a question has to fit into a frame.
    const withinMillis = Math.min(Math.max(0, until - Monotonic.millis(clock)), Number.MAX_SAFE_INTEGER)
    return connection && askPeer(connection, key, write, { writeId: write.writeId, withinMillis })
  }

  return { askPeer, hold, acks }
})

/** What replicas can be asked. */
export type Questions = Effect.Success<typeof make>

// ---------------------------------------------------------------------------------------------------------------------

/** What is said of a replica that was not heard. */
export const silent: QuorumError.Verdict = { _tag: "timed_out" }
const strange: QuorumError.Verdict = { _tag: "refused", detail: "it knows of other lives of the members" }

const verdictOf = (error: PeerProtocol.ReadError | PeerProtocol.PeerUnreachable): QuorumError.Verdict =>
  error._tag === "PeerUnreachable" && error.reason === "timed_out" ? silent : { _tag: "refused", detail: error.message }

/** The newest write of an answer; its value is not sent when the caller has it. */
const newestIn = (
  { head: { newest }, value }: PeerProtocol.ReadAnswer,
  have: NewestWrite | undefined
): NewestWrite | undefined =>
  newest === null
    ? undefined
    : { ...newest, value: have !== undefined && Version.compare(have, newest) === 0 ? have.value : value }
