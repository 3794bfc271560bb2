import { Effect, Layer, Option } from "effect"
import { Persistence } from "effect/persistence"
import { ClientKeyValueStore, QuorumClient } from "../../src/effect.ts"

const client = QuorumClient.layer({ urls: ["http://127.0.0.1:8001", "http://127.0.0.1:8002", "http://127.0.0.1:8003"] })

export const program = Effect.gen(function* () {
  const quorum = yield* QuorumClient.QuorumClient
  // A write that waits too long for its quorum is durable somewhere, and never written again.
  yield* quorum
    .put("notes", "greeting", "hello", { w: 3 })
    .pipe(Effect.catchTag("quorum_not_met", ({ writeId }) => quorum.resume(writeId)))
  return Option.map(yield* quorum.get("notes", "greeting"), (record) => record.text())
}).pipe(Effect.provide(client))

/** Effect's own ports on the namespace `results`. */
export const store = ClientKeyValueStore.layer("results").pipe(Layer.provide(client))
export const persistence = Persistence.layerKvs.pipe(Layer.provide(store))
