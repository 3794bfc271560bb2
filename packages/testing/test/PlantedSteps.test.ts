/** The cases about writing and syncing apart, each of which finds what it is for. */
import { describe, it } from "@effect/vitest"
import type { LogId } from "@quorum/core"
import { EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Result } from "effect"
import { ReplicaStoreConformance } from "../src/index.ts"
import { type Finds, finds } from "./support/finds.ts"
import * as MemoryPlace from "./support/memoryPlace.ts"

type Store = ReplicaStore.ReplicaStore["Service"]
type Steps = NonNullable<Store["steps"]>

/** A store in memory with steps: what counts as held is what `covers` lets a sync cover. */
const split = (store: Store, covers: (written: ReadonlyArray<LogId.LogId>) => ReadonlyArray<LogId.LogId>) => {
  const durable = new Map<LogId.LogId, Watermark.Watermark>()
  let written: ReadonlyArray<LogId.LogId> = []
  const write: Steps["write"] = (batch) =>
    Effect.tap(store.append(batch), () => Effect.sync(() => void (written = [...written, batch.log])))
  const sync = Effect.gen(function* () {
    const heads = yield* store.watermarks
    for (const log of covers(written))
      durable.set(
        log,
        heads.find((head) => head.log === log)!
      )
    written = []
  })
  return {
    ...store,
    steps: { write, sync },
    append: (batch: EntryBatch.EntryBatch) => Effect.tap(write(batch), sync),
    watermarks: Effect.sync(() => Array.from(durable.values()))
  }
}

const readAtOnce = "what is written is read at once, and is held when it was synced, also after a reopen"
const coversAll = "a sync makes durable all that was written before it, and so do several at once"
const appended = "an append of what was written already is held when it returns"
const notOver = "what was written is not written over, and nothing is written behind a gap after it"

describe("L50 the store suite finds, of writing and syncing apart,", { concurrent: true }, () => {
  const planted = (what: string, decorate: (store: Store) => Store, expected: Finds) =>
    it.live(what, () => finds(ReplicaStoreConformance.cases, MemoryPlace.place(decorate), expected))

  planted(
    "a write that can be read only after the sync",
    (store) => {
      const pending: Array<EntryBatch.EntryBatch> = []
      return {
        ...store,
        steps: {
          write: (batch) =>
            Effect.sync(() => {
              pending.push(batch)
              return EntryBatch.watermark(batch)
            }),
          sync: Effect.suspend(() => Effect.ignore(Effect.forEach(pending.splice(0), store.append)))
        }
      }
    },
    [
      [readAtOnce, /./],
      [notOver, /a gap was accepted/]
    ]
  )

  planted("a sync that covers only the log that was written last", (store) => split(store, (all) => all.slice(-1)), [
    [coversAll, /AssertionError/]
  ])

  planted("a sync that covers nothing", (store) => split(store, () => []), [
    [readAtOnce, /AssertionError/],
    [coversAll, /AssertionError/]
  ])

  planted(
    "an append that takes what was written for held",
    (store) => {
      const apart = split(store, (all) => all)
      return {
        ...apart,
        append: (batch) =>
          Effect.flatMap(store.chainAt(batch.log, EntryBatch.last(batch)), (found) =>
            found._tag === "Some" ? Effect.succeed(EntryBatch.watermark(batch)) : apart.append(batch)
          )
      }
    },
    [[appended, /AssertionError/]]
  )

  planted(
    "a write that takes whatever comes",
    (store) => ({
      ...store,
      steps: {
        write: (batch) =>
          Effect.map(Effect.result(store.append(batch)), (result) =>
            Result.isSuccess(result) ? result.success : Watermark.none(batch.log)
          ),
        sync: Effect.void
      }
    }),
    [[notOver, /a gap was accepted/]]
  )
})
