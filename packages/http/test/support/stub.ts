/** The client API on a real socket, with services that answer as told: for what a replica seldom answers. */
import { NodeHttpServer } from "@effect/platform-node"
import { Limits, QuorumError, QuorumWriter, Records, ReplicaId, ReplicaSet } from "@quorum/core"
import { Peers, ReplicaLogs, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer, Logger, Option, Result } from "effect"
import * as Http from "node:http"
import { HttpReplicaServer } from "../../src/index.ts"
import { freePort, policy } from "./cluster.ts"

/** Serves the API; `log` collects what the replica writes to its log. */
export const serve = Effect.fnUntraced(function* (answers: {
  readonly commit?: QuorumWriter.QuorumWriter["Service"]["commit"]
  readonly resume?: QuorumWriter.QuorumWriter["Service"]["resume"]
  readonly read?: Records.Records["Service"]["read"]
  readonly page?: Records.Records["Service"]["page"]
}) {
  const port = yield* freePort
  const log: Array<string> = []
  const members = Result.getOrThrow(ReplicaSet.make({ cluster: "test", self: "a", members: ["a", "b", "c"] }))
  const writer = QuorumWriter.QuorumWriter.of({
    policy: policy(3, 2),
    policyOf: () => policy(3, 2),
    limits: Limits.defaults,
    commit: () => Effect.die("not expected"),
    resume: () => Effect.die("not expected"),
    status: (writeId) => new QuorumError.WriteUnknown({ writeId }),
    ...answers
  })
  const records = Records.Records.of({
    read: () => Effect.succeed(Option.none()),
    page: () => Effect.succeed({ records: [], next: Option.none() }),
    ...answers
  })
  const logger = Logger.make(({ message }) => void log.push(String(message)))
  yield* Layer.build(
    HttpReplicaServer.layerClients.pipe(
      Layer.provide(NodeHttpServer.layerServer(() => Http.createServer(), { host: "127.0.0.1", port })),
      Layer.provide(Layer.succeed(QuorumWriter.QuorumWriter, writer)),
      Layer.provide(Layer.succeed(Records.Records, records)),
      Layer.provide(ReplicaLogs.layer),
      Layer.provide(ReplicaStore.layerMemory({ cluster: "test", replica: ReplicaId.make("a") })),
      Layer.provide(Peers.layer),
      Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, members)),
      Layer.provide(Logger.layer([logger]))
    )
  )
  return { url: `http://127.0.0.1:${port}`, log }
})
