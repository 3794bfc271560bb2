/**
 * Appends batches, for ever or as many as asked for, and prints the last sequence of each after `append` returned. With
 * `erase` it erases what it appended before too, and prints up to where after `replace` returned; with `die` it is killed
 * at the end, as nobody can be who closes a file in order. Started by the tests.
 */
import { LogId, ReplicaSet } from "@quorum/core"
import { EntryBatch, RecordIndex, ReplicaStore, RunId, Watermark } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import * as fs from "node:fs"
import { LmdbStore } from "../../src/index.ts"
import { batchAfter, erased } from "./batches.ts"

const folder = process.argv[2]!
const rounds = Number(process.argv[3] ?? Number.POSITIVE_INFINITY)
const erases = process.argv[4] === "erase"

await Effect.gen(function* () {
  const store = yield* ReplicaStore.ReplicaStore
  const index = yield* RecordIndex.RecordIndex
  const log = LogId.make(store.identity.replica, store.identity.incarnation)
  let head = (yield* store.watermarks)[0] ?? Watermark.none(log)
  let erasedUpTo = 0
  for (let round = 0; round < rounds; round++) {
    head = yield* store.append(batchAfter(head))
    const newest = { namespace: "ns", key: "newest", log: head.log, seq: head.seq, tie: RunId.none, deleted: false }
    yield* index.merge([{ ...newest, clock: { wallTime: head.seq, logical: 0 } }], new Map([[head.log, head.seq]]))
    fs.writeSync(1, `${head.seq}\n`)
    if (!erases || round % 2 === 0) continue
    const page = Option.getOrThrow(yield* store.read(log, erasedUpTo, 30_000))
    yield* store.replace(erased(page))
    erasedUpTo = EntryBatch.last(page)
    fs.writeSync(1, `erased ${erasedUpTo}\n`)
  }
  if (process.argv[4] === "die") process.kill(process.pid, "SIGKILL")
}).pipe(
  Effect.provide(LmdbStore.layer({ folder })),
  Effect.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
  Effect.runPromise
)
