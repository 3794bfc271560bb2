import { createServer } from "node:http"
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { Entry, QuorumPolicy, QuorumWriter, Replica, ReplicaId, ReplicaSet } from "@quorum/core"
import { HttpPeerTransport, HttpReplicaServer } from "@quorum/http"
import { SqliteStore } from "@quorum/sqlite"
import { Effect, Layer, Result } from "effect"

/** One of three replicas: the same program runs on each machine, with its own `self`. */
export const replica = (self: "a" | "b" | "c", peers: Record<"a" | "b" | "c", string>, folder: string) =>
  HttpReplicaServer.layer().pipe(
    Layer.provideMerge(Replica.layer({ policy: Result.getOrThrow(QuorumPolicy.majority(3)) })),
    Layer.provide(NodeHttpServer.layer(createServer, { port: Number(new URL(peers[self]).port) })),
    Layer.provide(HttpPeerTransport.layer({ peers })),
    Layer.provide(SqliteStore.layer({ folder, cluster: "notes", replica: ReplicaId.make(self) })),
    Layer.provide(ReplicaSet.layer({ cluster: "notes", self, members: Object.keys(peers) })),
    Layer.provide(NodeHttpClient.layerUndici)
  )

/** Commits a write from inside the process of a replica. Other programs use the HTTP API of any replica. */
export const write = Effect.gen(function* () {
  const writer = yield* QuorumWriter.QuorumWriter
  const receipt = yield* writer.commit(Entry.put("notes", "greeting", "hello"))
  return `${receipt.writeId} is durable on ${receipt.acked.join(" and ")}`
}).pipe(Effect.catchTag("QuorumNotMet", (error) => Effect.succeed(`${error.message}; call resume("${error.writeId}")`)))
