/** Reads that ask several replicas. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { ClientSession, Entry, type LogId, type Records, WriteId } from "../src/index.ts"
import { PeerMethods, PeerProtocol, ReplicaStore, RunId } from "../src/adapter.ts"
import type { NewestWrite } from "../src/peer/KeyReader.ts"
import * as decide from "../src/read/internal/decide.ts"
import * as Cluster from "./support/cluster.ts"
import { apart, copyOf, together } from "./support/copies.ts"
import { during } from "./support/time.ts"

/** Runs a read that needs no time to speak of, but many turns. */
const soon = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    for (let i = 0; i < 40 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust(1)
    assert.isDefined(fiber.pollUnsafe())
    return yield* Fiber.join(fiber)
  })

const put = (value: string) => Entry.put("n", "k", value)
const text = (record: Option.Option<Records.Record>) =>
  Option.getOrUndefined(Option.map(record, ({ value }) => new TextDecoder().decode(value)))

const ask = (replica: Cluster.Running, consistency: Records.Consistency, options: Records.ReadOptions = {}) =>
  Effect.map(replica.records.read("n", "k", { ...options, consistency }), text)

/** What `from` pushes does not get to `to`, though all else between them works. */
const withoutPushes = (cluster: Effect.Success<ReturnType<typeof Cluster.make>>, from: string, to: string) =>
  cluster.faults.set(`${from}>${to}`, (client) => ({ ...client, push: () => Effect.never }))

/** `c` holds nothing of what `a` writes and `b` acks: nothing is pushed to it, and it has to fetch what it misses. */
const behind = Effect.gen(function* () {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  withoutPushes(cluster, "a", "c")
  withoutPushes(cluster, "b", "c")
  const [a, b, c] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
  yield* TestClock.adjust(1000)
  cluster.cut("c", "a")
  yield* TestClock.adjust(5000)
  return { cluster, a, b, c }
})

describe("a quorum read", () => {
  it.effect("sees a committed write that this replica does not have, and has it fetched", () =>
    Effect.gen(function* () {
      const { a, c } = yield* behind
      yield* during(a.writer.commit(put("1")), 10)
      assert.isUndefined(yield* ask(c, "local"))
      assert.strictEqual(yield* soon(ask(c, "quorum")), "1")
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* ask(c, "local"), "1")
    })
  )

  it.effect("has the newest write fetched by a peer that turns out to miss it, which nobody writes it to", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* behind
      yield* during(a.writer.commit(put("1")), 10)
      assert.isUndefined(yield* ask(c, "local"))
      assert.strictEqual(yield* soon(ask(b, "quorum", { r: "all" })), "1")
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* ask(c, "local"), "1")
    })
  )

  it.effect("does not count what a replica said before it lost its store, and asks all again", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 1)
      const answers = yield* Latch.make(false)
      cluster.faults.set("b>a", (client) => ({
        ...client,
        read: (request) => Effect.andThen(answers.await, client.read(request))
      }))
      const [, b, old] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(1000)
      const reading = yield* Effect.forkChild(Effect.flip(ask(b, "quorum", { r: "all" })))
      yield* TestClock.adjust(10)
      yield* during(old.stop, 100)
      cluster.wipe("c")
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(1000)
      assert.isFalse(c.membership.isVoting())
      assert.isUndefined(reading.pollUnsafe())
      yield* answers.open
      const error = yield* soon(Fiber.join(reading))
      assert.deepInclude({ ...error }, { _tag: "ReadUnavailable", answered: 2, needed: 3, reason: "unreachable" })
    })
  )

  it.effect("Bounded L23 asks a peer 64 questions at once, the others in turn, and holds up nothing else", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      const answer = yield* Latch.make()
      let asked = 0
      cluster.faults.set("a>b", (client) => ({
        ...client,
        read: (request) =>
          Effect.suspend(() => {
            asked++
            return Effect.andThen(answer.await, client.read(request))
          })
      }))
      const [a] = yield* Effect.forEach(["a", "b"], (id) => cluster.start(id))
      yield* TestClock.adjust(1000)
      const reads = Effect.forEach(Array.from({ length: 200 }), () => ask(a!, "quorum"), { concurrency: "unbounded" })
      const reading = yield* Effect.forkChild(reads)
      yield* during(a!.writer.commit(put("v")), 10)
      assert.strictEqual(asked, 64)
      yield* answer.open
      assert.deepStrictEqual([...new Set(yield* soon(Fiber.join(reading)))], ["v"])
      assert.strictEqual(asked, 200)
    })
  )

  it.effect("asks as many replicas as `r` says, and this one alone for 1", () =>
    Effect.gen(function* () {
      const { a, c } = yield* behind
      yield* during(a.writer.commit(put("1")), 10)
      assert.isUndefined(yield* ask(c, "quorum", { r: 1 }))
      const error = yield* Effect.flip(soon(ask(c, "quorum", { r: "all" })))
      assert.deepInclude({ ...error }, { _tag: "ReadUnavailable", answered: 1, needed: 3, reason: "unreachable" })
    })
  )

  it.effect("the newest of all answers wins, a delete too", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* behind
      yield* during(b.writer.commit(put("old")), 10)
      yield* TestClock.adjust(1000)
      yield* during(a.writer.commit(put("new")), 10)
      assert.strictEqual(yield* soon(ask(c, "quorum")), "new")
      yield* during(a.writer.commit(Entry.remove("n", "k")), 10)
      assert.isUndefined(yield* soon(ask(c, "quorum")))
    })
  )
})

