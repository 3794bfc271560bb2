import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { failure } from "./support/time.ts"
import * as Wall from "./support/wall.ts"

const hour = 3_600_000
const tenYears = 10 * 365 * 24 * hour
const put = (value: string) => Entry.put("n", "k", value)
const valueOf = (replica: Cluster.Running) =>
  Effect.map(replica.records.read("n", "k"), (found) =>
    Option.getOrUndefined(Option.map(found, ({ value }) => new TextDecoder().decode(value)))
  )

/** As `support/time.ts` has it, in small steps: a question and its answer come before an append and its acks. */
const during = <A, E>(effect: Effect.Effect<A, E>, millis: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    for (let i = 0; i < 20; i++) yield* TestClock.adjust(millis / 20)
    const exit = fiber.pollUnsafe()
    if (exit === undefined) throw new Error(`not done after ${millis} ms`)
    return yield* exit
  })

/** Replicas that each have a wall clock of their own, ahead by so much. */
const start = Effect.fnUntraced(function* (
  ids: string,
  ahead: Readonly<Record<string, number>> = {},
  order: "clock" | "real-time" = "real-time"
) {
  yield* TestClock.setTime(1_700_000_000_000)
  const w = Math.floor(ids.length / 2) + 1
  const cluster = yield* Cluster.make([...ids], w)
  const walls = new Map<string, Wall.Wall>()
  const replicas = new Map<string, Cluster.Running>()
  const up = Effect.fnUntraced(function* (id: string) {
    const wall = walls.get(id) ?? (yield* Wall.make(ahead[id] ?? 0))
    walls.set(id, wall)
    const policy = Cluster.policy(ids.length, w, { order })
    replicas.set(id, yield* Wall.by(wall)(cluster.start(id, { policy })))
  })
  for (const id of ids) yield* up(id)
  yield* TestClock.adjust(2000)
  const apart = (left: string, right: string): void => {
    for (const a of left) {
      for (const b of right) {
        cluster.cut(a, b)
        cluster.cut(b, a)
      }
    }
  }
  const of = (id: string) => replicas.get(id)!
  /** Lets everybody meet, and says what each then reads. */
  const settle = Effect.gen(function* () {
    cluster.heal()
    yield* TestClock.adjust(12_000)
    return yield* Effect.forEach([...ids], (id) => valueOf(of(id)))
  })
  return { apart, cluster, of, settle, up, walls }
})

