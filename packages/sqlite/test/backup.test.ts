/** A backup of a replica that runs, in a real file, and the way back into real stores. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Backup, Entry, ReplicaId, ReplicaSet } from "@quorum/core"
import { EntryBatch, ReplicaStore } from "@quorum/core/adapter"
import { ReplicaSetRig } from "@quorum/testing"
import { Context, Deferred, Effect, Fiber, FileSystem, Option, type Scope } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { SqliteReplicaStore } from "../src/index.ts"
import { tempFolder } from "./support/store.ts"

const ids = ["a", "b", "c"]

const open = (folder: string, id: string, cluster = "test") =>
  SqliteReplicaStore.make({ folder }).pipe(
    Effect.provideService(ReplicaSet.ReplicaSet, { cluster, self: ReplicaId.make(id), peers: [] })
  )

/** A replica set of three on these folders, or new ones. */
const set = Effect.fnUntraced(function* (folders?: ReadonlyArray<string>) {
  const rig = yield* ReplicaSetRig.make(ids)
  const at = folders ?? (yield* Effect.forEach(ids, () => tempFolder))
  for (const [i, id] of ids.entries()) rig.replaceStore(id, yield* open(at[i]!, id))
  const replicas = yield* Effect.forEach(ids, (id) => rig.start(id))
  yield* until(() => replicas.every(({ status }) => status().recovered))
  return { rig, replicas, folders: at }
})

const until = Effect.fnUntraced(function* (isSo: () => boolean) {
  for (let waited = 0; !isSo(); waited += 20) {
    if (waited > 15_000) return assert.fail("not so after 15 s")
    yield* Effect.sleep(20)
  }
})

const put = ({ writer }: ReplicaSetRig.Running, key: string, value: string) =>
  writer.commit(Entry.put("ns", key, value), { w: "all" })

const valueOf = ({ records }: ReplicaSetRig.Running, key: string, consistency: "local" | "linearizable" = "local") =>
  Effect.map(records.read("ns", key, { consistency }), (record) =>
    Option.match(record, { onNone: () => undefined, onSome: ({ value }) => new TextDecoder().decode(value) })
  )

const backup = ({ context }: ReplicaSetRig.Running, file: string, onProgress?: Backup.OnProgress) =>
  Context.get(context, Backup.Backup).toFile(file, onProgress)

/** The entries that a store has, by log and sequence, and the chain at the end. */
const contentOf = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"]) {
  const logs = new Map<string, { readonly end: string; readonly bytes: Map<number, string> }>()
  for (const { chain, log, seq } of yield* store.watermarks) {
    const bytes = new Map<number, string>()
    for (let at = 0; at < seq;) {
      const page = Option.getOrThrow(yield* store.read(log, at, 1 << 20))
      EntryBatch.forEach(page, (place, offset) => {
        bytes.set(place, Buffer.from(page.bytes.subarray(offset, Entry.endUnsafe(page.bytes, offset))).toString("hex"))
      })
      at = EntryBatch.last(page)
    }
    logs.set(log, { end: chain, bytes })
  }
  return logs
})

/** Restores a file into a new folder. */
const restored = Effect.fnUntraced(function* (file: string, id: string) {
  const folder = yield* tempFolder
  yield* Effect.scoped(
    Effect.flatMap(open(folder, id), (store) =>
      Effect.provideService(Backup.restore(file), ReplicaStore.ReplicaStore, store)
    )
  )
  return folder
})

const running = <A, E>(test: Effect.Effect<A, E, NodeServices.NodeServices | Scope.Scope>) =>
  Effect.provide(Effect.scoped(test), NodeServices.layer)

