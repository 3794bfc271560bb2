import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import type { LogId, Receipt, StampToken } from "@quorum/core"
import { Entry, WriteId, QuorumPolicy, ReplicaId } from "@quorum/core"
import { RecordKey, RunId } from "@quorum/core/adapter"
import type { Lines } from "@quorum/server/tools"
import { Effect, Result, Stream } from "effect"
import type { Answer, Client } from "../src/Client.ts"
import type { DemoSet, Member } from "../src/DemoSet.ts"
import * as Import from "../src/Import.ts"

const member = (id: string): Member => ({ id: ReplicaId.make(id), url: `http://${id}`, port: 1, folder: `/${id}` })
const [a, b, c] = [member("a"), member("b"), member("c")] as const

const receiptOf = (writeId: WriteId.WriteId): Receipt.Receipt => ({
  writeId,
  clock: { wallTime: 1, logical: 0 },
  tie: RunId.RunId.make("0000000000000001"),
  policy: Result.getOrThrow(QuorumPolicy.majority(3)),
  acked: [],
  missing: {},
  durationMillis: 1
})

/** Replicas that are told how to answer, and remember what they were asked. */
const makeReplicas = (answer: (member: Member, key: string, attempt: number) => Answer | undefined) => {
  const dead = new Set<Member>()
  const asked: Array<string> = []
  const requests: Array<string> = []
  let stamps = 0
  const attempts = new Map<string, number>()
  let seq = 0
  const committedAs = (writeId: WriteId.WriteId): Answer => ({
    _tag: "Committed",
    writeId,
    clock: { wallTime: 1, logical: 0 },
    receipt: () => receiptOf(writeId)
  })
  const committed = (member: Member): Answer =>
    committedAs(WriteId.make(`${member.id}@0000000000000001` as LogId.LogId, ++seq, 0))
  const set: DemoSet = {
    members: [a, b, c],
    policy: Result.getOrThrow(QuorumPolicy.majority(3)),
    transport: "ws",
    alive: () => [a, b, c].filter((one) => !dead.has(one)),
    start: () => Effect.void,
    killUnsafe: (one) => {
      dead.add(one)
      return 1
    },
    gone: () => Effect.void,
    shiftClock: () => undefined,
    pid: () => undefined,
    whileStopped: (_, effect) => effect,
    peakMb: () => undefined,
    crashes: () => []
  }
  const client: Client = {
    write: () => Effect.die("not asked"),
    writeAtomic: () => Effect.die("not asked"),
    stamp: (one, writes) => Effect.sync(() => writes.map(() => `${one.id}${++stamps}` as StampToken.StampToken)),
    writeMany: (one, writes) =>
      Stream.unwrap(
        Effect.suspend(() => {
          requests.push(writes.map(({ stamp, write: { key } }) => `${key}@${stamp}`).join(" "))
          const answers = writes.map(({ write: { key, value } }, i) => {
            const attempt = (attempts.get(key) ?? 0) + 1
            attempts.set(key, attempt)
            asked.push(`put ${one.id} ${key} ${new TextDecoder().decode(value)}`)
            return [i, answer(one, key, attempt) ?? committed(one)] as const
          })
          return Effect.as(Effect.sleep(1), Stream.fromIterable(answers))
        })
      ),
    resume: (one, writeId) =>
      Effect.sync(() => {
        asked.push(`resume ${one.id} ${writeId}`)
        return answer(one, "resume", 1) ?? committedAs(writeId)
      }),
    isCommitted: () => Effect.succeed(true),
    isReady: () => Effect.succeed(true),
    read: () => Effect.die("not asked"),
    status: () => Effect.die("not asked"),
    records: () => Stream.die("not asked")
  }
  return { asked, client, set, dead, requests }
}

const line = (number: number, key = `k${number}`, value = `${number}`): Lines.Line => ({
  _tag: "Write",
  number,
  write: Entry.put("n", key, value)
})

