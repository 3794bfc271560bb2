import { Entry, QuorumPolicy, QuorumWriter, Records, Replica, ReplicaId, ReplicaSet } from "@quorum/core"
import { PeerTransport } from "@quorum/core/adapter"
import { SqliteStore } from "../../src/index.ts"
import { Effect, Layer, Result } from "effect"

/** A replica set of one. For more, name them as members and give the replica a transport that reaches the others. */
const replica = (folder: string) =>
  Replica.layer({ policy: Result.getOrThrow(QuorumPolicy.majority(1)) }).pipe(
    Layer.provide([
      SqliteStore.layer({ folder, cluster: "demo", replica: ReplicaId.make("a") }),
      PeerTransport.layerMemory.pipe(Layer.provide(PeerTransport.MemoryNetwork.layer))
    ]),
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
