/**
 * A look at the folder of a store that no process has open: whose it is, where it lives, what is damaged in it and whether
 * its index can be used. Nothing in the folder changes by it.
 */
import type { LogId } from "@quorum/core"
import { DamagedRange, EntryBatch, IndexCheck, ReplicaStore, type StoreInspection } from "@quorum/core/adapter"
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Database from "./internal/database.ts"
import * as Files from "./internal/files.ts"
import * as HeldLog from "./internal/heldLog.ts"
import * as IndexFile from "./internal/indexFile.ts"
import * as Looking from "./internal/looking.ts"
import * as Mending from "./internal/mending.ts"
import type { DatabaseSync } from "./internal/nodeSqlite.ts"
import * as Place from "./internal/place.ts"
import * as Pointers from "./internal/pointers.ts"
import * as Rows from "./internal/rows.ts"
import type * as SqliteReplicaStore from "./SqliteReplicaStore.ts"

/**
 * Looks at the folder, and reads every row of every log. Fails with `unavailable` when there is no store, with `locked`
 * when a process has it open, and with `corrupt` when not even the names of its logs can be read.
 */
export const inspect = Effect.fnUntraced(function* ({
  folder
}: Pick<SqliteReplicaStore.Options, "folder">): Effect.fn.Return<
  StoreInspection.StoreInspection,
  ReplicaStore.StoreError
> {
  const file = path.resolve(yield* ReplicaStore.checkFolder(folder), "log.db")
  const boot = yield* Place.Boot
  return yield* Effect.try({
    try: () => looked(file, Database.logs, ({ db, isClosed }) => inspected(file, db, isClosed, boot)),
    catch: (cause) => Database.storeError(file, cause)
  })
})

// ---------------------------------------------------------------------------------------------------------------------

const looked = <A>(file: string, brand: Database.Brand, look: (looking: Looking.Looking) => A): A => {
  const looking = Looking.open(file, brand)
  try {
    return look(looking)
  } finally {
    looking.close()
  }
}

const inspected = (
  file: string,
  db: DatabaseSync,
  isClosed: boolean,
  boot: string
): StoreInspection.StoreInspection => {
  Place.check(file, db)
  const identity = db.prepare("SELECT cluster, replica, incarnation FROM store").get()
  if (!isIdentity(identity)) throw Database.damaged(`${file} does not say whose it is`)
  const notes = Place.makeNotes(db)
  const here = Place.here(file, boot)
  const found = {
    isSamePlace: Place.isSame(notes, here),
    isSameBoot: notes.get("boot") === boot,
    isUnsynced: here.isUnsynced
  }
  const held = HeldLog.all(file, db)
  const logs = logsOf(held)
  const doubt = found.isSamePlace ? (found.isSameBoot ? "none" : "other_boot") : "other_place"
  return {
    identity: { ...identity },
    ...found,
    isClosed,
    recovering: notes.get(ReplicaStore.recoveringNote) || undefined,
    isRestoredInPart: notes.get(ReplicaStore.restoredNote) === ReplicaStore.restoredInPart,
    logs,
    index: indexOf(path.join(path.dirname(file), Files.indexName), { identity, doubt }, boot, held.logs)
  }
}

/** All logs, each read to its end. */
const logsOf = ({ found, logs }: ReturnType<typeof HeldLog.all>): ReadonlyArray<StoreInspection.InspectedLog> => {
  for (const log of logs.values()) {
    for (let at = 0; at < log.head.seq;) at = Mending.check(log, at, 1 << 20)
  }
  const damaged = DamagedRange.joined(found.ranges)
  return Array.from(logs, ([name, { damagedEnd, head }]) => ({
    log: name,
    seq: head.seq,
    damaged: damaged.filter(({ log }) => log === name),
    isEndDamaged: damagedEnd !== undefined
  }))
}

const indexOf = (
  file: string,
  store: Parameters<typeof IndexFile.whyUnusable>[1],
  boot: string,
  logs: ReadonlyMap<LogId.LogId, Rows.HeldLog>
): StoreInspection.InspectedIndex => {
  if (!fs.existsSync(file)) return { state: "missing" }
  try {
    return looked(file, Database.index, ({ db }) => {
      const heads = new Map(Array.from(logs.values(), ({ head }) => [head.log as string, head.seq]))
      const why = IndexFile.whyUnusable(db, store, boot, heads)
      if (why !== undefined) return { state: "unusable", why: `it ${why}` }
      const sound = db.prepare("PRAGMA quick_check(1)").get()?.["quick_check"]
      if (sound !== "ok") return { state: "unusable", why: `it is damaged: ${String(sound)}` }
      const covered = Pointers.progressOf(db)
      const wrong = faultOf(file, db, logs, covered)
      if (wrong !== undefined) return { state: "wrong", why: wrong }
      const behind = Array.from(logs.values(), ({ head }) => head.seq - (covered.get(head.log) ?? 0))
      return { state: "usable", behind: behind.reduce((sum, count) => sum + count, 0) }
    })
  } catch (cause) {
    return { state: "unusable", why: Database.storeError(file, cause).detail }
  }
}

/** What an index does not know of the logs, as far as it covers them. */
const faultOf = (
  file: string,
  db: DatabaseSync,
  logs: ReadonlyMap<LogId.LogId, Rows.HeldLog>,
  covered: ReadonlyMap<LogId.LogId, number>
): string | undefined => {
  try {
    const pointers = Pointers.make(db)
    for (const [name, log] of logs) {
      const end = covered.get(name) ?? 0
      for (let at = 0; at < end;) {
        const damage = Rows.damageAt(log, at + 1)
        const row = damage === undefined ? Rows.storedRow(log, at + 1)?.batch : undefined
        const batch = row && EntryBatch.upTo(EntryBatch.after(row, at), end)
        const writes = batch === undefined ? [] : IndexCheck.newestIn(batch)
        const fault = IndexCheck.faultOf(writes, pointers.getAll(writes))
        if (fault !== undefined) return fault
        at = damage?.to ?? (batch === undefined ? at + 1 : EntryBatch.last(batch))
      }
    }
    return undefined
  } catch (cause) {
    return Database.storeError(file, cause).detail
  }
}

const isIdentity = Schema.is(ReplicaStore.StoreIdentity)
