import { Entry, QuorumWriter, Records, Replica, ReplicaSet } from "@quorum/core"
import { MemoryNetwork } from "@quorum/core/adapter"
import { LmdbStore } from "../../src/index.ts"
import { Effect, Layer } from "effect"

/** A replica set of one. For more, name them as members and give the replica a transport that reaches the others. */
const replica = (folder: string) =>
  Replica.layer().pipe(
    Layer.provide([LmdbStore.layer({ folder }), MemoryNetwork.layerAlone]),
    Layer.provide(ReplicaSet.layer({ cluster: "demo", self: "a", members: ["a"] }))
  )

/** Commits a write: it is on the disk when `commit` returns. */
export const write = (folder: string) =>
  Effect.gen(function* () {
    const writer = yield* QuorumWriter.QuorumWriter
    return yield* writer.commit(Entry.put("notes", "greeting", "hello"))
  }).pipe(Effect.provide(replica(folder)))

/** Another run of the program finds it. */
export const read = (folder: string) =>
  Effect.gen(function* () {
    const records = yield* Records.Records
    return yield* records.read("notes", "greeting")
  }).pipe(Effect.provide(replica(folder)))
