/**
 * Asks the replicas of today for the copies of a write that a receipt counts.
 */
import { Effect, Result, Schema } from "effect"
import * as ReplicaId from "../../identity/ReplicaId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as WriteId from "../../identity/WriteId.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as Version from "../../log/Version.ts"
import { Connections } from "../../peer/Connections.ts"
import * as Copies from "../../peer/Copies.ts"
import { KeyReader } from "../../peer/KeyReader.ts"
import { Membership } from "../../peer/Membership.ts"
import type * as PeerProtocol from "../../peer/PeerProtocol.ts"
import type * as QuorumError from "../../quorum/QuorumError.ts"
import { ReadRejected } from "../../record/ReadRejected.ts"
import type { CopyState, Verification } from "../Receipt.ts"
import { idIn, noSuchWrite } from "./HeldWrites.ts"

/** Asks on the connections that are up. */
export const make = Effect.gen(function* () {
  const { peers, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const reader = yield* KeyReader
  const membership = yield* Membership
  const connections = yield* Connections

  const here = (asked: Asked) =>
    Effect.suspend(() => {
      if (!membership.isVoting()) return unknown
      const found = Copies.stateOf(logs, reader, membership.kept.all(), asked)
      return said(Effect.map(found, (each): PeerProtocol.Verified => ({ ...each, members: membership.hash() })))
    })

  const there = (peer: ReplicaId.ReplicaId, asked: Asked) =>
    Effect.suspend(() => {
      const connection = connections.all().find((each) => each.peer === peer)
      if (connection === undefined) return unknown
      const { client, session } = connection
      return said(client.verify({ session, ...asked }))
    })

  const ask = (replicas: ReadonlyArray<ReplicaId.ReplicaId>, asked: Asked) =>
    Effect.forEach(
      replicas,
      (replica) =>
        Effect.map(replica === self ? here(asked) : there(replica, asked), (answer): Answer => ({ replica, answer })),
      { concurrency: "unbounded" }
    )

  /**
   * Asks all, and those who do not hold it at its place for the places where others have committed it again: it came to
   * them from there.
   */
  const askAll = Effect.fnUntraced(function* ({ clock, tie, writeId }: Counted) {
    const answers = new Map<ReplicaId.ReplicaId, Said>()
    const moved = new Set<WriteId.WriteId>()
    for (const { answer, replica } of yield* ask([self, ...peers], { writeId, version: { clock, tie } })) {
      answers.set(replica, answer)
      if (answer?.movedTo !== undefined) moved.add(answer.movedTo)
    }
    // It had its place on the side of a fork that gave way: what was erased there is the other side's.
    for (const [replica, said] of moved.size === 0 ? [] : answers) {
      const isOther = said?.state === "compacted" && said.movedTo === undefined
      if (isOther) answers.set(replica, { ...said, state: "missing" })
    }
    for (const writeId of moved) {
      const others = Array.from(answers).filter(([, said]) => said !== undefined && !Copies.isHeld(said.state))
      for (const { answer, replica } of yield* ask(
        others.map(([replica]) => replica),
        { writeId }
      )) {
        if (answer !== undefined && Copies.isHeld(answer.state)) answers.set(replica, answer)
      }
    }
    return { answers, moved: Array.from(moved) }
  })

  return Effect.fnUntraced(function* (
    receipt: unknown
  ): Effect.fn.Return<Verification, QuorumError.WriteUnknown | ReadRejected> {
    const id = idIn(receipt)
    if (!isWriteId(id)) return yield* noSuchWrite(id)
    const counted = yield* Effect.fromResult(countedIn(receipt))
    const { acked, policy, writeId } = counted
    const copies: Record<ReplicaId.ReplicaId, CopyState> = {}
    let held = 0
    const { answers, moved } = yield* askAll(counted)
    // Compared last: of a former life it may have been heard while others were asked, and it lacks what was lost since.
    const members = membership.hash()
    for (const [replica, answer] of answers) {
      const state = answer?.members === members ? answer.state : "unknown"
      const wasCounted = acked.some((each) => each.replica === replica)
      copies[replica] = state === "missing" || state === "replaced" ? (wasCounted ? "lost" : "missing") : state
      if (state !== "unknown" && Copies.isHeld(state)) held++
    }
    const verification = { writeId, copies, held, committed: held >= policy.w }
    return moved.length === 0 ? verification : { ...verification, movedTo: moved }
  })
})

// ---------------------------------------------------------------------------------------------------------------------

const isWriteId = Schema.is(WriteId.WriteId)

/** What is looked at of a receipt: which write it is of, and who was counted for how many. */
const Counted = Schema.Struct({
  writeId: WriteId.WriteId,
  ...Version.Version.fields,
  acked: Schema.Array(Schema.Struct({ replica: ReplicaId.ReplicaId })),
  policy: Schema.Struct({ w: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)) })
})

type Counted = typeof Counted.Type

const decodeCounted = Schema.decodeUnknownResult(Schema.toType(Counted))

/** Reads a receipt once; programs without types give what they like. */
const countedIn = (receipt: unknown): Result.Result<Counted, ReadRejected> => {
  try {
    return Result.mapError(decodeCounted(receipt), ({ message }) => noReceipt(message.replaceAll(/\s*\n\s*/g, " ")))
  } catch {
    return Result.fail(noReceipt("it cannot be read"))
  }
}

const noReceipt = (because: string): ReadRejected =>
  new ReadRejected({
    field: "receipt",
    detail: `it is not what a commit was answered with: ${because}; give all of the receipt, unchanged`
  })

type Said = PeerProtocol.Verified | undefined

/** What one replica has answered. */
interface Answer {
  readonly replica: ReplicaId.ReplicaId
  readonly answer: Said
}

type Asked = Omit<PeerProtocol.Verify, "session">

const unknown: Effect.Effect<Said> = Effect.undefined

/** Whoever cannot say what it holds is not known to hold anything. */
const said = <E>(answer: Effect.Effect<PeerProtocol.Verified, E>): Effect.Effect<Said> =>
  Effect.catchDefect(Effect.map(Effect.result(answer), Result.getOrUndefined), () => unknown)