describe("AtomicRegister: a linearizable read", () => {
  it.effect("sees what was committed at another replica, or that nothing was", () =>
    Effect.gen(function* () {
      const { a, c } = yield* behind
      assert.isUndefined(yield* soon(ask(c, "linearizable")))
      yield* during(a.writer.commit(put("1")), 10)
      assert.strictEqual(yield* soon(ask(c, "linearizable")), "1")
      yield* during(a.writer.commit(Entry.remove("n", "k")), 10)
      assert.isUndefined(yield* soon(ask(c, "linearizable")))
    })
  )

  it.effect("answers a write that only one replica holds when a majority holds it, and every later read sees it", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      withoutPushes(cluster, "a", "b")
      withoutPushes(cluster, "a", "c")
      const [a, b, c] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(1000)
      yield* Effect.forkScoped(Effect.ignore(a.writer.commit(put("1"))))
      yield* TestClock.adjust(10)
      assert.strictEqual(b.logs.head(a.logs.own).seq + c.logs.head(a.logs.own).seq, 0)
      assert.strictEqual(yield* soon(ask(a, "linearizable")), "1")
      assert.isAbove(b.logs.head(a.logs.own).seq + c.logs.head(a.logs.own).seq, 0)
      yield* during(a.stop, 5000)
      assert.strictEqual(yield* soon(ask(b, "linearizable")), "1")
      assert.strictEqual(yield* soon(ask(c, "linearizable")), "1")
    })
  )

  it.effect("is not answered by one replica of three, and says who was silent and who refused", () =>
    Effect.gen(function* () {
      const { a, b, c, cluster } = yield* Cluster.running("abc", 2)
      yield* during(a.writer.commit(put("1")), 10)
      yield* during(c.stop, 5000)
      cluster.cut("a", "b")
      const reading = yield* Effect.forkChild(Effect.flip(ask(a, "linearizable", { withinMillis: 700 })))
      yield* TestClock.adjust(699)
      assert.isUndefined(reading.pollUnsafe())
      yield* TestClock.adjust(1)
      const late = yield* Fiber.join(reading)
      assert(late._tag === "ReadUnavailable")
      assert.deepInclude({ ...late }, { answered: 1, needed: 2, reason: "timeout" })
      assert.deepStrictEqual(
        Object.entries(late.verdicts).map(([id, { _tag }]) => `${id} ${_tag}`),
        ["a acked", "b timed_out", "c refused"]
      )
      yield* TestClock.adjust(5000)
      const error = yield* Effect.flip(ask(a, "linearizable"))
      assert.deepInclude({ ...error }, { _tag: "ReadUnavailable", answered: 1, needed: 2, reason: "unreachable" })
      assert.strictEqual(yield* ask(b, "local"), "1")
    })
  )

  it.effect("L55 is not answered by a replica that learns meanwhile that it lacks what it acknowledged", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const arrives = yield* Latch.make(true)
      const [a, b, before] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(1000)
      yield* during(before.stop, 5000)
      const older = yield* copyOf(yield* cluster.storeOf("c"), "none")
      apart(cluster, "b", "ac")
      const { writeId } = yield* during(b.writer.commit(put("0"), { w: 1 }), 10)
      const newer = yield* cluster.start("c")
      yield* TestClock.adjust(1000)
      yield* during(a.writer.commit(put("1")), 10)
      yield* during(newer.stop, 5000)
      // What it acknowledged is gone, and only a knows that, which it does not meet yet.
      cluster.stores.set("c", older)
      apart(cluster, "a", "bc")
      together(cluster, "b", "c")
      cluster.faults.set("c>b", (client) => ({
        ...client,
        pull: (range) => Effect.andThen(arrives.await, client.pull(range))
      }))
      cluster.faults.set("c>a", (client) => ({ ...client, read: () => Effect.never, pull: () => Effect.never }))
      cluster.faults.set("b>a", (client) => ({ ...client, pull: () => Effect.never }))
      for (const to of ["b", "c"]) withoutPushes(cluster, "a", to)
      withoutPushes(cluster, "b", "c")
      yield* arrives.close
      const c = yield* cluster.start("c")
      yield* TestClock.adjust(1000)
      assert.isTrue(c.membership.isVoting())
      const reading = yield* Effect.forkChild(
        Effect.result(ask(c, "linearizable", { withinMillis: Number.POSITIVE_INFINITY }))
      )
      const session = ClientSession.ofWrite({ writeId, clock: c.logs.clock() })
      const waits = { session, withinMillis: 60_000 }
      const page = yield* Effect.forkChild(Effect.flip(c.records.page({ ...waits, limit: 9 })))
      const local = yield* Effect.forkChild(Effect.flip(ask(c, "local", waits)))
      yield* TestClock.adjust(10)
      cluster.heal()
      yield* TestClock.adjust(10_000)
      assert.isFalse(c.membership.isVoting())
      assert.isUndefined(reading.pollUnsafe())
      yield* arrives.open
      const result = yield* soon(Fiber.join(reading))
      assert.deepInclude(Result.isFailure(result) ? { ...result.failure } : { read: result.success }, {
        _tag: "NotReady"
      })
      assert.strictEqual((yield* soon(Fiber.join(page)))._tag, "NotReady")
      assert.strictEqual((yield* soon(Fiber.join(local)))._tag, "NotReady")
    })
  )

  it.effect("is answered by the others where this replica cannot read its own copy, and says why where it cannot", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const store = yield* cluster.storeOf("a")
      const broken = new ReplicaStore.StoreError({ reason: "unavailable", detail: "the page cannot be read" })
      let works = true
      cluster.stores.set("a", {
        ...store,
        read: (...place) => Effect.suspend(() => (works ? store.read(...place) : Effect.fail(broken)))
      })
      const [a, b, c] = yield* Effect.all([cluster.start("a"), cluster.start("b"), cluster.start("c")])
      yield* TestClock.adjust(1000)
      yield* during(b.writer.commit(put("1"), { w: 3 }), 10)
      works = false
      assert.strictEqual((yield* Effect.flip(ask(a, "local")))._tag, "StoreError")
      assert.strictEqual(yield* soon(ask(a, "linearizable")), "1")
      assert.strictEqual(yield* soon(ask(a, "quorum", { r: 2 })), "1")
      yield* during(c.stop, 5000)
      const error = yield* Effect.flip(soon(ask(a, "linearizable")))
      assert.deepInclude({ ...error }, { _tag: "StoreError", detail: broken.detail })
      assert.strictEqual(yield* soon(ask(b, "local")), "1")
    })
  )

  it.effect("L70 of a key that is longer than any may be finds none, and asks nobody", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 2)
      const { request } = PeerMethods.methods.read
      const asked: Array<number> = []
      cluster.faults.set("a>b", (client) => ({
        ...client,
        read: (read) => Effect.suspend(() => (asked.push(request.encode(1, read).length), client.read(read)))
      }))
      const [a] = yield* Effect.all([cluster.start("a"), cluster.start("b")])
      yield* TestClock.adjust(1000)
      for (const consistency of ["quorum", "linearizable"] as const) {
        for (const [namespace, key] of [
          ["n", "\u0001".repeat(65_536)],
          ["n".repeat(256), "k"],
          ["n", "\u0001".repeat(65_535)]
        ] as const) {
          assert.isTrue(Option.isNone(yield* soon(a.records.read(namespace, key, { consistency }))))
        }
      }
      assert.lengthOf(asked, 2)
      assert.isBelow(Math.max(...asked), PeerProtocol.maxMessageBytes())
    })
  )

  it.effect("may wait without an end for a majority to hold what it read: what it asks others fits into a frame", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b"], 1)
      const { request } = PeerMethods.methods.read
      cluster.faults.set("a>b", (client) => ({
        ...client,
        push: () => Effect.never,
        read: (asked) => Effect.suspend(() => (request.encode(1, asked), client.read(asked)))
      }))
      const policy = Cluster.policy(2, 2)
      const [a] = yield* Effect.all([cluster.start("a", { policy }), cluster.start("b", { policy })])
      yield* TestClock.adjust(1000)
      yield* during(a.writer.commit(put("1"), { w: 1 }), 10)
      assert.strictEqual(yield* soon(ask(a, "linearizable", { withinMillis: Number.POSITIVE_INFINITY })), "1")
    })
  )

  it.effect("waits for the write that it is to see at least, within the same time", () =>
    Effect.gen(function* () {
      const { a, c, cluster } = yield* behind
      cluster.cut("c", "b")
      yield* TestClock.adjust(5000)
      const { writeId } = yield* during(a.writer.commit(put("1")), 10)
      const atLeast = yield* Effect.forkChild(
        Effect.flip(ask(c, "linearizable", { atLeast: writeId, withinMillis: 50 }))
      )
      yield* TestClock.adjust(50)
      assert.strictEqual((yield* Fiber.join(atLeast))._tag, "NotYetVisible")
    })
  )

  it.effect("of a replica set of one is a read of this replica", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      assert.isUndefined(yield* ask(a, "linearizable"))
      yield* a.writer.commit(put("1"))
      assert.strictEqual(yield* ask(a, "linearizable"), "1")
      assert.strictEqual(yield* ask(a, "quorum"), "1")
    })
  )
})

