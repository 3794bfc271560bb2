/** The change feed of one replica, and of several. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Latch, Random, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { ReplicaStore } from "../src/adapter.ts"
import { Chain, EntryBatch, RecordIndex, Watermark } from "../src/adapter.ts"
import { Changes, Entry, HybridLogicalClock, LogId, ReplicaId, WriteId } from "../src/index.ts"
import * as ReplicaLogs from "../src/log/ReplicaLogs.ts"
import * as Feed from "../src/read/internal/Feed.ts"
import * as Cluster from "./support/cluster.ts"
import { memory, open } from "./support/reads.ts"

const logOf = (replica: string) => LogId.make(ReplicaId.make(replica), "0000000000000001" as LogId.Incarnation)

/** Entries of a log after a place, each with one put. */
const batch = (head: Watermark.Watermark, ...writes: ReadonlyArray<Entry.Writes>) =>
  EntryBatch.encode(head, writes, HybridLogicalClock.zero, 1).batch

const feed = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"]) {
  const { logs } = yield* open(store, yield* RecordIndex.makeMemory)
  return { logs, changes: yield* withLogs(logs) }
})

const withLogs = (logs: Effect.Success<ReturnType<typeof open>>["logs"]) =>
  Effect.provide(
    Feed.make(Effect.void, () => false),
    Context.make(ReplicaLogs.ReplicaLogs, logs)
  )

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** What is held now. */
const held = <E>(
  changes: (options?: Changes.Options) => Stream.Stream<Changes.Page, E>,
  options: Changes.Options = {}
) => Stream.runCollect(changes({ until: "now", ...options }))

const idsOf = (pages: ReadonlyArray<Changes.Page>) =>
  pages.flatMap((page) => page.changes.map(({ writeId }) => writeId))

const keysOf = (pages: ReadonlyArray<Changes.Page>) => pages.flatMap((page) => page.changes.map(({ key }) => key))

