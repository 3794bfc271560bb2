/** Replicas of which there are two, and links that are cut. */
import { Effect, Option } from "effect"
import { ReplicaStore } from "../../src/adapter.ts"
import { LogId } from "../../src/index.ts"
import type * as Cluster from "./cluster.ts"

type Made = Effect.Success<ReturnType<typeof Cluster.make>>

/** Cuts the links of one replica to others, both ways. */
export const apart = (cluster: Made, one: string, others: string) => {
  for (const other of others) {
    cluster.cut(one, other)
    cluster.cut(other, one)
  }
}

/** Heals them. */
export const together = (cluster: Made, one: string, others: string) => {
  for (const other of others) {
    cluster.join(one, other)
    cluster.join(other, one)
  }
}

/** The store of a replica as it is now, kept for later, with what it has noted. */
export const copyOf = Effect.fnUntraced(function* (
  store: ReplicaStore.ReplicaStore["Service"],
  doubt: ReplicaStore.Doubt
) {
  const before = store.identity.incarnation
  const incarnation = doubt === "other_boot" ? (yield* LogId.incarnations)(before, "boot") : before
  const copy = yield* ReplicaStore.makeMemory({ ...store.identity, incarnation, doubt })
  for (const name of ["starts", "lives"]) {
    yield* copy.setNotes({ [name]: Option.getOrElse(yield* store.note(name), () => "") })
  }
  for (const { log } of yield* store.watermarks) {
    yield* copy.append(Option.getOrThrow(yield* store.read(log, 0, 1_000_000)))
  }
  return copy
})
