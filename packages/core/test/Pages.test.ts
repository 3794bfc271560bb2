/** Where a page of records ends, and what an index that is wrong or cannot be written does to it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option } from "effect"
import { EntryBatch, RecordIndex, RecordKey, ReplicaStore, Watermark } from "../src/adapter.ts"
import { Entry, HybridLogicalClock, LogId, ReplicaId } from "../src/index.ts"
import { TestClock } from "effect/testing"
import type * as LocalRecords from "../src/record/LocalRecords.ts"
import type * as Pages from "../src/record/Pages.ts"
import type { ReadRejected } from "../src/record/ReadRejected.ts"
import { memory, open } from "./support/reads.ts"

const mebibyte = 1024 * 1024

/** Records with values of these sizes, their keys in order. */
const holding = Effect.fnUntraced(function* (...sizes: ReadonlyArray<number>) {
  const index = yield* RecordIndex.makeMemory
  const { logs, records } = yield* open(yield* memory, index)
  for (const [i, size] of sizes.entries()) yield* logs.appendWrites([Entry.put("n", `k${i}`, new Uint8Array(size))])
  return { index, logs, records }
})

/** How many records a page has, and after which key the next one goes on. */
const shapeOf = ({ next, records }: Pages.Page): ReadonlyArray<unknown> => [
  records.length,
  Option.getOrUndefined(next)?.key
]

describe("a page of records", () => {
  it.effect("ends with the value that makes it four mebibytes, and not a byte before", () =>
    Effect.gen(function* () {
      for (const [fourth, shape] of [
        [mebibyte, [4, "k3"]],
        [mebibyte - 1, [5, "k4"]]
      ] as const) {
        const { records } = yield* holding(mebibyte, mebibyte, mebibyte, fourth, 1, 1)
        assert.deepStrictEqual(shapeOf(yield* records.page({ limit: 5 })), shape)
      }
    })
  )

  it.effect("says that it is the last when the value that fills it is the last", () =>
    Effect.gen(function* () {
      const four = Array.from({ length: 4 }, () => mebibyte)
      for (const [sizes, shape] of [
        [four, [4, undefined]],
        [
          [...four, 1],
          [4, "k3"]
        ]
      ] as const) {
        const { records } = yield* holding(...sizes)
        assert.deepStrictEqual(shapeOf(yield* records.page({ limit: 100 })), shape)
      }
    })
  )

  it.effect("of as many keys as there are is the last, and of one fewer is not", () =>
    Effect.gen(function* () {
      const { records } = yield* holding(1, 1, 1)
      assert.deepStrictEqual(shapeOf(yield* records.page({ limit: 3 })), [3, undefined])
      assert.deepStrictEqual(shapeOf(yield* records.page({ limit: 2 })), [2, "k1"])
    })
  )
})

