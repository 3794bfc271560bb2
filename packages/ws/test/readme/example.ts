import { Replica, ReplicaSet } from "@quorum/core"
import { SqliteStore } from "@quorum/sqlite"
import { WsNode } from "../../src/node.ts"
import { Layer, type Redacted } from "effect"

/** One of three replicas: the same program runs on each machine, with its own `self`. */
export const replica = (
  self: "a" | "b" | "c",
  peers: Record<"a" | "b" | "c", string>,
  folder: string,
  secret: Redacted.Redacted<string>
) =>
  Replica.layer().pipe(
    WsNode.serve({ peers, port: Number(new URL(peers[self]).port), secret }),
    Layer.provide(SqliteStore.layer({ folder })),
    Layer.provide(ReplicaSet.layer({ cluster: "notes", self, members: Object.keys(peers) }))
  )
