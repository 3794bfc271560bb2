/** Every fault that the cases of replacing are for is planted, and found. */
import { describe, it } from "@effect/vitest"
import { EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import { ReplicaStoreConformance } from "../src/index.ts"
import { type Finds, finds } from "./support/finds.ts"
import * as MemoryPlace from "./support/memoryPlace.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const stands =
  "what is erased stands as a range in its place, and the rest is as it was, wherever it is, and after a reopen too"
const goesOn = "a log of which something is erased goes on at its end, and acks again what it can compare"
const again = "a log is erased piece by piece, and what was erased before goes with it, as often as one likes"
const beyond = "a batch that reaches beyond the end is an append too, also where the end is among what is erased in it"
const refused = "a batch that does not fit is refused, and changes nothing"
const kept = "of what is sound nothing is put back that was erased, and a batch that is held as it is changes nothing"
const room = "what is erased leaves room: the store is smaller, or says that it is free"
const meanwhile = "entries are appended and read while others are erased"
const model = "replacing does what a simple model does, whatever is appended, erased and brought"

describe("the cases of replacing in the store suite find", { concurrent: true }, () => {
  const planted = (what: string, decorate: (store: Store) => Store, expected: Finds) =>
    it.live(what, () => finds(ReplicaStoreConformance.cases, MemoryPlace.place(decorate), expected))

  planted("a replacement that does nothing", (store) => ({ ...store, replace: () => Effect.void }), [
    [stands, /AssertionError/],
    [goesOn, /./],
    [again, /AssertionError/],
    [beyond, /./],
    [refused, /./],
    [kept, /AssertionError/],
    [meanwhile, /AssertionError/],
    [model, /./],
    [room, /AssertionError/]
  ])

  planted(
    "one that asks for a gap to be filled first where the end is among what is erased",
    (store) => ({
      ...store,
      replace: (batch) =>
        Effect.flatMap(store.watermarks, (heads) => {
          const end = heads.find(({ log }) => log === batch.log) ?? Watermark.none(batch.log)
          return EntryBatch.last(batch) > end.seq ? Effect.asVoid(store.append(batch)) : store.replace(batch)
        })
    }),
    [
      [beyond, /AppendGap|the log/],
      [model, /./]
    ]
  )

  planted(
    "one that says nothing of what does not fit",
    (store) => ({ ...store, replace: (batch) => Effect.ignore(store.replace(batch)) }),
    [[refused, /./]]
  )

  planted(
    "one that gives up the end of the log to store what does not fit",
    (store) => ({
      ...store,
      replace: (batch) =>
        Effect.catchTag(store.replace(batch), "AppendDrift", (drift) =>
          Effect.andThen(Effect.ignore(store.cut(batch.log, batch.from - 1)), Effect.fail(drift))
        )
    }),
    [[refused, /./]]
  )

  planted(
    "a chain that is made up among erased entries",
    (store) => ({
      ...store,
      chainAt: (log, seq) =>
        Effect.flatMap(store.chainAt(log, seq), (chain) =>
          Option.isNone(chain) ? store.chainAt(log, 1) : Effect.succeed(chain)
        )
    }),
    [
      [goesOn, /the chain at/],
      [refused, /AssertionError/]
    ]
  )

  planted(
    "an ack of what was not compared",
    (store) => ({
      ...store,
      append: (batch) =>
        Effect.catchTag(store.append(batch), "AppendGap", () => Effect.succeed(EntryBatch.watermark(batch)))
    }),
    [[goesOn, /./]]
  )

  planted(
    "a read that cuts what was erased together",
    (store) => ({
      ...store,
      read: (log, after, maxBytes) =>
        Effect.map(
          store.read(log, after, maxBytes),
          Option.map((batch) => (batch.from <= after ? { ...batch, from: after + 1 } : batch))
        )
    }),
    [[goesOn, /./]]
  )
})
