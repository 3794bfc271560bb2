/**
 * The record index in a SQLite file of its own, `<folder>/index.db`.
 *
 * The file is derived from the logs and written without fsync (measured: with `synchronous = NORMAL` a merge of random
 * keys costs 2 to 3 times as much and stalls for 60 to 110 ms at checkpoints). A crash of the process does it no harm.
 * A power loss may leave it damaged in ways that nobody can see, so the file remembers, durably, in which run of the
 * operating system it was left open: found open from another run, it is thrown away and built again from the logs.
 */
import { ReplicaStore, RecordIndex } from "@quorum/core/adapter"
import type { LogId } from "@quorum/core"
import { Effect, Layer, Option } from "effect"
import type { Scope } from "effect"
import * as path from "node:path"
import type { DatabaseSync } from "./internal/nodeSqlite.ts"
import * as Database from "./internal/database.ts"
import * as Files from "./internal/files.ts"
import * as Place from "./internal/place.ts"

/** Where the index is. */
export interface Options {
  /** The folder of the file; usually that of the store. */
  readonly folder: string
}

/**
 * Opens the index of the store in context, or creates it; it is closed with the scope. A file that is damaged, of
 * another version or another store, or ahead of the logs is deleted, with a warning, and the index starts empty.
 *
 * The index is derived, so a file that cannot be opened, on a full disk say, stops nobody: until it can be, which every
 * merge tries, the index answers as an empty one, and merges fail.
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<
  RecordIndex.RecordIndex["Service"],
  ReplicaStore.StoreError,
  ReplicaStore.ReplicaStore | Scope.Scope
> {
  const file = path.resolve(options.folder, "index.db")
  const store = yield* ReplicaStore.ReplicaStore
  const boot = yield* Place.Boot
  const heads = new Map<string, number>((yield* store.watermarks).map(({ log, seq }) => [log, seq]))
  let current: Opened | undefined
  const attempt = Effect.suspend(() => {
    const first = Effect.try({
      try: () => (current = open(file, store, boot, heads)),
      catch: (cause) => Database.storeError(file, cause)
    })
    return Effect.tap(first, ({ rebuilt }) =>
      rebuilt === undefined
        ? Effect.void
        : Effect.logWarning(`the record index is built again from the logs: ${rebuilt}`)
    )
  })
  let closed = false
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      return Effect.catch(
        Effect.try({ try: () => current?.close(), catch: (cause) => Database.storeError(file, cause) }),
        (error) => Effect.logWarning(`closing: ${error.message}`)
      )
    })
  )
  yield* Effect.catch(attempt, (error) =>
    stopsNobody(error)
      ? Effect.logWarning(`the record index cannot be opened, and is kept in memory until it can: ${error.message}`)
      : Effect.fail(error)
  )
  const unlessClosed = <A>(effect: Effect.Effect<A, ReplicaStore.StoreError>) =>
    Effect.suspend(() => (closed ? Effect.fail(Database.closed(file)) : effect))
  return RecordIndex.RecordIndex.of({
    progress: Effect.suspend(
      (): Effect.Effect<RecordIndex.Progress, ReplicaStore.StoreError> =>
        current?.service.progress ?? unlessClosed(Effect.succeed<RecordIndex.Progress>(new Map()))
    ),
    get: (namespace, key) => current?.service.get(namespace, key) ?? unlessClosed(Effect.succeedNone),
    scan: (options) => current?.service.scan(options) ?? unlessClosed(Effect.succeed([])),
    merge: (pointers, progress) =>
      current === undefined
        ? unlessClosed(Effect.flatMap(attempt, ({ service }) => service.merge(pointers, progress)))
        : current.service.merge(pointers, progress)
  })
})

/** {@link make} as a layer. */
export const layer = (
  options: Options
): Layer.Layer<RecordIndex.RecordIndex, ReplicaStore.StoreError, ReplicaStore.ReplicaStore> =>
  Layer.effect(RecordIndex.RecordIndex, make(options))

// ---------------------------------------------------------------------------------------------------------------------

/** Whether a replica can do without its index for this reason, for a while. */
const stopsNobody = ({ reason }: ReplicaStore.StoreError): boolean =>
  reason === "disk_full" || reason === "read_only" || reason === "unavailable"

/** An index that is open, and why it was built again. */
type Opened = ReturnType<typeof open>

