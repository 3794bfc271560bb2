/** What becomes of a peer when this replica's own store fails: nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry } from "../src/index.ts"
import { ReplicaStore } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"

const put = (key: string) => Entry.put("notes", key, "v")
const idB = Cluster.id("b")
const unreadable = new ReplicaStore.StoreError({ reason: "unavailable", detail: "the disk does not answer" })

const logging = () => {
  const said: Array<string> = []
  const logger = Logger.layer([
    Logger.make(({ logLevel, message }) => {
      if (logLevel === "Error") said.push(String(message))
    })
  ])
  return { said, logger }
}

/**
 * `a` with an entry that `b` lacks and that is no longer in a's memory. Nothing but a push can bring it to `b`. The store
 * of `a` is changed before it starts again.
 */
const restarted = Effect.fnUntraced(function* (
  change: (store: ReplicaStore.ReplicaStore["Service"]) => Partial<ReplicaStore.ReplicaStore["Service"]>
) {
  const { said, logger } = logging()
  const { a, b, cluster } = yield* Cluster.running("ab", 1)
  yield* during(a.writer.commit(put("k1")), 100)
  yield* during(b.stop, 5000)
  yield* during(a.writer.commit(put("k2")), 100)
  yield* during(a.stop, 5000)
  const store = yield* cluster.storeOf("a")
  cluster.stores.set("a", { ...store, ...change(store) })
  cluster.faults.set("b>a", (client) => ({ ...client, pull: () => Effect.succeed({ batch: null }) }))
  const again = yield* cluster.start("a", { logger })
  yield* TestClock.adjust(2000)
  return { cluster, again, said }
})

describe("a fault of the own store", () => {
  for (const [what, fault] of [
    ["cannot be read", Effect.fail(unreadable)],
    ["breaks", Effect.die("a bug")],
    ["breaks with what is no text", Effect.die(Object.create(null))],
    ["has lost an entry", Effect.succeed(Option.none())]
  ] as const) {
    it.effect(`an own log that ${what} is not said of the peer, whose link stays up, and is tried again`, () =>
      Effect.gen(function* () {
        let works = true
        let reads = 0
        const { again, cluster, said } = yield* restarted((store) => ({
          read: (log, after, maxBytes) => {
            if (works || !log.startsWith("a@")) return store.read(log, after, maxBytes)
            reads++
            return fault
          }
        }))
        works = false
        const b = yield* cluster.start("b")
        yield* TestClock.adjust(10_000)
        assert.strictEqual(again.peers.get(idB).link._tag, "Up")
        assert.isAtLeast(reads, 3)
        assert.isAtMost(reads, 20)
        assert.strictEqual(b.logs.head(again.logs.own).seq, 1)
        assert.deepStrictEqual(
          said
            .filter((line) => !line.includes("could not be compacted"))
            .map((line) => line.includes("cannot read its own log")),
          [true]
        )
        works = true
        yield* TestClock.adjust(2000)
        assert.strictEqual(b.logs.head(again.logs.own).seq, 2)
        assert.deepStrictEqual((yield* during(again.writer.commit(put("k3"), { w: 2 }), 100)).acked.length, 2)
      })
    )
  }

  for (const [what, fault, isFault] of [
    ["cannot be read", Effect.fail(unreadable), true],
    ["is not known, because entries are erased,", Effect.succeed(Option.none()), false]
  ] as const) {
    it.effect(`a chain that ${what} says nothing of the peer: neither that it is down nor that it drifted`, () =>
      Effect.gen(function* () {
        let works = true
        const { again, cluster, said } = yield* restarted((store) => ({
          chainAt: (log, seq) => (works || seq === 0 ? store.chainAt(log, seq) : fault)
        }))
        works = false
        cluster.faults.set("a>b", (client) => ({ ...client, push: () => Effect.never }))
        yield* cluster.start("b")
        yield* TestClock.adjust(1500)
        const { drifted, link, watermarks } = again.peers.get(idB)
        assert.strictEqual(link._tag, "Up")
        assert.strictEqual(drifted.size, 0)
        assert.isUndefined(watermarks.get(again.logs.own))
        assert.strictEqual(
          said.some((line) => line.includes("a fault of this replica: cannot read a@")),
          isFault
        )
        works = true
        yield* TestClock.adjust(5000)
        assert.strictEqual(again.peers.get(idB).watermarks.get(again.logs.own)?.seq, 1)
      })
    )
  }

  for (const damaged of [[2], [1, 2]]) {
    it.effect(`L60 a log whose end is damaged here, ${damaged.join(" and ")} of 2, says nothing of the peer`, () =>
      Effect.gen(function* () {
        const { said, logger } = logging()
        const cluster = yield* Cluster.make(["a", "b"], 2)
        const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: Cluster.id("a") })
        cluster.stores.set("a", store)
        const a = yield* cluster.start("a")
        yield* cluster.start("b")
        yield* TestClock.adjust(1000)
        for (const key of ["k1", "k2"]) yield* during(a.writer.commit(put(key)), 100)
        yield* during(a.stop, 5000)
        const log = a.logs.own
        for (const seq of damaged) store.damage(log, seq)
        // The peer is found when this replica has stopped to wait for it.
        cluster.cut("a", "b")
        const again = yield* cluster.start("a", { logger })
        yield* TestClock.adjust(20_000)
        assert.include(again.membership.obstacle()!, "it may lack what it acknowledged")
        // Nothing is written behind it, and no place is given away twice.
        assert.notStrictEqual(again.logs.own, log)
        cluster.heal()
        yield* TestClock.adjust(60_000)
        assert.strictEqual(again.peers.get(idB).drifted.size, 0)
        assert.isFalse(said.some((line) => line.includes("drift")))
        assert.isTrue(said.some((line) => line.includes("are damaged here")))
        assert.strictEqual(again.logs.announced(log), 2)
        yield* during(again.writer.commit(put("k3")), 1000)
      })
    )
  }

  it.effect("the rest of the old log that cannot be stored here is not said of the peer that has it", () =>
    Effect.gen(function* () {
      const { said, logger } = logging()
      const { a, cluster } = yield* Cluster.running("ab", 2)
      const { identity } = yield* cluster.storeOf("a")
      yield* during(a.writer.commit(put("k")), 100)
      yield* during(a.stop, 5000)
      const empty = yield* ReplicaStore.makeMemory(identity)
      let full = true
      let appends = 0
      cluster.stores.set("a", {
        ...empty,
        append: (batch) => {
          appends++
          return full ? Effect.fail(unreadable) : empty.append(batch)
        }
      })
      const again = yield* cluster.start("a", { logger })
      yield* TestClock.adjust(5000)
      assert.strictEqual(again.peers.get(idB).link._tag, "Up")
      assert.isAtLeast(appends, 3)
      assert.isAtMost(appends, 10)
      assert.isTrue(said.some((line) => line.includes("a fault of this replica: cannot store a@")))
      full = false
      yield* TestClock.adjust(2000)
      assert.strictEqual(
        (yield* during(again.writer.commit(put("next")), 100)).writeId,
        yield* Cluster.idAt(again.logs, 1)
      )
    })
  )
})
