/** What a replica gives of its own log before the store has said what became of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Option } from "effect"
import { RecordIndex, ReplicaStore } from "../src/adapter.ts"
import { Entry, ReplicaId } from "../src/index.ts"
import * as Reads from "./support/reads.ts"

const put = (key: string) => Entry.put("notes", key, "v")

describe("own entries", () => {
  it.effect("that the store holds and has not answered for are pushed to nobody, with those before them", () =>
    Effect.gen(function* () {
      const memory = yield* ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a") })
      const { steps: _, ...store } = memory
      const first = yield* Reads.open(store, yield* RecordIndex.makeMemory)
      yield* first.logs.appendWrites([put("1")])
      // Started anew, so that what is read comes from the store.
      const answers = yield* Latch.make(false)
      const slow = {
        ...store,
        append: (batch: Parameters<typeof store.append>[0]) => Effect.ensuring(store.append(batch), answers.await)
      }
      const { logs } = yield* Reads.open(slow, yield* RecordIndex.makeMemory)
      const appending = yield* Effect.forkChild(logs.appendWrites([put("2")]), { startImmediately: true })
      const seen = Effect.map(
        logs.readOwn(0, 1_000_000),
        Option.map(({ count }) => count)
      )
      assert.strictEqual((yield* memory.watermarks)[0]?.seq, 2)
      assert.deepStrictEqual(yield* seen, Option.some(1))
      yield* answers.open
      yield* Fiber.join(appending)
      assert.deepStrictEqual(yield* seen, Option.some(2))
    })
  )
})
