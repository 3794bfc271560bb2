/** What the writer tells listeners, and that they cannot take part. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Entry, LogId, ReplicaEvents } from "../src/index.ts"
import { ReplicaStore } from "../src/adapter.ts"
import { EventSink } from "../src/events/EventSink.ts"
import * as LateAnswers from "../src/write/internal/LateAnswers.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"

const put = (key = "k") => Entry.put("notes", key, "v")
const [idB, idC] = [Cluster.id("b"), Cluster.id("c")]

type Event = ReplicaEvents.ReplicaEvent
type Told<T extends Event["_tag"]> = Extract<Event, { readonly _tag: T }>

const listening = (events: ReplicaEvents.ReplicaEvents["Service"]) => {
  const told: Array<Event> = []
  const stop = events.listen((event) => void told.push(event))
  const of = <T extends Event["_tag"]>(tag: T) => told.filter((event): event is Told<T> => event._tag === tag)
  return { of, stop, told }
}

const event = (seq: number): Event => ({ _tag: "Acked", peer: idB, log: "a@00000000000000aa" as LogId.LogId, seq })

describe("events of the writer", () => {
  it.effect("commits that are answered together are one event, and so is a peer's answer to them", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      for (const [peer, millis] of [
        ["b", 10],
        ["c", 20]
      ] as const) {
        cluster.faults.set(`a>${peer}`, (client) => ({
          ...client,
          push: (request) => Effect.delay(client.push(request), millis)
        }))
      }
      const [a] = [yield* cluster.start("a"), yield* cluster.start("b"), yield* cluster.start("c")]
      yield* TestClock.adjust(1000)
      const { of } = listening(a.events)
      yield* during(
        Effect.all(
          [put("x"), put("y"), put("z")].map((write) => a.writer.commit(write)),
          { concurrency: "unbounded" }
        ),
        100
      )
      assert.deepStrictEqual(
        of("CommitsEnded").map(({ durationMillis, outcome, reason, writes }) => ({
          durationMillis,
          outcome,
          reason,
          writes
        })),
        [{ durationMillis: 10, outcome: "committed", reason: undefined, writes: 3 }]
      )
      // The one that the quorum needed, and the one that came after it, in time.
      assert.deepStrictEqual(
        of("PeerAnswered").map(({ afterMillis, answer, peer, writes }) => ({ afterMillis, answer, peer, writes })),
        [
          { afterMillis: 10, answer: "ack", peer: idB, writes: 3 },
          { afterMillis: 20, answer: "ack", peer: idC, writes: 3 }
        ]
      )
    })
  )

  it.effect("L44 an ack that comes after the deadline is told as late, once, with the time since the append", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      const a = yield* cluster.start("a", { policy: Cluster.policy(2, 2, { ackTimeout: 100 }) })
      yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      const { of } = listening(a.events)
      cluster.cut("a", "b")
      cluster.cut("b", "a")
      const { reason } = yield* during(failure(a.writer.commit(put()), "QuorumNotMet"), 101)
      assert.deepStrictEqual(of("CommitsEnded"), [
        { _tag: "CommitsEnded", outcome: "quorum_not_met", reason, writes: 1, durationMillis: 101 }
      ])
      assert.deepStrictEqual(
        of("PeerAnswered").filter(({ answer }) => answer === "late"),
        []
      )
      cluster.heal()
      yield* TestClock.adjust(10_000)
      const late = of("PeerAnswered").filter(({ answer }) => answer !== "failed")
      assert.deepStrictEqual(
        late.map(({ answer, peer, writes }) => ({ answer, peer, writes })),
        [{ answer: "late", peer: idB, writes: 1 }]
      )
      assert.isAbove(late[0]!.afterMillis, 100)
    })
  )

  it.effect("a write that is refused is told with its outcome, and a failed append with the store's reason", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "no space left" })
      yield* Cluster.withStore(cluster, "a", () => () => Effect.fail(full))
      const a = yield* cluster.start("a")
      const { of } = listening(a.events)
      yield* failure(a.writer.commit(put("")), "WriteRejected")
      yield* failure(a.writer.commit(put(), { w: 2 }), "InvalidPolicy")
      yield* failure(a.writer.commit(put()), "LocalWriteFailed")
      assert.deepStrictEqual(
        of("CommitsEnded").map(({ outcome }) => outcome),
        ["write_rejected", "invalid_policy", "local_write_failed"]
      )
      assert.deepStrictEqual(of("AppendFailed"), [
        { _tag: "AppendFailed", log: a.logs.own, reason: "disk_full", detail: "no space left" }
      ])
    })
  )

  it.effect("a listener that throws harms neither the commit nor the other listeners", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("ab", 2)
      let thrown = 0
      a.events.listen(() => {
        thrown++
        throw new Error("a listener threw")
      })
      const { told } = listening(a.events)
      yield* during(a.writer.commit(put()), 100)
      yield* failure(a.writer.commit(put("")), "WriteRejected")
      assert.isAbove(told.length, 2)
      assert.strictEqual(thrown, told.length)
    })
  )

  it.effect("a listener that stopped hears nothing more, and the same function twice is two listeners", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("ab", 2)
      let heard = 0
      const listener = (): void => void heard++
      const stops = [a.events.listen(listener), a.events.listen(listener)]
      stops[0]!()
      yield* failure(a.writer.commit(put("")), "WriteRejected")
      assert.strictEqual(heard, 1)
      stops[1]!()
      yield* during(a.writer.commit(put()), 100)
      assert.strictEqual(heard, 1)
    })
  )
})

describe("events when nobody listens", () => {
  it.effect("no event is made", () =>
    Effect.gen(function* () {
      let told = 0
      const silent = EventSink.of({ active: () => false, tell: () => void told++ })
      const late = LateAnswers.make(silent)
      const log = LogId.make(Cluster.id("a"), "00000000000000aa" as LogId.Incarnation)
      late.remember(idB, { log, seq: 1, writes: 1, startedAt: 0, deadline: 10 })
      late.hear({
        _tag: "Ack",
        how: "push",
        peer: idB,
        incarnation: "00000000000000bb" as LogId.Incarnation,
        watermark: { log, seq: 1, chain: "0000000000000001" as never },
        monotonicMillis: 5
      })
      assert.strictEqual(told, 0)
      const context = yield* Layer.build(ReplicaEvents.layer)
      const sink = Context.get(context, EventSink)
      assert.isFalse(sink.active())
      const stop = Context.get(context, ReplicaEvents.ReplicaEvents).listen(() => undefined)
      assert.isTrue(sink.active())
      stop()
      assert.isFalse(sink.active())
    })
  )
})

describe("what is remembered of answered writes", () => {
  const log = LogId.make(Cluster.id("a"), "00000000000000aa" as LogId.Incarnation)
  const other = LogId.make(idC, "00000000000000cc" as LogId.Incarnation)
  const answers = (...acks: ReadonlyArray<readonly [seq: number, at: number, of?: LogId.LogId]>) => {
    const told: Array<Event> = []
    const late = LateAnswers.make({ active: () => true, tell: (event) => void told.push(event) })
    late.remember(idB, { log, seq: 5, writes: 2, startedAt: 0, deadline: 10 })
    for (const [seq, at, of = log] of acks) {
      late.hear({
        _tag: "Ack",
        how: "push",
        peer: idB,
        incarnation: "00000000000000bb" as LogId.Incarnation,
        watermark: { log: of, seq, chain: "0000000000000001" as never },
        monotonicMillis: at
      })
    }
    return told.map((event) =>
      event._tag === "PeerAnswered" ? [event.answer, event.writes, event.afterMillis] : event
    )
  }

  it("an ack at the deadline is in time, and one a millisecond later is late", () => {
    assert.deepStrictEqual(answers([5, 10]), [["ack", 2, 10]])
    assert.deepStrictEqual(answers([5, 11]), [["late", 2, 11]])
  })

  it("an ack counts when it reaches the last write, in its log, and once", () => {
    assert.deepStrictEqual(answers([4, 1]), [])
    assert.deepStrictEqual(answers([9, 1, other]), [])
    assert.deepStrictEqual(answers([4, 1], [6, 2], [7, 3]), [["ack", 2, 2]])
  })
})

describe("ReplicaEvents.stream", () => {
  it.effect("gives a slow reader the newest, and drops the oldest", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(ReplicaEvents.layer)
      const sink = Context.get(context, EventSink)
      const first: Array<number> = []
      const reader = yield* Context.get(context, ReplicaEvents.ReplicaEvents).stream.pipe(
        Stream.take(4097),
        Stream.runForEach((event) =>
          // Slow at the first: everything else comes meanwhile.
          Effect.andThen(
            Effect.sync(() => void first.push(event._tag === "Acked" ? event.seq : -1)),
            first.length === 0 ? Effect.sleep(1000) : Effect.void
          )
        ),
        Effect.forkChild
      )
      yield* TestClock.adjust(1)
      sink.tell(event(0))
      yield* TestClock.adjust(1)
      for (let seq = 1; seq <= 10_000; seq++) sink.tell(event(seq))
      yield* TestClock.adjust(2000)
      yield* Fiber.join(reader)
      assert.deepStrictEqual([first[0], first[1], first.at(-1), first.length], [0, 10_000 - 4095, 10_000, 4097])
      assert.isFalse(sink.active())
    })
  )

  it.effect("ends when the replica is closed, after its last event, also for who begins to read then", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(ReplicaEvents.layer, scope)
      const sink = Context.get(context, EventSink)
      const { stream } = Context.get(context, ReplicaEvents.ReplicaEvents)
      const reader = yield* Effect.forkChild(Stream.runCollect(stream))
      yield* TestClock.adjust(1)
      yield* Scope.addFinalizer(
        scope,
        Effect.sync(() => sink.tell(event(7)))
      )
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(reader.pollUnsafe(), Exit.succeed([event(7)]))
      assert.deepStrictEqual(yield* Stream.runCollect(stream), [])
      assert.isFalse(sink.active())
    })
  )
})
