import { Entry, QuorumWriter, Replica, ReplicaSet } from "@quorum/core"
import { HttpNode } from "@quorum/http/node"
import { SqliteStore } from "@quorum/sqlite"
import { Effect, Layer, type Redacted } from "effect"

/** One of three replicas: the same program runs on each machine, with its own `self`. */
export const replica = (
  self: "a" | "b" | "c",
  peers: Record<"a" | "b" | "c", string>,
  folder: string,
  secret: Redacted.Redacted<string>
) =>
  Replica.layer().pipe(
    HttpNode.serve({ peers, port: Number(new URL(peers[self]).port), secret }),
    Layer.provide(SqliteStore.layer({ folder })),
    Layer.provide(ReplicaSet.layer({ cluster: "notes", self, members: Object.keys(peers) }))
  )

/** Commits a write from inside the process of a replica. Other programs use the HTTP API of any replica. */
export const write = Effect.gen(function* () {
  const writer = yield* QuorumWriter.QuorumWriter
  const receipt = yield* writer.commit(Entry.put("notes", "greeting", "hello"))
  return `${receipt.writeId} is durable on ${receipt.acked.map(({ replica }) => replica).join(" and ")}`
}).pipe(Effect.catchTag("QuorumNotMet", (error) => Effect.succeed(`${error.message}; call resume("${error.writeId}")`)))
