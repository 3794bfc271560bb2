/** A suite that nobody has seen fail proves nothing: here every fault that it is for is planted, and found. */
import { describe, it } from "@effect/vitest"
import type { LogId } from "@quorum/core"
import { Chain, EntryBatch, RecordIndex, RecordKey, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer } from "effect"
import { RecordIndexConformance, ReplicaStoreConformance, StorePlace } from "../src/index.ts"
import { type Finds, finds } from "./support/finds.ts"
import * as MemoryPlace from "./support/memoryPlace.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

describe("L50 the store suite finds", { concurrent: true }, () => {
  const planted = (what: string, decorate: (store: Store) => Store, expected: Finds) =>
    it.live(what, () => finds(ReplicaStoreConformance.cases, MemoryPlace.place(decorate), expected))

  planted(
    "an ack before the append",
    (store) => ({
      ...store,
      append: (batch) =>
        Effect.as(Effect.forkDetach(Effect.delay(store.append(batch), 20)), EntryBatch.watermark(batch))
    }),
    [
      ["an append is held when it returns, and after every reopen", /AssertionError/],
      ["of a batch that begins with what is held, the rest is appended", /AssertionError/]
    ]
  )

  planted(
    "an append that accepts a gap",
    (store) => ({
      ...store,
      append: (batch) =>
        Effect.catchIf(
          store.append(batch),
          (error) => error._tag === "AppendGap",
          () => Effect.succeed(EntryBatch.watermark(batch))
        )
    }),
    [
      ["a gap is refused with the head that is held, and nothing is written", /a gap was accepted/],
      ["appends, holds and refuses as a plain array would, whatever comes in whatever order", /a gap has to be refused/]
    ]
  )

  planted(
    "a gap that is refused without the head",
    (store) => ({
      ...store,
      append: (batch) =>
        Effect.mapError(store.append(batch), (error) =>
          error._tag === "AppendGap"
            ? new ReplicaStore.AppendGap({ head: { ...error.head, seq: 0, chain: Chain.empty } })
            : error
        )
    }),
    [["a gap is refused with the head that is held, and nothing is written", /AssertionError/]]
  )

  it.live("a drift that is overwritten", () =>
    finds(ReplicaStoreConformance.cases, MemoryPlace.place(overwriting), [
      ["a drift is refused wherever it is, and what is held stays", /a drift was accepted/],
      [
        "appends, holds and refuses as a plain array would, whatever comes in whatever order",
        /a drift has to be refused/
      ],
      ["of two batches for one place one is held, and the other is refused as a drift", /AssertionError/]
    ])
  )

  planted(
    "a batch that is written entry by entry",
    (store) => ({
      ...store,
      append: Effect.fnUntraced(function* (batch) {
        let rest: EntryBatch.EntryBatch | undefined = batch
        while (rest !== undefined) {
          const first = EntryBatch.take(rest, 1)
          yield* store.append(first)
          yield* Effect.yieldNow
          rest = first.count < rest.count ? EntryBatch.after(rest, EntryBatch.last(first)) : undefined
        }
        return EntryBatch.watermark(batch)
      })
    }),
    [
      ["a batch is held whole or not at all, whoever reads meanwhile", /AssertionError/],
      ["an append that is interrupted is held whole or not at all, and a reopen finds the same", /AssertionError/]
    ]
  )

  planted(
    "a store that loses values of 64 KiB and more",
    (store) => ({
      ...store,
      append: (batch) =>
        batch.bytes.length < 65_536 ? store.append(batch) : Effect.succeed(EntryBatch.watermark(batch))
    }),
    [
      ["values of 1 MiB and batches of 8 MiB come back byte by byte", /./],
      ["empty and odd keys and values come back byte by byte", /./]
    ]
  )

  it.live("a store that forgets when it is closed, and gets a new incarnation", () =>
    finds(
      ReplicaStoreConformance.cases,
      Layer.succeed(StorePlace.StorePlace, {
        open: (owner) =>
          Layer.merge(Layer.effect(ReplicaStore.ReplicaStore, ReplicaStore.makeMemory(owner)), RecordIndex.layerMemory)
      }),
      [
        ["an append is held when it returns, and after every reopen", /AssertionError/],
        ["identity and incarnation stay the same over a reopen", /AssertionError/],
        ["closed while it is busy, every append ends, and what was acked is held by the next open", /acked is lost/]
      ]
    )
  )

  planted(
    "notes that are forgotten, and a renewal without the note",
    (store) => ({
      ...store,
      setNotes: (notes) => ("x" in notes ? Effect.void : store.setNotes(notes)),
      renew: (above) => Effect.tap(store.renew(above), () => store.setNotes({ [ReplicaStore.recoveringNote]: "" }))
    }),
    [
      ["a note is what was set last, and one that was never set is none", /AssertionError/],
      ["notes are the same after a reopen, and a long one too", /AssertionError/],
      [
        "a renewed store has a newer incarnation, and the note that something may be missing, and keeps its logs",
        /AssertionError/
      ]
    ]
  )

  planted("a renewal that looks at its own incarnation alone", (store) => ({ ...store, renew: () => store.renew() }), [
    [
      "a store is renewed above an incarnation that it is given, however far ahead, and above its own when that is newer",
      /AssertionError/
    ]
  ])

  it.live("an index that keeps the last write to come in, and one that is ahead of its logs", () =>
    Effect.gen(function* () {
      const index = yield* arrivalIndex
      const withIndex = (make: () => RecordIndex.RecordIndex["Service"]) =>
        Layer.effect(
          StorePlace.StorePlace,
          Effect.map(StorePlace.StorePlace, (place) =>
            StorePlace.StorePlace.of({
              open: (owner) => Layer.merge(place.open(owner), Layer.succeed(RecordIndex.RecordIndex, make()))
            })
          )
        ).pipe(Layer.provide(MemoryPlace.place()))
      yield* finds(RecordIndexConformance.cases, withIndex(index), [
        ["the index is a fold over the logs, whatever order they come in", /AssertionError/],
        ["two indexes that were filled in opposite orders are the same", /AssertionError/]
      ])
      const kept = index()
      yield* finds(
        RecordIndexConformance.cases,
        withIndex(() => kept),
        [["an index that is ahead of its logs starts over", /./]]
      )
    })
  )
})

