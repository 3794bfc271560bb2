/**
 * Starts on a full disk, says what works there, removes the file that fills it, and says what works then. Started by the
 * tests, since LMDB may end the process.
 */
import { ReplicaSet } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Logger, Option, Result } from "effect"
import * as fs from "node:fs"
import { LmdbStore } from "../../src/index.ts"
import { batchAfter } from "./batches.ts"

const [folder, filler] = process.argv.slice(2) as [string, string]
const print = (text: string) => fs.writeSync(1, `${text}\n`)

await Effect.gen(function* () {
  const store = yield* ReplicaStore.ReplicaStore
  const index = yield* RecordIndex.RecordIndex
  // A replica counts its starts, and none comes about without that.
  yield* store.setNotes({ starts: "2" })
  const [head] = yield* store.watermarks
  print(`reads ${Option.isSome(yield* store.read(head!.log, head!.seq - 1, 1 << 20))}`)
  const progress = new Map([[head!.log, head!.seq]])
  if ((yield* index.progress).size === 0) {
    const merged = yield* Effect.result(index.merge([], progress))
    print(Result.isFailure(merged) ? merged.failure.reason : "merged")
  }
  fs.rmSync(filler)
  yield* Effect.catchTags(store.append(batchAfter(head!)), { AppendDrift: Effect.die, AppendGap: Effect.die })
  yield* index.merge([], progress)
  print(`covers ${(yield* index.progress).get(head!.log) === head!.seq}`)
}).pipe(
  Effect.catch((error) => Effect.sync(() => print(error.reason))),
  Effect.provide(LmdbStore.layer({ folder })),
  Effect.catch((error) => Effect.sync(() => print(error.reason))),
  Effect.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
  Effect.provide(Logger.layer([])),
  Effect.runPromise
)
