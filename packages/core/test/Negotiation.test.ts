import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { PeerFrame, PeerMethods, PeerProtocol } from "../src/adapter.ts"
import { Entry, Limits, LogId, ReplicaId } from "../src/index.ts"
import { negotiate } from "../src/peer/internal/negotiate.ts"
import * as Cluster from "./support/cluster.ts"

const limits = Limits.defaults
const ours = { versions: [2, 3], features: ["x", "y"], limits }
const reason = (offer: Parameters<typeof negotiate>[1]) =>
  Result.match(negotiate(ours, offer), { onSuccess: () => undefined, onFailure: (error) => error.reason })

describe("negotiation", () => {
  it("the highest version that both speak is used, with the features that both have", () => {
    assert.deepStrictEqual(Result.getOrThrow(negotiate(ours, { versions: [1, 2, 3, 4], features: ["y", "z"] })), {
      version: 3,
      features: ["y"]
    })
    assert.deepStrictEqual(Result.getOrThrow(negotiate(ours, { versions: [1, 2] })), { version: 2, features: [] })
  })

  it("who says no versions speaks the one that it names, and 1 when it names none", () => {
    assert.strictEqual(Result.getOrThrow(negotiate(ours, { version: 2 })).version, 2)
    assert.strictEqual(reason({ version: 1 }), "version")
    assert.strictEqual(reason({}), "version")
    assert.strictEqual(Result.getOrThrow(negotiate({ ...ours, versions: [1, 2] }, {})).version, 1)
  })

  it("is refused only when there is no common version, and says which are spoken", () => {
    const refused = Option.getOrThrow(Result.getFailure(negotiate(ours, { versions: [4, 5] })))
    assert.strictEqual(refused.reason, "version")
    assert.include(refused.detail, "versions 4, 5")
    assert.include(refused.detail, "versions 2, 3")
  })

  it("L25 limits that differ are refused, with the field and both values; unsaid ones are not", () => {
    assert.isUndefined(reason({ versions: [3] }))
    assert.isUndefined(reason({ versions: [3], limits: { ...limits } }))
    for (const field of ["namespaceBytes", "keyBytes", "valueBytes"] as const) {
      for (const by of [-1, 1]) {
        const theirs = { ...limits, [field]: limits[field] + by }
        const refused = Option.getOrThrow(Result.getFailure(negotiate(ours, { versions: [3], limits: theirs })))
        assert.strictEqual(refused.reason, "limits_differ")
        assert.include(refused.detail, `${field} is ${limits[field]} here and ${limits[field] + by} there`)
      }
    }
  })
})

const frames = JSON.parse(readFileSync(new URL("./testdata/frames-1.json", import.meta.url), "utf8")) as Readonly<
  Record<string, string>
>
const bytesOf = (name: string) => Uint8Array.from(Buffer.from(frames[name]!, "hex"))

describe("a replica of version 1", () => {
  it("its frames are read, and the same are written, byte for byte", () => {
    for (const name of Object.keys(frames)) {
      const frame = bytesOf(name)
      const isRequest = ["hello", "push", "pull"].includes(name)
      const again = isRequest
        ? Result.map(PeerFrame.decodeRequest(frame), ({ message, number }) => PeerFrame.encodeRequest(number, message))
        : Result.map(PeerFrame.decodeAnswer(frame), ({ message, number }) => PeerFrame.encodeAnswer(number, message))
      assert.deepStrictEqual(Buffer.from(Result.getOrThrow(again)).toString("hex"), frames[name], name)
    }
  })

  /** What a replica of version 1 looks at, and what it says. */
  const asVersion1 = (handler: PeerMethods.PeerMethods<never>): PeerMethods.PeerMethods<never> => ({
    ...handler,
    hello: (hello) => {
      if (hello.version !== 1) {
        return Effect.fail(new PeerProtocol.HandshakeRefused({ reason: "version", detail: `version ${hello.version}` }))
      }
      const { features: _f, limits: _l, versions: _v, ...known } = hello
      return Effect.map(handler.hello(known), ({ features: _f2, limits: _l2, version: _v2, ...welcome }) => welcome)
    }
  })

  it.effect("works together with one of today, in both directions", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      const old = { a: asVersion1, b: asVersion1 }
      // Both reach the other as a replica of version 1 would answer, and b calls as one would.
      cluster.faults.set("a>b", (client) => PeerMethods.wrap(old.b(client as never), (call) => call) as never)
      cluster.faults.set("b>a", (client) => ({
        ...client,
        hello: ({ features: _f, limits: _l, versions: _v, ...hello }) => client.hello(hello)
      }))
      const a = yield* cluster.start("a")
      const b = yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      for (const replica of [a, b]) {
        const receipt = yield* replica.writer.commit(Entry.put("n", "k", "v"))
        assert.strictEqual(receipt.acked.length, 2)
      }
    })
  )

  it.effect("a caller that speaks no version of ours is refused with `version`", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      yield* cluster.start("b")
      const client = yield* cluster.network.connect(ReplicaId.make("b"))
      const hello = {
        version: 7,
        versions: [7, 8],
        cluster: "test",
        replica: ReplicaId.make("a"),
        incarnation: LogId.Incarnation.make("00000000000000aa"),
        vector: [],
        sentAt: 0
      }
      const refused = yield* Effect.flip(client.hello(hello))
      assert(refused._tag === "HandshakeRefused")
      assert.strictEqual(refused.reason, "version")
      const welcome = yield* client.hello({ ...hello, versions: [2, 7] })
      assert.strictEqual(welcome.version, 2)
    }).pipe(Effect.scoped)
  )
})
