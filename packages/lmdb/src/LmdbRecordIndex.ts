/**
 * The record index in a file of LMDB of its own, `<folder>/index.mdb`.
 *
 * The file is derived from the logs and written without a sync. A crash of the process does it no harm. A power loss may
 * leave it damaged in ways that nobody can see, so the store remembers, durably, under which boot of the machine it was
 * left open: found open from another one, it is thrown away and built again from the logs.
 */
import { Limits } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer, Option, Result, type Scope } from "effect"
import * as path from "node:path"
import * as Environment from "./internal/environment.ts"
import * as Files from "./internal/files.ts"
import * as IndexTables from "./internal/indexTables.ts"
import * as Notes from "./internal/notes.ts"

/** Where the index is. */
export interface Options {
  /** The folder of the file; that of the store. */
  readonly folder: string
}

/**
 * Opens the index of the store in context, or creates it; it is closed with the scope. A file that is damaged, that
 * belongs to another store, or that is ahead of the logs is deleted, with a warning, and the index starts empty.
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
  const { keyBytes, namespaceBytes } = yield* Limits.Limits
  if (namespaceBytes + 1 + keyBytes > Environment.maxKeyBytes) {
    const detail =
      `a namespace and a key may have ${namespaceBytes + keyBytes} bytes together, and LMDB takes ` +
      `${Environment.maxKeyBytes - 1}; lower the limits, or use another index`
    return yield* new ReplicaStore.StoreError({ reason: "unavailable", detail })
  }
  const store = yield* ReplicaStore.ReplicaStore
  const boot = yield* Notes.Boot
  let current: Opened | undefined
  /** Whether the file that is there now is to be deleted, whatever it seems to be. */
  let isWaste = false
  const deleteWaste = Effect.try({
    try: () => {
      if (isWaste) Files.remove(file)
      isWaste = false
    },
    catch: (cause) => Environment.storeError(file, cause)
  })
  const attempt = Effect.uninterruptible(
    Effect.tap(Effect.andThen(deleteWaste, open(file, store, boot)), (opened) => {
      current = opened
      return opened.rebuilt === undefined
        ? Effect.void
        : Effect.logWarning(`the record index is built again from the logs: ${opened.rebuilt}`)
    })
  )
  let closed = false
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      return Effect.catch(current?.close ?? Effect.void, (error) => Effect.logWarning(`closing: ${error.message}`))
    })
  )
  yield* Effect.catch(attempt, (error) =>
    error.reason === "corrupt"
      ? Effect.fail(error)
      : Effect.logWarning(`the record index cannot be opened, and is kept in memory until it can: ${error.message}`)
  )
  const unlessClosed = <A>(effect: Effect.Effect<A, ReplicaStore.StoreError>) =>
    Effect.suspend(() => (closed ? Effect.fail(Environment.closed(file)) : effect))
  return RecordIndex.RecordIndex.of({
    progress: unlessClosed(
      Effect.suspend(
        (): Effect.Effect<RecordIndex.Progress, ReplicaStore.StoreError> =>
          current?.service.progress ?? Effect.succeed<RecordIndex.Progress>(new Map())
      )
    ),
    get: (namespace, key) =>
      Effect.suspend(() =>
        closed ? Effect.fail(Environment.closed(file)) : (current?.service.get(namespace, key) ?? Effect.succeedNone)
      ),
    getAll: (keys) =>
      unlessClosed(Effect.suspend(() => current?.service.getAll(keys) ?? Effect.succeed(keys.map(() => undefined)))),
    scan: (options) => unlessClosed(Effect.suspend(() => current?.service.scan(options) ?? Effect.succeed([]))),
    forget: (pointers) => unlessClosed(Effect.suspend(() => current?.service.forget(pointers) ?? Effect.void)),
    merge: (pointers, progress) =>
      unlessClosed(
        Effect.suspend(() => {
          if (current !== undefined) return current.service.merge(pointers, progress)
          return Effect.flatMap(attempt, ({ service }) => service.merge(pointers, progress))
        })
      ),
    reset: Effect.suspend(() => {
      const { abandon } = current ?? { abandon: Effect.void }
      current = undefined
      isWaste = true
      return Effect.andThen(
        abandon,
        Effect.catch(deleteWaste, (error) =>
          Effect.logError(`the record index cannot be deleted yet: ${error.message}`)
        )
      )
    })
  })
})

/** {@link make} as a layer. */
export const layer = (
  options: Options
): Layer.Layer<RecordIndex.RecordIndex, ReplicaStore.StoreError, ReplicaStore.ReplicaStore> =>
  Layer.effect(RecordIndex.RecordIndex, make(options))

// ---------------------------------------------------------------------------------------------------------------------

type Store = ReplicaStore.ReplicaStore["Service"]

/** An index that is open, and why it was built again. */
interface Opened {
  readonly service: IndexTables.Service
  readonly rebuilt: string | undefined
  /** Ends it, without a note that it was closed. */
  readonly abandon: Effect.Effect<void>
  readonly close: Effect.Effect<void, ReplicaStore.StoreError>
}

const { isNew, note, wasClosed } = IndexTables
const noteOf = (id: string, boot: string) => ({ [note]: `${id} ${boot}` })

const open = Effect.fnUntraced(function* (
  file: string,
  store: Store,
  boot: string
): Effect.fn.Return<Opened, ReplicaStore.StoreError> {
  const noted = Option.getOrElse(yield* store.note(note), () => "")
  const heads = new Map<string, number>((yield* store.watermarks).map(({ log, seq }) => [log, seq]))
  const attempt = <A>(f: () => A) => Effect.try({ try: f, catch: (cause) => Environment.storeError(file, cause) })
  const tables = Effect.andThen(
    Environment.check(file),
    attempt(() => IndexTables.make(file))
  )
  const found = yield* Effect.result(tables)
  const why = Result.isFailure(found)
    ? found.failure.reason === "corrupt"
      ? found.failure.detail
      : undefined
    : found.success.whyUnusable(store, noted, boot, heads)
  if (Result.isFailure(found) && why === undefined) return yield* found.failure
  let usable = Result.isSuccess(found) ? found.success : undefined
  if (why !== undefined) {
    if (usable !== undefined) yield* usable.close
    yield* attempt(() => Files.remove(file))
    usable = yield* tables
  }
  const { close, id, service } = usable!
  // The file is in use from now on: whoever finds it so after another boot throws it away.
  yield* Effect.tapError(store.setNotes(noteOf(id, boot)), () => Effect.ignore(close))
  return {
    service,
    rebuilt: why === isNew ? undefined : why,
    abandon: close,
    close: Effect.andThen(
      close,
      Effect.suspend(() => {
        Files.sync(file)
        return store.setNotes(noteOf(id, wasClosed))
      })
    )
  }
})
