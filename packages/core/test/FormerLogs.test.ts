/** What others hold of the logs that a replica wrote before its machine was booted. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { type Chain, ReplicaStore, type Watermark } from "../src/adapter.ts"
import { Entry, LogId, type ReplicaId } from "../src/index.ts"
import * as FormerLogs from "../src/peer/internal/FormerLogs.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure, pass } from "./support/time.ts"

const [a, b, c] = [Cluster.id("a"), Cluster.id("b"), Cluster.id("c")]
const before = "00000000000000aa" as LogId.Incarnation
const booted = LogId.incarnationAfterBoot(before, 0xf_ffff)
const former = LogId.make(a, before)
const upTo = (log: LogId.LogId, seq: number): Watermark.Watermark => ({
  log,
  seq,
  chain: "0000000000000001" as Chain.Chain
})

/** A replica that was booted, and holds two entries of the log that it wrote before. */
const setUp = () => {
  let head = 2
  let changes = 0
  const givenUp = new Set<ReplicaId.ReplicaId>()
  const logs = FormerLogs.make({
    logs: {
      own: LogId.make(a, booted),
      identity: { cluster: "test", replica: a, incarnation: booted },
      head: (log) => upTo(log, log === former ? head : 0)
    },
    kept: { has: (_, log, seq) => log === former && seq === 9 },
    givenUp: () => givenUp,
    changed: () => void changes++
  })
  const append = (seq: number) => {
    head = seq
    logs.appended()
  }
  return { ...logs, append, givenUp, changes: () => changes }
}

describe("what members hold of the log that a replica wrote before a boot", () => {
  it("is waited for where it is more than is here, and no longer than that", () => {
    const { append, changes, heard, obstacle } = setUp()
    assert.isUndefined(heard(b, [upTo(former, 2)]))
    const said = heard(b, [upTo(former, 4)])
    assert.include(said, `b holds its former log ${former} up to 4, which ends at 2 here`)
    assert.strictEqual(obstacle(), said)
    assert.isUndefined(heard(c, [upTo(former, 3)]))
    append(3)
    assert.deepStrictEqual([obstacle(), changes()], [said?.replace("ends at 2", "ends at 3"), 1])
    append(4)
    assert.deepStrictEqual([obstacle(), changes()], [undefined, 2])
  })

  it("is no obstacle where it is of another log, or was committed again", () => {
    const { changes, heard } = setUp()
    const others = [LogId.make(b, before), LogId.make(a, booted), LogId.make(a, LogId.incarnationAt(0, 0, booted))]
    for (const log of others) assert.isUndefined(heard(b, [upTo(log, 5)]))
    assert.isUndefined(heard(b, [upTo(former, 9)]))
    assert.strictEqual(changes(), 0)
  })

  it("is not waited for from who does not hold it any more, or is given up", () => {
    const { changes, givenUp, heard, obstacle } = setUp()
    heard(b, [upTo(former, 4)])
    heard(c, [upTo(former, 3)])
    assert.isUndefined(heard(b, []))
    assert.include(obstacle(), "c holds")
    givenUp.add(c)
    assert.isUndefined(obstacle())
    assert.strictEqual(changes(), 1)
  })
})

describe("a disk that was put back before a boot", () => {
  it.effect("L55 does not vote without what its replica counted itself for and told nobody yet", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a", "b", "c"], 2)
      const store = yield* cluster.storeOf("a")
      // One that tells writing and syncing apart: what it writes is pushed before it counts as held.
      const sync = Effect.sleep(1)
      cluster.stores.set("a", {
        ...store,
        steps: { write: store.append, sync },
        append: (batch) => Effect.tap(store.append(batch), () => sync)
      })
      const first = yield* cluster.start("a")
      const second = yield* cluster.start("b")
      const third = yield* cluster.start("c")
      yield* pass(2000)
      cluster.cut("a", "c")
      cluster.cut("b", "c")
      cluster.cut("c", "b")
      yield* during(first.writer.commit(Entry.put("notes", "k", "acknowledged")), 4)
      assert.isUndefined(second.peers.get(a).watermarks.get(first.logs.own))
      cluster.cut("a", "b")
      yield* during(first.stop, 5000)
      const incarnation = LogId.incarnationAfterBoot(store.identity.incarnation, 5)
      cluster.stores.set("a", yield* ReplicaStore.makeMemory({ ...store.identity, incarnation, doubt: "other_boot" }))
      cluster.join("a", "b")
      cluster.join("a", "c")
      // It is greeted by the one that holds the entry, which does not give it away yet.
      let isOpen = false
      cluster.faults.set("a>b", (client) => ({
        ...client,
        pull: (request) => Effect.suspend(() => (isOpen ? client.pull(request) : Effect.never))
      }))
      const again = yield* cluster.start("a")
      yield* pass(800)
      assert.strictEqual(again.logs.identity.incarnation, incarnation)
      assert.include(again.membership.obstacle(), `b holds its former log ${first.logs.own} up to 1`)
      // The others make a majority, of which nobody has what was acknowledged.
      const read = third.records.read("notes", "k", { consistency: "linearizable" })
      yield* during(failure(read, "ReadUnavailable"), 5000)
      isOpen = true
      yield* pass(5000)
      assert.isTrue(again.membership.isVoting())
      assert.strictEqual(again.logs.head(first.logs.own).seq, 1)
      assert.isTrue(Option.isSome(yield* during(read, 5000)))
    })
  )
})