describe("LaterWins", () => {
  it.effect("L34 a write after one by a clock that was ten years ahead wins on every replica", () =>
    Effect.gen(function* () {
      const { apart, of, settle, walls } = yield* start("abc")
      walls.get("a")!.set(tenYears)
      yield* during(of("a").writer.commit(put("first")), 100)
      walls.get("a")!.set(0)
      apart("a", "c")
      yield* TestClock.adjust(100)
      yield* during(of("c").writer.commit(put("second")), 100)
      assert.deepStrictEqual(yield* settle, ["second", "second", "second"])
    })
  )

  /** What is read in the end, when the second write is made by a replica whose clock is behind. */
  const afterTwo = (behind: number, order: "clock" | "real-time", second: Entry.Write = put("second")) =>
    Effect.gen(function* () {
      const { apart, of, settle } = yield* start("abc", { c: behind }, order)
      apart("a", "c")
      yield* during(of("a").writer.commit(put("first")), 100)
      yield* during(of("c").writer.commit(second), 100)
      return yield* settle
    }).pipe(Effect.scoped)

  it.effect("a clock that is behind by an hour, or by 20 seconds, hides no later write; by clocks alone it does", () =>
    Effect.gen(function* () {
      for (const behind of [-hour, -20_000]) {
        assert.deepStrictEqual(yield* afterTwo(behind, "real-time"), ["second", "second", "second"])
        assert.deepStrictEqual(yield* afterTwo(behind, "clock"), ["first", "first", "first"])
      }
    })
  )

  it.effect("a delete after a write is not undone by it, nor a write after a delete", () =>
    Effect.gen(function* () {
      const gone = yield* afterTwo(-hour, "real-time", Entry.remove("n", "k"))
      assert.deepStrictEqual(gone, [undefined, undefined, undefined])
      const { apart, of, settle } = yield* start("abc", { a: hour })
      yield* during(of("a").writer.commit(put("first")), 100)
      apart("a", "c")
      yield* during(of("a").writer.commit(Entry.remove("n", "k")), 100)
      yield* during(of("c").writer.commit(put("second")), 100)
      assert.deepStrictEqual(yield* settle, ["second", "second", "second"])
    })
  )

  it.effect("one of five that was asked is enough, whichever has heard of the write before", () =>
    Effect.gen(function* () {
      const { apart, of, settle } = yield* start("abcde", { a: 3000, d: -hour, e: hour })
      apart("abc", "de")
      yield* during(of("a").writer.commit(put("first")), 100)
      apart("ab", "c")
      yield* TestClock.adjust(3000)
      const second = yield* Effect.forkChild(of("d").writer.commit(put("second")))
      yield* TestClock.adjust(100)
      assert.isUndefined(second.pollUnsafe())
      yield* Fiber.interrupt(second)
      assert.deepStrictEqual(yield* settle, ["first", "first", "first", "first", "first"])
      yield* during(of("d").writer.commit(put("third")), 100)
      assert.deepStrictEqual((yield* settle)[0], "third")
    })
  )

  it.effect("L51 a write of a key that was stamped far ahead is later, at a replica that holds none of it", () =>
    Effect.gen(function* () {
      const { apart, of, settle } = yield* start("abc")
      apart("a", "c")
      const far = { wallTime: 1_700_000_000_000 + tenYears, logical: 7 }
      yield* of("a").logs.appendWrites([put("far")], () => ({ after: far, unprobed: true }))
      yield* TestClock.adjust(10)
      apart("a", "b")
      yield* during(of("c").writer.commit(Entry.put("n", "other", "v")), 100)
      yield* during(of("c").writer.commit(put("second")), 100)
      assert.deepStrictEqual(yield* settle, ["second", "second", "second"])
      const { clock } = Option.getOrThrow(yield* of("c").records.read("n", "other"))
      assert.isBelow(clock.wallTime, 1_700_000_000_000 + hour)
    })
  )

  it.effect(
    "with less than a majority, what one client does at two replicas stays in order by the clock of its receipt",
    () =>
      Effect.gen(function* () {
        for (const withAfter of [false, true]) {
          const { apart, of, settle } = yield* start("abc", { c: -20_000 })
          apart("a", "bc")
          const first = yield* during(of("a").writer.commit(put("first"), { w: 1 }), 1)
          const options = withAfter ? { w: 1, after: first.clock } : { w: 1 }
          yield* during(of("c").writer.commit(put("second"), options), 1)
          const last = withAfter ? "second" : "first"
          assert.deepStrictEqual(yield* settle, [last, last, last])
        }
      }).pipe(Effect.scoped)
  )

  it.effect("L51 a write that is to come after what no clock may be, or after no clock, is rejected", () =>
    Effect.gen(function* () {
      const { of } = yield* start("abc")
      const now = 1_700_000_002_000
      const clocks = [
        { wallTime: now + 3 * hour, logical: 0 },
        { wallTime: 2 ** 48 - 1, logical: 0 },
        { wallTime: -1, logical: 0 },
        "x",
        7,
        null,
        {}
      ]
      for (const after of clocks) {
        const error = yield* failure(of("a").writer.commit(put("v"), { after: after as never }), "WriteRejected")
        assert.strictEqual(error.field, "after")
      }
      assert.strictEqual(of("a").logs.head(of("a").logs.own).seq, 0)
    })
  )

  it.effect("without a majority nothing is written, and it is said whether the others are connected", () =>
    Effect.gen(function* () {
      const { apart, of } = yield* start("abc")
      apart("a", "bc")
      const error = yield* during(failure(of("a").writer.commit(put("never")), "QuorumUnavailable"), 2001)
      assert.deepInclude(error, { alive: 1, needed: 2, reason: "timeout" })
      assert.strictEqual(of("a").logs.head(of("a").logs.own).seq, 0)
      yield* of("b").stop
      yield* of("c").stop
      yield* TestClock.adjust(1500)
      const gone = yield* during(failure(of("a").writer.commit(put("never")), "QuorumUnavailable"), 2001)
      assert.deepInclude(gone, { alive: 1, reason: "unreachable" })
    })
  )

  it.effect("L51 a restart by a clock that is behind answers for all that it held", () =>
    Effect.gen(function* () {
      const { apart, of, settle, up, walls } = yield* start("abc", { a: 30_000 })
      apart("a", "c")
      yield* during(of("a").writer.commit(put("first")), 100)
      yield* of("b").stop
      walls.get("b")!.set(-hour)
      walls.get("c")!.set(-hour)
      apart("a", "b")
      yield* up("b")
      yield* TestClock.adjust(3000)
      yield* during(of("c").writer.commit(put("second")), 100)
      assert.deepStrictEqual(yield* settle, ["second", "second", "second"])
    })
  )

  it.effect(
    "L57 an answer that knows of other lives of the members does not count, until a handshake has told them",
    () =>
      Effect.gen(function* () {
        const { cluster, of, up } = yield* start("ab")
        let greeted = 0
        let isStrange = true
        cluster.faults.set("a>b", (client) => ({
          ...client,
          hello: (hello) => Effect.tap(client.hello(hello), () => Effect.sync(() => void greeted++)),
          probe: (question) =>
            Effect.map(client.probe(question), (answer) =>
              isStrange ? { ...answer, members: answer.members ^ 1 } : answer
            )
        }))
        yield* during(of("b").stop, 100)
        yield* up("b")
        yield* TestClock.adjust(5000)
        const before = greeted
        const error = yield* during(failure(of("a").writer.commit(put("never")), "QuorumUnavailable"), 2001)
        assert.deepInclude(error, { alive: 1, needed: 2 })
        assert.strictEqual(of("a").logs.head(of("a").logs.own).seq, 0)
        assert.isAbove(greeted - before, 1, "it is greeted again, and not only at the next heartbeat")
        isStrange = false
        yield* during(of("a").writer.commit(put("value")), 1000)
      })
  )

  it.effect("what is written within answers is asked for in one question, before anything else has its turn", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      let asked = 0
      for (const peer of ["b", "c"]) {
        cluster.faults.set(`a>${peer}`, (client) => ({
          ...client,
          probe: (question) => Effect.suspend(() => (asked++, client.probe(question)))
        }))
      }
      const policy = Cluster.policy(3, 2, { order: "real-time" })
      const a = yield* cluster.start("a", { policy })
      for (const id of ["b", "c"]) yield* cluster.start(id, { policy })
      yield* TestClock.adjust(2000)
      const seen: Array<number> = []
      let answered = 0
      for (let i = 0; i < 3; i++) {
        a.writer.commitUnsafe(put(`${i}`), () => {
          if (i === 0)
            Effect.runFork(
              Effect.andThen(
                Effect.yieldNow,
                Effect.sync(() => void seen.push(asked))
              )
            )
          a.writer.commitUnsafe(put(`${i} again`), () => void answered++)
        })
      }
      for (let i = 0; i < 20; i++) yield* TestClock.adjust(5)
      assert.strictEqual(answered, 3)
      // One peer makes a majority, and one question serves three writes.
      assert.strictEqual(asked, 2)
      assert.deepStrictEqual(seen, [2])
    })
  )
})
