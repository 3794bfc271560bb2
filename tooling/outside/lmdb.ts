// A user of @quorum/lmdb: a replica set of one, which is closed and opened again.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Entry, QuorumWriter, Records, Replica, ReplicaSet } from "@quorum/core"
import { MemoryNetwork } from "@quorum/core/adapter"
import { LmdbStore } from "@quorum/lmdb"
import { Effect, Layer, Logger, Option } from "effect"

const folder = mkdtempSync(join(tmpdir(), "quorum-outside-"))

const replica = Replica.layer().pipe(
  Layer.provide([LmdbStore.layer({ folder }), MemoryNetwork.layerAlone]),
  Layer.provide(ReplicaSet.layer({ cluster: "outside", self: "a", members: ["a"] })),
  Layer.fresh
)

const write = Effect.gen(function* () {
  return yield* (yield* QuorumWriter.QuorumWriter).commit(Entry.put("notes", "greeting", "hello"))
}).pipe(Effect.provide(replica))
const read = Effect.gen(function* () {
  return yield* (yield* Records.Records).read("notes", "greeting")
}).pipe(Effect.provide(replica))

const program = Effect.gen(function* () {
  const receipt = yield* write
  const record = yield* read
  return `committed on ${receipt.acked.length} of ${receipt.policy.n}, read back ${new TextDecoder().decode(Option.getOrThrow(record).value)}`
}).pipe(Effect.provide(Logger.layer([])))

console.log(await Effect.runPromise(program))
rmSync(folder, { recursive: true, force: true })
