/**
 * The part about lists of keys that the record index does not have yet, as right after a burst of writes: how long a page
 * takes, and how long it holds the event loop.
 */
import { Changes, Entry, QuorumWriter, Records, Replica, ReplicaSet } from "@quorum/core"
import { MemoryNetwork, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Latch, Layer, Stream } from "effect"
import { type Found, lagOf } from "../Lag.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"

/** What a list of unmerged keys must keep to, by the names of the figures. */
export const firstPage = "first page of 1,000 records"
export const firstPageLag = `${firstPage}, loop held, at most`

/** Lists, while the index takes in nothing. */
export const lists: Part = {
  name: "lists",
  description: "100,000 keys that the index does not have yet: pages, counts, namespaces, and the changes",
  run: Effect.fnUntraced(function* (settings) {
    const keys = Parts.commits(settings, 100_000)
    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 3); round++) {
      const disk = yield* Latch.make()
      const found = yield* measure(keys).pipe(
        Effect.ensuring(disk.open),
        Effect.provide(replica(disk.await)),
        Effect.orDie
      )
      figures.push(...found.map((figure) => ({ ...figure, round })))
      yield* settings.say(found.map(({ name, unit, value }) => `${name} ${value.toPrecision(3)} ${unit}`).join(", "))
    }
    return { part: "lists", parameters: { keys }, against: "", samples: [], figures }
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/** A replica in memory whose index waits for a disk. */
const replica = (disk: Effect.Effect<unknown>) => {
  const index = Effect.map(RecordIndex.makeMemory, (index) => ({
    ...index,
    merge: (...step: Parameters<typeof index.merge>) => Effect.andThen(disk, index.merge(...step))
  }))
  return Replica.layer({}).pipe(
    Layer.provide(MemoryNetwork.layerTransport),
    Layer.provide(Layer.fresh(MemoryNetwork.layer)),
    Layer.provide([ReplicaStore.layerMemory, Layer.effect(RecordIndex.RecordIndex, index)]),
    Layer.provide(ReplicaSet.layer({ cluster: "bench", self: "a", members: ["a"] })),
    Layer.fresh
  )
}

/** How many writes are under way at once. */
const writers = 1000

const measure = Effect.fnUntraced(function* (keys: number) {
  const writer = yield* QuorumWriter.QuorumWriter
  const records = yield* Records.Records
  const value = new Uint8Array(128).fill(7)
  const keyOf = (i: number) => `key ${String((i * 7919) % keys).padStart(8, "0")}`
  yield* Effect.forEach(
    Array.from({ length: keys }, (_, i) => Entry.put(`n${i % 10}`, keyOf(i), value)),
    (write) => writer.commit(write),
    { concurrency: writers, discard: true }
  )
  const timed = Effect.fnUntraced(function* <A, E>(name: string, effect: Effect.Effect<A, E>) {
    const { lag, seconds } = yield* lagOf(name, effect)
    return [{ name, unit: "ms", value: seconds * 1000 }, lag[1]!] as Found
  })
  return [
    ...(yield* timed(firstPage, records.page({ limit: 1000 }))),
    ...(yield* timed("a page of 100 records, backwards", records.page({ namespace: "n5", reverse: true, limit: 100 }))),
    ...(yield* timed("the count of a namespace", records.count({ namespace: "n5" }))),
    ...(yield* timed("the names of 10 namespaces", records.namespaces({ limit: 100 }))),
    ...(yield* timed("all changes", Stream.runDrain(records.changes({ until: "now", since: Changes.beginning }))))
  ]
})
