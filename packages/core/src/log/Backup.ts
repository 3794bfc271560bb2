/**
 * A backup of a replica that runs, in one file, and the way back into an empty store.
 */
import {
  Clock,
  Context,
  Effect,
  Exit,
  FileSystem,
  Layer,
  Option,
  type PlatformError,
  Result,
  Schema,
  type Scope,
  Semaphore
} from "effect"
import * as Chain from "./Chain.ts"
import * as BackupOrigin from "./BackupOrigin.ts"
import * as Frames from "./BackupFrames.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as Floor from "./Floor.ts"
import * as ReplicaClock from "./ReplicaClock.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import { ReplicaLogs } from "./ReplicaLogs.ts"
import * as ReplicaStore from "./ReplicaStore.ts"
import * as Watermark from "./Watermark.ts"

/**
 * A backup could not be made or used. `detail` names the file and the remedy.
 *
 * - `exists`: there is a file already where it should go, or another backup is being written there
 * - `damaged`: the file is no backup, ends too early, or has other bytes than were written
 * - `wrong_cluster`: it is of another replica set
 * - `not_empty`: the store holds something that is not in the backup, or is of another one, or has begun to take part in
 *   its replica set
 */
export class BackupError extends Schema.TaggedError<BackupError>()("BackupError", {
  reason: Schema.Literals(["exists", "damaged", "wrong_cluster", "not_empty"]),
  detail: Schema.String
}) {
  override get message(): string {
    return `backup ${this.reason}: ${this.detail}`
  }
}

/** What is in a backup. `takenAt` is in milliseconds since the epoch; `check` is over all of the file, and tells it from others. */
export interface Summary extends Frames.Header {
  readonly entries: number
  readonly check: Chain.Chain
}

/** How far a backup, or the way back, has come: entries so far, and in all. */
export type OnProgress = (done: number, all: number) => void

/** Makes backups of this replica. */
export class Backup extends Context.Service<
  Backup,
  {
    /**
     * Writes what this replica durably holds at this moment, all logs of it, into a new file, and syncs it; the replica
     * goes on meanwhile. The file has its name when it is whole. Fails with `corrupt` while entries are damaged here. One of
     * a replica that does not vote (`ReplicaStatus`) may lack what was acknowledged.
     */
    readonly toFile: (
      path: string,
      onProgress?: OnProgress
    ) => Effect.Effect<
      Summary,
      BackupError | ReplicaStore.StoreError | PlatformError.PlatformError,
      FileSystem.FileSystem
    >
  }
>()("@quorum/core/Backup") {}

/** Makes backups from the logs. */
export const layer: Layer.Layer<Backup, never, ReplicaLogs | ReplicaSet> = Layer.effect(
  Backup,
  Effect.map(Effect.all([ReplicaLogs, ReplicaSet]), ([logs, { peers }]) =>
    Backup.of({
      toFile: Effect.fnUntraced(function* (path, onProgress = () => undefined) {
        const fs = yield* FileSystem.FileSystem
        if (yield* fs.exists(path)) {
          return yield* new BackupError({ reason: "exists", detail: `${path} exists; choose another name, or move it` })
        }
        const partial = `${path}.partial`
        return yield* Effect.acquireUseRelease(
          claim(fs, partial),
          () =>
            Effect.tap(Effect.scoped(logs.unerased(write(logs, peers.length > 0, partial, onProgress))), () =>
              fs.rename(partial, path)
            ),
          (_, exit) => (Exit.isSuccess(exit) ? Effect.void : Effect.ignore(fs.remove(partial, { force: true })))
        )
      })
    })
  )
)

/** Reads a backup to its end, and says what is in it. Fails with `damaged` when it is not whole. */
export const verify = (
  path: string
): Effect.Effect<Summary, BackupError | PlatformError.PlatformError, FileSystem.FileSystem> =>
  readAll(path, () => Effect.void)

/**
 * Fills an empty store from a backup. All of the file is looked at before anything is written; when it is interrupted, do
 * it again: no replica starts on a part of it. The store must be new: blank, and with no other entries than those of the backup.
 *
 * The store's replica has a life of its own, whosever the backup was. Where members of its replica set are alive, it
 * recovers from them, and votes when it holds all that they hold: nothing is rolled back by it. When the whole set is lost,
 * restore the same file at every member before the first of them starts: all are blank then, and the replica set begins
 * with what was in the backup. What was acknowledged after it was taken is lost, and nobody can say what that was. Of two
 * different files the older one may have what is deleted and forgotten in the other: replicas with different ones do not
 * begin, and say why in `obstacle` of their status.
 */