const run = Effect.fnUntraced(function* (
  replicas: ReturnType<typeof makeReplicas>,
  lines: ReadonlyArray<Lines.Line>,
  options: { readonly writers?: number; readonly onProgress?: (state: Import.Import) => void } = {}
) {
  const state = Import.make()
  yield* Import.run({
    state,
    lines: Stream.fromIterable(lines),
    set: replicas.set,
    client: replicas.client,
    writers: options.writers ?? 4,
    onProgress: () => options.onProgress?.(state)
  })
  return state
})

const counts = ({ accepted, committed, failed, lines, outcomeUnknown, rejected, sent, sentAgain }: Import.Import) => ({
  lines,
  accepted,
  sent,
  committed,
  rejected: rejected.length,
  failed: failed.length,
  outcomeUnknown,
  sentAgain
})

const none = { rejected: 0, failed: 0, outcomeUnknown: 0, sentAgain: 0 }

describe("an import", () => {
  it.live("commits every line once, spread over the replicas", () =>
    Effect.gen(function* () {
      const replicas = makeReplicas(() => undefined)
      const state = yield* run(
        replicas,
        Array.from({ length: 100 }, (_, i) => line(i + 1)),
        { writers: 16 }
      )
      assert.deepStrictEqual(counts(state), { ...none, lines: 100, accepted: 100, sent: 100, committed: 100 })
      assert.strictEqual(state.acknowledged.size, 100)
      for (const id of ["a", "b", "c"]) {
        assert.isAbove(replicas.asked.filter((text) => text.startsWith(`put ${id} `)).length, 10)
      }
      assert.strictEqual(Import.inFlight(state), 0)
    })
  )

  it.live("keeps as many writes in flight as it has writers, and no more", () =>
    Effect.gen(function* () {
      let most = 0
      const replicas = makeReplicas(() => undefined)
      const lines = Array.from({ length: 400 }, (_, i) => line(i + 1))
      yield* run(replicas, lines, {
        writers: 12,
        onProgress: (state) => {
          most = Math.max(most, Import.inFlight(state))
        }
      })
      assert.strictEqual(most, 12)
    })
  )

  it.live("reports bad lines and what a replica refuses, in the order of the file", () =>
    Effect.gen(function* () {
      const replicas = makeReplicas((_, key) =>
        key === "k2" ? { _tag: "Refused", detail: "key: not that one" } : undefined
      )
      const state = yield* run(replicas, [line(1), line(2), { _tag: "Rejected", number: 3, reason: "not JSON" }])
      assert.deepStrictEqual(state.rejected, [
        { line: 2, reason: "key: not that one" },
        { line: 3, reason: "not JSON" }
      ])
      assert.deepStrictEqual(counts(state), { ...none, lines: 3, accepted: 1, sent: 2, committed: 1, rejected: 2 })
    })
  )

  it.live("moves to another replica when one refuses connections", () =>
    Effect.gen(function* () {
      const replicas = makeReplicas((one) => (one === a ? { _tag: "Unreachable", detail: "refused" } : undefined))
      const lines = Array.from({ length: 30 }, (_, i) => line(i + 1))
      const state = yield* run(replicas, lines, { writers: 3 })
      const toA = replicas.asked.filter((text) => text.startsWith("put a ")).length
      assert.isAbove(toA, 0)
      assert.deepStrictEqual(counts(state), {
        ...none,
        lines: 30,
        accepted: 30,
        sent: 30,
        committed: 30,
        sentAgain: toA
      })
    })
  )

  it.live("sends a write whose outcome is unknown again elsewhere, the same key and value, and counts it once", () =>
    Effect.gen(function* () {
      const replicas = makeReplicas((_, __, attempt) =>
        attempt === 1 ? { _tag: "Unknown", detail: "the connection broke" } : undefined
      )
      const state = yield* run(replicas, [line(1)])
      assert.deepStrictEqual(counts(state), {
        ...none,
        lines: 1,
        accepted: 1,
        sent: 1,
        committed: 1,
        outcomeUnknown: 1,
        sentAgain: 1
      })
      assert.deepStrictEqual(new Set(replicas.requests).size, 1, "the stamp is the same")
      const [first, second] = replicas.asked.map((text) => text.split(" "))
      assert.notStrictEqual(first![1], second![1])
      assert.deepStrictEqual(first!.slice(2), second!.slice(2))
      assert.isTrue(state.acknowledged.get(RecordKey.keyOf("n", "k1"))!.writeId.startsWith(second![1]!))
    })
  )

  it.live("resumes a write whose quorum was not met, and never writes it a second time", () =>
    Effect.gen(function* () {
      const writeId = WriteId.make("a@0000000000000001" as LogId.LogId, 77, 0)
      const replicas = makeReplicas((_, key) =>
        key === "k1" ? { _tag: "NotMet", writeId, got: 1, needed: 2, reason: "timeout", verdicts: {} } : undefined
      )
      const state = yield* run(replicas, [line(1)])
      assert.deepStrictEqual(
        replicas.asked.map((text) => text.split(" ")[0]),
        ["put", "resume"]
      )
      assert.strictEqual(state.notMet, 1)
      assert.strictEqual(state.committed, 1)
      assert.strictEqual(state.acknowledged.get(RecordKey.keyOf("n", "k1"))!.writeId, writeId)
      assert.strictEqual(state.acknowledgedUpTo.get("a@0000000000000001" as LogId.LogId), 77)
    })
  )

  it.live("writes lines of one key in the order of the file, so that the last one stays", () =>
    Effect.gen(function* () {
      const replicas = makeReplicas((_, __, attempt) =>
        attempt === 2 ? { _tag: "Unavailable", detail: "overloaded" } : undefined
      )
      const lines = Array.from({ length: 60 }, (_, i) => line(i + 1, `k${i % 3}`))
      const state = yield* run(replicas, lines, { writers: 16 })
      for (const key of ["k0", "k1", "k2"]) {
        const values = replicas.asked
          .filter((text) => text.includes(` ${key} `))
          .map((text) => Number(text.split(" ")[3]))
        assert.deepStrictEqual(
          values,
          values.toSorted((x, y) => x - y)
        )
      }
      assert.strictEqual(state.committed, 60)
      assert.strictEqual(state.acknowledged.size, 3)
    })
  )

  it.live("keeps the last line of a key, also when one before it in the same request has to be sent again", () =>
    Effect.gen(function* () {
      const replicas = makeReplicas((_, __, attempt) =>
        attempt === 1 ? { _tag: "Unavailable", detail: "overloaded" } : undefined
      )
      const state = yield* run(replicas, [line(1, "k", "earlier"), line(2, "k", "later")], { writers: 12 })
      assert.deepStrictEqual(
        replicas.asked.map((text) => text.split(" ")[3]),
        ["earlier", "later", "earlier"]
      )
      assert.deepStrictEqual(
        replicas.requests.map((text) => text.split(" ").length),
        [2, 1]
      )
      const { sha256, writeId } = state.acknowledged.get(RecordKey.keyOf("n", "k"))!
      assert.strictEqual(sha256, createHash("sha256").update("later").digest("base64"))
      assert.strictEqual(WriteId.place(writeId as WriteId.WriteId).seq, 1)
      assert.strictEqual(state.committed, 2)
    })
  )

  it.live("L48 asks only replicas that are alive, and says what was in flight when one is killed", () =>
    Effect.gen(function* () {
      const replicas = makeReplicas(() => undefined)
      let kill: ReturnType<typeof Import.killUnsafe> | undefined
      let askedBefore = 0
      const state = yield* run(
        replicas,
        Array.from({ length: 200 }, (_, i) => line(i + 1)),
        {
          writers: 9,
          onProgress: (now) => {
            if (kill !== undefined || now.committed < 50) return
            const victim = Import.busiest(now, replicas.set)
            kill = Import.killUnsafe(now, replicas.set, victim)
            askedBefore = replicas.asked.length
            assert.strictEqual(kill.inFlightHere, now.inFlight.get(victim))
          }
        }
      )
      assert.strictEqual(kill!.afterWrites, 50)
      assert.isAbove(kill!.inFlight, 1)
      assert.isAbove(kill!.inFlightHere, 0)
      assert.isFalse(replicas.asked.slice(askedBefore).some((text) => text.startsWith(`put ${kill!.id} `)))
      assert.strictEqual(state.committed, 200)
    })
  )
})
