/** What a replica remembers that its peers acked, to tell them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { type Chain, ReplicaStore } from "../src/adapter.ts"
import { LogId } from "../src/index.ts"
import * as Remembered from "../src/peer/internal/Remembered.ts"
import * as Cluster from "./support/cluster.ts"

const [b, c] = [Cluster.id("b"), Cluster.id("c")]
const former = "00000000000000bb" as LogId.Incarnation
const newer = LogId.incarnationAt(0, 0, former)
const booted = LogId.incarnationAfterBoot(former, 0xf_ffff)
const log = LogId.make(Cluster.id("a"), "00000000000000aa" as LogId.Incarnation)
const upTo = (seq: number) => ({ log, seq, chain: "0000000000000001" as Chain.Chain })

/** A store that counts how often something was noted. */
const counting = Effect.gen(function* () {
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
  let notes = 0
  const counted: ReplicaStore.ReplicaStore["Service"] = {
    ...store,
    setNotes: (changed) => Effect.suspend(() => (notes++, store.setNotes(changed)))
  }
  return { store: counted, notes: () => notes }
})

describe("what is remembered of a peer", () => {
  it.effect("is how far it acked each log, and only rises", () =>
    Effect.gen(function* () {
      const remembered = yield* Remembered.make((yield* counting).store, {})
      for (const seq of [3, 2, 4, 4]) remembered.add(b, former, upTo(seq))
      assert.deepStrictEqual(remembered.of(b), [upTo(4)])
      assert.deepStrictEqual(remembered.of(c), [])
    }).pipe(Effect.scoped)
  )

  it.effect("is known after a start where it is of what is held, of a log of which something was given up", () =>
    Effect.gen(function* () {
      const given = { log, after: 1, upTo: 4, because: "fork", peer: c, again: [], wallMillis: 0 } as const
      const other = { ...upTo(9), log: LogId.make(c, former) }
      const noted = (seq: number) => ({ [b]: { incarnation: former, vector: [upTo(seq), other] } })
      const chainAt = (_log: LogId.LogId, seq: number) =>
        Effect.succeed(
          seq > 3 ? Option.none() : Option.some((seq === 3 ? upTo(3).chain : "0".repeat(16)) as Chain.Chain)
        )
      const known = (seq: number) =>
        Effect.map(Remembered.knownOf(noted(seq), [given], chainAt), (all) => all[b]?.vector)
      assert.deepStrictEqual(yield* known(3), [upTo(3), other])
      assert.deepStrictEqual(yield* known(2), [other])
      assert.deepStrictEqual(yield* known(4), [other])
    })
  )

  it.effect("L57 is forgotten with the life that acked it", () =>
    Effect.gen(function* () {
      const remembered = yield* Remembered.make((yield* counting).store, {})
      remembered.add(b, former, upTo(3))
      remembered.met(b, former)
      assert.deepStrictEqual(remembered.of(b), [upTo(3)])
      remembered.met(b, newer)
      assert.deepStrictEqual(remembered.of(b), [])
      remembered.add(b, newer, upTo(2))
      assert.deepStrictEqual(remembered.of(b), [upTo(2)])
      // As from an ack that comes before the handshake.
      remembered.add(b, former, upTo(1))
      assert.deepStrictEqual(remembered.of(b), [upTo(1)])
    }).pipe(Effect.scoped)
  )

  it.effect("is asked of the life that goes on from it after a boot, and noted with that", () =>
    Effect.gen(function* () {
      const { notes, store } = yield* counting
      const remembered = yield* Remembered.make(store, {})
      remembered.add(b, former, upTo(3))
      yield* TestClock.adjust(5000)
      remembered.met(b, booted)
      assert.deepStrictEqual(remembered.of(b), [upTo(3)])
      yield* TestClock.adjust(5000)
      assert.strictEqual(notes(), 2)
      remembered.met(b, LogId.incarnationAt(0, 0, booted))
      assert.deepStrictEqual(remembered.of(b), [])
    }).pipe(Effect.scoped)
  )

  it.effect("is noted when there is something new, every five seconds at most, and at the end", () =>
    Effect.gen(function* () {
      const { notes, store } = yield* counting
      yield* Effect.gen(function* () {
        const remembered = yield* Remembered.make(store, {})
        remembered.add(b, former, upTo(1))
        yield* TestClock.adjust(4999)
        assert.strictEqual(notes(), 0)
        yield* TestClock.adjust(1)
        assert.strictEqual(notes(), 1)
        remembered.add(b, former, upTo(1))
        yield* TestClock.adjust(10_000)
        assert.strictEqual(notes(), 1)
        remembered.add(b, former, upTo(2))
      }).pipe(Effect.scoped)
      assert.strictEqual(notes(), 2)
      assert.include(Option.getOrThrow(yield* store.note("remembered")), '"seq":2')
    })
  )
})
