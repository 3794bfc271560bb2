/** What a receipt says, and that it survives the wire. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Entry, Receipt } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

const put = (key: string) => Entry.put("n", key, "v")

/** Three replicas; pushes of the first take so many milliseconds. */
const slow = Effect.fnUntraced(function* (millis: number) {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  for (const peer of ["b", "c"]) {
    cluster.faults.set(`a>${peer}`, (client) => ({
      ...client,
      push: (push) => Effect.delay(client.push(push), millis)
    }))
  }
  const [a, b] = yield* Effect.forEach(["a", "b", "c"], (id) => cluster.start(id))
  yield* TestClock.adjust(1000)
  return { cluster, a: a!, b: b! }
})

const fieldsOf = (receipt: { readonly clock: object; readonly policy: object }) =>
  [receipt, receipt.clock, receipt.policy].map((each) => Object.keys(each))

describe("Receipt", () => {
  it.effect("names the version that every replica orders the write by", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Cluster.running("abc", 2)
      const { clock, tie, writeId } = yield* during(a.writer.commit(put("k")), 10)
      yield* TestClock.adjust(1000)
      const batch = Option.getOrThrow(yield* b.logs.read(a.logs.own, 0, 1))
      assert.deepInclude(Entry.stampAt(batch.bytes, 0), { clock, tie })
      assert.deepInclude(Option.getOrThrow(yield* b.records.read("n", "k")), { writeId, clock })
    })
  )

  it.effect("writes of one append have versions of their own and share the rest", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("abc", 2)
      const commits = Effect.all([a.writer.commit(put("k")), a.writer.commit(put("l"))], { concurrency: 2 })
      const [first, second] = yield* during(commits, 10)
      assert.isBelow(first.clock.logical, second.clock.logical)
      assert.strictEqual(first.acked, second.acked)
      assert.strictEqual(first.missing, second.missing)
      assert.strictEqual(first.policy, second.policy)
    })
  )

  it.effect("says when and how each replica became known, and what was known of the others", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* slow(30)
      cluster.cut("a", "c")
      const { acked, durationMillis, missing } = yield* during(a.writer.commit(put("k")), 31)
      assert.deepStrictEqual(acked, [
        { replica: a.id, afterMillis: 0, how: "self" },
        { replica: Cluster.id("b"), afterMillis: 30, how: "push" }
      ])
      assert.deepStrictEqual({ ...missing }, { [Cluster.id("c")]: { _tag: "lagging", by: 1 } })
      assert.strictEqual(durationMillis, 30)
    })
  )

  it.effect("of resume tells a push from a version vector, and counts the time anew", () =>
    Effect.gen(function* () {
      const { a, b } = yield* slow(30)
      const howOf = ({ acked }: Receipt.Receipt) =>
        acked.map(({ afterMillis, how, replica }) => `${replica} ${how} ${afterMillis}`)
      const { writeId } = yield* during(a.writer.commit(put("k")), 31)
      assert.deepStrictEqual(howOf(yield* a.writer.resume(writeId)), ["a self 0", "b push 0", "c push 0"])
      yield* TestClock.adjust(1000)
      // It is a's log: b got it from a, and hears of it from c when they compare.
      const resumed = yield* b.writer.resume(writeId)
      assert.deepStrictEqual(howOf(resumed), ["b self 0", "a push 0", "c vector 0"])
      assert.strictEqual(resumed.durationMillis, 0)
    })
  )

  it.effect("is JSON and back, its policy too", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("abc", 2)
      const receipt = yield* during(a.writer.commit(put("k"), { w: 3 }), 10)
      const codec = Schema.fromJsonString(Schema.toCodecJson(Receipt.Receipt))
      const text = Schema.encodeSync(codec)(receipt)
      assert.deepStrictEqual(Schema.decodeSync(codec)(text), receipt)
      assert.deepInclude((JSON.parse(text) as { readonly policy: object }).policy, {
        n: 3,
        w: 3,
        ackTimeoutMillis: 2000,
        order: "clock",
        unavailable: "refuse"
      })
    })
  )

  it.effect("is on the wire what it has been, to the letter", () =>
    Effect.gen(function* () {
      const codec = Schema.fromJsonString(Schema.toCodecJson(Receipt.Receipt))
      const kept =
        '{"writeId":"a@000000000000cb73:1.2fcd272f","clock":{"wallTime":1700000000000,"logical":3},' +
        '"tie":"83572b94cbf7153a","policy":{"n":5,"w":3,"ackTimeoutMillis":2000,"order":"real-time",' +
        '"unavailable":"refuse"},"acked":[{"replica":"a","afterMillis":0,"how":"self"},{"replica":"b",' +
        '"afterMillis":30,"how":"push"},{"replica":"c","afterMillis":31.5,"how":"vector"}],"missing":{"d":' +
        '{"kind":"lagging","by":1},"e":{"kind":"refused","detail":"gone"}},"durationMillis":32}'
      const receipt = Schema.decodeSync(codec)(kept)
      assert.strictEqual(Schema.encodeSync(codec)(receipt), kept)
      // One of today has the same fields.
      const { a } = yield* Cluster.running("abc", 2)
      const today = Schema.encodeSync(codec)(yield* during(a.writer.commit(put("k")), 10))
      assert.deepStrictEqual(fieldsOf(JSON.parse(today)), fieldsOf(JSON.parse(kept)))
    })
  )

  it.effect("tells the order that a write really has, and counts the time of its probe too", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      for (const peer of ["b", "c"]) {
        const slower = <A, E>(call: Effect.Effect<A, E>) => Effect.delay(call, 30)
        cluster.faults.set(`a>${peer}`, (client) => ({ ...client, probe: (each) => slower(client.probe(each)) }))
      }
      const policy = Cluster.policy(3, 2, { order: "real-time" })
      const [a, b] = yield* Effect.forEach(["a", "b", "c"], (id) => cluster.start(id, { policy }))
      yield* TestClock.adjust(1010)
      const first = yield* during(a!.writer.commit(put("k")), 200)
      assert.deepStrictEqual([first.policy.order, first.durationMillis], ["real-time", 30])
      const one = yield* during(a!.writer.commit(put("k"), { w: 1 }), 200)
      assert.deepStrictEqual([one.policy.order, one.durationMillis], ["clock", 0])
      // Its entry says so too, on every replica: a read counts by it.
      for (const { logs } of [a!, b!]) {
        const { bytes } = Option.getOrThrow(yield* logs.read(a!.logs.own, 0, 10_000))
        const stamps = [0, Entry.endUnsafe(bytes, 0)].map((offset) => Entry.stampAt(bytes, offset))
        assert.deepStrictEqual(
          stamps.map(({ clock, unprobed }) => ({ clock, unprobed })),
          [
            { clock: first.clock, unprobed: false },
            { clock: one.clock, unprobed: true }
          ]
        )
      }
    })
  )
})
