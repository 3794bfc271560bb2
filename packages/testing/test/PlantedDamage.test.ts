/** Every fault that the damage cases of the store suite are for is planted, and found. */
import { describe, it } from "@effect/vitest"
import type { LogId } from "@quorum/core"
import { EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Layer, Option } from "effect"
import { ReplicaStoreConformance, StorePlace } from "../src/index.ts"
import { type Finds, finds } from "./support/finds.ts"
import * as MemoryPlace from "./support/memoryPlace.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const served = "the entries before and after a damaged one are served, whatever is read at once, and after a reopen too"
const named = "what is damaged is named as it is found, and nothing beside it, and after a reopen too"
const chains = "the chain is right on both sides of damage, and in it right or an error"
const end = "a log whose end is damaged takes no more, gives no place away again, and stops no other log"
const middle = "a log with damage in it goes on at its end, and its other entries are acked again"
const replica = "a replica on it says that it holds a log up to its first damaged entry, and the others whole"

describe("the damage cases of the store suite find", { concurrent: true }, () => {
  const planted = (what: string, decorate: (store: Store) => Store, expected: Finds) =>
    it.live(what, () => finds(ReplicaStoreConformance.cases, MemoryPlace.place(decorate), expected))

  planted(
    "a read that fails whole when it meets damage",
    (store) => ({
      ...store,
      read: Effect.fnUntraced(function* (log, after, maxBytes) {
        const batch = yield* store.read(log, after, maxBytes)
        const next = Option.map(batch, EntryBatch.last)
        const [damage] = store.damaged().filter((range) => range.log === log && Option.contains(next, range.from - 1))
        return damage === undefined ? batch : yield* store.read(log, damage.from - 1, maxBytes)
      })
    }),
    [[served, /cannot be read, and is not named/]]
  )

  planted("damage that nobody is told of", (store) => ({ ...store, damaged: () => [] }), [
    [served, /cannot be read, and is not named/],
    [named, /AssertionError/],
    [end, /AssertionError/],
    [replica, /./]
  ])

  planted(
    "damage that takes the rest of its log with it",
    (store) => ({ ...store, damaged: () => store.damaged().map((range) => ({ ...range, to: 12 })) }),
    [
      [served, /AssertionError/],
      [named, /AssertionError/]
    ]
  )

  planted(
    "a chain that is made up",
    (store) => ({
      ...store,
      chainAt: (log, seq) => Effect.catch(store.chainAt(log, seq), () => store.chainAt(log, 2))
    }),
    [[chains, /AssertionError/]]
  )

  planted(
    "an append to a log that is damaged, to the one whose end it is, or to none",
    (store) => ({
      ...store,
      append: (batch) =>
        store.damaged().length > 0 && batch.log.startsWith("b")
          ? Effect.fail(new ReplicaStore.StoreError({ reason: "corrupt", detail: "there is damage somewhere" }))
          : Effect.catchTag(store.append(batch), "StoreError", () => Effect.succeed(EntryBatch.watermark(batch)))
    }),
    [[end, /was accepted/]]
  )

  planted(
    "damage that stops every log",
    (store) => ({
      ...store,
      append: (batch) =>
        store.damaged().length > 0
          ? Effect.fail(new ReplicaStore.StoreError({ reason: "corrupt", detail: "there is damage somewhere" }))
          : store.append(batch)
    }),
    [[end, /there is damage somewhere/]]
  )

  planted(
    "a log that was given up whole and is not gone",
    (store) => {
      const gone = new Set<LogId.LogId>()
      const noted = ({ log, seq }: Watermark.Watermark) => Effect.sync(() => void (seq === 0 && gone.add(log)))
      const held = (ends: Watermark.VersionVector) => {
        const others = [...gone].filter((log) => !ends.some((end) => end.log === log))
        return [...ends, ...others.map(Watermark.none)]
      }
      return {
        ...store,
        cut: (log, after) => Effect.tap(store.cut(log, after), noted),
        watermarks: Effect.map(store.watermarks, held)
      }
    },
    [["a log of which all is damaged may be given up whole, and begins again", /has no watermark/]]
  )

  it.live("a place that cannot damage anything, and does not say so", () =>
    finds(
      ReplicaStoreConformance.cases,
      Layer.effect(
        StorePlace.StorePlace,
        Effect.map(StorePlace.StorePlace, ({ open }) => StorePlace.StorePlace.of({ open }))
      ).pipe(Layer.provide(MemoryPlace.place())),
      ReplicaStoreConformance.needDamage.map((name) => [name, /the place has no `damage`/] as const)
    )
  )

  it.live("a place whose damage harms nothing", () =>
    finds(
      ReplicaStoreConformance.cases,
      Layer.effect(
        StorePlace.StorePlace,
        Effect.map(StorePlace.StorePlace, ({ open }) => StorePlace.StorePlace.of({ open, damage: () => Effect.void }))
      ).pipe(Layer.provide(MemoryPlace.place())),
      [served, named, middle, end, replica].map((name) => [name, /./] as const)
    )
  )
})
