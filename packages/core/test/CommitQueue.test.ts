import { assert, describe, it } from "@effect/vitest"
import { Entry } from "../src/index.ts"
import * as CommitQueue from "../src/write/internal/CommitQueue.ts"
import * as Cluster from "./support/cluster.ts"

const policy = Cluster.policy(1, 1)

const commit = (key: string, bytes = 1, monotonicMillis = 0): CommitQueue.Commit => ({
  monotonicMillis,
  write: Entry.put("n", key, new Uint8Array(bytes)),
  valueBytes: bytes,
  span: undefined,
  policy,
  resume: () => undefined,
  seq: 0,
  mark: 0,
  after: undefined,
  check: 0,
  version: undefined,
  onDurable: undefined,
  onNotWritten: undefined,
  unprobed: true,
  drawn: undefined,
  onDrawn: undefined,
  cancelled: false
})

const keys = (commits: ReadonlyArray<CommitQueue.Commit>) =>
  commits.flatMap(({ write }) => Entry.listOf(write!).map(({ key }) => key))

describe("CommitQueue", () => {
  it("gives writes in the order in which they came, and counts them and their bytes", () => {
    const queue = CommitQueue.make()
    for (const [key, bytes] of [
      ["a", 1],
      ["b", 2],
      ["c", 3]
    ] as const)
      queue.offer(commit(key, bytes))
    assert.deepStrictEqual([queue.size(), queue.bytes()], [3, 6])
    assert.deepStrictEqual(keys(queue.takeBatch()), ["a", "b", "c"])
    assert.deepStrictEqual([queue.size(), queue.bytes()], [0, 0])
    assert.deepStrictEqual(queue.takeBatch(), [])
  })

  it("gives as many as fit into one append, and one that is larger by itself", () => {
    const queue = CommitQueue.make()
    const half = 256 * 1024 - Entry.maxSize(commit("x", 0).write!)
    for (const [key, bytes] of [
      ["a", half],
      ["b", half],
      ["c", 1],
      ["d", 4 * half],
      ["e", 1]
    ] as const) {
      queue.offer(commit(key, bytes))
    }
    assert.deepStrictEqual(keys(queue.takeBatch()), ["a", "b"])
    assert.deepStrictEqual(keys(queue.takeBatch()), ["c"])
    assert.deepStrictEqual([queue.size(), queue.bytes()], [2, 4 * half + 1])
    assert.deepStrictEqual(keys(queue.takeBatch()), ["d"])
    assert.deepStrictEqual(keys(queue.takeBatch()), ["e"])
  })

  it("leaves out what nobody waits for any more, and its bytes", () => {
    const queue = CommitQueue.make()
    const [kept, gone] = [commit("kept", 1), commit("gone", 2)]
    for (const each of [gone, kept]) queue.offer(each)
    gone.cancelled = true
    assert.deepStrictEqual(keys(queue.takeBatch()), ["kept"])
    assert.deepStrictEqual([queue.size(), queue.bytes()], [0, 0])
  })

  it("takes out what is overdue, and keeps the order and the bytes of the rest", () => {
    const queue = CommitQueue.make()
    for (const [key, at] of [
      ["a", 1],
      ["b", 5],
      ["c", 2],
      ["d", 5]
    ] as const)
      queue.offer(commit(key, 10, at))
    assert.deepStrictEqual(keys(queue.takeOverdue(({ monotonicMillis }) => monotonicMillis < 5)), ["a", "c"])
    assert.deepStrictEqual([queue.size(), queue.bytes()], [2, 20])
    assert.deepStrictEqual(
      queue.takeOverdue(() => false),
      []
    )
    assert.deepStrictEqual(keys(queue.takeBatch()), ["b", "d"])
  })
})
