/** What one client does at several replicas, whatever W and the clocks. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, type Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { ClientSession, Entry, type QuorumWriter, type Receipt, type Records, WriteId } from "../src/index.ts"
import * as Cluster from "./support/cluster.ts"
import { text } from "./support/text.ts"
import { during, failure, pass } from "./support/time.ts"
import * as Wall from "./support/wall.ts"

const put = (value: string, key = "k") => Entry.put("n", key, value)

/** Three replicas whose writes are stamped by clocks and acknowledged by one; `a` and `c` do not meet, nor `b` and `c`. */
const apart = Effect.fnUntraced(function* (behind = 0) {
  yield* TestClock.setTime(1_700_000_000_000)
  const cluster = yield* Cluster.make(["a", "b", "c"], 1)
  const walls = { a: yield* Wall.make(), b: yield* Wall.make(), c: yield* Wall.make(-behind) }
  const [a, b, c] = yield* Effect.all([
    Wall.by(walls.a)(cluster.start("a")),
    Wall.by(walls.b)(cluster.start("b")),
    Wall.by(walls.c)(cluster.start("c"))
  ])
  yield* TestClock.adjust(2000)
  for (const other of ["a", "b"]) {
    cluster.cut(other, "c")
    cluster.cut("c", other)
  }
  return { a, b, c, cluster }
})

/** A clock that no replica follows. */
const farAhead = { wallTime: 1_800_000_000_000, logical: 0 }

const write = (replica: Cluster.Running, value: Entry.Write, options?: QuorumWriter.WriteOptions) =>
  Effect.map(during(replica.writer.commit(value, options), 100), ClientSession.ofWrite)

const read = (replica: Cluster.Running, options: Records.ReadOptions) =>
  Effect.map(replica.records.read("n", "k", { withinMillis: 50, ...options }), text)