export const restore = Effect.fnUntraced(function* (
  path: string,
  onProgress: OnProgress = () => undefined
): Effect.fn.Return<
  Summary,
  BackupError | ReplicaStore.StoreError | PlatformError.PlatformError,
  FileSystem.FileSystem | ReplicaStore.ReplicaStore
> {
  const store = yield* ReplicaStore.ReplicaStore
  const refused = new BackupError({
    reason: "not_empty",
    detail: `the store is in use already, or has something of another backup; give the replica an empty folder, and restore ${path} into that`
  })
  const held = yield* store.watermarks
  const from = yield* BackupOrigin.load(store)
  if (!Option.contains(yield* store.note(ReplicaStore.recoveringNote), "blank")) return yield* refused
  const before = Option.getOrElse(yield* store.note(ReplicaStore.restoredNote), () => "")
  const mark = (note: string) => store.setNotes({ [ReplicaStore.restoredNote]: note })
  // Looking at the file may take long: who is interrupted meanwhile has no empty store that a replica would begin with.
  if (held.length === 0) yield* mark(ReplicaStore.restoredInPart)
  const summary = yield* looked(path, store.identity.cluster).pipe(
    // What is erased in one file may stand in another, whose entries would stay where they are.
    Effect.filterOrFail(
      (found) =>
        held.length === 0 ||
        (BackupOrigin.isSame(from, found) && held.every(({ log, seq }) => (endOf(found.vector, log)?.seq ?? 0) >= seq)),
      () => refused
    ),
    Effect.tapError(() => (held.length === 0 ? mark(before) : Effect.void))
  )
  yield* store.setNotes({ [ReplicaStore.restoredNote]: ReplicaStore.restoredInPart, ...BackupOrigin.encode(summary) })
  const append = (batch: EntryBatch.EntryBatch) =>
    Effect.catchTags(store.append(batch), {
      AppendGap: () => Effect.fail(refused),
      AppendDrift: () => Effect.fail(refused)
    })
  let done = 0
  // Its clock goes on after all that is in it, wherever in a log that is, and after what was forgotten.
  const restored = yield* Effect.scoped(
    Effect.gen(function* () {
      const clock = yield* ReplicaClock.make
      if (summary.floor !== undefined) {
        const { methods } = yield* Floor.make(store, Semaphore.makeUnsafe(1), clock.follow)
        yield* methods.raiseFloor(summary.floor)
      }
      return yield* readAll(path, (batch) =>
        Effect.map(Effect.andThen(clock.secure(batch) ?? Effect.void, append(batch)), () => {
          clock.held(batch)
          onProgress((done += batch.count), summary.entries)
        })
      )
    })
  )
  yield* mark("yes")
  return restored
})

// ---------------------------------------------------------------------------------------------------------------------

/** Looks at all of a backup, which has to be of this replica set. */
const looked = (path: string, cluster: string) =>
  Effect.filterOrFail(
    verify(path),
    (summary) => summary.cluster === cluster,
    (summary) =>
      new BackupError({
        reason: "wrong_cluster",
        detail: `${path} is of ${JSON.stringify(summary.cluster)}, and the store of ${JSON.stringify(cluster)}`
      })
  )

/** How much of a log is read at once. */
const readBytes = 256 * 1024

const endOf = (vector: Watermark.VersionVector, log: string): Watermark.Watermark | undefined =>
  vector.find((held) => held.log === log)

/** Makes the file that gets its name when it is whole, unless another backup is written into it. */
const claim = (fs: FileSystem.FileSystem, partial: string) =>
  Effect.catchIf(
    Effect.scoped(fs.open(partial, { flag: "wx", mode: 0o600 })),
    ({ reason }) => reason._tag === "AlreadyExists",
    () => {
      const detail = `${partial} exists: another backup is written there, or was interrupted; wait for it, or remove it`
      return Effect.fail(new BackupError({ reason: "exists", detail }))
    }
  )

