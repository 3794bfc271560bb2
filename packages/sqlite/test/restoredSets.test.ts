/** A whole replica set that was lost and begins with backups, in real files and stores: it has to be one backup. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Backup, Entry, type LogId, ReplicaId, ReplicaSet, ReplicaStatus } from "@quorum/core"
import { EntryBatch, ReplicaStore } from "@quorum/core/adapter"
import { ReplicaSetRig } from "@quorum/testing"
import { Context, Effect, Exit, Option, Scope, Stream } from "effect"
import * as path from "node:path"
import { SqliteReplicaStore } from "../src/index.ts"
import { tempFolder } from "./support/store.ts"
import { daysAhead } from "./support/wall.ts"

const ids = ["a", "b", "c"]

type Store = ReplicaStore.ReplicaStore["Service"]

/** A new store in a folder of its own. */
const newStore = Effect.fnUntraced(function* (id: string) {
  return yield* SqliteReplicaStore.make({ folder: yield* tempFolder }).pipe(
    Effect.provideService(ReplicaSet.ReplicaSet, { cluster: "test", self: ReplicaId.make(id), peers: [] })
  )
})

const restore = (file: string, store: Store) =>
  Effect.provideService(Backup.restore(file), ReplicaStore.ReplicaStore, store)

/** A new store that was filled from these files, one after the other. */
const restored = Effect.fnUntraced(function* (id: string, ...files: ReadonlyArray<string>) {
  const store = yield* newStore(id)
  for (const file of files) yield* restore(file, store)
  return store
})

/** Starts a replica set of three on these stores. */
const set = Effect.fnUntraced(function* (stores: ReadonlyArray<Store>, days: () => number = () => 3) {
  const rig = yield* ReplicaSetRig.make(ids)
  for (const [i, id] of ids.entries()) rig.replaceStore(id, stores[i]!)
  const on = daysAhead(days)
  const start = (id: string) => rig.start(id, { on })
  return { rig, start, replicas: yield* Effect.forEach(ids, start) }
})

const until = Effect.fnUntraced(function* (isSo: () => boolean) {
  for (let waited = 0; !isSo(); waited += 20) {
    if (waited > 15_000) return assert.fail("not so after 15 s")
    yield* Effect.sleep(20)
  }
})

const ready = (replicas: ReadonlyArray<ReplicaSetRig.Running>) =>
  until(() => replicas.every(({ status }) => status().recovered))

const put = ({ writer }: ReplicaSetRig.Running, key: string, value: string) =>
  writer.commit(Entry.put("n", key, value), { w: "all" })

const valueOf = ({ records }: ReplicaSetRig.Running, key: string) =>
  Effect.map(records.read("n", key), (record) =>
    Option.match(record, { onNone: () => undefined, onSome: ({ value }) => new TextDecoder().decode(value) })
  )

const backup = ({ context }: ReplicaSetRig.Running, file: string) => Context.get(context, Backup.Backup).toFile(file)

/** Whether all have forgotten the delete that is the third entry of a log. */
const isForgotten = (rig: ReplicaSetRig.ReplicaSetRig, log: LogId.LogId) =>
  Effect.map(
    Effect.forEach(ids, (id) => rig.store(id).read(log, 2, 1)),
    (read) => read.every((batch) => Option.exists(batch, EntryBatch.hasErasedDeletes))
  )

/** Two backups of a replica set that is lost, and between them a delete that was forgotten. */
const twoBackups = Effect.fnUntraced(function* () {
  const folder = yield* tempFolder
  const [older, newer] = [path.join(folder, "older.backup"), path.join(folder, "newer.backup")]
  const scope = yield* Scope.make()
  const ahead = { days: 0 }
  yield* Effect.gen(function* () {
    const { replicas, rig } = yield* set(yield* Effect.forEach(ids, newStore), () => ahead.days)
    const [a, b] = replicas as [ReplicaSetRig.Running, ReplicaSetRig.Running]
    yield* ready(replicas)
    yield* put(a, "k", "deleted")
    yield* put(a, "l", "kept")
    yield* backup(a, older)
    yield* a.writer.commit(Entry.remove("n", "k"), { w: "all" })
    ahead.days = 3
    // Until the delete is forgotten, which is not while it is the last of its log.
    yield* put(a, "m", "later")
    for (let round = 0; !(yield* isForgotten(rig, a.status().log)); round++) {
      assert.isBelow(round, 100)
      yield* Effect.forEach(replicas, ({ context }) => Context.get(context, ReplicaStatus.ReplicaStatus).compact)
      yield* Effect.sleep(100)
    }
    yield* backup(b, newer)
  }).pipe(Effect.provideService(Scope.Scope, scope))
  yield* Scope.close(scope, Exit.void)
  return { older, newer }
})

