/** The record index of a replica that gives up its side of a log for that of others. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option } from "effect"
import { EntryBatch, RecordIndex, type ReplicaStore, Watermark } from "../src/adapter.ts"
import { Entry, LogId, ReplicaId } from "../src/index.ts"
import { memory, open } from "./support/reads.ts"
import { pass } from "./support/time.ts"

const log = LogId.make(ReplicaId.make("b"), "0000000000000001" as LogId.Incarnation)

/** Entries of one key each, after those that end with `end`. */
const batch = (end: Watermark.Watermark, ...keys: ReadonlyArray<string>) =>
  EntryBatch.encodeStamped(
    end,
    keys.map((key) => Entry.put("n", key, "v")),
    (index) => ({ clock: { wallTime: 1, logical: index }, tie: "00000000000000aa" as never, unprobed: false })
  ).batch

const shared = batch(Watermark.none(log), "shared")
const mine = batch(EntryBatch.watermark(shared), "mine 1", "mine 2")
const theirs = batch(EntryBatch.watermark(shared), "theirs 1", "theirs 2", "theirs 3")

it.effect(
  "an index that covers what is given up is thrown away before the log goes on, so no start takes it for right",
  () =>
    Effect.gen(function* () {
      const durable = yield* memory
      const index = yield* RecordIndex.makeMemory
      const isFree = Latch.makeUnsafe(true)
      const merge: typeof index.merge = (pointers, progress) =>
        Effect.andThen(isFree.await, index.merge(pointers, progress))
      const { logs, records } = yield* open(durable, { ...index, merge })
      yield* logs.append(shared)
      yield* logs.append(mine)
      yield* pass(6000)
      assert.strictEqual((yield* index.progress).get(log), 3)
      // A step of the index takes its time.
      isFree.closeUnsafe()
      yield* logs.appendWrites([Entry.put("n", "own", "v")])
      yield* pass(6000)
      const replacing = yield* Effect.forkChild(logs.replace(theirs, 3))
      yield* pass(20)
      // What a start finds that comes now.
      yield* isNotAhead(durable, index)
      isFree.openUnsafe()
      yield* pass(20)
      yield* isNotAhead(durable, index)
      assert.isTrue(yield* Fiber.join(replacing))
      yield* pass(6000)
      for (const key of ["shared", "theirs 1", "theirs 2", "theirs 3", "own"]) {
        assert.isTrue(Option.isSome(yield* records.read("n", key)), key)
      }
      assert.isTrue(Option.isNone(yield* records.read("n", "mine 2")))
    })
)

/** The index knows all that it says it covers, or more than the logs have: then it is thrown away by a start. */
const isNotAhead = Effect.fnUntraced(function* (
  store: ReplicaStore.ReplicaStore["Service"],
  index: RecordIndex.RecordIndex["Service"]
) {
  const head = (yield* store.watermarks).find((watermark) => watermark.log === log)?.seq ?? 0
  const covered = (yield* index.progress).get(log) ?? 0
  const isKnown = Option.isSome(yield* index.get("n", "theirs 2"))
  assert.isTrue(covered > head || covered < 3 || isKnown, `covers ${covered} of ${head}`)
})
