/** Several writes in one commit: one entry, one version, whole or not at all. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { Entry, Limits, type QuorumWriter } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"

const put = (key: string, value = "v", namespace = "n") => Entry.put(namespace, key, value)

type Writes = Parameters<QuorumWriter.QuorumWriter["Service"]["commit"]>[0]

const valueOf = ({ records }: Cluster.Running, key: string) =>
  Effect.map(records.read("n", key), (record) =>
    Option.getOrUndefined(Option.map(record, ({ value }) => new TextDecoder().decode(value)))
  )

describe("several writes in one commit", () => {
  it.effect("are one entry with one version, and every replica reads all of them", () =>
    Effect.gen(function* () {
      const { a, replicas } = yield* Cluster.running("abc", 2)
      yield* during(a.writer.commit(put("gone")), 10)
      const commit = a.writer.commit([put("k", "1"), Entry.remove("n", "gone"), put("l", "2")])
      const { writeId } = yield* during(commit, 10)
      assert.strictEqual(writeId, yield* Cluster.idAt(a.logs, 2))
      yield* TestClock.adjust(1000)
      for (const replica of replicas) {
        assert.strictEqual(replica.logs.head(a.logs.own).seq, 2)
        const records = yield* Effect.forEach(["k", "l"], (key) => replica.records.read("n", key))
        const [k, l] = records.map(Option.getOrThrow)
        assert.deepStrictEqual([k!.writeId, k!.clock], [l!.writeId, l!.clock])
        assert.strictEqual(k!.writeId, writeId)
        assert.isUndefined(yield* valueOf(replica, "gone"))
      }
    })
  )

  it.effect("are held whole or not at all when the replica is cut off and when it starts again", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* Cluster.running("abc", 2)
      for (const peer of ["b", "c"]) cluster.cut("a", peer)
      yield* during(failure(a.writer.commit([put("k", "1"), put("l", "2")]), "QuorumNotMet"), 2001)
      yield* a.stop
      cluster.heal()
      const again = yield* cluster.start("a")
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual([yield* valueOf(again, "k"), yield* valueOf(again, "l")], ["1", "2"])
    })
  )

  it.effect("are each ordered by their own key: a later write of one leaves the other", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 2)
      const { writeId } = yield* during(a.writer.commit([put("k", "1"), put("l", "1")]), 10)
      yield* during(b.writer.commit(put("l", "2")), 10)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual([yield* valueOf(a, "k"), yield* valueOf(a, "l")], ["1", "2"])
      assert.isTrue((yield* a.writer.status(writeId)).committed)
    })
  )

  it.effect("are linearizable key by key and not as one: this is the schedule that shows it", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      const ask = (key: string) =>
        Effect.map(during(c.records.read("n", key, { consistency: "linearizable" }), 1000), (record) =>
          Option.getOrUndefined(Option.map(record, ({ value }) => new TextDecoder().decode(value)))
        )
      for (const peer of ["b", "c"]) {
        cluster.cut("a", peer)
        cluster.cut(peer, "a")
      }
      // {k, l} = 1 is on a alone. Then l = 2 is acknowledged by b and c.
      yield* during(failure(a.writer.commit([put("k", "1"), put("l", "1")]), "QuorumNotMet"), 2001)
      yield* during(b.writer.commit(put("l", "2")), 1000)
      assert.isUndefined(yield* ask("k"))
      cluster.heal()
      yield* TestClock.adjust(8000)
      // {k, l} = 1 comes to light after l = 2, and l is 2 all the same.
      assert.deepStrictEqual([yield* ask("k"), yield* ask("l")], ["1", "2"])
    })
  )

  it.effect("wait by the strictest of the policies of their namespaces, in resume and status too", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const namespaces = {
        brief: Cluster.policy(3, 3, { ackTimeout: 100 }),
        patient: Cluster.policy(3, 1, { ackTimeout: 900 })
      }
      const a = yield* cluster.start("a", { namespaces })
      yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      const strict = a.writer.commit([put("k", "v", "patient"), put("k", "v", "brief")])
      yield* failure(strict, "QuorumUnavailable")
      yield* cluster.start("c")
      yield* TestClock.adjust(2000)
      cluster.cut("a", "c")
      const fiber = yield* Effect.forkChild(failure(strict, "QuorumNotMet"))
      yield* TestClock.adjust(899)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(2)
      const exit = fiber.pollUnsafe()
      assert.isDefined(exit)
      const { needed, writeId } = yield* exit
      assert.strictEqual(needed, 3)
      assert.deepInclude(yield* a.writer.status(writeId), { w: 3, committed: false })
      assert.strictEqual((yield* during(failure(a.writer.resume(writeId), "QuorumNotMet"), 901)).needed, 3)
      const less = a.writer.commit([put("k", "v", "patient"), put("k", "v", "brief")], { w: 1 })
      yield* during(less, 10)
    })
  )

  it.effect("a list of one is that write", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      yield* a.writer.commit([put("k", "1")])
      yield* a.writer.commit(put("l", "1"))
      const sizes = [0, 1].map((after) => Effect.map(a.logs.read(a.logs.own, after, 1), Option.getOrThrow))
      const [one, other] = yield* Effect.all(sizes)
      assert.strictEqual(one!.bytes.length, other!.bytes.length)
    })
  )

  const garbage: ReadonlyArray<readonly [what: string, writes: unknown, field: string]> = [
    ["an empty list", [], "writes"],
    ["a list with nothing at a place", [put("k"), undefined, put("l")], "writes[1]"],
    ["a list in a list", [put("k"), [put("l")]], "writes[1].kind"],
    ["a bad value", [put("k"), { ...put("l"), value: "text" }], "writes[1].value"],
    ["a key twice", [put("k"), put("l"), Entry.remove("n", "k")], "writes[2].key"],
    ["a Proxy that throws", new Proxy([put("k")], { get: () => assert.fail("it was read") }), "writes"],
    ["a revoked Proxy", revoked(), "write"]
  ]
  for (const [what, writes, field] of garbage) {
    it.effect(`L70 ${what} is rejected with its place, and the replica goes on`, () =>
      Effect.gen(function* () {
        const { a } = yield* Cluster.running("a", 1)
        const error = yield* failure(a.writer.commit(writes as Writes), "WriteRejected")
        assert.deepInclude({ ...error }, { field, reason: "invalid" })
        assert.strictEqual((yield* a.writer.commit(put("k"))).writeId, yield* Cluster.idAt(a.logs, 1))
      })
    )
  }

  it.effect("L70 bytes that move from one of its values to another do not make a delete with a value", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const [grows, shrinks] = [0, 4].map((length) => new ArrayBuffer(length, { maxByteLength: 8 }))
      const remove: Entry.Write = { ...Entry.remove("n", "l"), value: new Uint8Array(grows!) }
      const write: Entry.Write = { ...put("k"), value: new Uint8Array(shrinks!) }
      const fiber = yield* Effect.forkChild(Effect.result(a.writer.commit([write, remove])), { startImmediately: true })
      grows!.resize(4)
      shrinks!.resize(0)
      yield* TestClock.adjust(1)
      const result = yield* fiber.pollUnsafe() ?? Effect.die("not done")
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "WriteRejected")
    })
  )

  it("L25 are together no longer than the longest write, measured in bytes", () => {
    const limits = { namespaceBytes: 9, keyBytes: 9, valueBytes: 400 }
    const room = Entry.longest(limits) - Entry.headerBytes
    const value = (bytes: number) => "v".repeat(bytes)
    const each = Entry.recordHeaderBytes + 4
    const fits = [put("ké", value(400)), put("l", value(room - each - 400 - (each - 2)))]
    assert.isTrue(Result.isSuccess(Limits.checkWrites(fits, limits)))
    const more = [...fits.slice(0, 1), put("le", value(room - each - 400 - (each - 2)))]
    const rejected = Result.getFailure(Limits.checkWrites(more, limits))
    assert.deepInclude({ ...Option.getOrThrow(rejected) }, { field: "writes", reason: "too_large" })
  })
})

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable([], {})
  revoke()
  return proxy
}