describe("how a namespace is read", () => {
  it.effect("is what its replica was told, where a read does not say", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      withoutPushes(cluster, "a", "c")
      const options = { replica: { reads: { n: "linearizable" } } } as const
      const [a] = yield* Effect.all([cluster.start("a"), cluster.start("b")])
      const c = yield* cluster.start("c", options)
      yield* TestClock.adjust(1000)
      cluster.cut("c", "a")
      yield* TestClock.adjust(5000)
      yield* during(a.writer.commit(put("1")), 10)
      assert.isUndefined(yield* ask(c, "local"))
      assert.strictEqual(text(yield* soon(c.records.read("n", "k"))), "1")
      assert.isTrue(Option.isNone(yield* c.records.read("other", "k")))
    })
  )

  it.effect("cannot be linearizable where fewer than a majority have to hold a write", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 1)
      const error = yield* Effect.flip(Effect.scoped(cluster.start("a", { replica: { reads: { n: "linearizable" } } })))
      assert.include(String(error), 'linearizable reads of "n" need w of a majority of 3, and w is 1')
    })
  )
})

describe("what cannot be asked for", () => {
  it.effect("is rejected, and the field is named", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const a = yield* cluster.start("a", { namespaces: { few: Cluster.policy(3, 1) } })
      yield* cluster.start("b")
      yield* TestClock.adjust(1000)
      const field = (namespace: string, options: object) =>
        Effect.map(Effect.flip(a.records.read(namespace, "k", options)), (error) =>
          error._tag !== "ReadRejected" ? error._tag : error.detail.includes("w has") ? error.detail : error.field
        )
      assert.strictEqual(yield* field("n", { consistency: "strong" }), "consistency")
      assert.strictEqual(yield* field("n", { consistency: null }), "consistency")
      assert.strictEqual(yield* field("few", { consistency: "linearizable" }), "consistency")
      assert.strictEqual(yield* field("n", { r: 2 }), "r")
      assert.strictEqual(yield* field("n", { consistency: "linearizable", r: 2 }), "r")
      for (const r of [0, 4, -1, 1.5, "2", { allBut: 3 }]) {
        assert.strictEqual(yield* field("n", { consistency: "quorum", r }), "r", JSON.stringify(r))
      }
      for (const consistency of ["local", "quorum", "linearizable"]) {
        for (const withinMillis of [NaN, -1, "5", null, {}]) {
          assert.strictEqual(yield* field("n", { consistency, withinMillis }), "withinMillis", String(withinMillis))
        }
      }
      assert.isTrue(Option.isNone(yield* a.records.read("few", "k", { consistency: "quorum", r: { allBut: 1 } })))
      assert.isTrue(Option.isNone(yield* a.records.read("n", "\ud800", { consistency: "linearizable" })))
    })
  )
})