const open = (
  file: string,
  store: ReplicaStore.ReplicaStore["Service"],
  boot: string,
  heads: ReadonlyMap<string, number>
) => {
  const kind: Database.Kind = {
    applicationId: 0x51494458, // "QIDX"
    version: 2,
    cacheKiB: 16384,
    create: (db) => {
      db.exec(`CREATE TABLE store (cluster TEXT, replica TEXT, incarnation TEXT, open_in TEXT NOT NULL) STRICT;
        CREATE TABLE log (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, seq INTEGER) STRICT;
        CREATE TABLE pointer (namespace TEXT NOT NULL, key TEXT NOT NULL, log INTEGER NOT NULL, seq INTEGER NOT NULL,
          wall_time INTEGER NOT NULL, logical INTEGER NOT NULL, tie TEXT NOT NULL, deleted INTEGER NOT NULL,
          PRIMARY KEY (namespace, key)) STRICT, WITHOUT ROWID`)
      const { cluster, replica, incarnation } = store.identity
      db.prepare("INSERT INTO store VALUES (?, ?, ?, '')").run(cluster, replica, incarnation)
    }
  }
  const use = () => {
    Files.prepare(file)
    const db = Database.open(file, kind)
    try {
      const unusable = whyUnusable(db, store, boot, heads)
      if (unusable !== undefined) throw Database.damaged(`${file} ${unusable}`)
      return opened(file, db, store, boot)
    } catch (cause) {
      db.close()
      throw cause
    }
  }
  try {
    return { ...use(), rebuilt: undefined }
  } catch (cause) {
    const error = Database.storeError(file, cause)
    if (error.reason !== "corrupt" || cause instanceof Database.ForeignFile) throw cause
    Files.remove(file)
    return { ...use(), rebuilt: error.detail }
  }
}

const whyUnusable = (
  db: DatabaseSync,
  { doubt, identity: { cluster, incarnation, replica } }: ReplicaStore.ReplicaStore["Service"],
  boot: string,
  heads: ReadonlyMap<string, number>
): string | undefined => {
  const found = db.prepare("SELECT * FROM store").get()
  if (found?.["cluster"] !== cluster || found["replica"] !== replica) return "belongs to another store"
  // After another boot the same store has a new incarnation.
  if (found["incarnation"] !== incarnation && doubt !== "other_boot") return "belongs to another store"
  if (found["open_in"] !== "" && found["open_in"] !== boot) return "was open when the machine went down"
  for (const { name, seq } of db.prepare("SELECT name, seq FROM log WHERE seq > 0").all()) {
    const held = heads.get(String(name)) ?? 0
    if (Number(seq) > held) return `covers ${name} up to ${seq}, and the log ends at ${held}`
  }
  return undefined
}

