/**
 * The part about one replica's disk: what an append writes to it and how long it holds the event loop, and how fast
 * records are read back, beside a bare `SELECT` by key in the same run.
 */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setImmediate } from "node:timers/promises"
import { Entry, HybridLogicalClock, LogId, Records, Replica, ReplicaSet } from "@quorum/core"
import { EntryBatch, MemoryNetwork, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { LmdbStore } from "@quorum/lmdb"
import { SqliteStore } from "@quorum/sqlite"
import { Effect, Layer, Option } from "effect"
import * as Bench from "../Bench.ts"
import type { Figure, Part } from "../Part.ts"
import { type Found, lagOf } from "../Lag.ts"
import * as Parts from "../Part.ts"

const stores = { sqlite: SqliteStore.layer, lmdb: LmdbStore.layer }
type Name = keyof typeof stores

const value = new Uint8Array(128).fill(7)
const members = ReplicaSet.layer({ cluster: "bench", self: "a", members: ["a"] })

/** The stores one after the other, in folders of their own. */
export const reads: Part = {
  name: "reads",
  description: "one replica of 1,000,000 records: bytes and loop lag of its appends, reads by key, and lists",
  run: Effect.fnUntraced(function* (settings) {
    const records = Parts.commits(settings, 1_000_000)
    const samples = Math.min(records, 200_000)
    const names = Object.keys(stores) as ReadonlyArray<Name>
    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 3); round++) {
      for (const name of names) {
        const found = yield* Effect.scoped(
          Effect.gen(function* () {
            const folder = yield* Bench.folder
            const store = stores[name]({ folder })
            const appended = yield* Effect.scoped(Effect.provide(appends(records), Layer.provideMerge(store, members)))
            const read = yield* Effect.scoped(Effect.provide(readBack(records, samples), replicaOn(store)))
            return [...appended, ...read, ...bare(join(folder, "bare.db"), records, samples)]
          })
        ).pipe(Effect.orDie)
        figures.push(...found.map((figure) => ({ ...figure, name: `${name}: ${figure.name}`, round })))
        yield* settings.say(
          found.map(({ name, unit, value }) => `${name} ${value.toPrecision(3)} ${unit}`).join(", ") + ` (${name})`
        )
      }
    }
    const parameters = { records, samples, valueBytes: value.length, stores: names }
    return { part: "reads", parameters, against: "sqlite", samples: [], figures }
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/** Keys in an order that is not that of the writes. */
const keyOf = (i: number, records: number): string => `key ${String((i * 7919) % records).padStart(8, "0")}`

const replicaOn = (store: ReturnType<(typeof stores)[Name]>) =>
  Replica.layer({}).pipe(
    Layer.provide(MemoryNetwork.layerTransport),
    Layer.provide(Layer.fresh(MemoryNetwork.layer)),
    Layer.provideMerge(store),
    Layer.provideMerge(members)
  )

/** Lets the event loop turn. */
const turn = Effect.promise(() => setImmediate())

/** Fills the logs as 256 writers do, then as one does. */
const appends = Effect.fnUntraced(function* (records: number) {
  const store = yield* ReplicaStore.ReplicaStore
  const log = LogId.make(store.identity.replica, store.identity.incarnation)
  let head = Watermark.none(log)
  let clock = HybridLogicalClock.zero
  let at = 0
  const fill = Effect.fnUntraced(function* (to: number, size: number) {
    while (at < to) {
      const count = Math.min(size, to - at)
      const writes = Array.from({ length: count }, (_, i) => Entry.put("bench", keyOf(at + i, records), value))
      const encoded = EntryBatch.encode(head, writes, clock, Date.now())
      head = yield* store.append(encoded.batch)
      clock = encoded.clock
      at += count
      yield* turn
    }
  })
  const found: Array<Omit<Figure, "round">> = []
  const single = Math.min(2000, records / 10)
  for (const [what, to, size] of [
    ["256 at once", records - single, 256],
    ["one at a time", records, 1]
  ] as const) {
    const entries = to - at
    const { lag, writtenBytes } = yield* lagOf(what, fill(to, size))
    found.push({ name: `${what}, written to the disk`, unit: "bytes/entry", value: writtenBytes / entries })
    found.push(...lag)
  }
  return found as Found
})

/** Reads records by keys at random, and lists all of them. */
const readBack = Effect.fnUntraced(function* (records: number, samples: number) {
  const reader = yield* Records.Records
  // The index has all of them on its disk then, or nearly so.
  yield* Effect.sleep(records / 20)
  const byKey = yield* lagOf(
    "reads by key",
    Effect.gen(function* () {
      for (let i = 0; i < samples; i++) {
        const key = keyOf(Math.floor(Math.random() * records), records)
        const record = yield* reader.read("bench", key, { consistency: "local" })
        if (Option.isNone(record)) return yield* Effect.die(new Error(`${key} is not found`))
        if (i % 64 === 0) yield* turn
      }
    })
  )
  const lists = yield* lagOf(
    "lists",
    Effect.gen(function* () {
      let count = 0
      let after: { readonly namespace: string; readonly key: string } | undefined
      while (count < samples) {
        const page = yield* reader.page({ limit: 1000, ...(after === undefined ? {} : { after }) })
        count += page.records.length
        after = Option.getOrUndefined(page.next)
        if (after === undefined) break
        yield* turn
      }
      return count
    })
  )
  return [
    { name: "reads by key", unit: "records/s", value: samples / byKey.seconds },
    ...byKey.lag,
    { name: "lists, in pages of 1,000", unit: "records/s", value: lists.result / lists.seconds },
    ...lists.lag
  ] as Found
})

/** What `node:sqlite` does alone with a table of keys and values. */
const bare = (file: string, records: number, samples: number): Found => {
  const db = new DatabaseSync(file)
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE record (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID; BEGIN")
  const insert = db.prepare("INSERT INTO record VALUES (?, ?)")
  for (let i = 0; i < records; i++) insert.run(keyOf(i, records), value)
  db.exec("COMMIT")
  const select = db.prepare("SELECT value FROM record WHERE key = ?")
  const began = performance.now()
  for (let i = 0; i < samples; i++) select.get(keyOf(Math.floor(Math.random() * records), records))
  const seconds = (performance.now() - began) / 1000
  db.close()
  return [{ name: "a bare SELECT by key", unit: "records/s", value: samples / seconds }]
}