describe("who is known to hold a write", () => {
  const [idA, idB, idC] = [Cluster.id("a"), Cluster.id("b"), Cluster.id("c")] as const
  const write = (wallTime: number, extra: Partial<NewestWrite> = {}): NewestWrite => ({
    writeId: WriteId.make("a@0000000000000001" as LogId.LogId, wallTime, 0),
    clock: { wallTime, logical: 0 },
    tie: RunId.none,
    unprobed: false,
    deleted: false,
    value: new Uint8Array(0),
    ...extra
  })
  const holders = (candidate: NewestWrite, answers: decide.Answers, holding: ReadonlyArray<string>) =>
    decide.holdersOf(candidate, answers, (id) => holding.includes(id), new Set(), [idA, idB, idC])

  it("is whoever told of the same version, under whatever place, and whoever holds its place", () => {
    const copy = write(5, { writeId: WriteId.make("b@0000000000000002" as LogId.LogId, 1, 7) })
    const answers = new Map([
      [idA, write(5)],
      [idB, copy]
    ])
    assert.deepStrictEqual(holders(write(5), answers, []), [idA, idB])
    assert.deepStrictEqual(holders(write(5), answers, ["c"]), [idA, idB, idC])
    assert.deepStrictEqual(holders(write(5), new Map([[idA, write(4)]]), []), [])
    assert.deepStrictEqual(holders(write(5), new Map([[idA, undefined]]), ["a"]), [idA])
    // The tie is part of the version.
    assert.deepStrictEqual(
      holders(write(5), new Map([[idA, write(5, { tie: "1".repeat(16) as RunId.RunId })]]), []),
      []
    )
  })

  it("is, of a write that was stamped without a probe, only who had it as the newest", () => {
    const candidate = write(5, { unprobed: true })
    assert.deepStrictEqual(holders(candidate, new Map([[idA, candidate]]), ["a", "b", "c"]), [idA])
    assert.deepStrictEqual(holders(candidate, new Map([[idB, write(6)]]), ["b"]), [])
  })

  it("the newest of all answers is the one to confirm, and who told of less misses it", () => {
    assert.isUndefined(decide.newestOf(new Map([[idA, undefined]])))
    const newest = write(6)
    const answers = new Map([
      [idA, write(5)],
      [idB, newest],
      [idC, undefined]
    ])
    assert.strictEqual(decide.newestOf(answers), newest)
    const copy = write(6, { writeId: WriteId.make("b@0000000000000002" as LogId.LogId, 1, 7) })
    assert.deepStrictEqual(decide.staleOf(copy, answers), [idA, idC])
  })
})