describe("a client session", () => {
  it.effect("L34 orders what one client wrote at two replicas, one acknowledging each; without it the clocks do", () =>
    Effect.gen(function* () {
      for (const inSession of [true, false]) {
        const { a, b, c, cluster } = yield* apart(20_000)
        const session = yield* write(a, put("first"))
        yield* write(c, put("second"), inSession ? { session } : {})
        cluster.heal()
        yield* pass(12_000)
        for (const replica of [a, b, c]) assert.strictEqual(yield* read(replica, {}), inSession ? "second" : "first")
      }
    })
  )

  it.effect(
    "ReadYourWrites: shows a write of one replica at another as soon as it is there, and says when it is not",
    () =>
      Effect.gen(function* () {
        const { a, c, cluster } = yield* apart()
        const session = yield* write(a, put("v"))
        const writeId = session.places[0]!
        const tooEarly = yield* during(Effect.flip(read(c, { session })), 60)
        assert.deepInclude({ ...tooEarly }, { _tag: "NotYetVisible", writeId })
        const options = { session, withinMillis: 50, limit: 9 }
        assert.strictEqual((yield* during(Effect.flip(c.records.page(options)), 60))._tag, "NotYetVisible")
        assert.strictEqual((yield* during(Effect.flip(c.records.keys(options)), 60))._tag, "NotYetVisible")
        cluster.heal()
        assert.strictEqual(yield* during(read(c, { session, withinMillis: 10_000 }), 10_000), "v")
        const page = yield* c.records.page({ session, limit: 9 })
        assert.deepStrictEqual(
          page.records.map(({ writeId }) => writeId),
          [...session.places]
        )
      })
  )

  it.effect("L63 waits for one place at a time, however many a token says, and no longer than for one", () =>
    Effect.gen(function* () {
      const { a, c, cluster } = yield* apart()
      const here = (yield* write(c, put("here"))).places[0]!
      const { places } = yield* write(a, put("v"))
      const clock = { wallTime: 0, logical: 0 }
      const { onAppend } = c.logs
      let waiting = 0
      let most = 0
      const counted: typeof onAppend = (listener) => {
        most = Math.max(most, ++waiting)
        const stop = onAppend(listener)
        return () => {
          waiting--
          stop()
        }
      }
      Object.defineProperty(c.logs, "onAppend", { value: counted })
      const never = ["x", "y", "z"].map((id) => WriteId.WriteId.make(`${id}@0123456789abcdef:1.00000000`))
      const made = { clock, places: [...places, ...never] }
      const tooEarly = yield* during(Effect.flip(read(c, { session: made })), 50)
      assert.deepInclude({ ...tooEarly }, { _tag: "NotYetVisible", writeId: places[0]! })
      assert.deepStrictEqual([waiting, most], [0, 1])
      // Those that can be told at once are looked at first.
      const other = WriteId.WriteId.make(here.replace(/\.[0-9a-f]{8}$/, ".00000000"))
      const replaced = yield* Effect.flip(read(c, { session: { clock, places: [...places, other] } }))
      assert.strictEqual(replaced._tag, "WriteReplaced")
      // What is left of the time is that of all.
      const fiber = yield* Effect.forkChild(Effect.flip(read(c, { session: made, withinMillis: 10_000 })))
      cluster.heal()
      const rest = yield* during(Fiber.join(fiber), 10_000)
      assert.deepInclude({ ...rest }, { _tag: "NotYetVisible", writeId: never[0]! })
    })
  )

  it.effect("fetches what was seen at once, and not at the next heartbeat", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      cluster.faults.set("a>c", (client) => ({ ...client, push: () => Effect.never }))
      const [a, , c] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(2010)
      const session = yield* write(a, put("v"))
      assert.isUndefined(yield* read(c, {}))
      assert.strictEqual(yield* during(read(c, { session }), 20), "v")
    })
  )

  it.effect("never shows something older than before: neither a value nor that there was one", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* apart()
      cluster.heal()
      yield* write(a, put("old"), { w: 3 })
      yield* pass(12_000)
      cluster.cut("a", "c")
      cluster.cut("c", "a")
      cluster.cut("b", "c")
      cluster.cut("c", "b")
      yield* write(a, Entry.remove("n", "k"), { w: 2 })
      assert.isTrue(Option.isNone(yield* b.records.read("n", "k")))
      const session = yield* b.sessions.afterRead(ClientSession.empty, yield* b.records.newest("n", "k"))
      assert.strictEqual(session.places.length, 1)
      assert.strictEqual(yield* read(c, {}), "old")
      assert.strictEqual((yield* during(Effect.flip(read(c, { session })), 60))._tag, "NotYetVisible")
      const paged = yield* b.sessions.afterPage(ClientSession.empty)
      assert.deepStrictEqual(paged.places, session.places)
      assert.strictEqual((yield* during(Effect.flip(read(c, { session: paged })), 60))._tag, "NotYetVisible")
    })
  )

  it.effect("knows a delete that only others hold, after a read that asked them", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      // What a and b hold does not get to c then, which can still ask them.
      let isCut = false
      for (const id of ["a", "b"]) {
        const unless = <A, E>(answer: Effect.Effect<A, E>) => Effect.suspend(() => (isCut ? Effect.never : answer))
        cluster.faults.set(`${id}>c`, (client) => ({ ...client, push: (batch) => unless(client.push(batch)) }))
        cluster.faults.set(`c>${id}`, (client) => ({ ...client, pull: (range) => unless(client.pull(range)) }))
      }
      const [a, b, c] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(2000)
      yield* write(a, put("old"), { w: 3 })
      isCut = true
      yield* write(a, Entry.remove("n", "k"))
      for (const consistency of ["quorum", "linearizable"] as const) {
        const saw = yield* during(c.records.newest("n", "k", { consistency }), 500)
        assert.isTrue(Option.isSome(saw) && saw.value.deleted)
        const session = yield* c.sessions.afterRead(ClientSession.empty, saw)
        assert.strictEqual(yield* read(c, {}), "old")
        assert.strictEqual((yield* during(Effect.flip(read(c, { session })), 60))._tag, "NotYetVisible")
        assert.isUndefined(yield* read(b, { session }))
      }
    })
  )

  it.effect("is no longer than what some member is not known to hold", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* apart()
      const session = yield* write(a, put("v"))
      const written = { writeId: session.places[0]!, clock: session.clock }
      const grown = yield* a.sessions.afterWrites(ClientSession.empty, [written])
      assert.deepStrictEqual(grown, session)
      cluster.heal()
      yield* pass(12_000)
      assert.deepStrictEqual(yield* a.sessions.afterPage(session), { clock: a.logs.clock(), places: [] })
    })
  )

  it.effect("L65 knows after a restart what a member holds that is down since, and stays as short as it was", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      for (const replica of [a, b, c]) yield* write(replica, put("v"))
      yield* pass(12_000)
      yield* during(b.stop, 5000)
      yield* during(a.stop, 5000)
      const again = yield* cluster.start("a")
      yield* pass(12_000)
      assert.deepStrictEqual((yield* again.sessions.afterPage(ClientSession.empty)).places, [])
      const later = yield* write(again, put("later"))
      assert.deepStrictEqual((yield* again.sessions.afterPage(later)).places, later.places)
    })
  )

  it.effect(
    "of one that wrote at two replicas knows both writes, and comes after one that has not met its quorum",
    () =>
      Effect.gen(function* () {
        const { a, c } = yield* apart()
        const first = yield* write(a, put("first"))
        const { clock, writeId } = yield* during(c.writer.commit(put("second"), { session: first }), 100)
        const both = yield* c.sessions.afterWrites(first, [{ clock, writeId }])
        assert.deepStrictEqual(both, { clock, places: [...first.places, writeId] })
        const unmet = yield* during(
          failure(c.writer.commit(put("third"), { w: 3, session: first }), "QuorumNotMet"),
          2100
        )
        const after = yield* c.sessions.afterWrites(first, ["unmet"])
        assert.deepStrictEqual(after.places, first.places)
        assert.strictEqual(yield* read(c, {}), "third")
        assert.deepStrictEqual(after.clock, c.logs.clock())
        assert.strictEqual(WriteId.place(unmet.writeId).log, c.logs.own)
      })
  )

  it.effect("comes after one that has not met its quorum also where versions are held that no clock follows", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* apart(20_000)
      yield* a.logs.appendWrites([put("far", "other")], () => ({ after: farAhead, unprobed: true }))
      yield* during(failure(a.writer.commit(put("first"), { w: 3 }), "QuorumNotMet"), 2100)
      const session = yield* a.sessions.afterWrites(ClientSession.empty, ["unmet"])
      yield* write(c, put("second"), { session })
      cluster.heal()
      yield* pass(12_000)
      for (const replica of [a, b, c]) assert.strictEqual(yield* read(replica, {}), "second")
    })
  )

  it.effect("orders a commit without a fiber, and one that has a clock of its own by the later of the two", () =>
    Effect.gen(function* () {
      const { a } = yield* apart()
      const ahead = (seconds: number) => ({ wallTime: 1_700_000_000_000 + seconds * 1000, logical: 0 })
      const outcome = Deferred.makeUnsafe<Exit.Exit<Receipt.Receipt, QuorumWriter.CommitError>>()
      a.writer.commitUnsafe(put("v"), (exit) => Deferred.doneUnsafe(outcome, Effect.succeed(exit)), {
        session: { clock: ahead(20), places: [] }
      })
      const receipt = yield* Effect.flatten(during(Deferred.await(outcome), 100))
      assert.deepStrictEqual(receipt.clock, { ...ahead(20), logical: 1 })
      for (const [own, seen, later] of [
        [25, 30, 30],
        [40, 35, 40]
      ] as const) {
        const options = { after: ahead(own), session: { clock: ahead(seen), places: [] } }
        const { clock } = yield* during(a.writer.commit(put("v"), options), 100)
        assert.deepStrictEqual(clock, { ...ahead(later), logical: 1 })
      }
      const session = ClientSession.empty
      for (const withinMillis of [-1, Number.NaN, "5"] as Array<never>) {
        const page = yield* failure(a.records.page({ session, withinMillis, limit: 1 }), "ReadRejected")
        assert.strictEqual(page.field, "withinMillis")
      }
    })
  )

  it.effect("keeps a place that is another write's here, and answers it as replaced", () =>
    Effect.gen(function* () {
      const { a, cluster } = yield* apart()
      yield* write(a, put("v"))
      cluster.heal()
      yield* pass(12_000)
      const other = ClientSession.ofWrite({
        writeId: `${a.logs.own}:1.00000000` as never,
        clock: { wallTime: 1, logical: 0 }
      })
      const none = yield* a.sessions.afterRead(other, Option.none())
      assert.deepStrictEqual(none.places, other.places)
      assert.strictEqual((yield* Effect.flip(read(a, { session: other })))._tag, "WriteReplaced")
    })
  )

  it.effect(
    "BoundedClocks: whose clock no replica follows waits for what it saw instead, and then comes after it",
    () =>
      Effect.gen(function* () {
        const { a, b, c, cluster } = yield* apart()
        yield* a.logs.appendWrites([put("far")], () => ({ after: farAhead, unprobed: true }))
        const seen = yield* a.records.newest("n", "k")
        const session = yield* a.sessions.afterRead(ClientSession.empty, seen)
        const paged = yield* a.sessions.afterPage(ClientSession.empty)
        assert.isAtLeast(paged.clock.wallTime, session.clock.wallTime)
        const before = c.logs.head(c.logs.own).seq
        const refused = yield* during(failure(c.writer.commit(put("near"), { session }), "NotReady"), 2100)
        assert.match(refused.message, /what the client saw is not here/)
        assert.strictEqual(c.logs.head(c.logs.own).seq, before)
        cluster.heal()
        yield* pass(12_000)
        yield* write(c, put("near"), { session })
        yield* pass(12_000)
        for (const replica of [a, b, c]) assert.strictEqual(yield* read(replica, {}), "near")
        assert.isBelow(c.logs.clock().wallTime, session.clock.wallTime)
      })
  )

  it.effect("OnceByKey: orders a stamp that is drawn in it", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const a = yield* cluster.start("a")
      const clock = { wallTime: 50_000, logical: 7 }
      const stamp = yield* a.writer.stamp({ namespace: "n", key: "k" }, { session: { clock, places: [] } })
      const receipt = yield* a.writer.commit(put("v"), { stamp })
      assert.deepStrictEqual(receipt.clock, { wallTime: 50_000, logical: 8 })
    })
  )

  it.effect("L51 that is none is rejected, by its name, and nothing is written or read", () =>
    Effect.gen(function* () {
      const { a } = yield* apart()
      const wrong = ["", 5, null, {}, { clock: { wallTime: -1, logical: 0 }, places: [] }, { clock: 1, places: ["x"] }]
      for (const session of wrong as Array<never>) {
        const write = yield* failure(a.writer.commit(put("v"), { session }), "WriteRejected")
        const draw = yield* failure(a.writer.stamp({ namespace: "n", key: "k" }, { session }), "WriteRejected")
        const seen = yield* failure(a.records.read("n", "k", { session }), "ReadRejected")
        const page = yield* failure(a.records.page({ session, limit: 1 }), "ReadRejected")
        assert.deepStrictEqual(
          [write, draw, seen, page].map(({ field }) => field),
          Array(4).fill("session")
        )
      }
      assert.strictEqual(a.logs.head(a.logs.own).seq, 0)
    })
  )
})