const write = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  hasPeers: boolean,
  path: string,
  onProgress: OnProgress
) {
  const fs = yield* FileSystem.FileSystem
  const [damage] = logs.damaged()
  if (damage !== undefined) {
    const remedy = hasPeers
      ? "back up another replica, or wait until they are mended"
      : "no other replica has them; export the records (quorum export --without-damaged), and keep them so"
    const detail = `entries ${damage.from} to ${damage.to} of ${damage.log} are damaged; ${remedy}`
    return yield* new ReplicaStore.StoreError({ reason: "corrupt", detail })
  }
  const vector = logs.vector().filter(({ seq }) => seq > 0)
  const takenAt = (yield* Clock.Clock).currentTimeMillisUnsafe()
  const header: Frames.Header = { format: 1, ...logs.identity, takenAt, floor: logs.floor(), vector }
  const all = vector.reduce((sum, { seq }) => sum + seq, 0)
  const file = yield* fs.open(path, { flag: "w" })
  const check = Frames.start()
  yield* file.writeAll(Frames.mark)
  yield* file.writeAll(Frames.encode(check, { _tag: "Header", header }))
  let entries = 0
  let batches = 0
  for (const { log, seq } of vector) {
    for (let at = 0; at < seq;) {
      const read = Option.getOrUndefined(yield* logs.read(log, at, readBytes))
      if (read === undefined) return yield* missing(log, at + 1)
      const batch = EntryBatch.upTo(read, seq)
      yield* file.writeAll(Frames.encode(check, { _tag: "Batch", batch }))
      at = EntryBatch.last(batch)
      entries += batch.count
      batches++
      onProgress(entries, all)
    }
  }
  yield* file.writeAll(Frames.encode(check, { _tag: "End", end: { entries, batches } }))
  yield* file.sync
  return { ...header, entries, check: Chain.format(check) }
})

const missing = (log: string, seq: number) =>
  new ReplicaStore.StoreError({ reason: "corrupt", detail: `entry ${seq} of ${log} cannot be found` })

/** Reads a backup from its beginning to its end; every log has to be whole, up to where the header says. */
const readAll = <E, R>(path: string, use: (batch: EntryBatch.EntryBatch) => Effect.Effect<void, E, R>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { check, isAtEnd, next } = yield* reader(path)
      const first = yield* next
      if (first._tag !== "Header") return yield* damaged(path, "it does not begin with its header")
      const heads = new Map<string, Watermark.Watermark>()
      let entries = 0
      let batches = 0
      while (true) {
        const frame = yield* next
        if (frame._tag === "Batch") {
          const { batch } = frame
          const head = heads.get(batch.log) ?? Watermark.none(batch.log)
          if (batch.from !== head.seq + 1 || batch.prevChain !== head.chain) {
            return yield* damaged(path, `entry ${batch.from} of ${batch.log} does not follow what is before it`)
          }
          yield* use(batch)
          heads.set(batch.log, EntryBatch.watermark(batch))
          entries += batch.count
          batches++
          continue
        }
        const { vector } = first.header
        const isWhole =
          vector.every(({ chain, log }) => heads.get(log)?.chain === chain) && heads.size === vector.length
        const isEnd = frame._tag === "End" && frame.end.entries === entries && frame.end.batches === batches
        if (!isWhole || !isEnd || !(yield* isAtEnd))
          return yield* damaged(path, "it does not have what its header says")
        return { ...first.header, entries, check: check() }
      }
    })
  )

/** Reads the frames of a file one after the other. */
const reader = Effect.fnUntraced(function* (path: string): Effect.fn.Return<
  {
    readonly next: Effect.Effect<Frames.Frame, BackupError | PlatformError.PlatformError>
    readonly isAtEnd: Effect.Effect<boolean, PlatformError.PlatformError>
    /** Over all that was read. */
    readonly check: () => Chain.Chain
  },
  BackupError | PlatformError.PlatformError,
  FileSystem.FileSystem | Scope.Scope
> {
  const fs = yield* FileSystem.FileSystem
  const file = yield* fs.open(path, { flag: "r" })
  const check = Frames.start()
  let offset = 0
  const take = Effect.fnUntraced(function* (into: Uint8Array) {
    for (let at = 0; at < into.length;) {
      const count = yield* file.read(into.subarray(at))
      if (count === 0) return yield* damaged(path, `it ends after ${offset + at} bytes, before the backup does`)
      at += count
    }
    offset += into.length
  })
  const mark = new Uint8Array(Frames.mark.length)
  yield* take(mark)
  if (!mark.every((byte, i) => byte === Frames.mark[i])) return yield* damaged(path, "it is no backup")
  const next = Effect.gen(function* () {
    const began = offset
    const head = new Uint8Array(Frames.headBytes)
    yield* take(head)
    const rest = Frames.restOf(head)
    if (rest > Frames.maxBytes) return yield* damaged(path, `what begins at byte ${began} cannot be read`)
    const bytes = new Uint8Array(head.length + rest)
    bytes.set(head)
    yield* take(bytes.subarray(head.length))
    const frame = Frames.decode(check, bytes)
    return Result.isSuccess(frame)
      ? frame.success
      : yield* damaged(path, `what begins at byte ${began} cannot be read: ${frame.failure}`)
  })
  const isAtEnd = Effect.map(file.read(new Uint8Array(1)), (count) => count === 0)
  return { next, isAtEnd, check: () => Chain.format(check) }
})

const damaged = (path: string, detail: string) =>
  new BackupError({ reason: "damaged", detail: `${path}: ${detail}; nothing was taken from it, use another backup` })
