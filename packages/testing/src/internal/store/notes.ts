/** What a store remembers beside its logs: its notes, and which life of it this is. */
import { assert } from "@effect/vitest"
import type { LogId } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect, Option } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { StorePlace } from "../../StorePlace.ts"
import { held, source, texts } from "../entries.ts"
import { logA, open, using } from "./rig.ts"

const all = source(logA, 12)
const noteOf = (store: ReplicaStore.ReplicaStore["Service"], name: string) =>
  Effect.map(store.note(name), Option.getOrUndefined)

/** The incarnation a thousand years on. */
const farAhead = "1d00000000000000" as LogId.Incarnation

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "a note is what was set last, and one that was never set is none",
    Effect.gen(function* () {
      const { store } = yield* open()
      assert.isUndefined(yield* noteOf(store, "x"))
      yield* store.setNotes({ x: "1", y: "a ключ 🗝️ \n'\"" })
      yield* store.setNotes({ x: "2", z: "" })
      assert.deepStrictEqual(yield* Effect.forEach(["x", "y", "z", "w"], (name) => noteOf(store, name)), [
        "2",
        "a ключ 🗝️ \n'\"",
        "",
        undefined
      ])
    })
  ),

  Conformance.make(
    "notes are the same after a reopen, and a long one too",
    Effect.gen(function* () {
      const long = "0123456789abcdef".repeat(4096)
      yield* using(({ store }) => store.setNotes({ x: "1", long }))
      yield* using(({ store }) => Effect.andThen(store.append(all), store.setNotes({ x: "2" })))
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* noteOf(store, "x"), "2")
          assert.isTrue((yield* noteOf(store, "long")) === long, "the long note is another")
          assert.deepStrictEqual(yield* held(store, logA), texts(all))
        })
      )
    })
  ),

  Conformance.make(
    "a store that is created in doubt says so in its note, and one that is not has no such note",
    Effect.gen(function* () {
      const said = {
        blank: "blank",
        other_place: "lost",
        other_boot: undefined,
        sync_failed: undefined,
        none: undefined
      }
      const check = using(({ store }) =>
        Effect.map(noteOf(store, ReplicaStore.recoveringNote), (note) => {
          assert.strictEqual(note, said[store.doubt])
          return store.doubt
        })
      )
      assert.strictEqual(yield* check, yield* check, "a reopen in the same place is in another doubt")
    })
  ),

  Conformance.make(
    "a renewed store has a newer incarnation, and the note that something may be missing, and keeps its logs",
    Effect.gen(function* () {
      const before = yield* using(({ store }) => Effect.as(store.append(all), store.identity))
      const renewed = yield* using(({ store }) =>
        Effect.gen(function* () {
          const incarnation = yield* store.renew()
          assert.isTrue(incarnation > before.incarnation, `${incarnation} is not newer`)
          assert.deepStrictEqual(store.identity, { ...before, incarnation })
          return incarnation
        })
      )
      yield* using(({ store }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(store.identity, { ...before, incarnation: renewed })
          assert.strictEqual(yield* noteOf(store, ReplicaStore.recoveringNote), "lost")
          assert.deepStrictEqual(yield* held(store, logA), texts(all))
        })
      )
    })
  ),

  Conformance.make(
    "a store is renewed above an incarnation that it is given, however far ahead, and above its own when that is newer",
    Effect.gen(function* () {
      const { store } = yield* open()
      const first = yield* store.renew(farAhead)
      assert.isTrue(first > farAhead && /^[0-9a-f]{16}$/.test(first), first)
      const second = yield* store.renew(farAhead)
      assert.isTrue(second > first, `${second} is not newer than ${first}`)
    })
  )
]
