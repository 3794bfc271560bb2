import { assert, describe, it } from "@effect/vitest"
import type { LogId, ReplicaId } from "@quorum/core"
import { Context, Effect, Metric } from "effect"
import { definitions } from "../src/Definitions.ts"
import * as Backlog from "../src/internal/Backlog.ts"
import * as LastAcks from "../src/internal/LastAcks.ts"
import * as Series from "../src/internal/Series.ts"

/** Numbers from a seed, between 0 and 1. */
const random = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}

const stateIn = (context: Context.Context<never>): Metric.HistogramState => {
  const [snapshot] = Metric.snapshotUnsafe(context)
  if (snapshot?.type !== "Histogram") throw new Error("it is no histogram")
  return snapshot.state
}

describe("Series", () => {
  it.effect("a histogram says what Effect's own says of the same values, one by one", () =>
    Effect.gen(function* () {
      const next = random(1)
      const registry = () => Context.make(Metric.MetricRegistry, new Map()) as Context.Context<never>
      const [ours, theirs] = [registry(), registry()]
      const histogram = Series.make(ours).histogram("commitDuration")
      const boundaries = definitions.commitDuration.bounds!
      const twin = Metric.histogram("twin", { boundaries })
      const edges = boundaries.map((bound) => [bound, 3] as const)
      const values = [
        ...edges,
        ...Array.from({ length: 500 }, () => [next() ** 4 * 20, Math.ceil(next() * 5)] as const)
      ]
      for (const [value, times] of values) {
        histogram.record(value, times)
        for (let i = 0; i < times; i++) yield* Effect.provide(Metric.update(twin, value), theirs)
      }
      const { sum: ourSum, ...our } = stateIn(ours)
      const { sum: theirSum, ...their } = stateIn(theirs)
      assert.deepStrictEqual(our, their)
      assert.closeTo(ourSum, theirSum, 1e-6)
    })
  )
})

describe("Backlog", () => {
  it("knows the age of what is missing to a tenth of a second, and the bytes to a piece, as a list of all entries does", () => {
    const next = random(2)
    const backlog = Backlog.make(10, 0)
    const entries: Array<{ readonly seq: number; readonly bytes: number; readonly at: number }> = []
    let now = 0
    let seq = 10
    for (let i = 0; i < 2000; i++) {
      now += next() < 0.05 ? next() * 60_000 : next() * 200
      seq++
      const bytes = 1 + Math.floor(next() * 100)
      backlog.appended(seq, bytes, now)
      entries.push({ seq, bytes, at: now })
      const held = Math.floor(10 + next() * (seq - 9))
      const missing = entries.filter((entry) => entry.seq > held)
      const age = missing.length === 0 ? 0 : now - missing[0]!.at
      assert.isAtLeast(backlog.ageMillis(held, now), age)
      assert.isAtMost(backlog.ageMillis(held, now), age + 100)
      const size = missing.reduce((sum, entry) => sum + entry.bytes, 0)
      assert.closeTo(backlog.bytesAfter(held), size, 2000)
    }
    assert.strictEqual(backlog.ageMillis(seq, now + 1000), 0)
    assert.strictEqual(backlog.bytesAfter(seq), 0)
    assert.strictEqual(backlog.ageMillis(3, now), now)
  })

  it("keeps the age of the oldest entry however many come after it", () => {
    const backlog = Backlog.make(0, 0)
    for (let i = 1; i <= 20_000; i++) backlog.appended(i, 10, i * 100)
    assert.strictEqual(backlog.ageMillis(0, 2_000_000), 2_000_000 - 100)
    assert.strictEqual(backlog.bytesAfter(0), 200_000)
    assert.closeTo(backlog.ageMillis(19_999, 2_000_000), 0, 800)
  })
})

describe("LastAcks", () => {
  const log = "a@0123456789abcdef" as LogId.LogId
  const ids = ["b", "c"] as Array<ReplicaId.ReplicaId>
  const appended = (seq: number, entries: number, durationMillis: number) =>
    ({ _tag: "Appended", log, own: true, seq, entries, bytes: entries, durationMillis, syncMillis: undefined }) as const

  it("tells of every entry once, when the last peer has acked it, as a list of all entries does", () => {
    const next = random(3)
    let now = 0
    const lastAcks = LastAcks.make(log, ids, () => now)
    const entries: Array<{ readonly seq: number; readonly beganMillis: number }> = []
    const held = [0, 0]
    let seq = 0
    for (let i = 0; i < 5000; i++) {
      now += next() * 10
      const count = 1 + Math.floor(next() * 4)
      for (let k = 0; k < count; k++) entries.push({ seq: ++seq, beganMillis: now - 2 })
      lastAcks.appended(appended(seq, count, 2))
      now += next()
      const who = Math.floor(next() * 2)
      const before = Math.min(...held)
      // Acks end where batches do; a peer that is reset says less than before, which is no news.
      held[who] = seq
      const told: Array<number> = []
      const ack = (upTo: number) =>
        lastAcks.acked({ _tag: "Acked", peer: ids[who]!, log, seq: upTo }, (millis, entries) => {
          for (let k = 0; k < entries; k++) told.push(millis)
        })
      ack(seq)
      ack(seq - 1)
      const expected = entries.slice(before, Math.min(...held)).map(({ beganMillis }) => now - beganMillis)
      assert.deepStrictEqual(told, expected)
    }
  })

  it("forgets no entry while a peer is away, and takes the oldest of some for all of them", () => {
    let now = 0
    const lastAcks = LastAcks.make(log, ids, () => now)
    let told = 0
    let longest = 0
    const tell = (millis: number, entries: number): void => {
      told += entries
      longest = Math.max(longest, millis)
    }
    for (let seq = 1; seq <= 20_000; seq++) {
      now = seq
      lastAcks.appended(appended(seq, 1, 0))
      lastAcks.acked({ _tag: "Acked", peer: ids[0]!, log, seq }, tell)
    }
    assert.strictEqual(told, 0)
    lastAcks.acked({ _tag: "Acked", peer: ids[1]!, log, seq: 20_000 }, tell)
    assert.strictEqual(told, 20_000)
    assert.strictEqual(longest, 19_999)
  })
})
