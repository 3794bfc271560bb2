// A user of @quorum/http with @quorum/sqlite: three replicas on loopback, a write through one and read on another.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Entry, QuorumWriter, Records, Replica, ReplicaSet } from "@quorum/core"
import { HttpNode } from "@quorum/http/node"
import { SqliteStore } from "@quorum/sqlite"
import { Context, Effect, Layer, Logger, Option, Schedule } from "effect"

const ports = { a: 23_411, b: 23_412, c: 23_413 }
const peers = Object.fromEntries(Object.entries(ports).map(([id, port]) => [id, `http://127.0.0.1:${port}`]))
const folder = mkdtempSync(join(tmpdir(), "quorum-outside-"))

const replica = (self: keyof typeof ports) =>
  Replica.layer().pipe(
    HttpNode.serve({ insecure: true, peers, port: ports[self] }),
    Layer.provide(SqliteStore.layer({ folder: join(folder, self) })),
    Layer.provide(ReplicaSet.layer({ cluster: "outside", self, members: Object.keys(ports) }))
  )

const program = Effect.gen(function* () {
  const b = yield* Layer.build(replica("b"))
  yield* Layer.build(replica("c"))
  const a = yield* Layer.build(replica("a"))
  const receipt = yield* Context.get(a, QuorumWriter.QuorumWriter).commit(Entry.put("notes", "greeting", "hello"))
  // Two of three have committed it; the third may not have met all of them yet since it was started.
  const record = yield* Context.get(b, Records.Records)
    .read("notes", "greeting", { atLeast: receipt.writeId })
    .pipe(Effect.retry({ while: ({ _tag }) => _tag === "NotReady", schedule: Schedule.spaced(50), times: 100 }))
  return `committed on ${receipt.acked.length} of ${receipt.policy.n}, read back ${new TextDecoder().decode(Option.getOrThrow(record).value)}`
}).pipe(Effect.scoped, Effect.provide(Logger.layer([])))

console.log(await Effect.runPromise(program))
rmSync(folder, { recursive: true })
