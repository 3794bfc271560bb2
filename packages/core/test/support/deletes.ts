/** What tests of deletes that are forgotten have in common. */
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Entry } from "../../src/index.ts"
import { StampHorizon } from "../../src/log/Floor.ts"
import type * as Cluster from "./cluster.ts"

export const put = (key: string, value = "v") => Entry.put("n", key, value)
export const remove = (key: string) => Entry.remove("n", key)

/** The test of a replica set whose stamps are good for five seconds, so that deletes are old soon. */
export const test = <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.provideService(body, StampHorizon, 5000)

/** A round at each replica, after which all hear of it. */
export const rounds = Effect.fnUntraced(function* (...replicas: ReadonlyArray<Cluster.Running>) {
  for (const { compaction } of replicas) yield* compaction.now
  yield* TestClock.adjust(3000)
})

/** What a replica reads under a key. */
export const valueOf = ({ records }: Cluster.Running, key: string) =>
  Effect.map(records.read("n", key), (found) =>
    Option.getOrUndefined(Option.map(found, ({ value }) => new TextDecoder().decode(value)))
  )
