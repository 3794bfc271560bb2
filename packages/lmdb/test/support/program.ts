/** Appends batches for ever, and prints the last sequence of each after `append` returned. Started by the tests. */
import { Entry, HybridLogicalClock, LogId, ReplicaSet } from "@quorum/core"
import { EntryBatch, RecordIndex, ReplicaStore, RunId, Watermark } from "@quorum/core/adapter"
import { Effect } from "effect"
import * as fs from "node:fs"
import { LmdbStore } from "../../src/index.ts"

const folder = process.argv[2]!

await Effect.gen(function* () {
  const store = yield* ReplicaStore.ReplicaStore
  const index = yield* RecordIndex.RecordIndex
  const log = LogId.make(store.identity.replica, store.identity.incarnation)
  let head = (yield* store.watermarks)[0] ?? Watermark.none(log)
  while (true) {
    const { seq } = head
    const writes = Array.from({ length: 1 + (seq % 7) }, (_, i) =>
      Entry.put("ns", `key ${seq + 1 + i}`, `${seq + 1 + i}`.padEnd((seq % 11) * 1000))
    )
    head = yield* store.append(EntryBatch.encode(head, writes, HybridLogicalClock.zero, 1_700_000_000_000 + seq).batch)
    const newest = { namespace: "ns", key: "newest", log: head.log, seq: head.seq, tie: RunId.none, deleted: false }
    yield* index.merge([{ ...newest, clock: { wallTime: head.seq, logical: 0 } }], new Map([[head.log, head.seq]]))
    fs.writeSync(1, `${head.seq}\n`)
  }
}).pipe(
  Effect.provide(LmdbStore.layer({ folder })),
  Effect.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
  Effect.runPromise
)
