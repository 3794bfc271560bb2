// A user of @quorum/client, against a replica that is a program of its own.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createClient } from "@quorum/client"
import { QuorumClient } from "@quorum/client/effect"
import { Replica, ReplicaSet } from "@quorum/core"
import { HttpNode } from "@quorum/http/node"
import { SqliteStore } from "@quorum/sqlite"
import { Effect, Layer, Logger, Option } from "effect"

const port = 23_431
const url = `http://127.0.0.1:${port}`
const folder = mkdtempSync(join(tmpdir(), "quorum-outside-"))

const replica = Replica.layer().pipe(
  HttpNode.serve({ peers: { a: url }, port }),
  Layer.provide(SqliteStore.layer({ folder })),
  Layer.provide(ReplicaSet.layer({ cluster: "outside", self: "a", members: ["a"] }))
)

const use = async () => {
  // The second one is nobody.
  const client = createClient({ urls: [url, "http://127.0.0.1:23432"] })
  const receipt = await client.put("notes", "greeting", "hello")
  const record = await client.get("notes", "greeting")
  await client.close()
  return `committed on ${receipt.acked.length} of ${receipt.policy.n}, read back ${record?.text()}`
}

/** The same for a program of Effect. */
const useEffect = Effect.gen(function* () {
  const quorum = yield* QuorumClient.QuorumClient
  const record = Option.getOrThrow(yield* quorum.get("notes", "greeting"))
  yield* quorum.delete("notes", record.key)
  return `${record.text()}, and deleted`
}).pipe(Effect.provide(QuorumClient.layer({ urls: [url] })))

const program = Layer.build(replica).pipe(
  Effect.andThen(Effect.promise(use)),
  Effect.zipWith(useEffect, (promised, effected) => `${promised}; as an effect ${effected}`),
  Effect.scoped,
  Effect.provide(Logger.layer([]))
)

console.log(await Effect.runPromise(program))
rmSync(folder, { recursive: true })
