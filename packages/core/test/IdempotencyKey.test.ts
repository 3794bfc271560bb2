/** Writes under a key that their caller invented: one write, or an answer that says that this is not known. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Deferred, Effect, type Exit, Fiber, Latch, Option, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type PeerMethods, ReplicaStore } from "../src/adapter.ts"
import { Entry, Limits, QuorumError, type QuorumWriter, type Receipt, type Records } from "../src/index.ts"
import type { Options } from "../src/internal/parts.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure, pass } from "./support/time.ts"

const put = (value: string, key = "k", namespace = "n") => Entry.put(namespace, key, value)
const text = (record: Option.Option<Records.Record>) =>
  Option.getOrUndefined(Option.map(record, ({ value }) => new TextDecoder().decode(value)))

const keyed = { idempotencyKey: "order-1" }

/** What is odd about the replicas of a test. */
interface Oddities {
  /** How `a` writes to its store, which it does at once otherwise. */
  readonly write?: (append: ReturnType<Store["append"]>) => ReturnType<Store["append"]>
  /** What becomes of requests on these links. */
  readonly links?: ReadonlyArray<string>
  readonly client?: (client: PeerMethods.PeerClient) => PeerMethods.PeerClient
}

type Store = ReplicaStore.ReplicaStore["Service"]

const slowReads = (client: PeerMethods.PeerClient): PeerMethods.PeerClient => ({
  ...client,
  read: (read) => Effect.delay(client.read(read), 50)
})

/** Three replicas that have met. */
const met = Effect.fnUntraced(function* (options: Options = {}, { client, links = [], write }: Oddities = {}) {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  if (write !== undefined) {
    const { steps: _, ...store } = yield* cluster.storeOf("a")
    cluster.stores.set("a", { ...store, append: (batch) => write(store.append(batch)) })
  }
  for (const link of links) cluster.faults.set(link, client!)
  const [a, b, c] = yield* Effect.all([
    cluster.start("a", options),
    cluster.start("b", options),
    cluster.start("c", options)
  ])
  yield* pass(2000)
  const apart = (id: string): void => {
    for (const other of ["a", "b", "c"].filter((each) => each !== id)) {
      cluster.cut(id, other)
      cluster.cut(other, id)
    }
  }
  return { a, b, c, cluster, apart }
})

const commit = (replica: Cluster.Running, write: Entry.Writes, options: QuorumWriter.WriteOptions = keyed) =>
  during(replica.writer.commit(write, options), 5000)

/** How many entries with this value anybody holds, by their ids. */
const copies = (replica: Cluster.Running, value: string) =>
  Effect.gen(function* () {
    const found: Array<string> = []
    for (const { log, seq } of replica.logs.vector()) {
      for (let at = 1; at <= seq; at++) {
        const batch = Option.getOrThrow(yield* replica.logs.read(log, at - 1, 1))
        const { records } = Entry.decodeAt(batch.bytes, 0)
        if (records.some((each) => new TextDecoder().decode(each.value) === value)) found.push(`${log}:${at}`)
      }
    }
    return found
  })

