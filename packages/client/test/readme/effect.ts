import { Effect, Layer, Option } from "effect"
import { Persistence } from "effect/persistence"
import { ClientKeyValueStore, QuorumClient } from "../../src/effect.ts"

const replicas = ["http://127.0.0.1:8001", "http://127.0.0.1:8002", "http://127.0.0.1:8003"]

export const program = Effect.gen(function* () {
  const quorum = yield* QuorumClient.QuorumClient
  // A write that waits too long for its quorum is durable somewhere, and never written again.
  yield* quorum
    .put("notes", "greeting", "hello", { w: 3 })
    .pipe(Effect.catchTag("quorum_not_met", ({ writeId }) => quorum.resume(writeId)))
  return Option.map(yield* quorum.get("notes", "greeting"), (record) => record.text())
})

/** Effect's own ports on the namespace `results`, and the client, for `Effect.provide(program, services())`. */
export const services = (urls = replicas) =>
  Persistence.layerKvs.pipe(
    Layer.provideMerge(ClientKeyValueStore.layer("results")),
    Layer.provideMerge(QuorumClient.layer({ urls }))
  )