describe("a backup", () => {
  it.live(
    "of a replica that is written to holds what was acknowledged before it, and a whole lost set begins with it",
    () =>
      running(
        Effect.gen(function* () {
          const file = path.join(yield* tempFolder, "set.backup")
          const summary = yield* Effect.scoped(
            Effect.gen(function* () {
              const { replicas } = yield* set()
              const [a, b] = replicas as [ReplicaSetRig.Running, ReplicaSetRig.Running]
              for (let i = 0; i < 50; i++) yield* put(i % 2 === 0 ? a : b, `k${i % 20}`, `v${i}`)
              let stop = false
              const writing = yield* Effect.forkChild(
                Effect.gen(function* () {
                  for (let i = 0; !stop; i++) yield* put(b, `later ${i}`, "w")
                })
              )
              const seen: Array<number> = []
              const made = yield* backup(a, file, (done, all) => seen.push(done / all))
              stop = true
              yield* Fiber.join(writing)
              assert.strictEqual(seen[seen.length - 1], 1)
              return made
            })
          )
          assert.isAtLeast(summary.entries, 50)
          assert.isFalse(fs.existsSync(`${file}.partial`))
          assert.deepStrictEqual(yield* Backup.verify(file), summary)
          const folders = yield* Effect.forEach(ids, (id) => restored(file, id))
          const { replicas } = yield* set(folders)
          for (const replica of replicas) {
            for (let key = 0; key < 20; key++) {
              const newest = key < 10 ? 40 + key : 20 + key
              assert.strictEqual(yield* valueOf(replica, `k${key}`, "linearizable"), `v${newest}`)
            }
          }
          yield* put(replicas[1]!, "k3", "after")
          assert.strictEqual(yield* valueOf(replicas[2]!, "k3"), "after")
        })
      ),
    60_000
  )

  it.live("leaves nothing where it was interrupted while it made its file, and can be taken there again", () =>
    running(
      Effect.gen(function* () {
        const file = path.join(yield* tempFolder, "set.backup")
        const [a] = (yield* set()).replicas
        const files = yield* FileSystem.FileSystem
        const made = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const slow = FileSystem.FileSystem.of({
          ...files,
          open: (...opened) =>
            Effect.tap(files.open(...opened), () =>
              Effect.andThen(Deferred.succeed(made, undefined), Deferred.await(goOn))
            )
        })
        const taken = Effect.provideService(backup(a!, file), FileSystem.FileSystem, slow)
        const taking = yield* Effect.forkChild(taken, { startImmediately: true })
        yield* Deferred.await(made)
        const ended = yield* Effect.forkChild(Fiber.interrupt(taking), { startImmediately: true })
        yield* Deferred.succeed(goOn, undefined)
        yield* Fiber.join(ended)
        assert.deepStrictEqual(fs.readdirSync(path.dirname(file)), [])
        const summary = yield* backup(a!, file)
        assert.deepStrictEqual(yield* Backup.verify(file), summary)
      })
    )
  )

  it.live(
    "of a replica of which something is erased has what is left, and is restored as often as one likes",
    () =>
      running(
        Effect.gen(function* () {
          const file = path.join(yield* tempFolder, "set.backup")
          // More than is read at once.
          const value = "x".repeat(5000)
          const made = yield* Effect.scoped(
            Effect.gen(function* () {
              const { replicas, rig } = yield* set()
              const [a, b] = replicas as [ReplicaSetRig.Running, ReplicaSetRig.Running]
              for (let i = 0; i < 120; i++) yield* put(a, `k${i % 10}`, `${i} ${value}`)
              const store = rig.store("b")
              const { log, seq } = b.status().vector.find((head) => head.seq >= 120)!
              const erase = (from: number, to: number) =>
                Effect.gen(function* () {
                  for (let at = from - 1; at < to;) {
                    const page = EntryBatch.upTo(Option.getOrThrow(yield* store.read(log, at, 1 << 16)), to)
                    yield* store.replace(EntryBatch.erase(page, () => "superseded"))
                    at = EntryBatch.last(page)
                  }
                })
              yield* erase(4, 9)
              yield* erase(20, seq - 10)
              return { summary: yield* backup(b, file), held: yield* contentOf(store) }
            })
          )
          assert.deepStrictEqual(yield* Backup.verify(file), made.summary)
          for (let time = 0; time < 2; time++) {
            const folder = yield* tempFolder
            yield* Effect.scoped(
              Effect.gen(function* () {
                const store = yield* open(folder, "b")
                const seen: Array<number> = []
                for (let again = 0; again <= time; again++) {
                  const restore = Backup.restore(file, (done, all) => seen.push(done / all))
                  assert.deepStrictEqual(
                    yield* Effect.provideService(restore, ReplicaStore.ReplicaStore, store),
                    made.summary
                  )
                }
                assert.strictEqual(seen.at(-1), 1)
                assert.deepStrictEqual(yield* contentOf(store), made.held)
              })
            )
          }
          const folders = yield* Effect.forEach(ids, (id) => restored(file, id))
          const { replicas } = yield* set(folders)
          for (const replica of replicas) {
            for (let key = 0; key < 10; key++) {
              assert.strictEqual(yield* valueOf(replica, `k${key}`, "linearizable"), `${110 + key} ${value}`)
            }
          }
        })
      ),
    60_000
  )

  it.live(
    "L61 that is older than what is alive rolls nothing back: a member restored from it recovers from the others",
    () =>
      running(
        Effect.gen(function* () {
          const file = path.join(yield* tempFolder, "old.backup")
          const { replicas, rig } = yield* set()
          const [a, b, c] = replicas as [ReplicaSetRig.Running, ReplicaSetRig.Running, ReplicaSetRig.Running]
          yield* put(a, "k", "old")
          yield* put(a, "gone", "old")
          yield* backup(a, file)
          yield* put(b, "k", "new")
          yield* b.writer.commit(Entry.remove("ns", "gone"), { w: "all" })
          yield* c.stop
          rig.replaceStore("c", yield* open(yield* restored(file, "c"), "c"))
          const again = yield* rig.start("c")
          yield* until(() => again.status().voting)
          // It holds what the others hold, whatever it was filled from.
          assert.isNull(again.status().restoredFrom)
          assert.strictEqual(yield* valueOf(again, "k"), "new")
          assert.isUndefined(yield* valueOf(again, "gone"))
          yield* put(again, "k", "newest")
          assert.strictEqual(yield* valueOf(a, "k"), "newest")
        })
      ),
    60_000
  )

  it.live(
    "that is cut off, changed or longer is told before anything is taken from it",
    () =>
      running(
        Effect.gen(function* () {
          const folder = yield* tempFolder
          const file = path.join(folder, "one.backup")
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { replicas } = yield* set()
              for (let i = 0; i < 12; i++) yield* put(replicas[i % 3]!, `k${i}`, `value ${i}`.padEnd(100))
              yield* backup(replicas[0]!, file)
            })
          )
          const whole = fs.readFileSync(file)
          const store = yield* open(yield* tempFolder, "a")
          const isDamaged = (bytes: Uint8Array, how: string) =>
            Effect.gen(function* () {
              fs.writeFileSync(file, bytes)
              const error = yield* Effect.flip(
                Effect.provideService(Backup.restore(file), ReplicaStore.ReplicaStore, store)
              )
              assert(error._tag === "BackupError", how)
              assert.strictEqual(error.reason, "damaged", how)
              assert.include(error.message, file)
              assert.deepStrictEqual(yield* store.watermarks, [])
            })
          for (let i = 0; i < 200; i++) {
            const at = (i * 7919) % whole.length
            yield* isDamaged(whole.subarray(0, at), `cut at ${at}`)
            const flipped = Buffer.from(whole)
            flipped[at]! ^= 1 << (i % 8)
            yield* isDamaged(flipped, `bit ${i % 8} of byte ${at}`)
          }
          yield* isDamaged(Buffer.concat([whole, Buffer.from("x")]), "longer")
          yield* isDamaged(Buffer.from("another file"), "another file")
          fs.writeFileSync(file, whole)
          const summary = yield* Effect.provideService(Backup.restore(file), ReplicaStore.ReplicaStore, store)
          // Once more does no harm, so that one that was interrupted can be made again.
          yield* Effect.provideService(Backup.restore(file), ReplicaStore.ReplicaStore, store)
          assert.sameDeepMembers([...(yield* store.watermarks)], [...summary.vector])
        })
      ),
    60_000
  )

  it.live(
    "is nothing that a replica starts on where its restore was interrupted",
    () =>
      running(
        Effect.gen(function* () {
          const file = path.join(yield* tempFolder, "some.backup")
          const { replicas } = yield* set()
          for (const [i, replica] of replicas.entries()) yield* put(replica, `k${i}`, "v")
          yield* backup(replicas[0]!, file)
          const store = yield* open(yield* tempFolder, "a")
          let appended = 0
          const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "no room" })
          const append: typeof store.append = (batch) =>
            Effect.suspend(() => (appended++ === 0 ? store.append(batch) : Effect.fail(full)))
          const restoring = Effect.provideService(Backup.restore(file), ReplicaStore.ReplicaStore, { ...store, append })
          assert.strictEqual((yield* Effect.flip(restoring))._tag, "StoreError")
          const rig = yield* ReplicaSetRig.make(ids)
          rig.replaceStore("a", store)
          assert.include(String(yield* Effect.exit(rig.start("a"))), "a backup is in it in part")
          yield* Effect.provideService(Backup.restore(file), ReplicaStore.ReplicaStore, store)
          yield* rig.start("a")
        })
      ),
    60_000
  )

  it.live(
    "is nothing that a replica starts on either while the file is looked at, and one that is refused leaves what was there",
    () =>
      running(
        Effect.gen(function* () {
          const file = path.join(yield* tempFolder, "some.backup")
          const { replicas } = yield* set()
          yield* put(replicas[0]!, "k", "v")
          yield* backup(replicas[0]!, file)
          const store = yield* open(yield* tempFolder, "a")
          const restoring = (from: string) =>
            Effect.provideService(Backup.restore(from), ReplicaStore.ReplicaStore, store)
          const rig = yield* ReplicaSetRig.make(ids)
          rig.replaceStore("a", store)
          const started = Effect.map(Effect.exit(rig.start("a")), String)
          const files = yield* FileSystem.FileSystem
          const looking = yield* Deferred.make<void>()
          const stuck = {
            ...files,
            open: () => Effect.andThen(Deferred.succeed(looking, undefined), Effect.never)
          } as FileSystem.FileSystem
          const fiber = yield* Effect.forkChild(Effect.provideService(restoring(file), FileSystem.FileSystem, stuck))
          yield* Deferred.await(looking)
          yield* Fiber.interrupt(fiber)
          assert.include(yield* started, "a backup is in it in part")
          fs.writeFileSync(`${file}.cut`, fs.readFileSync(file).subarray(0, 100))
          yield* Effect.flip(restoring(`${file}.cut`))
          assert.include(yield* started, "a backup is in it in part")
          yield* restoring(file)
          yield* rig.start("a")
          const fresh = yield* open(yield* tempFolder, "b")
          yield* Effect.flip(Effect.provideService(Backup.restore(`${file}.cut`), ReplicaStore.ReplicaStore, fresh))
          rig.replaceStore("b", fresh)
          yield* rig.start("b")
        })
      ),
    60_000
  )

  it.live(
    "is written over no file, and restored into no store that is in use or of another replica set",
    () =>
      running(
        Effect.gen(function* () {
          const file = path.join(yield* tempFolder, "one.backup")
          const reasonOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
            Effect.map(Effect.flip(effect), (error) =>
              error instanceof Backup.BackupError ? error.reason : error._tag
            )
          const { replicas, rig } = yield* set()
          yield* put(replicas[0]!, "k", "v")
          yield* backup(replicas[0]!, file)
          assert.strictEqual(yield* reasonOf(backup(replicas[0]!, file)), "exists")
          // Of two that are written to one place at once, one is made, and the other leaves it alone.
          const at = `${file}.2`
          const both = yield* Effect.forEach(
            [replicas[0]!, replicas[1]!],
            (replica) =>
              Effect.matchEffect(backup(replica, at), {
                onSuccess: () => Effect.succeed("made"),
                onFailure: (error) => reasonOf(Effect.fail(error))
              }),
            { concurrency: 2 }
          )
          assert.deepStrictEqual(both.toSorted(), ["exists", "made"])
          yield* Backup.verify(at)
          assert.isFalse(fs.existsSync(`${at}.partial`))
          const into = (store: ReplicaStore.ReplicaStore["Service"]) =>
            Effect.provideService(Backup.restore(file), ReplicaStore.ReplicaStore, store)
          assert.strictEqual(yield* reasonOf(into(rig.store("b"))), "not_empty")
          const other = yield* open(yield* tempFolder, "a", "another")
          assert.strictEqual(yield* reasonOf(into(other)), "wrong_cluster")
        })
      ),
    60_000
  )
})
