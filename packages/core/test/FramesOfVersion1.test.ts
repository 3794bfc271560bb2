/** Frames that a replica of protocol version 1 sent, recorded from its code: they are read and answered as ever. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import { Entry, LogId } from "../src/index.ts"
import { EntryBatch, PeerFrame, PeerHandler } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

const recorded = fs
  .readFileSync(new URL("./testdata/frames-of-version-1.txt", import.meta.url), "utf8")
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

/** The text of a frame of version 1 that is JSON. */
const jsonOf = (frame: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(frame.subarray(5)))

describe("frames of version 1", () => {
  it("are read, and written again byte for byte", () => {
    for (const { direction, frame, name } of recorded) {
      const again =
        direction === "request"
          ? PeerFrame.encodeRequest(7, requestOf(frame))
          : PeerFrame.encodeAnswer(7, answerOf(frame))
      assert.deepStrictEqual(Buffer.from(again).toString("hex"), Buffer.from(frame).toString("hex"), name)
    }
    assert.strictEqual(recorded.length, 21)
  })

  it.effect("a caller of version 1 gets its welcome, its acks and its entries", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const a = yield* cluster.start("a")
      const client = yield* cluster.network.connect(idA)
      const ask = (request: PeerFrame.Request) => PeerHandler.answer(client as never, request)
      const hello = yield* ask(requestOf(frameOf("hello")))
      assert(hello._tag === "hello" && Result.isSuccess(hello.result))
      const welcome = jsonOf(PeerFrame.encodeAnswer(7, hello)) as Record<string, unknown>
      // What version 1 checks and uses; it does not look at what else there is.
      assert.strictEqual(welcome["cluster"], "test")
      assert.strictEqual(welcome["replica"], "a")
      assert.strictEqual(welcome["incarnation"], a.logs.identity.incarnation)
      assert.strictEqual(hello.result.success.version, 1)
      const { session } = hello.result.success
      const push = requestOf(frameOf("push"))
      const pull = requestOf(frameOf("pull"))
      assert(push._tag === "push" && pull._tag === "pull")
      const acked = yield* ask({ _tag: "push", payload: { ...push.payload, session } })
      assert.deepStrictEqual(PeerFrame.encodeAnswer(7, acked), frameOf("ack"))
      const pulled = yield* ask({ _tag: "pull", payload: { ...pull.payload, session } })
      assert.deepStrictEqual(PeerFrame.encodeAnswer(7, pulled), frameOf("pulled"))
    }).pipe(Effect.scoped)
  )

  it.effect("a peer of version 1 is given all that it looks at, and its welcome is accepted", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      yield* cluster.start("b")
      const hellos: Array<unknown> = []
      cluster.faults.set("a>b", (client) => ({
        ...client,
        hello: (request) => {
          hellos.push(jsonOf(PeerFrame.encodeRequest(7, { _tag: "hello", payload: request })))
          // As a replica of version 1 reads and answers it.
          const { cluster, incarnation, replica, sentAt, vector } = request
          return Effect.map(
            client.hello({ version: 1, cluster, incarnation, replica, sentAt, vector }),
            ({ features: _features, limits: _limits, version: _version, ...welcome }) => welcome
          )
        }
      }))
      const a = yield* cluster.start("a")
      yield* TestClock.adjust(1000)
      assert.strictEqual(a.peers.get(idB).link._tag, "Up")
      assert.deepStrictEqual((yield* during(a.writer.commit(Entry.put("n", "k", "v")), 100)).acked, [idA, idB])
      const [said] = hellos as ReadonlyArray<Record<string, unknown>>
      const known = jsonOf(frameOf("hello")) as Record<string, unknown>
      assert.includeMembers(Object.keys(said!), Object.keys(known))
      // Version 1 refuses anything else.
      assert.strictEqual(said!["version"], 1)
    })
  )

  it("a recorded push holds entries that are still valid", () => {
    const push = requestOf(frameOf("push"))
    assert(push._tag === "push")
    assert.isTrue(Result.isSuccess(EntryBatch.validate(push.payload.batch)))
    assert.strictEqual(push.payload.batch.log, LogId.make(idB, incarnation))
  })
})