/** Drops what it holds of a log for another beginning of it. */
const overwriting = (first: Store): Store => {
  let current = first
  return {
    identity: first.identity,
    doubt: first.doubt,
    note: first.note,
    setNotes: first.setNotes,
    renew: first.renew,
    append: (batch) =>
      Effect.catchIf(
        Effect.suspend(() => current.append(batch)),
        (error) => error._tag === "AppendDrift" && batch.from === 1,
        () =>
          Effect.flatMap(ReplicaStore.makeMemory(first.identity), (next) => {
            current = next
            return next.append(batch)
          })
      ),
    read: (log, after, maxBytes) => Effect.suspend(() => current.read(log, after, maxBytes)),
    chainAt: (log, seq) => Effect.suspend(() => current.chainAt(log, seq)),
    watermarks: Effect.suspend(() => current.watermarks),
    damaged: () => [],
    check: first.check,
    space: first.space,
    replace: first.replace,
    cut: first.cut
  }
}

/** Makes indexes in which the last write to come in wins. */
const arrivalIndex = Effect.sync(() => () => {
  const pointers = new Map<string, RecordIndex.Pointer>()
  const progress = new Map<LogId.LogId, number>()
  return RecordIndex.RecordIndex.of({
    progress: Effect.sync(() => new Map(progress)),
    merge: (updates, to) =>
      Effect.sync(() => {
        for (const pointer of updates) pointers.set(RecordKey.keyOf(pointer.namespace, pointer.key), pointer)
        for (const [log, seq] of to) progress.set(log, seq)
      }),
    forget: () => Effect.void,
    get: () => Effect.succeedNone,
    getAll: (keys) => Effect.succeed(keys.map(() => undefined)),
    reset: Effect.void,
    scan: (scan) =>
      Effect.sync(() =>
        Array.from(pointers.values())
          .filter((pointer) => RecordKey.isWithin(scan, pointer))
          .sort(RecordKey.compare)
          .slice(0, scan.limit)
      )
  })
})
