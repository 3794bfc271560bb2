/**
 * A look at the folder of a store that no process has open: whose it is, where it lives, what is damaged in it and whether
 * its index can be used. Nothing in the folder changes by it: LMDB writes to its table of readers even to read, so the
 * files are copied, and opened elsewhere. Where the file system can, a copy shares its blocks and costs nothing.
 */
import {
  DamagedRange,
  EntryBatch,
  IndexCheck,
  type RecordIndex,
  ReplicaStore,
  type StoreInspection
} from "@quorum/core/adapter"
import { Effect, type Scope } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Environment from "./internal/environment.ts"
import * as Files from "./internal/files.ts"
import * as Guard from "./internal/guard.ts"
import * as HeldLog from "./internal/heldLog.ts"
import * as IndexTables from "./internal/indexTables.ts"
import * as Mending from "./internal/mending.ts"
import * as Notes from "./internal/notes.ts"
import * as Rows from "./internal/rows.ts"
import type * as LmdbReplicaStore from "./LmdbReplicaStore.ts"

/**
 * Looks at the folder, and reads every row of every log. Fails with `unavailable` when there is no store, with `locked`
 * when a process has it open, and with `corrupt` when it cannot be read at all.
 */
export const inspect = Effect.fnUntraced(function* ({
  folder
}: LmdbReplicaStore.Options): Effect.fn.Return<StoreInspection.StoreInspection, ReplicaStore.StoreError> {
  const file = path.resolve(yield* ReplicaStore.checkFolder(folder), "log.mdb")
  const boot = yield* Notes.Boot
  return yield* Effect.scoped(
    Effect.gen(function* () {
      const scratch = yield* copied(file)
      const copy = path.join(scratch, "log.mdb")
      const guard = yield* opened(file, copy)
      const { index, ...state } = yield* stateOf(file, boot, guard)
      const { held, logs } = yield* logsOf(file, guard)
      const doubt = state.isSamePlace ? (state.isSameBoot ? "none" : "other_boot") : "other_place"
      const found = yield* indexOf(path.resolve(folder, Files.indexName), scratch, { doubt, noted: index, boot, held })
      const isClosed = index === "" || index.endsWith(` ${IndexTables.wasClosed}`)
      return { ...state, isClosed, isUnsynced: false, logs, index: found }
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------

interface Opened {
  readonly environment: Environment.Environment
  readonly guard: Guard.Guard
}

const attempt = <A>(file: string, f: () => A): Effect.Effect<A, ReplicaStore.StoreError> =>
  Effect.try({ try: f, catch: (cause) => Environment.storeError(file, cause) })

/** A folder of its own with a copy of the file, which goes with the scope. */
const copied = (file: string): Effect.Effect<string, ReplicaStore.StoreError, Scope.Scope> =>
  Effect.acquireRelease(
    attempt(file, () => {
      if (!Files.isThere(file)) throw noStore(`there is no ${file}; give the folder in which a replica keeps its files`)
      if (Files.isLocked(path.dirname(file))) throw new Files.Locked()
      return fs.mkdtempSync(path.join(os.tmpdir(), "quorum-look-"))
    }),
    (scratch) => Effect.sync(() => fs.rmSync(scratch, { recursive: true, force: true }))
  ).pipe(Effect.tap((scratch) => attempt(file, () => copyInto(scratch, file))))

const copyInto = (scratch: string, file: string): void =>
  fs.copyFileSync(file, path.join(scratch, path.basename(file)), fs.constants.COPYFILE_FICLONE)

const noStore = (detail: string) => new ReplicaStore.StoreError({ reason: "unavailable", detail })

const opened = (file: string, copy: string): Effect.Effect<Opened, ReplicaStore.StoreError, Scope.Scope> =>
  Effect.andThen(
    Environment.check(copy, file),
    Effect.acquireRelease(
      attempt(file, () => {
        const environment = Environment.open(copy, { sync: false })
        return { environment, guard: Guard.make(copy, environment) }
      }),
      ({ guard }) => guard.close
    )
  )

/** What the store says of itself. */
const stateOf = (file: string, boot: string, { environment, guard }: Opened) =>
  attempt(file, () => {
    const notes = Notes.make(file, environment, guard)
    const identity = notes.identity()
    if (identity === undefined) {
      // As a crash leaves it that comes before that is committed.
      if (Rows.names(Rows.entriesOf(environment)).length > 0)
        throw Environment.damaged(`${file} does not say whose it is`)
      throw noStore(`no replica has written to ${file} yet; start one on this folder, or give that of another`)
    }
    return {
      identity,
      isSamePlace: notes.get("place") === Notes.placeOf(file),
      isSameBoot: notes.get("boot") === boot,
      recovering: notes.get(ReplicaStore.recoveringNote) || undefined,
      isRestoredInPart: notes.get(ReplicaStore.restoredNote) === ReplicaStore.restoredInPart,
      index: notes.get(IndexTables.note) ?? ""
    }
  })

/** All logs, each read to its end. */
const logsOf = (file: string, { environment }: Opened) =>
  attempt(file, () => {
    const entries = Rows.entriesOf(environment)
    const found: HeldLog.Found = { ranges: [] }
    const held = Rows.names(entries).map((name) => {
      const log = HeldLog.make(file, entries, name, found)
      HeldLog.findHead(log)
      for (let at = 0; at < log.head.seq;) at = Mending.check(log, at, 1 << 20)
      return log
    })
    const damaged = DamagedRange.joined(found.ranges)
    const logs = held.map(({ damagedEnd, head: { log: name, seq } }): StoreInspection.InspectedLog => ({
      log: name,
      seq,
      damaged: damaged.filter(({ log }) => log === name),
      isEndDamaged: damagedEnd !== undefined
    }))
    return { held, logs }
  })

const indexOf = (
  file: string,
  scratch: string,
  store: {
    readonly doubt: ReplicaStore.Doubt
    readonly noted: string
    readonly boot: string
    readonly held: ReadonlyArray<HeldLog.HeldLog>
  }
): Effect.Effect<StoreInspection.InspectedIndex> => {
  const copy = path.join(scratch, "index.mdb")
  const { boot, held, noted } = store
  const heads = new Map<string, number>(held.map(({ head: { log, seq } }) => [log, seq]))
  const look = Effect.acquireUseRelease(
    Effect.andThen(
      Environment.check(copy, file),
      attempt(file, () => IndexTables.make(copy))
    ),
    ({ service, whyUnusable }) =>
      Effect.gen(function* (): Effect.fn.Return<StoreInspection.InspectedIndex, ReplicaStore.StoreError> {
        const covered = yield* service.progress
        const why = whyUnusable(store, noted, boot, heads)?.replaceAll(copy, file)
        // Nothing was ever written to it, and it covers nothing.
        if (why !== undefined && why !== IndexTables.isNew) return { state: "unusable", why }
        const wrong = yield* Effect.catch(faultOf(service, held, covered), ({ detail }) => Effect.succeed(detail))
        if (wrong !== undefined) return { state: "wrong", why: wrong.replaceAll(copy, file) }
        const behind = held.map(({ head: { log, seq } }) => seq - (covered.get(log) ?? 0))
        return { state: "usable", behind: behind.reduce((sum, count) => sum + count, 0) }
      }),
    ({ close }) => close
  )
  return Effect.gen(function* () {
    if (!(yield* attempt(file, () => Files.isThere(file)))) return { state: "missing" as const }
    yield* attempt(file, () => copyInto(scratch, file))
    return yield* look
  }).pipe(Effect.catch(({ detail }) => Effect.succeed({ state: "unusable" as const, why: detail })))
}

/** What an index does not know of the logs, as far as it covers them. */
const faultOf = Effect.fnUntraced(function* (
  index: Pick<RecordIndex.RecordIndex["Service"], "getAll">,
  logs: ReadonlyArray<HeldLog.HeldLog>,
  covered: RecordIndex.Progress
) {
  for (const log of logs) {
    const end = covered.get(log.head.log) ?? 0
    for (let at = 0; at < end;) {
      const damage = HeldLog.damageAt(log, at + 1)
      const row = damage === undefined ? HeldLog.soundRow(log, at + 1) : undefined
      const batch = row && EntryBatch.upTo(EntryBatch.after(row, at), end)
      const writes = batch === undefined ? [] : IndexCheck.newestIn(batch)
      const fault = IndexCheck.faultOf(writes, yield* index.getAll(writes))
      if (fault !== undefined) return fault
      at = damage?.to ?? (batch === undefined ? at + 1 : EntryBatch.last(batch))
    }
  }
  return undefined
})
