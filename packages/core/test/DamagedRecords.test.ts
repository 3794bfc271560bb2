/** Pages and reads of records that are damaged here. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import type * as LocalRecords from "../src/record/LocalRecords.ts"
import type * as Pages from "../src/record/Pages.ts"
import type { ReadRejected } from "../src/record/ReadRejected.ts"
import { Entry, WriteId } from "../src/index.ts"
import { RecordIndex, ReplicaStore } from "../src/adapter.ts"
import { memory, open } from "./support/reads.ts"

/** Reads on a store in which the entries of these keys are damaged; the keys are 0 to 9, written in this order. */
const damaging = Effect.fnUntraced(function* (
  bad: ReadonlyArray<number>,
  change: typeof same = same,
  nextIndex?: typeof RecordIndex.makeMemory
) {
  const store = yield* memory
  const index = yield* RecordIndex.makeMemory
  const ids: Array<WriteId.WriteId> = []
  const own = yield* Effect.gen(function* () {
    const { logs } = yield* open(store, index)
    for (let key = 0; key < 10; key++) {
      const { checks } = yield* logs.appendWrites([Entry.put("n", `${key}`, `v${key}`)])
      ids.push(WriteId.make(logs.own, key + 1, checks[0]!))
    }
    return logs.own
  }).pipe(Effect.scoped)
  for (const key of bad) store.damage(own, key + 1)
  const found = nextIndex === undefined ? index : yield* nextIndex
  return { ...(yield* open(change(store), found)), own, ids }
})

const same = (store: ReplicaStore.ReplicaStore["Service"]): ReplicaStore.ReplicaStore["Service"] => store

/** Every page of a list, as the keys of its records and of what is damaged. */
const pages = Effect.fnUntraced(function* (
  records: LocalRecords.LocalRecords["Service"],
  limit: number
): Effect.fn.Return<ReadonlyArray<string>, ReplicaStore.StoreError | ReadRejected> {
  const all: Array<string> = []
  let after: { namespace: string; key: string } | undefined
  do {
    const page: Pages.Page = yield* records.page({ limit, ...(after === undefined ? {} : { after }) })
    all.push([...page.records.map(({ key }) => key), ...page.damaged.map(({ key }) => `!${key}`)].join(" "))
    after = Option.getOrUndefined(page.next)
  } while (after !== undefined)
  // Whether anything follows a full page shows only on the next.
  return all.filter((page) => page !== "")
})

describe("DamageIsLocal: a page of records", () => {
  for (const [where, bad, limit, expected] of [
    ["first on its page", [5], 5, ["0 1 2 3 4", "6 7 8 9 !5"]],
    ["in the middle of its page", [2], 5, ["0 1 3 4 !2", "5 6 7 8 9"]],
    ["last on its page", [4], 5, ["0 1 2 3 !4", "5 6 7 8 9"]],
    ["the newest of all", [9], 100, ["0 1 2 3 4 5 6 7 8 !9"]],
    ["alone on its page", [3], 1, ["0", "1", "2", "!3", "4", "5", "6", "7", "8", "9"]],
    ["several in a row, over the end of a page", [3, 4, 5, 6], 5, ["0 1 2 !3 !4", "7 8 9 !5 !6"]],
    ["all of a page", [5, 6, 7, 8, 9], 5, ["0 1 2 3 4", "!5 !6 !7 !8 !9"]],
    ["all there is", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4, ["!0 !1 !2 !3", "!4 !5 !6 !7", "!8 !9"]]
  ] as const) {
    it.effect(`names a record that is damaged, and goes on: ${where}`, () =>
      Effect.gen(function* () {
        const { records } = yield* damaging(bad)
        assert.deepStrictEqual(yield* pages(records, limit), expected)
        // It says so each time.
        assert.deepStrictEqual(yield* pages(records, limit), expected)
      })
    )
  }

  it.effect("says by its place which record is damaged; a read of it is an error, and one of another is not", () =>
    Effect.gen(function* () {
      const { own, records } = yield* damaging([9])
      const { damaged } = yield* records.page({ limit: 100 })
      assert.deepStrictEqual(damaged, [{ namespace: "n", key: "9", log: own, seq: 10 }])
      const error = yield* Effect.flip(records.read("n", "9"))
      assert(error._tag === "StoreError")
      assert.strictEqual(error.reason, "corrupt")
      assert.isTrue(Option.isSome(yield* records.read("n", "8")))
    })
  )

  it.effect(
    "ReadYourWrites: a read that waits for a damaged write is an error, also when its key is known no more",
    () =>
      Effect.gen(function* () {
        const { ids, records } = yield* damaging([9], same, RecordIndex.makeMemory)
        assert.isTrue(Option.isNone(yield* records.read("n", "9")))
        const error = yield* Effect.flip(records.read("n", "9", { atLeast: ids[9]! }))
        assert(error._tag === "StoreError")
        assert.strictEqual(error.reason, "corrupt")
        assert.isTrue(Option.isSome(yield* records.read("n", "8", { atLeast: ids[8]! })))
      })
  )

  it.effect("fails whole when the store does not work at all", () =>
    Effect.gen(function* () {
      const broken = new ReplicaStore.StoreError({ reason: "unavailable", detail: "EIO" })
      let works = true
      const { records } = yield* damaging([2], (store) => ({
        ...store,
        read: (...args) => (works ? store.read(...args) : Effect.fail(broken))
      }))
      works = false
      assert.strictEqual(yield* Effect.flip(records.page({ limit: 5 })), broken)
    })
  )
})
