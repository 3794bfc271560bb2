/** One replica as a process: told what it is by a JSON argument, it says a line when it takes requests. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Replica, ReplicaSet } from "@quorum/core"
import { ClientTokens } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { SqliteStore } from "@quorum/sqlite"
import { Effect, Layer, Logger } from "effect"

const { folder, origins, peers, self, tokens } = JSON.parse(process.argv[2]!) as {
  readonly self: string
  readonly peers: Readonly<Record<string, string>>
  readonly folder: string
  /** The file of the tokens that clients need, if they need any. */
  readonly tokens?: string
  /** The pages of which browsers may ask. */
  readonly origins?: ReadonlyArray<string>
}

const replica = Replica.layer().pipe(
  HttpNode.serve({ insecure: true, origins: origins ?? [], peers, port: Number(new URL(peers[self]!).port) }),
  Layer.provide(SqliteStore.layer({ folder })),
  Layer.provide(ReplicaSet.layer({ cluster: "client", self, members: Object.keys(peers) })),
  Layer.provide(
    tokens === undefined ? Layer.empty : Layer.provide(ClientTokens.layerFile(tokens), NodeFileSystem.layer)
  ),
  Layer.provide(Logger.layer([]))
)

process.stdin.on("end", () => process.exit(0)).resume()

Layer.build(replica).pipe(
  Effect.andThen(Effect.sync(() => console.log("ready"))),
  Effect.andThen(Effect.never),
  Effect.scoped,
  NodeRuntime.runMain
)
