/**
 * The record index in a SQLite file of its own, `<folder>/index.db`.
 *
 * The file is derived from the logs and written without fsync (measured: with `synchronous = NORMAL` a merge of random
 * keys costs 2 to 3 times as much and stalls for 60 to 110 ms at checkpoints). A crash of the process does it no harm.
 * A power loss may leave it damaged in ways that nobody can see, so the file remembers, durably, in which run of the
 * operating system it was left open: found open from another run, it is thrown away and built again from the logs.
 */
import { ReplicaStore, RecordIndex } from "@quorum/core/adapter"
import { Effect, Layer, Option } from "effect"
import type { Scope } from "effect"
import * as path from "node:path"
import type { DatabaseSync } from "./internal/nodeSqlite.ts"
import * as Database from "./internal/database.ts"
import * as Files from "./internal/files.ts"
import * as IndexFile from "./internal/indexFile.ts"
import * as Pointers from "./internal/pointers.ts"
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
 * merge tries, the index answers as an empty one, and merges fail. The same holds for one that was reset and cannot be
 * deleted.
 */
export const make: (
  options: Options
) => Effect.Effect<
  RecordIndex.RecordIndex["Service"],
  ReplicaStore.StoreError,
  ReplicaStore.ReplicaStore | Scope.Scope
> = Effect.fnUntraced(function* (options) {
  const file = path.resolve(yield* ReplicaStore.checkFolder(options.folder), Files.indexName)
  const store = yield* ReplicaStore.ReplicaStore
  const boot = yield* Place.Boot
  const heads = new Map<string, number>((yield* store.watermarks).map(({ log, seq }) => [log, seq]))
  let current: Opened | undefined
  /** Whether the file that is there now is to be deleted, whatever it seems to be. */
  let isWaste = false
  const deleteWaste = (): void => {
    if (isWaste) Files.remove(file)
    isWaste = false
  }
  const attempt = Effect.suspend(() => {
    const first = Effect.try({
      try: () => {
        deleteWaste()
        return (current = open(file, store, boot, heads))
      },
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
    getAll: (keys) => current?.service.getAll(keys) ?? unlessClosed(Effect.succeed(keys.map(() => undefined))),
    scan: (options) => current?.service.scan(options) ?? unlessClosed(Effect.succeed([])),
    forget: (pointers) => current?.service.forget(pointers) ?? unlessClosed(Effect.void),
    merge: (pointers, progress) =>
      current === undefined
        ? unlessClosed(Effect.flatMap(attempt, ({ service }) => service.merge(pointers, progress)))
        : current.service.merge(pointers, progress),
    reset: Effect.suspend(() => {
      current?.abandon()
      current = undefined
      isWaste = true
      const now = Effect.try({ try: deleteWaste, catch: (cause) => Database.storeError(file, cause) })
      return Effect.catch(now, (error) => Effect.logError(`the record index cannot be deleted yet: ${error.message}`))
    })
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
    ...Database.index,
    cacheKiB: 16384,
    create: (db) => {
      db.exec(`CREATE TABLE store (cluster TEXT, replica TEXT, incarnation TEXT, open_in TEXT NOT NULL) STRICT;
        CREATE TABLE log (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
        CREATE TABLE pointer (namespace TEXT NOT NULL, key TEXT NOT NULL, log INTEGER NOT NULL, seq INTEGER NOT NULL,
          wall_time INTEGER NOT NULL, logical INTEGER NOT NULL, tie BLOB NOT NULL, deleted INTEGER NOT NULL,
          checksum INTEGER NOT NULL, PRIMARY KEY (namespace, key)) STRICT, WITHOUT ROWID`)
      const { cluster, replica, incarnation } = store.identity
      db.prepare("INSERT INTO store VALUES (?, ?, ?, '')").run(cluster, replica, incarnation)
    }
  }
  const use = () => {
    Files.prepare(file)
    const db = Database.open(file, kind)
    try {
      const unusable = IndexFile.whyUnusable(db, store, boot, heads)
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

  const pointers = Pointers.make(db)
  /** Moves the write-ahead log into the file, which syncs nothing, and leaves nothing of it. */
  const cutLog = (): void => {
    try {
      db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
    } catch {
      // Without room for that the log stays what it is.
    }
  }
  let isClosed = false
  const call = <A>(f: () => A): Effect.Effect<A, ReplicaStore.StoreError> =>
    Effect.suspend(() => {
      if (isClosed) return Effect.fail(Database.closed(file))
      try {
        return Effect.succeed(f())
      } catch (cause) {
        return Effect.fail(Database.storeError(file, cause))
      }
    })

  const service: Omit<RecordIndex.RecordIndex["Service"], "reset"> = {
    progress: call(pointers.progress),
    merge: (updates, progress) =>
      call(() => {
        pointers.merge(updates, progress)
        // It is the last step: what comes next may be hours away.
        if (progress.size > 0) cutLog()
      }),
    forget: (gone) => call(() => pointers.forget(gone)),
    get: (namespace, key) => call(() => Option.fromNullishOr(pointers.get(namespace, key))),
    getAll: (keys) => call(() => pointers.getAll(keys)),
    scan: (scan) => call(() => pointers.scan(scan))
  }
  const close = (): void => {
    isClosed = true
    try {
      mark(boot)
      mark("")
    } finally {
      db.close()
    }
  }
  /** Closes it without a word of what is in it. */
  const abandon = (): void => {
    isClosed = true
    try {
      db.close()
    } catch {
      // It is deleted, whatever it says.
    }
  }
  return { service, close, abandon }
}