describe("an index", () => {
  it.effect("L52 that points to a place where another version of the key is shows no record of it", () =>
    Effect.gen(function* () {
      const { index, logs, records } = yield* holding(1)
      const { clock, writeId } = Option.getOrThrow(yield* records.read("n", "k0"))
      const pointer = { namespace: "n", key: "k0", log: logs.own, seq: 1, deleted: false, tie: logs.run }
      yield* index.merge([{ ...pointer, clock: { ...clock, logical: clock.logical + 1 } }], new Map())
      const error = yield* Effect.flip(records.read("n", "k0"))
      assert(error._tag === "StoreError")
      assert.strictEqual(error.reason, "corrupt")
      // What else it says may be as wrong, so it is built again, and then it is right.
      yield* TestClock.adjust(1)
      const { damaged, records: found } = yield* records.page({ limit: 1 })
      assert.deepStrictEqual([damaged, found.map((record) => record.writeId)], [[], [writeId]])
    })
  )

  it.effect("that cannot be written is tried once while it is brought up to the logs, and stops no start", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const own = LogId.make(ReplicaId.make("a"), store.identity.incarnation)
      // So many keys are enough to be merged twice.
      const writes = Array.from({ length: 330_000 }, (_, i) => Entry.put("n", `k${i}`, ""))
      yield* store.append(EntryBatch.encode(Watermark.none(own), writes, HybridLogicalClock.zero, 1).batch)
      let tries = 0
      const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "no space left" })
      const merge = () => Effect.suspend(() => (tries++, Effect.fail(full)))
      const { records } = yield* open(store, { ...(yield* RecordIndex.makeMemory), merge })
      assert.strictEqual(tries, 1)
      assert.isTrue(Option.isSome(yield* records.read("n", "k0")))
      assert.isTrue(Option.isSome(yield* records.read("n", "k329999")))
    })
  )

  it.effect("L68 that cannot be read is a fault as long as that lasts, and one that cannot be written is none", () =>
    Effect.gen(function* () {
      const index = yield* RecordIndex.makeMemory
      const failing = new ReplicaStore.StoreError({ reason: "unavailable", detail: "index.db: EIO" })
      let broken = true
      const { follower, logs, records } = yield* open(yield* memory, {
        ...index,
        get: (namespace, key) => (broken ? Effect.fail(failing) : index.get(namespace, key)),
        scan: (options) => (broken ? Effect.fail(failing) : index.scan(options)),
        merge: () => Effect.fail(failing)
      })
      yield* logs.appendWrites([Entry.put("n", "k", "v")])
      yield* TestClock.adjust(6000)
      const reads = [Effect.exit(records.read("n", "k")), Effect.exit(records.page({ limit: 1 }))]
      for (const read of reads) {
        broken = false
        yield* read
        assert.isUndefined(follower.fault())
        broken = true
        yield* read
        assert.strictEqual(follower.fault(), failing)
      }
    })
  )
})

describe("a long page", () => {
  it.effect("NeverStandsStill: has the index asked for few keys at once, unless many wait beside it each time", () =>
    Effect.gen(function* () {
      const index = yield* RecordIndex.makeMemory
      const asked: Array<number> = []
      let isWritable = true
      const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "index.db: no room" })
      const { follower, logs, records } = yield* open(yield* memory, {
        ...index,
        scan: (options) => Effect.tap(index.scan(options), () => Effect.sync(() => void asked.push(options.limit))),
        merge: (...step) => (isWritable ? index.merge(...step) : Effect.fail(full))
      })
      const write = (from: number, count: number) =>
        logs.appendWrites(
          Array.from({ length: count }, (_, i) => Entry.put("n", `k${String(from + i).padStart(5, "0")}`, ""))
        )
      const pageOf = Effect.suspend(() => {
        asked.length = 0
        return Effect.map(records.page({ limit: 3000 }), ({ records }) => [records.length, Math.max(...asked)])
      })
      yield* write(0, 4000)
      yield* TestClock.adjust(60_000)
      assert.strictEqual(follower.unindexed(), 0)
      assert.deepStrictEqual(yield* pageOf, [3000, 128])
      isWritable = false
      yield* write(4000, 6000)
      assert.isAbove(follower.unindexed(), 5000)
      assert.deepStrictEqual(yield* pageOf, [3000, 1000])
    })
  )
})

describe("a list of many keys that the index does not have yet", () => {
  it.effect("NeverStandsStill: lets others have their turn, and has each key once whatever is written meanwhile", () =>
    Effect.gen(function* () {
      const index = yield* RecordIndex.makeMemory
      const disk = yield* Latch.make()
      const { logs, records } = yield* open(yield* memory, {
        ...index,
        merge: (...step) => Effect.andThen(disk.await, index.merge(...step))
      })
      yield* Effect.addFinalizer(() => disk.open)
      const keys = Array.from({ length: 50_000 }, (_, i) => `k${String((i * 7919) % 50_000).padStart(5, "0")}`)
      yield* logs.appendWrites(keys.map((key) => Entry.put("n", key, "")))
      let turns = 0
      const others = yield* Effect.forkChild(
        Effect.forever(
          Effect.suspend(() => {
            turns++
            // New keys, and old ones again, while they are passed over.
            return Effect.andThen(
              logs.appendWrites([Entry.put("m", `${turns}`, ""), Entry.put("n", "k00001", "")]),
              Effect.yieldNow
            )
          })
        )
      )
      yield* Effect.yieldNow
      const before = turns
      const page = yield* records.keys({ namespace: "n", limit: 3 })
      assert.isAtLeast(turns - before, 5)
      yield* Fiber.interrupt(others)
      assert.deepStrictEqual(
        page.keys.map(({ key }) => key),
        ["k00000", "k00001", "k00002"]
      )
    })
  )
})