const opened = (file: string, db: DatabaseSync, store: ReplicaStore.ReplicaStore["Service"], boot: string) => {
  /** Makes all that was written durable, then the mark: first everything else, since the mark vouches for it. */
  const setMark = db.prepare("UPDATE store SET open_in = ?, incarnation = ?")
  const mark = (run: string): void => {
    db.exec("PRAGMA synchronous = FULL")
    setMark.run(run, store.identity.incarnation)
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
  }
  mark(boot)
  db.exec("PRAGMA synchronous = OFF")

  const ids = new Map<string, number>()
  const names = new Map<number, LogId.LogId>()
  const loadLogs = (): void => {
    ids.clear()
    names.clear()
    for (const row of db.prepare("SELECT id, name FROM log").all()) {
      ids.set(String(row["name"]), Number(row["id"]))
      names.set(Number(row["id"]), row["name"] as LogId.LogId)
    }
  }
  loadLogs()
  const insertLog = db.prepare("INSERT INTO log (name) VALUES (?)")
  const idOf = (log: LogId.LogId): number => {
    const known = ids.get(log)
    if (known !== undefined) return known
    const id = Number(insertLog.run(log).lastInsertRowid)
    ids.set(log, id)
    names.set(id, log)
    return id
  }
  const setProgress = db.prepare("UPDATE log SET seq = ? WHERE id = ?")
  const getProgress = db.prepare("SELECT name, seq FROM log WHERE seq IS NOT NULL")
  // The order of `RecordIndex.compare`. Names of logs are ASCII, so SQLite orders them as JavaScript does.
  const upsertOf = (rows: number) =>
    db.prepare(`INSERT INTO pointer VALUES ${Array(rows).fill("(?, ?, ?, ?, ?, ?, ?, ?)").join()} ON CONFLICT DO UPDATE SET
    log = excluded.log, seq = excluded.seq, wall_time = excluded.wall_time, logical = excluded.logical,
    tie = excluded.tie, deleted = excluded.deleted
    WHERE CASE
      WHEN excluded.wall_time <> wall_time THEN excluded.wall_time > wall_time
      WHEN excluded.logical <> logical THEN excluded.logical > logical
      WHEN excluded.tie <> tie THEN excluded.tie > tie
      WHEN excluded.log = log THEN excluded.seq > seq
      ELSE (SELECT name FROM log WHERE id = excluded.log) > (SELECT name FROM log WHERE id = pointer.log)
    END`)
  const upsertMany = upsertOf(rowsAtOnce)
  const upsertOne = upsertOf(1)
  const valuesOf = ({ namespace, key, log, seq, clock, tie, deleted }: RecordIndex.Pointer) =>
    [namespace, key, idOf(log), seq, clock.wallTime, clock.logical, tie, deleted ? 1 : 0] as const
  const upsert = (pointers: ReadonlyArray<RecordIndex.Pointer>): void => {
    const inFull = pointers.length - (pointers.length % rowsAtOnce)
    for (let i = 0; i < inFull; i += rowsAtOnce) {
      upsertMany.run(...pointers.slice(i, i + rowsAtOnce).flatMap(valuesOf))
    }
    for (let i = inFull; i < pointers.length; i++) upsertOne.run(...valuesOf(pointers[i]!))
  }
  const get = db.prepare("SELECT * FROM pointer WHERE namespace = ? AND key = ?")
  const scanAll = db.prepare("SELECT * FROM pointer ORDER BY namespace, key LIMIT ?")
  const scanAfter = db.prepare("SELECT * FROM pointer WHERE (namespace, key) > (?, ?) ORDER BY namespace, key LIMIT ?")
  const pointerOf = (row: Record<string, unknown>): RecordIndex.Pointer => ({
    namespace: row["namespace"] as string,
    key: row["key"] as string,
    log: names.get(row["log"] as number)!,
    seq: row["seq"] as number,
    clock: { wallTime: row["wall_time"] as number, logical: row["logical"] as number },
    tie: row["tie"] as RecordIndex.Pointer["tie"],
    deleted: row["deleted"] === 1
  })

  let refusal: ReplicaStore.StoreError | undefined
  const call = <A>(f: () => A): Effect.Effect<A, ReplicaStore.StoreError> =>
    Effect.suspend(() => {
      if (refusal !== undefined) return Effect.fail(refusal)
      try {
        return Effect.succeed(f())
      } catch (cause) {
        const error = Database.storeError(file, cause)
        if (error.reason !== "corrupt") return Effect.fail(error)
        // However this process ends, the next one starts without the damaged file.
        Files.remove(file)
        refusal = Database.damaged(`${file} is damaged; restart, and it is built again from the logs`)
        return Effect.fail(refusal)
      }
    })

  const service: RecordIndex.RecordIndex["Service"] = {
    progress: call(() => new Map(getProgress.all().map((row) => [row["name"] as LogId.LogId, Number(row["seq"])]))),
    merge: (pointers, progress) =>
      call(() => {
        try {
          Database.transaction(db, () => {
            upsert(pointers)
            for (const [log, seq] of progress) setProgress.run(seq, idOf(log))
          })
        } catch (cause) {
          loadLogs()
          throw cause
        }
      }),
    get: (namespace, key) =>
      call(() => {
        const row = get.get(namespace, key)
        return row === undefined ? Option.none() : Option.some(pointerOf(row))
      }),
    scan: ({ after, limit }) =>
      call(() =>
        (after === undefined ? scanAll.all(limit) : scanAfter.all(after.namespace, after.key, limit)).map(pointerOf)
      )
  }
  const close = (): void => {
    const damaged = refusal !== undefined
    refusal ??= Database.closed(file)
    try {
      if (!damaged) {
        mark(boot)
        mark("")
      }
    } finally {
      db.close()
    }
  }
  return { service, close }
}

/** How many pointers one statement takes: measured, 16 cost 2.2 µs each where one at a time costs 3.0. */
const rowsAtOnce = 16