describe("a write under a key of its caller", () => {
  it.effect("OnceByKey: is one write at whatever replica it is sent again, however much came after it", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* met()
      const first = yield* commit(a, put("v"))
      const other = yield* commit(b, put("later"), {})
      for (const replica of [a, b, c, b, a]) {
        const again = yield* commit(replica, put("v"))
        assert.deepStrictEqual([again.writeId, again.clock, again.tie], [first.writeId, first.clock, first.tie])
      }
      yield* pass(2000)
      for (const replica of [a, b, c]) {
        assert.strictEqual(text(yield* replica.records.read("n", "k")), "later")
        assert.lengthOf(yield* copies(replica, "v"), 1)
      }
      assert.notStrictEqual(other.writeId, first.writeId)
    })
  )

  it.effect("is found again after a restart, and where another replica holds it when this one does not yet", () =>
    Effect.gen(function* () {
      const { a, apart, b, cluster } = yield* met()
      apart("c")
      const first = yield* commit(a, put("v"), { ...keyed, w: 1 }).pipe(
        Effect.catchTag("IdempotencyUnknown", () => Effect.succeed(undefined))
      )
      assert.isUndefined(first)
      cluster.heal()
      yield* pass(12_000)
      const written = yield* commit(a, put("v"))
      yield* a.stop
      yield* pass(1000)
      const again = yield* cluster.start("a")
      yield* pass(12_000)
      assert.strictEqual((yield* commit(again, put("v"))).writeId, written.writeId)
      assert.strictEqual((yield* commit(b, put("v"))).writeId, written.writeId)
    })
  )

  it.effect(
    "L58 NotWrittenMeansNever: is an honest unknown where it is not held and a member cannot be asked, and is not written",
    () =>
      Effect.gen(function* () {
        const { a, apart, b, c, cluster } = yield* met()
        apart("c")
        const { seq } = c.logs.head(c.logs.own)
        // A majority would not do: what `c` holds may come to light.
        for (const replica of [a, b, c]) {
          const error = yield* during(failure(replica.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 5000)
          assert.match(error.message, /not all of the 3 replicas say whether they hold it/)
        }
        assert.strictEqual(c.logs.head(c.logs.own).seq, seq)
        cluster.heal()
        yield* pass(12_000)
        for (const replica of [a, b, c]) assert.lengthOf(yield* copies(replica, "v"), 0)
        const first = yield* commit(c, put("v"))
        apart("c")
        // Held, it is found without anybody being asked.
        yield* pass(100)
        assert.strictEqual((yield* commit(a, put("v"))).writeId, first.writeId)
      })
  )

  it.effect("with other content, or of other keys, is refused, and says whose key it is", () =>
    Effect.gen(function* () {
      const { a, b } = yield* met()
      const { writeId } = yield* commit(a, put("v"))
      const others: ReadonlyArray<Entry.Writes> = [
        put("w"),
        put("v", "l"),
        Entry.remove("n", "k"),
        Entry.put("n", "k", "v", { contentType: "text/plain" }),
        [put("v"), put("v", "l")]
      ]
      for (const other of others) {
        for (const replica of [a, b]) {
          const error = yield* during(failure(replica.writer.commit(other, keyed), "IdempotencyKeyReused"), 5000)
          assert.strictEqual(error.held, writeId)
        }
      }
      // Of another namespace it is another key.
      const other = yield* commit(b, put("v", "k", "m"))
      assert.notStrictEqual(other.writeId, writeId)
    })
  )

  it.effect("is completed when its quorum was not met, and not written again", () =>
    Effect.gen(function* () {
      const options = { policy: Cluster.policy(3, 2, { ackTimeout: 300 }) }
      const { a, b, cluster } = yield* met(options)
      // Everybody is asked, and `c` hears of no write.
      cluster.faults.set("a>c", (client) => ({ ...client, push: () => Effect.never }))
      yield* a.stop
      const again = yield* cluster.start("a", options)
      yield* pass(2000)
      const { writeId } = yield* during(
        failure(again.writer.commit(put("v"), { ...keyed, w: 3 }), "QuorumNotMet"),
        5000
      )
      cluster.heal()
      yield* pass(12_000)
      for (const replica of [again, b]) {
        assert.strictEqual((yield* commit(replica, put("v"), { ...keyed, w: 3 })).writeId, writeId)
      }
    })
  )

  it.effect("of many at once has one mark beside it, is held as a whole, and goes by the policy of its namespace", () =>
    Effect.gen(function* () {
      const namespaces = { n: Cluster.policy(3, 1) }
      const { a, c } = yield* met({ policy: Cluster.policy(3, 3), namespaces })
      const one = yield* commit(a, put("v", "x"), { idempotencyKey: "one" })
      assert.strictEqual(one.policy.w, 1)
      const both = yield* commit(a, [put("v"), put("v", "l")])
      yield* pass(2000)
      const again = yield* commit(c, [put("v"), put("v", "l")])
      assert.strictEqual(again.writeId, both.writeId)
      const marks = yield* c.records.keys({ namespace: "n.idempotency", limit: 10 })
      assert.deepStrictEqual(
        marks.keys.map(({ key }) => key),
        ["one", "order-1"]
      )
      // A mark that is deleted is forgotten.
      yield* commit(a, Entry.remove("n.idempotency", "order-1"), {})
      yield* pass(2000)
      assert.notStrictEqual((yield* commit(c, [put("v"), put("v", "l")])).writeId, both.writeId)
    })
  )

  it.effect(
    "OnceByKey: of several namespaces is one write, and known beside the first by name, in whatever order",
    () =>
      Effect.gen(function* () {
        const { a, b } = yield* met()
        const [m, n, mark] = [put("1", "x", "m"), put("2", "y"), Entry.remove("a.idempotency", "old")]
        const first = yield* commit(a, [n, mark, m])
        yield* pass(1000)
        const again = yield* commit(b, [m, n, mark])
        assert.strictEqual(again.writeId, first.writeId)
        yield* pass(1000)
        const { keys } = yield* b.records.keys({ namespace: "m.idempotency", limit: 10 })
        assert.deepStrictEqual(
          keys.map(({ key }) => key),
          ["order-1"]
        )
        const other = yield* failure(commit(b, [put("3", "x", "m"), n, mark]), "IdempotencyKeyReused")
        assert.strictEqual(other.held, first.writeId)
      })
  )

  it.effect("is written once when it is sent to one replica many times at once, with and without a fiber", () =>
    Effect.gen(function* () {
      const { a } = yield* met()
      const outcomes = Array.from({ length: 5 }, () =>
        Deferred.makeUnsafe<Exit.Exit<Receipt.Receipt, QuorumWriter.CommitError>>()
      )
      for (const outcome of outcomes) {
        a.writer.commitUnsafe(put("v"), (exit) => void Deferred.doneUnsafe(outcome, Effect.succeed(exit)), keyed)
      }
      const fibers = yield* Effect.forEach(outcomes, () => Effect.forkChild(a.writer.commit(put("v"), keyed)))
      const ids = yield* during(
        Effect.all([
          ...outcomes.map((each) => Effect.flatten(Deferred.await(each))),
          ...fibers.map((each) => Fiber.join(each))
        ]),
        5000
      )
      assert.strictEqual(new Set(ids.map(({ writeId }) => writeId)).size, 1)
      assert.lengthOf(yield* copies(a, "v"), 1)
    })
  )

  it.effect(
    "OnceByKey: is written by one replica at most when it is sent to two at once, each of which asks the other",
    () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* met({}, { links: ["a>b", "a>c", "b>a", "b>c"], client: slowReads })
        const both = yield* during(
          Effect.all(
            [a, b].map((replica) => Effect.result(replica.writer.commit(put("v"), keyed))),
            { concurrency: "unbounded" }
          ),
          1000
        )
        // The first to ask was told that it is undecided, and had given up when it was asked itself.
        assert.deepStrictEqual(
          both.map((result) => (Result.isFailure(result) ? result.failure._tag : "written")),
          ["IdempotencyUnknown", "written"]
        )
        const { writeId } = yield* commit(b, put("v"))
        assert.strictEqual((yield* commit(a, put("v"))).writeId, writeId)
        yield* pass(2000)
        for (const replica of [a, b, c]) assert.lengthOf(yield* copies(replica, "v"), 1)
      })
  )

  it.effect("is undecided until it is durable, also when its caller gives up meanwhile, and found from then on", () =>
    Effect.gen(function* () {
      const { a, b } = yield* met({}, { write: Effect.delay(100) })
      const giveUp = a.writer.commitUnsafe(put("v"), () => assert.fail("nobody waits"), keyed)
      for (let i = 0; i < 500 && a.writer.waiting() === 0; i++) yield* Effect.yieldNow
      giveUp()
      for (let i = 0; i < 10; i++) yield* Effect.yieldNow
      assert.strictEqual(a.writer.waiting(), 1)
      yield* during(failure(b.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 50)
      yield* pass(500)
      const again = yield* commit(b, put("v"))
      assert.match(again.writeId, /^a@/)
      for (const replica of [a, b]) assert.lengthOf(yield* copies(replica, "v"), 1)
    })
  )

  it.effect("NotWrittenMeansNever: stays undecided where nobody knows whether it was appended", () =>
    Effect.gen(function* () {
      const uncertain = new ReplicaStore.StoreError({ reason: "uncertain", detail: "the disk went away" })
      const { a, b } = yield* met({}, { write: () => Effect.fail(uncertain) })
      yield* during(failure(a.writer.commit(put("v"), keyed), "WriteUncertain"), 500)
      // Also after it was sent there again, where it cannot be appended any more.
      for (const replica of [b, a, b]) {
        yield* during(failure(replica.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 5000)
      }
    })
  )

  it.effect("OnceByKey: is undecided while it is sent again after an append that failed, which may be told twice", () =>
    Effect.gen(function* () {
      let fails = true
      const full = new ReplicaStore.StoreError({ reason: "unavailable", detail: "the disk is full" })
      const slowAnswers = (client: PeerMethods.PeerClient): PeerMethods.PeerClient => ({
        ...client,
        read: (read) => Effect.tap(client.read(read), () => Effect.sleep(100))
      })
      const { a, b } = yield* met(
        {},
        {
          links: ["a>b", "a>c"],
          client: slowAnswers,
          write: (append) => Effect.suspend(() => (fails ? Effect.fail(full) : append))
        }
      )
      const first = yield* Effect.forkChild(failure(a.writer.commit(put("v"), keyed), "LocalWriteFailed"))
      const second = yield* Effect.forkChild(a.writer.commit(put("v"), keyed))
      yield* pass(120)
      yield* Fiber.join(first)
      fails = false
      yield* during(failure(b.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 50)
      yield* pass(500)
      assert.match((yield* Fiber.join(second)).writeId, /^a@/)
      for (const replica of [a, b]) assert.lengthOf(yield* copies(replica, "v"), 1)
    })
  )

  it.effect("is decided when a disk that has not answered for long says that nothing was written", () =>
    Effect.gen(function* () {
      const full = new ReplicaStore.StoreError({ reason: "unavailable", detail: "the disk is full" })
      const { a, b } = yield* met({}, { write: () => Effect.delay(Effect.fail(full), 5000) })
      yield* during(failure(a.writer.commit(put("v"), keyed), "WriteUncertain"), 4000)
      yield* during(failure(b.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 500)
      yield* pass(5000)
      assert.match((yield* commit(b, put("v"))).writeId, /^b@/)
    })
  )

  it.effect(
    "OnceByKey: is not known while what a lost replica had sent of it may still come to the disk of another, and found then",
    () =>
      Effect.gen(function* () {
        const cluster = yield* Cluster.make(["a", "b", "c"], 2)
        const disk = Latch.makeUnsafe(true)
        const { steps: _, ...store } = yield* cluster.storeOf("b")
        cluster.stores.set("b", { ...store, append: (batch) => Effect.andThen(disk.await, store.append(batch)) })
        cluster.faults.set("a>c", (client) => ({ ...client, push: () => Effect.never }))
        cluster.faults.set("c>a", (client) => ({ ...client, pull: () => Effect.never }))
        const a = yield* cluster.start("a")
        const [b, c] = yield* Effect.all([cluster.start("b"), cluster.start("c")])
        yield* pass(2000)
        disk.closeUnsafe()
        const { writeId } = yield* during(failure(a.writer.commit(put("v"), keyed), "QuorumNotMet"), 5000)
        yield* a.stop
        cluster.wipe("a")
        cluster.faults.clear()
        const again = yield* cluster.start("a")
        yield* pass(6000)
        assert.isTrue(again.membership.isVoting())
        for (const replica of [again, b, c]) {
          yield* during(failure(replica.writer.commit(put("v"), keyed), "IdempotencyUnknown"), 5000)
        }
        disk.openUnsafe()
        yield* pass(2000)
        for (const replica of [again, b, c]) {
          assert.strictEqual((yield* commit(replica, put("v"))).writeId, writeId)
          assert.lengthOf(yield* copies(replica, "v"), 1)
        }
      })
  )

  it.effect("is decided when it was refused, also when its caller has given up by then", () =>
    Effect.gen(function* () {
      const { a, b } = yield* met(
        { policy: Cluster.policy(3, 2, { order: "real-time" }) },
        { links: ["a>b", "a>c"], client: (client) => ({ ...client, probe: () => Effect.never }) }
      )
      const giveUp = a.writer.commitUnsafe(put("v"), () => assert.fail("nobody waits"), keyed)
      for (let i = 0; i < 500 && a.writer.waiting() === 0; i++) yield* Effect.yieldNow
      giveUp()
      yield* pass(3000)
      assert.strictEqual(a.writer.waiting(), 0)
      assert.match((yield* commit(b, put("v"))).writeId, /^b@/)
    })
  )

  it.effect("L66 is refused by the name of the key where that is none, and nothing is written", () =>
    Effect.gen(function* () {
      const { a } = yield* met()
      const { seq } = a.logs.head(a.logs.own)
      const stamp = yield* during(a.writer.stamp({ namespace: "n", key: "k" }), 100)
      const long = "x".repeat(250)
      for (const [write, options] of [
        [put("v"), { idempotencyKey: "" }],
        [put("v"), { idempotencyKey: "a b" }],
        [put("v"), { idempotencyKey: "ü" }],
        [put("v"), { idempotencyKey: "x".repeat(256) }],
        [put("v"), { idempotencyKey: 5 as never }],
        [put("v"), { ...keyed, stamp }],
        [put("v", "k", long), keyed],
        [put("v", "k", "n.idempotency"), keyed]
      ] as const) {
        const error = yield* during(failure(a.writer.commit(write, options), "WriteRejected"), 100)
        assert.strictEqual(error.field, "idempotencyKey")
      }
      assert.strictEqual(a.logs.head(a.logs.own).seq, seq)
    })
  )

  it.effect(
    "L66 is refused by the name of the key, before anybody is asked, where its mark has no place beside it",
    () =>
      Effect.gen(function* () {
        const { a, apart } = yield* met()
        apart("a")
        const most = Array.from({ length: Entry.maxRecords }, (_, i) => put("v", `${i}`)) as [Entry.Write]
        for (const [write, idempotencyKey] of [
          [put("v"), "a key of 21 letters..".replaceAll(" ", "-")],
          [most, "k"],
          [[put("v"), put("v", "k", "n.idempotency")], "k"]
        ] as const) {
          const error = yield* during(failure(a.writer.commit(write, { idempotencyKey }), "WriteRejected"), 100)
          assert.strictEqual(error.field, "idempotencyKey")
          assert.match(error.detail, /^its mark cannot stand beside the write: writes/)
        }
        const error = yield* during(
          failure(a.writer.commit(put("v"), { idempotencyKey: "20-letters-are-many." }), "IdempotencyUnknown"),
          5000
        )
        assert.strictEqual(error._tag, "IdempotencyUnknown")
      }).pipe(Effect.provideService(Limits.Limits, { ...Limits.defaults, keyBytes: 20 }))
  )

  it.effect.prop(
    "OnceByKey: takes effect once at most, whatever replicas it is sent to, whoever is cut off, and when",
    {
      steps: Arbitrary.array(
        Arbitrary.schema(
          Schema.Struct({
            what: Schema.Literals(["send", "send", "send", "cut", "heal", "pass", "pass", "wait"]),
            at: Schema.Literals(["a", "b", "c"]),
            turns: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 }))
          })
        )
      )
    },
    ({ steps }) =>
      Effect.gen(function* () {
        const { apart, cluster, ...replicas } = yield* met(
          {},
          {
            links: ["a>b", "b>c"],
            client: slowReads,
            write: Effect.delay(40)
          }
        )
        const fibers: Array<Fiber.Fiber<Receipt.Receipt, QuorumWriter.CommitError>> = []
        for (const { at, turns, what } of steps) {
          if (what === "cut") apart(at)
          else if (what === "heal") cluster.heal()
          else if (what === "pass") yield* TestClock.adjust(turns)
          else if (what === "wait") yield* pass(turns * 100)
          else fibers.push(yield* Effect.forkChild(replicas[at].writer.commit(put("v"), keyed)))
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
        }
        cluster.heal()
        yield* pass(20_000)
        const ids = new Set<string>()
        for (const fiber of fibers) {
          const exit = yield* Effect.exit(Fiber.join(fiber))
          const error = exit._tag === "Failure" ? Option.getOrThrow(optionOf(exit)) : undefined
          if (exit._tag === "Success") ids.add(exit.value.writeId)
          else if (error instanceof QuorumError.QuorumNotMet) ids.add(error.writeId)
          else assert.isTrue(saysUnwritten.has(error!._tag), error!._tag)
        }
        assert.isAtMost(ids.size, 1)
        for (const replica of [replicas.a, replicas.b, replicas.c]) {
          assert.isAtMost((yield* copies(replica, "v")).length, 1)
        }
        yield* pass(5000)
      }),
    { arbitrary: { runs: 100, size: 20 }, timeout: 60_000 }
  )
})

/** What a write may be answered with that met a fault at any moment, and was not written. */
const saysUnwritten = new Set<string>(["IdempotencyUnknown", "QuorumUnavailable", "NotReady"])

const optionOf = <A, E>(exit: Exit.Failure<A, E>): Option.Option<E> =>
  Option.fromNullishOr(exit.cause.reasons.flatMap((reason) => (reason._tag === "Fail" ? [reason.error] : []))[0])
