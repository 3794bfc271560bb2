/** A batch is pushed while its owner still makes it durable, and counts as the owner's when that is done. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry } from "../src/index.ts"
import { type Chain, type PeerProtocol, ReplicaStore } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure, pass } from "./support/time.ts"

const put = (key: string) => Entry.put("ns", key, "value")
const [idA, idB] = [Cluster.id("a"), Cluster.id("b")]

/** Replicas of which `a` has a disk that syncs when it is told to. */
const slow = Effect.fnUntraced(function* (ids: string, w: number) {
  const cluster = yield* Cluster.make([...ids], w)
  const store = yield* cluster.storeOf("a")
  const disk = Latch.makeUnsafe(true)
  let syncs = 0
  let failed: ReplicaStore.StoreError | undefined
  const sync = Effect.suspend(() => {
    syncs++
    return Effect.andThen(
      disk.await,
      Effect.suspend(() => (failed === undefined ? Effect.void : Effect.fail(failed)))
    )
  })
  cluster.stores.set("a", {
    ...store,
    steps: { write: store.append, sync },
    append: (batch) => Effect.tap(store.append(batch), () => sync)
  })
  const pushes: Array<PeerProtocol.Push> = []
  const syncsAtPush: Array<number> = []
  let hellos = 0
  cluster.faults.set("a>b", (client) => ({
    ...client,
    hello: (request) => Effect.tap(client.hello(request), () => Effect.sync(() => hellos++)),
    push: (request) => {
      pushes.push(request)
      syncsAtPush.push(syncs)
      return client.push(request)
    }
  }))
  const replicas = yield* Effect.forEach([...ids], (id) => cluster.start(id))
  yield* TestClock.adjust(1000)
  // Closing waits for what is being appended.
  yield* Effect.addFinalizer(() => Effect.sync(() => disk.openUnsafe()))
  return {
    cluster,
    a: replicas[0]!,
    b: replicas[1]!,
    disk,
    pushes,
    syncsAtPush,
    hellos: () => hellos,
    syncs: () => syncs,
    fail: (error: ReplicaStore.StoreError) => void (failed = error)
  }
})

