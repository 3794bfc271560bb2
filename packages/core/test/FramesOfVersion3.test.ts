/** Frames that a replica of protocol version 3 sent, recorded from its code: they are read and answered as ever. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import { Entry, LogId } from "../src/index.ts"
import { EntryBatch, PeerFrame, PeerHandler, PeerProtocol } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

const recorded = fs
  .readFileSync(new URL("./testdata/frames-of-version-3.txt", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => {
    const [direction, name, hex] = line.split(" ")
    return { direction, name, frame: new Uint8Array(Buffer.from(hex!, "hex")) }
  })

const frameOf = (name: string): Uint8Array => recorded.find((each) => each.name === name)!.frame
const requestOf = (frame: Uint8Array) => Result.getOrThrow(PeerFrame.decodeRequest(frame)).message
const answerOf = (frame: Uint8Array) => Result.getOrThrow(PeerFrame.decodeAnswer(frame)).message
const [idA, idB] = [Cluster.id("a"), Cluster.id("b")]
const incarnation = "00000000000000bb" as LogId.Incarnation

describe("frames of version 3", () => {
  it("are read, and written again byte for byte", () => {
    for (const { direction, frame, name } of recorded) {
      const again =
        direction === "request"
          ? PeerFrame.encodeRequest(7, requestOf(frame))
          : PeerFrame.encodeAnswer(7, answerOf(frame))
      assert.deepStrictEqual(Buffer.from(again).toString("hex"), Buffer.from(frame).toString("hex"), name)
    }
    assert.strictEqual(recorded.length, 23)
  })

  it.effect("a caller of version 3 gets its welcome, its acks and its entries", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      // So late that its life is not one that goes on from that of the recorded one.
      yield* TestClock.adjust(10_000)
      const a = yield* cluster.start("a")
      const client = yield* cluster.network.connect(idA)
      const ask = (request: PeerFrame.Request) => PeerHandler.answer(client as never, request)
      const hello = yield* ask(requestOf(frameOf("hello")))
      assert(hello._tag === "hello" && Result.isSuccess(hello.result))
      const { members, session, version, ...welcome } = hello.result.success
      assert.strictEqual(version, 3)
      const { incarnation } = a.logs.identity
      assert.deepInclude(welcome, { cluster: "test", replica: idA, incarnation, voting: true, blank: false })
      assert.sameMembers(Object.keys(members), ["a", "b"])
      const push = requestOf(frameOf("push"))
      const pull = requestOf(frameOf("pull"))
      assert(push._tag === "push" && pull._tag === "pull")
      const acked = yield* ask({ _tag: "push", payload: { ...push.payload, session } })
      const known = answerOf(frameOf("ack"))
      assert(acked._tag === "push" && Result.isSuccess(acked.result))
      assert(known._tag === "push" && Result.isSuccess(known.result))
      const { chain, log, replica, seq } = known.result.success
      assert.deepInclude(acked.result.success, { replica, log, seq, chain, incarnation, voting: true })
      const pulled = yield* ask({ _tag: "pull", payload: { ...pull.payload, session } })
      assert.deepStrictEqual(PeerFrame.encodeAnswer(7, pulled), frameOf("pulled"))
    }).pipe(Effect.scoped)
  )

  it.effect(
    "a neighbour that speaks a later version too is answered in this one, and one that speaks no other is not",
    () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b"], 2)
        yield* cluster.start("b")
        let asked: ReadonlyArray<number> | undefined
        cluster.faults.set("a>b", (client) => ({
          ...client,
          // As the next release would say it.
          hello: (request) => {
            asked = request.versions
            return client.hello({ ...request, version: 3, versions: [3, 4], features: ["later"] })
          }
        }))
        const a = yield* cluster.start("a")
        yield* TestClock.adjust(1000)
        assert.deepStrictEqual(asked, [...PeerProtocol.versions])
        assert.strictEqual(a.peers.get(idB).link._tag, "Up")
        assert.deepStrictEqual(
          (yield* during(a.writer.commit(Entry.put("n", "k", "v")), 100)).acked.map(({ replica }) => replica),
          [idA, idB]
        )
        const hello = requestOf(frameOf("hello"))
        assert(hello._tag === "hello")
        const client = yield* cluster.network.connect(idA)
        const refusal = yield* Effect.flip(client.hello({ ...hello.payload, version: 4, versions: [4] }))
        assert.strictEqual(refusal.reason, "version")
      })
  )

  it("a recorded push holds entries that are still valid", () => {
    const push = requestOf(frameOf("push"))
    assert(push._tag === "push")
    assert.isTrue(Result.isSuccess(EntryBatch.validate(push.payload.batch)))
    assert.strictEqual(push.payload.batch.log, LogId.make(idB, incarnation))
  })
})
