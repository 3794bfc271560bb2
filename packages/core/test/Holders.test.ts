/** What the answers of several replicas say about who holds a write. */
import { assert, describe, it } from "@effect/vitest"
import { type LogId, WriteId } from "../src/index.ts"
import { RunId } from "../src/adapter.ts"
import type { NewestWrite } from "../src/peer/KeyReader.ts"
import * as decide from "../src/read/internal/decide.ts"
import * as Cluster from "./support/cluster.ts"

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