const running = <A, E>(test: Effect.Effect<A, E, NodeServices.NodeServices | Scope.Scope>) =>
  Effect.provide(Effect.scoped(test), NodeServices.layer)

describe("a whole replica set that begins with backups", () => {
  it.live(
    "NoResurrection: does not begin with two of them, and says why; it begins when all have one",
    () =>
      running(
        Effect.gen(function* () {
          const { newer, older } = yield* twoBackups()
          // Who meets all of them last begins the set, if anybody does, and the others go by what it holds.
          const stores = yield* Effect.forEach([newer, newer, older], (file, i) => restored(ids[i]!, file))
          const { replicas, rig, start } = yield* set(stores)
          const [a, b, c] = replicas as [ReplicaSetRig.Running, ReplicaSetRig.Running, ReplicaSetRig.Running]
          yield* until(() => replicas.every(({ status }) => status().peers.every(({ link }) => link === "up")))
          const why = (replica: ReplicaSetRig.Running) => replica.status().obstacle ?? "it votes"
          yield* until(() => replicas.every((replica) => /different backups|it votes/.test(why(replica))))
          const checks = yield* Effect.forEach([newer, older], (file) =>
            Effect.map(Backup.verify(file), ({ check }) => check)
          )
          for (const replica of replicas) {
            assert.include(why(replica), "restore one file at all, each in an empty folder")
            for (const check of checks) assert.include(why(replica), check)
          }
          assert.deepStrictEqual(
            replicas.map(({ status }) => status().restoredFrom?.check),
            [checks[0], checks[0], checks[1]]
          )
          yield* c.stop
          rig.replaceStore("c", yield* restored("c", newer))
          const again = yield* start("c")
          yield* ready([a, b, again])
          for (const replica of [a, b, again]) {
            assert.strictEqual(yield* valueOf(replica, "k"), undefined)
            assert.strictEqual(yield* valueOf(replica, "l"), "kept")
            assert.strictEqual(yield* valueOf(replica, "m"), "later")
            assert.strictEqual(replica.status().restoredFrom?.check, checks[0])
          }
        })
      ),
    60_000
  )

  it.live(
    "tells a reader of changes that has seen more than the backup has, at every member",
    () =>
      running(
        Effect.gen(function* () {
          const file = path.join(yield* tempFolder, "set.backup")
          const lost = yield* Scope.make()
          const since = yield* Effect.gen(function* () {
            const { replicas } = yield* set(yield* Effect.forEach(ids, newStore))
            yield* ready(replicas)
            yield* put(replicas[0]!, "k", "kept")
            yield* backup(replicas[0]!, file)
            yield* put(replicas[0]!, "l", "lost")
            const pages = yield* Stream.runCollect(replicas[1]!.records.changes({ until: "now" }))
            return pages.at(-1)!.position
          }).pipe(Effect.provideService(Scope.Scope, lost))
          yield* Scope.close(lost, Exit.void)
          const { replicas } = yield* set(yield* Effect.forEach(ids, (id) => restored(id, file)))
          yield* ready(replicas)
          for (const { records } of replicas) {
            const error = yield* Effect.flip(Stream.runDrain(records.changes({ since })))
            assert.strictEqual(error._tag, "ChangesForgotten")
          }
        })
      ),
    60_000
  )

  it.live(
    "NoResurrection: no store has a part of one and a part of another",
    () =>
      running(
        Effect.gen(function* () {
          const { newer, older } = yield* twoBackups()
          const store = yield* restored("a", older)
          const error = yield* Effect.flip(restore(newer, store))
          assert(error._tag === "BackupError")
          assert.strictEqual(error.reason, "not_empty")
          assert.include(error.message, newer)
        })
      ),
    60_000
  )
})
