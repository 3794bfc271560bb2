/** Stores of tests, as they were a while ago. */
import { Effect, Option } from "effect"
import { ReplicaStore } from "../../src/adapter.ts"

/** What a store holds, as it was: to be put back into the same place, which raises no doubt. */
export const copyOf = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"]) {
  const copy = yield* ReplicaStore.makeMemory(store.identity)
  for (const name of ["starts", "lives", "remembered", "givenUp"]) {
    yield* copy.setNotes({ [name]: Option.getOrElse(yield* store.note(name), () => "") })
  }
  for (const { log } of yield* store.watermarks) {
    yield* copy.append(Option.getOrThrow(yield* store.read(log, 0, 1_000_000)))
  }
  return copy
})