describe("the change feed", () => {
  it.effect("shows each write with all that it says, a delete and the records of one entry too", () =>
    Effect.gen(function* () {
      const { changes, logs } = yield* feed(yield* memory)
      const { batch, stamps } = yield* logs.appendWrites([
        Entry.put("n", "k", "1", { contentType: "text/plain" }),
        Entry.remove("n", "k"),
        [Entry.put("n", "x", "2"), Entry.put("m", "y", "3")]
      ])
      const pages = yield* held(changes)
      const stamped = (seq: number) => ({
        writeId: WriteId.make(logs.own, seq, Chain.check(EntryBatch.chainAt(batch, seq)!)),
        clock: stamps[seq - 1]!.clock,
        tie: stamps[seq - 1]!.tie
      })
      assert.deepStrictEqual(
        pages.flatMap((page) => page.changes.map((change) => ({ ...change, value: text(change.value) }))),
        [
          { namespace: "n", key: "k", deleted: false, value: "1", contentType: "text/plain", ...stamped(1) },
          { namespace: "n", key: "k", deleted: true, value: "", ...stamped(2) },
          { namespace: "n", key: "x", deleted: false, value: "2", ...stamped(3) },
          { namespace: "m", key: "y", deleted: false, value: "3", ...stamped(3) }
        ]
      )
      assert.deepStrictEqual(pages.at(-1)!.position, [EntryBatch.watermark(batch)])
      // A reader may do with a value as it likes.
      pages[0]!.changes[0]!.value.fill(0)
      assert.strictEqual(text((yield* held(changes))[0]!.changes[0]!.value), "1")
    })
  )

  it.effect("shows values that are its reader's, also where the store has a `Buffer`", () =>
    Effect.gen(function* () {
      const { changes, logs } = yield* feed(yield* memory)
      const theirs = batch(Watermark.none(logOf("b")), Entry.put("n", "k", "1"))
      yield* logs.append({ ...theirs, bytes: Buffer.from(theirs.bytes) })
      ;(yield* held(changes))[0]!.changes[0]!.value.fill(0)
      assert.strictEqual(text((yield* held(changes))[0]!.changes[0]!.value), "1")
    })
  )

  it.effect(
    "L27 CatchUpSkipsNothing: from the position of any page on it shows all that follows, in the order of each log",
    () =>
      Effect.gen(function* () {
        const { changes, logs } = yield* feed(yield* memory)
        const heads = new Map(["b", "c", "d"].map((name) => [name, Watermark.none(logOf(name))]))
        const ids = new Map<LogId.LogId, Array<WriteId.WriteId>>()
        for (let i = 0; i < 60; i++) {
          const name = ["b", "c", "d"][yield* Random.nextIntBetween(0, 2)]!
          const sizes = yield* Effect.replicateEffect(
            Random.nextIntBetween(0, 30_000),
            yield* Random.nextIntBetween(1, 6)
          )
          const writes = sizes.map((size, at) => Entry.put("n", `${i}/${at}`, new Uint8Array(size)))
          const appended = batch(heads.get(name)!, ...writes)
          heads.set(name, yield* logs.append(appended))
          const known = ids.get(appended.log) ?? []
          EntryBatch.forEach(appended, (seq) =>
            known.push(WriteId.make(appended.log, seq, Chain.check(EntryBatch.chainAt(appended, seq)!)))
          )
          ids.set(appended.log, known)
        }
        const ofLog = (pages: ReadonlyArray<Changes.Page>, log: LogId.LogId) =>
          idsOf(pages).filter((id) => WriteId.place(id).log === log)
        const pages = yield* held(changes)
        assert.isAbove(pages.length, 20)
        for (const [log, known] of ids) assert.deepStrictEqual(ofLog(pages, log), known)
        for (const [i, { position }] of pages.entries()) {
          if (i % 5 > 0) continue
          const rest = yield* held(changes, { since: position })
          for (const [log, known] of ids) {
            assert.deepStrictEqual([...ofLog(pages.slice(0, i + 1), log), ...ofLog(rest, log)], known)
          }
        }
      })
  )

  it.effect("waits for more, and shows a write once it is durable and not before", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const disk = yield* Latch.make(true)
      const { changes, logs } = yield* feed({
        ...store,
        append: (batch) => Effect.andThen(disk.await, store.append(batch))
      })
      const seen: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(changes(), (page) => Effect.sync(() => seen.push(...keysOf([page]), "|")))
      )
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(seen, ["|"])
      yield* logs.appendWrites([Entry.put("n", "first", "1")])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(seen, ["|", "first", "|"])
      yield* disk.close
      yield* Effect.forkScoped(logs.appendWrites([Entry.put("n", "second", "2")]))
      yield* TestClock.adjust(60_000)
      assert.deepStrictEqual(seen, ["|", "first", "|"])
      yield* disk.open
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(seen, ["|", "first", "|", "second", "|"])
    })
  )

  it.effect("shows nothing that can be read and is not synced yet", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const { changes, logs } = yield* feed(store)
      const head = yield* logs.append(batch(Watermark.none(logOf("b")), Entry.put("n", "synced", "")))
      // It is in the store, and nobody has said that it is durable.
      yield* store.append(batch(head, Entry.put("n", "written", "")))
      const pages = yield* held(changes)
      assert.deepStrictEqual([keysOf(pages), pages.at(-1)!.position], [["synced"], [head]])
    })
  )

  it.effect("until now ends with what was held when it began", () =>
    Effect.gen(function* () {
      const { changes, logs } = yield* feed(yield* memory)
      const big = (key: string) => Entry.put("n", key, new Uint8Array(70_000))
      yield* logs.appendWrites([big("1"), big("2")])
      const pages = yield* changes({ until: "now" }).pipe(
        Stream.tap(() => logs.appendWrites([big("later")])),
        Stream.runCollect
      )
      assert.deepStrictEqual(keysOf(pages), ["1", "2"])
      assert.deepStrictEqual(keysOf(yield* held(changes, { since: pages.at(-1)!.position })).length, 2)
    })
  )

  it.effect("of a namespace or a prefix leaves out the others, and says how far it has looked", () =>
    Effect.gen(function* () {
      const { changes, logs } = yield* feed(yield* memory)
      yield* logs.appendWrites([
        Entry.put("n", "a/1", ""),
        Entry.put("n", "b/1", ""),
        Entry.put("na", "a/1", ""),
        [Entry.put("m", "a/2", ""), Entry.put("n", "a/2", "")]
      ])
      for (let i = 0; i < 20; i++) yield* logs.appendWrites([Entry.put("m", "k", new Uint8Array(100_000))])
      assert.deepStrictEqual(keysOf(yield* held(changes, { namespace: "n" })), ["a/1", "b/1", "a/2"])
      const pages = yield* held(changes, { namespace: "n", prefix: "a/" })
      assert.deepStrictEqual(
        pages.map(({ changes, position }) => [changes.length, position[0]!.seq]),
        [
          [2, 4],
          [0, 15],
          [0, 24]
        ]
      )
    })
  )

  it.effect("reads nothing that its reader has not asked for, and not more at once than a page", () =>
    Effect.gen(function* () {
      const store = yield* memory
      let reads = 0
      const { logs } = yield* open(
        {
          ...store,
          read: (...args) =>
            Effect.andThen(
              Effect.sync(() => reads++),
              store.read(...args)
            )
        },
        yield* RecordIndex.makeMemory
      )
      const changes = yield* withLogs(logs)
      let head = Watermark.none(logOf("b"))
      for (let i = 0; i < 100; i++)
        head = yield* logs.append(batch(head, Entry.put("n", `${i}`, new Uint8Array(20_000))))
      reads = 0
      const pull = yield* Stream.toPull(changes())
      assert.deepStrictEqual([(yield* pull)[0].changes.length, reads], [3, 1])
      yield* TestClock.adjust(60_000)
      assert.strictEqual(reads, 1)
      assert.deepStrictEqual([(yield* pull)[0].changes.length, reads], [3, 2])
    })
  )

  it.effect("lets no log wait for the end of another", () =>
    Effect.gen(function* () {
      const { changes, logs } = yield* feed(yield* memory)
      const big = Array.from({ length: 40 }, (_, i) => Entry.put("n", `b${i}`, new Uint8Array(60_000)))
      yield* logs.append(batch(Watermark.none(logOf("b")), ...big))
      yield* logs.append(batch(Watermark.none(logOf("c")), Entry.put("n", "c", "")))
      yield* logs.append(batch(Watermark.none(logOf("d")), Entry.put("n", "d", "")))
      const first = yield* Stream.runCollect(Stream.take(changes(), 3))
      assert.includeMembers(keysOf(first), ["c", "d"])
    })
  )

  it.effect(
    "says after a while without a change that it lives and how far it has looked, whatever else is written",
    () =>
      Effect.gen(function* () {
        const { changes, logs } = yield* feed(yield* memory)
        const pages: Array<Changes.Page> = []
        yield* Effect.forkScoped(
          Stream.runForEach(changes({ namespace: "n", idleMillis: 1000 }), (page) =>
            Effect.sync(() => pages.push(page))
          )
        )
        yield* TestClock.adjust(1)
        for (let i = 0; i < 25; i++) {
          yield* logs.appendWrites([Entry.put("m", "k", "")])
          yield* TestClock.adjust(100)
        }
        assert.deepStrictEqual(
          pages.map(({ changes, position }) => [changes.length, position[0]?.seq]),
          [
            [0, undefined],
            [0, 10],
            [0, 20]
          ]
        )
      })
  )

  it.effect(
    "L60 DamageIsLocal: shows all that can be read, then names the damage, and goes on elsewhere from there",
    () =>
      Effect.gen(function* () {
        const store = yield* memory
        const { changes, logs } = yield* feed(store)
        const whole = yield* feed(yield* memory)
        const bad = batch(Watermark.none(logOf("b")), ...["1", "2", "3", "4"].map((key) => Entry.put("n", key, "")))
        const good = batch(Watermark.none(logOf("c")), Entry.put("n", "good", ""))
        for (const each of [logs, whole.logs]) {
          yield* each.append(bad)
          yield* each.append(good)
        }
        store.damage(logOf("b"), 3)
        for (const until of [{ until: "now" }, {}] as const) {
          const pages: Array<Changes.Page> = []
          const error = yield* Effect.flip(
            Stream.runForEach(changes(until), (page) => Effect.sync(() => void pages.push(page)))
          )
          assert.deepStrictEqual(error, new Changes.LogDamaged({ log: logOf("b"), from: 3, to: 3 }))
          assert.sameMembers([...keysOf(pages)], ["1", "2", "good"])
          const { position } = pages.at(-1)!
          assert.deepStrictEqual(keysOf(yield* held(whole.changes, { since: position })), ["3", "4"])
        }
        // A reader that is past it loses nothing.
        const since = [{ log: logOf("b"), seq: 3, chain: EntryBatch.chainAt(bad, 3)! }]
        assert.sameMembers(keysOf(yield* held(changes, { since })), ["4", "good"])
        store.damage(logOf("b"), 4)
        assert.deepStrictEqual(keysOf(yield* held(changes, { since: [EntryBatch.watermark(bad)] })), ["good"])
      })
  )

  it.effect(
    "L53 that goes on from a copy of a log that did not last says so, at once or when that place is reached",
    () =>
      Effect.gen(function* () {
        const { changes, logs } = yield* feed(yield* memory)
        const log = logOf("b")
        const first = yield* logs.append(batch(Watermark.none(log), Entry.put("n", "1", "")))
        const since = [{ log, seq: 1, chain: "00000000000000aa" as Chain.Chain }]
        const replaced = {
          writeId: WriteId.make(log, 1, 0),
          held: WriteId.make(log, 1, Chain.check(first.chain))
        }
        const error = yield* Effect.flip(held(changes, { since }))
        assert(error._tag === "WriteReplaced")
        assert.deepStrictEqual([error.writeId, error.held], [replaced.writeId, replaced.held])

        const ahead = [{ log, seq: 2, chain: "00000000000000aa" as Chain.Chain }]
        assert.deepStrictEqual(
          (yield* held(changes, { since: ahead })).map(({ position }) => position),
          [ahead]
        )
        const later = yield* Effect.forkScoped(Effect.flip(Stream.runDrain(changes({ since: ahead }))))
        yield* TestClock.adjust(1)
        yield* logs.append(batch(first, Entry.put("n", "2", ""), Entry.put("n", "3", "")))
        const lateError = yield* Fiber.join(later)
        assert.strictEqual(lateError._tag, "WriteReplaced")
      })
  )

  it.effect("refuses what cannot be asked for, and names it", () =>
    Effect.gen(function* () {
      const { changes } = yield* feed(yield* memory)
      const watermark = Watermark.none(logOf("b"))
      for (const [field, options] of [
        ["since", { since: "x" as unknown as Changes.Vector }],
        ["since", { since: [watermark, watermark] }],
        ["since", { since: [{ ...watermark, chain: "1234567812345678" as Chain.Chain }] }],
        ["namespace", { namespace: "" }],
        ["namespace", { namespace: "\ud800" }],
        ["prefix", { prefix: "a" }],
        ["prefix", { namespace: "n", prefix: "\ud800" }],
        ["until", { until: "then" as "now" }],
        ["idleMillis", { idleMillis: 0 }],
        ["idleMillis", { idleMillis: Number.NaN }]
      ] as const) {
        const error = yield* Effect.flip(Stream.runDrain(changes(options)))
        assert.deepStrictEqual([error._tag, "field" in error && error.field], ["ReadRejected", field])
      }
    })
  )

  it.effect("ends with an error when its replica closes, also while it waits", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { changes } = yield* Scope.provide(feed(yield* memory), scope)
      const waiting = yield* Effect.forkScoped(Effect.flip(Stream.runDrain(changes())))
      yield* TestClock.adjust(1)
      assert.isUndefined(waiting.pollUnsafe())
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "ReplicaClosing")
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(changes())))._tag, "ReplicaClosing")
    })
  )

  it.effect(
    "goes on at another replica from the position that the first one gave, with all that was acknowledged",
    () =>
      Effect.gen(function* () {
        const set = yield* Cluster.make(["a", "b"], 2)
        const a = yield* set.start("a")
        const b = yield* set.start("b")
        yield* TestClock.adjust(1000)
        const put = (at: Cluster.Running, key: string) => at.writer.commit(Entry.put("n", key, ""))
        for (const key of ["1", "2"]) yield* put(a, key)
        yield* put(b, "3")
        const pages = yield* held(a.records.changes)
        assert.sameMembers(keysOf(pages), ["1", "2", "3"])
        for (const key of ["4", "5"]) yield* put(a, key)
        assert.deepStrictEqual(keysOf(yield* held(b.records.changes, { since: pages.at(-1)!.position })), ["4", "5"])
      })
  )

  it.effect("RecoveringDoesNotVote: shows nothing where something acknowledged may be missing", () =>
    Effect.gen(function* () {
      const set = yield* Cluster.make(["a", "b", "c"], 2)
      set.doubts.set("a", "other_place")
      const a = yield* set.start("a")
      const error = yield* Effect.flip(Stream.runDrain(a.records.changes()))
      assert.strictEqual(error._tag, "NotReady")
    })
  )
})