describe("a batch whose owner syncs it", () => {
  it.effect("is held by its peers meanwhile, and committed when it is durable here too", () =>
    Effect.gen(function* () {
      const { a, b, disk, syncs } = yield* slow("ab", 2)
      disk.closeUnsafe()
      const write = yield* Effect.forkChild(a.writer.commit(put("k")))
      yield* pass(500)
      assert.strictEqual(b.logs.head(a.logs.own).seq, 1)
      assert.deepStrictEqual([write.pollUnsafe(), syncs()], [undefined, 1])
      disk.openUnsafe()
      yield* pass(1)
      const exit = write.pollUnsafe()
      assert.strictEqual(exit?._tag, "Success")
    })
  )

  it.effect("is sent when the disk has begun to sync it", () =>
    Effect.gen(function* () {
      const { a, syncsAtPush } = yield* slow("ab", 2)
      yield* during(a.writer.commit(put("k")), 100)
      assert.deepStrictEqual(syncsAtPush, [1])
    })
  )

  it.effect("W of one waits for its own disk and for nobody else's", () =>
    Effect.gen(function* () {
      const { a, disk } = yield* slow("ab", 1)
      disk.closeUnsafe()
      const write = yield* Effect.forkChild(a.writer.commit(put("k")))
      yield* pass(100)
      assert.isUndefined(write.pollUnsafe())
      disk.openUnsafe()
      yield* pass(1)
      assert.strictEqual(write.pollUnsafe()?._tag, "Success")
    })
  )

  it.effect("is not read here, not announced, and not given to who asks for it", () =>
    Effect.gen(function* () {
      const { a, cluster, disk } = yield* slow("abc", 2)
      yield* during(a.writer.commit(put("k1")), 10)
      disk.closeUnsafe()
      cluster.cut("a", "c")
      yield* Effect.forkChild(a.writer.commit(put("k2")))
      yield* pass(100)
      const { own } = a.logs
      assert.deepStrictEqual([a.logs.head(own).seq, a.logs.end(own).seq], [1, 2])
      assert.deepStrictEqual(
        a.logs.vector().map(({ seq }) => seq),
        [1]
      )
      const all = Option.getOrThrow(yield* a.logs.read(own, 0, 1000))
      assert.deepStrictEqual([all.count, all.chain], [1, a.logs.head(own).chain])
      assert.isTrue(Option.isNone(yield* a.logs.read(own, 1, 1000)))
      assert.strictEqual(Option.getOrThrow(yield* a.logs.readOwn(0, 1000)).count, 2)
      const found = yield* a.records.read("ns", "k2")
      assert.isTrue(Option.isNone(found))
      disk.openUnsafe()
    })
  )

  it.effect("makes nobody believe that its owner's log forked, or that its owner lost something", () =>
    Effect.gen(function* () {
      const { a, b, cluster, disk } = yield* slow("abc", 3)
      const { incarnation } = a.logs.identity
      disk.closeUnsafe()
      yield* Effect.forkChild(a.writer.commit(put("k")))
      // Heartbeats, and a connection that is made anew: each side hears that the other holds another end of the log.
      yield* pass(3000)
      cluster.cut("a", "b")
      cluster.cut("b", "a")
      yield* pass(10_000)
      assert.strictEqual(a.peers.get(idB).link._tag, "Down")
      cluster.heal()
      yield* pass(10_000)
      assert.strictEqual(a.logs.identity.incarnation, incarnation)
      assert.deepStrictEqual([a.membership.isVoting(), a.membership.obstacle()], [true, undefined])
      assert.strictEqual(a.peers.get(idB).drifted.size + b.peers.get(idA).drifted.size, 0)
      // What the peer acked counts, whenever it was heard.
      assert.strictEqual(a.peers.get(idB).watermarks.get(a.logs.own)?.seq, 1)
      disk.openUnsafe()
      yield* pass(1)
      assert.strictEqual(a.logs.head(a.logs.own).seq, 1)
    })
  )

  it.effect("does not make its owner a holder of it before the owner says so, which it does at once", () =>
    Effect.gen(function* () {
      const { a, b, disk, hellos, pushes } = yield* slow("ab", 2)
      yield* during(a.writer.commit(put("k1")), 50)
      assert.strictEqual(b.peers.get(idA).watermarks.get(a.logs.own)?.seq, 1)
      disk.closeUnsafe()
      const write = yield* Effect.forkChild(a.writer.commit(put("k2")))
      yield* pass(100)
      assert.deepStrictEqual(
        pushes.map(({ batch, durable }) => [batch.from, durable]),
        [
          [1, 0],
          [2, 1]
        ]
      )
      assert.strictEqual(b.peers.get(idA).watermarks.get(a.logs.own)?.seq, 1)
      const before = hellos()
      disk.openUnsafe()
      yield* pass(20)
      assert.strictEqual(write.pollUnsafe()?._tag, "Success")
      assert.strictEqual(b.peers.get(idA).watermarks.get(a.logs.own)?.seq, 2)
      assert.strictEqual(hellos(), before + 1)
      // Said once.
      yield* pass(300)
      assert.strictEqual(hellos(), before + 1)
    })
  )

  it.effect("is its owner's by what a greeting says only where that is what is held here", () =>
    Effect.gen(function* () {
      const { a, b, cluster, disk } = yield* slow("ab", 2)
      disk.closeUnsafe()
      yield* Effect.forkChild(a.writer.commit(put("k")))
      yield* pass(100)
      const { chain } = a.logs.end(a.logs.own)
      const counted: Array<number> = []
      b.peers.listen((event) => void (event._tag === "Ack" && counted.push(event.watermark.seq)))
      let vector: PeerProtocol.Hello["vector"] = []
      cluster.faults.set("a>b", (client) => ({ ...client, hello: (request) => client.hello({ ...request, vector }) }))
      const greeted = Effect.gen(function* () {
        cluster.cut("a", "b")
        yield* pass(10_000)
        cluster.heal()
        yield* pass(10_000)
      })
      yield* greeted
      vector = [{ log: a.logs.own, seq: 1, chain: "0123456789abcdef" as Chain.Chain }]
      yield* pass(2000)
      assert.deepStrictEqual(counted, [])
      vector = [{ log: a.logs.own, seq: 2, chain }]
      yield* pass(2000)
      assert.deepStrictEqual(counted, [])
      vector = [{ log: a.logs.own, seq: 1, chain }]
      yield* pass(2000)
      assert.deepStrictEqual(counted, [1])
    })
  )

  it.effect("that cannot be synced is uncertain to its caller, and the replica takes no more", () =>
    Effect.gen(function* () {
      const { a, b, disk, fail } = yield* slow("ab", 2)
      disk.closeUnsafe()
      const write = yield* Effect.forkChild(Effect.flip(a.writer.commit(put("k"))))
      yield* pass(10)
      // Whatever the store calls it: it was written, and pushed.
      fail(new ReplicaStore.StoreError({ reason: "unavailable", detail: "EIO" }))
      disk.openUnsafe()
      yield* pass(10)
      const exit = write.pollUnsafe()
      assert(exit?._tag === "Success")
      assert.strictEqual(exit.value._tag, "WriteUncertain")
      assert.strictEqual(b.logs.head(a.logs.own).seq, 1)
      yield* failure(a.writer.commit(put("k2")), "LocalWriteFailed")
      assert.strictEqual(a.logs.fault()?.reason, "uncertain")
    })
  )

  it.effect("goes to a peer that does not speak of it when it is durable, and not before", () =>
    Effect.gen(function* () {
      const cluster = yield* slow("ab", 2)
      const { a, b, disk, pushes } = cluster
      yield* during(b.stop, 5000)
      cluster.cluster.faults.set("a>b", (client) => ({
        ...client,
        hello: (request) =>
          Effect.map(client.hello(request), (welcome) => ({ ...welcome, features: ["trace_context"] })),
        push: (request) => {
          pushes.push(request)
          return client.push(request)
        }
      }))
      const again = yield* cluster.cluster.start("b")
      yield* pass(5000)
      disk.closeUnsafe()
      const write = yield* Effect.forkChild(a.writer.commit(put("k")))
      yield* pass(100)
      assert.strictEqual(pushes.length, 0)
      disk.openUnsafe()
      yield* pass(10)
      assert.strictEqual(write.pollUnsafe()?._tag, "Success")
      assert.deepStrictEqual(
        pushes.map(({ durable }) => durable),
        [undefined]
      )
      assert.strictEqual(again.peers.get(idA).watermarks.get(a.logs.own)?.seq, 1)
    })
  )
})
