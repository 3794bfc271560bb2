// A user of @quorum/client, against a replica that is a program of its own.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createClient } from "@quorum/client"
import { Replica, ReplicaSet } from "@quorum/core"
import { HttpNode } from "@quorum/http/node"
import { SqliteStore } from "@quorum/sqlite"
import { Effect, Layer, Logger } from "effect"

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

const program = Layer.build(replica).pipe(
  Effect.andThen(Effect.promise(use)),
  Effect.scoped,
  Effect.provide(Logger.layer([]))
)

console.log(await Effect.runPromise(program))
rmSync(folder, { recursive: true })
