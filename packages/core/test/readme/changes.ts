import { Changes, type Records } from "@quorum/core"
import { Effect, Schema, Stream } from "effect"

/** Where a reader keeps its place: a file, a row, a record. */
export interface Place {
  readonly load: Effect.Effect<string>
  readonly save: (position: string) => Effect.Effect<void>
}

/** Deals with every change of the orders, also with those that were made while it was away. */
export const follow = (
  records: Records.Records["Service"],
  place: Place,
  handle: (change: Changes.Change) => Effect.Effect<void>
) =>
  Effect.gen(function* () {
    const since = yield* Schema.decodeEffect(Changes.Position)(yield* place.load)
    yield* Stream.runForEach(records.changes({ since, namespace: "orders" }), ({ changes, position }) =>
      Effect.gen(function* () {
        yield* Effect.forEach(changes, handle, { discard: true })
        yield* place.save(yield* Schema.encodeEffect(Changes.Position)(position))
      })
    )
  })
