/**
 * The durable logs of a replica in one file of LMDB, `<folder>/log.mdb`.
 *
 * Nothing waits for the disk on the event loop: an append hands its rows over to a thread that commits and syncs them,
 * and reads look into the mapped file.
 */
import { LogId, ReplicaSet } from "@quorum/core"
import { ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Exit, Layer, Option, Schema, Scope } from "effect"
import * as path from "node:path"
import * as Environment from "./internal/environment.ts"
import * as Files from "./internal/files.ts"
import * as Guard from "./internal/guard.ts"
import * as HeldLog from "./internal/heldLog.ts"
import * as Mending from "./internal/mending.ts"
import * as Notes from "./internal/notes.ts"
import * as Rows from "./internal/rows.ts"
import * as Shrinking from "./internal/shrinking.ts"
import * as Writing from "./internal/writing.ts"

/** Where the store is. Whose it is says `ReplicaSet`. */
export interface Options {
  /** The folder of the file; created when it is missing, for this user alone. It belongs to one process at a time. */
  readonly folder: string
}

/**
 * Opens the store, or creates it. It is closed with the scope, which waits for the appends under way; calls after that
 * fail with `unavailable`.
 *
 * An append is one commit of LMDB, and has been synced when it returns, in a file that a restart will find: when it is
 * removed, renamed or replaced while the store is open, appends fail. What the start finds is synced before anything
 * else is done with it. What is read has been checked against the chain checksum that was stored with it.
 *
 * A store that is opened elsewhere than before, or after another boot of the machine, may not know what it gave away and
 * has a new incarnation when it is returned (law L53).
 */
export const make: (
  options: Options
) => Effect.Effect<ReplicaStore.ReplicaStore["Service"], ReplicaStore.StoreError, ReplicaSet.ReplicaSet | Scope.Scope> =
  Effect.fnUntraced(function* (options) {
    const file = path.resolve(yield* ReplicaStore.checkFolder(options.folder), "log.mdb")
    const { cluster, self } = yield* ReplicaSet.ReplicaSet
    const draw = yield* LogId.incarnations
    const boot = yield* Notes.Boot
    const asked = decodeIdentity({ cluster, replica: self, incarnation: draw() })
    const attempt = <A>(f: () => A) => Effect.try({ try: f, catch: (cause) => Environment.storeError(file, cause) })
    yield* Effect.acquireRelease(
      attempt(() => {
        Files.prepare(file)
        const left = Files.leftOf(file)
        // A new store would begin as if there had been none (decision 0081).
        if (left !== undefined) {
          throw Environment.damaged(`${file} is missing or empty, and ${left} is there; ${Environment.remedy}`)
        }
        return Files.lock(path.dirname(file))
      }),
      (unlock) => Effect.sync(unlock)
    )
    yield* attempt(() => Files.sync(file))
    yield* Environment.check(file)
    const opened = Effect.flatMap(
      Effect.acquireRelease(
        attempt(() => {
          const environment = Environment.open(file, { sync: true })
          return { environment, guard: Guard.make(file, environment) }
        }),
        ({ guard }) => guard.close
      ),
      (found) => attempt(() => ({ ...found, notes: Notes.make(file, found.environment, found.guard) }))
    )
    const isLeft = yield* attempt(() => Shrinking.removeLeft(file))
    const scope = yield* Scope.fork(yield* Effect.scope)
    const first = yield* Scope.provide(opened, scope)
    const settled = yield* settle(file, first.guard, first.notes, asked, draw, boot)
    const isCopied = !isLeft && (yield* Shrinking.copy(file, first.environment))
    if (isCopied) {
      yield* Scope.close(scope, Exit.void)
      yield* attempt(() => Shrinking.putInPlace(file))
    }
    const { environment, guard, notes } = isCopied ? yield* opened : first
    return yield* guard.call(() => Effect.succeed(makeStore(file, environment, guard, notes, settled, draw)))
  })

/** {@link make} as a layer. */
export const layer = (
  options: Options
): Layer.Layer<ReplicaStore.ReplicaStore, ReplicaStore.StoreError, ReplicaSet.ReplicaSet> =>
  Layer.effect(ReplicaStore.ReplicaStore, make(options))

// ---------------------------------------------------------------------------------------------------------------------

const decodeIdentity = Schema.decodeUnknownSync(ReplicaStore.StoreIdentity)