describe("a page of a namespace", () => {
  const names = ["a", "a\u0001", "ab", "b"]
  const keys = ["k", "k1", "k2", "l", "\uffff", "😀", "\u{10ffff}", "\u{10ffff}x"]

  /** A record of every name and key, every third of them deleted; one half of them is in the index, as far as it got. */
  const all = Effect.gen(function* () {
    const index = yield* RecordIndex.makeMemory
    const { logs, records } = yield* open(yield* memory, index)
    const written = names.flatMap((namespace) => keys.map((key) => ({ namespace, key })))
    const half = written.filter((_, i) => i % 2 === 0)
    yield* logs.appendWrites(half.map(({ key, namespace }) => Entry.put(namespace, key, "v")))
    yield* TestClock.adjust(6000)
    yield* logs.appendWrites(
      written.filter((_, i) => i % 2 === 1).map(({ key, namespace }) => Entry.put(namespace, key, "v"))
    )
    yield* logs.appendWrites(
      written.filter((_, i) => i % 3 === 0).map(({ key, namespace }) => Entry.remove(namespace, key))
    )
    const left = written.filter((_, i) => i % 3 !== 0).sort(RecordKey.compare)
    return { logs, records, left }
  })

  /** The keys of all pages, by `page` and by `keys`, which have to be the same. */
  const through = Effect.fnUntraced(function* (
    records: LocalRecords.LocalRecords["Service"],
    options: Omit<Pages.PageOptions, "after">
  ) {
    const found: Array<RecordKey.RecordKey> = []
    let after: RecordKey.RecordKey | undefined
    while (true) {
      const from = after === undefined ? {} : { after }
      const page = yield* records.page({ ...options, ...from })
      const alone = yield* records.keys({ ...options, ...from })
      const shown = page.records.map(({ key, namespace }) => ({ namespace, key }))
      assert.deepStrictEqual(alone, { keys: shown, unreadable: [], next: page.next })
      found.push(...shown)
      after = Option.getOrUndefined(page.next)
      if (after === undefined) return found
    }
  })

  it.effect("has its records, those that begin with a prefix, from the first on or from the last, each once", () =>
    Effect.gen(function* () {
      const { left, records } = yield* all
      for (const limit of [1, 3, 100]) {
        for (const reverse of [false, true]) {
          const inOrder = (range: RecordKey.Range) => {
            const within = left.filter((key) => RecordKey.isWithin(range, key))
            return reverse ? within.toReversed() : within
          }
          assert.deepStrictEqual(yield* through(records, { limit, reverse }), inOrder({}))
          for (const namespace of [...names, "none"]) {
            const of = left.filter((each) => each.namespace === namespace)
            const ordered = reverse ? of.toReversed() : of
            assert.deepStrictEqual(yield* through(records, { limit, reverse, namespace }), ordered)
            for (const prefix of ["", "k", "k1", "\uffff", "\u{10ffff}", "\u{10ffff}\u{10ffff}", "z"]) {
              assert.deepStrictEqual(
                yield* through(records, { limit, reverse, namespace, prefix }),
                ordered.filter(({ key }) => key.startsWith(prefix))
              )
            }
          }
        }
      }
    })
  )

  it.effect("of a range has the keys from the first on and before the last, those of a prefix among them", () =>
    Effect.gen(function* () {
      const { left, records } = yield* all
      const bounds = [undefined, "", "k", "k1", "\uffff", "\u{10000}", "z"]
      const isBefore = (a: string, b: string) =>
        RecordKey.compare({ namespace: "", key: a }, { namespace: "", key: b }) < 0
      for (const namespace of names) {
        for (const from of bounds) {
          for (const to of bounds) {
            if (from !== undefined && to !== undefined && isBefore(to, from)) continue
            for (const prefix of [undefined, "k"]) {
              const expected = left.filter(
                (each) =>
                  each.namespace === namespace &&
                  (from === undefined || !isBefore(each.key, from)) &&
                  (to === undefined || isBefore(each.key, to)) &&
                  each.key.startsWith(prefix ?? "")
              )
              const part = {
                namespace,
                ...(from === undefined ? {} : { from }),
                ...(to === undefined ? {} : { to }),
                ...(prefix === undefined ? {} : { prefix })
              }
              assert.deepStrictEqual(yield* through(records, { limit: 2, ...part }), expected)
              assert.deepStrictEqual(
                yield* through(records, { limit: 2, reverse: true, ...part }),
                expected.toReversed()
              )
              assert.deepStrictEqual(yield* records.count(part), { count: expected.length, unreadable: [] })
            }
          }
        }
      }
      assert.strictEqual((yield* records.count({})).count, left.length)
      assert.strictEqual((yield* records.count({ namespace: "none" })).count, 0)
    })
  )

  it.effect("of namespaces has those with a record, each once, in the order of their names", () =>
    Effect.gen(function* () {
      const { left, logs, records } = yield* all
      // More deleted keys than are looked at in one step, and a namespace of them alone.
      const gone = Array.from({ length: 100 }, (_, i) => Entry.remove(i < 50 ? "a" : `${names[0]}0`, `${i}`))
      yield* logs.appendWrites([...gone, Entry.put("zz", "k", "")])
      const expected = Array.from(new Set([...left.map(({ namespace }) => namespace), "zz"]))
      expected.sort((a, b) => RecordKey.compare({ namespace: a, key: "" }, { namespace: b, key: "" }))
      for (const limit of [1, 2, expected.length, 100]) {
        const found: Array<string> = []
        let after: string | undefined
        do {
          const page: Pages.NamespacesPage = yield* records.namespaces({
            limit,
            ...(after === undefined ? {} : { after })
          })
          assert.isNotEmpty(page.namespaces)
          assert.isAtMost(page.namespaces.length, limit)
          found.push(...page.namespaces)
          after = Option.getOrUndefined(page.next)
        } while (after !== undefined)
        assert.deepStrictEqual(found, expected)
      }
    })
  )

  it.effect("is refused by the name of what cannot be asked for", () =>
    Effect.gen(function* () {
      const { records } = yield* holding(1)
      const wrong: ReadonlyArray<readonly [field: ReadRejected["field"], options: object]> = [
        ["namespace", { namespace: "" }],
        ["namespace", { namespace: "\ud800" }],
        ["namespace", { namespace: 1 }],
        ["prefix", { prefix: "k" }],
        ["prefix", { namespace: "n", prefix: "\ud800" }],
        ["from", { from: "k" }],
        ["from", { namespace: "n", from: "\ud800" }],
        ["to", { to: "k" }],
        ["to", { namespace: "n", to: 1 }],
        ["to", { namespace: "n", from: "b", to: "a" }],
        ["reverse", { reverse: "yes" }],
        ["after", { namespace: "n", after: { namespace: "m", key: "k" } }],
        ["after", { namespace: "n", prefix: "k", after: { namespace: "n", key: "l" } }],
        ["after", { namespace: "n", to: "k", after: { namespace: "n", key: "k" } }]
      ]
      for (const [field, options] of wrong) {
        const asked: Pages.PageOptions = { limit: 1, ...options }
        for (const refused of [Effect.asVoid(records.page(asked)), Effect.asVoid(records.keys(asked))]) {
          const error = yield* Effect.flip(refused)
          assert.deepInclude(error, { _tag: "ReadRejected", field })
        }
        if (field === "reverse" || field === "after") continue
        assert.deepInclude(yield* Effect.flip(records.count(options)), { _tag: "ReadRejected", field })
      }
      for (const [field, options] of [
        ["limit", { limit: 0 }],
        ["after", { limit: 1, after: "" }],
        ["after", { limit: 1, after: "\ud800" }]
      ] as const) {
        const error = yield* Effect.flip(records.namespaces(options))
        assert.deepInclude(error, { _tag: "ReadRejected", field })
      }
    })
  )
})