/** Draws an incarnation, newer than another. */
type Draw = (above?: LogId.Incarnation, follows?: LogId.Follows) => LogId.Incarnation

interface Settled {
  readonly identity: ReplicaStore.StoreIdentity
  readonly doubt: ReplicaStore.Doubt
}

/** Finds out whose store it is and what is in doubt, and answers the doubt durably, before anything of it is said. */
const settle = (
  file: string,
  { call }: Guard.Guard,
  notes: Notes.Notes,
  asked: ReplicaStore.StoreIdentity,
  draw: Draw,
  boot: string
): Effect.Effect<Settled, ReplicaStore.StoreError> =>
  call(() => {
    const place = Notes.placeOf(file)
    const found = notes.identity()
    if (found === undefined) {
      const blank = { place, boot, [ReplicaStore.recoveringNote]: "blank" }
      return Effect.as(notes.set(blank, asked), { identity: asked, doubt: "blank" })
    }
    if (found.cluster !== asked.cluster || found.replica !== asked.replica) {
      const detail =
        `${file} belongs to replica ${found.replica} of ${JSON.stringify(found.cluster)}, and was opened for replica ` +
        `${asked.replica} of ${JSON.stringify(asked.cluster)}; give every replica a folder of its own`
      return Effect.fail(new ReplicaStore.StoreError({ reason: "wrong_identity", detail }))
    }
    const doubt = Notes.doubtOf(notes, place, boot)
    if (doubt !== "other_place" && notes.get("boot") === boot) return Effect.succeed({ identity: found, doubt })
    const incarnation = draw(found.incarnation, doubt === "other_place" ? "loss" : "boot")
    const identity = { ...found, incarnation }
    const lost = doubt === "other_place" ? { [ReplicaStore.recoveringNote]: "lost" } : {}
    return Effect.as(notes.set({ place, boot, ...lost }, identity), { identity, doubt })
  })

const makeStore = (
  file: string,
  environment: Environment.Environment,
  guard: Guard.Guard,
  notes: Notes.Notes,
  { doubt, identity: first }: Settled,
  draw: Draw
) => {
  let identity = first
  const { call, change, checkPlace } = guard
  const entries = Rows.entriesOf(environment)
  const damage: HeldLog.Found = { ranges: [] }
  const logs = new Map<LogId.LogId, HeldLog.HeldLog>()
  for (const name of Rows.names(entries)) {
    const log = HeldLog.make(file, entries, name, damage)
    HeldLog.findHead(log)
    logs.set(name, log)
  }

  const { append, cut, lastSyncMillis, replace } = Writing.make({ damage, entries, environment, file, guard, logs })

  return ReplicaStore.ReplicaStore.of({
    get identity() {
      return identity
    },
    doubt,
    note: (name) => call(() => Effect.succeed(Option.fromNullishOr(notes.get(name)))),
    setNotes: (changed) => change(() => notes.set(changed)),
    renew: (above) =>
      change(() => {
        const renewed = { ...identity, incarnation: draw(LogId.newer(identity.incarnation, above)) }
        return Effect.map(notes.set({ [ReplicaStore.recoveringNote]: "lost" }, renewed), () => {
          identity = renewed
          return identity.incarnation
        })
      }),
    append,
    read: (name, after, maxBytes) =>
      call(() => {
        const log = logs.get(name)
        if (log === undefined || after >= log.head.seq) return Effect.succeedNone
        return Effect.succeedSome(HeldLog.read(log, after, maxBytes))
      }),
    chainAt: (name, seq) =>
      call(() => {
        const log = logs.get(name)
        if (seq > (log?.head.seq ?? 0)) return Effect.succeedNone
        const chain = log === undefined ? Watermark.none(name).chain : HeldLog.chainAt(log, seq)
        return Effect.succeed(Option.fromNullishOr(chain))
      }),
    watermarks: call(() => {
      checkPlace()
      return Effect.succeed(Array.from(logs.values(), ({ head }) => head))
    }),
    damaged: () => damage.ranges,
    space: call(() => Files.onDisk(file, environment.space())),
    check: (name, after, maxBytes) =>
      call(() => {
        const log = logs.get(name)
        return Effect.succeed(log === undefined ? after : Mending.check(log, after, maxBytes))
      }),
    replace,
    cut,
    lastSyncMillis
  })
}
