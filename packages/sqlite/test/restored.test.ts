/** What a replica set knows that begins with a backup, beside its records: after what its writes have to come. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Backup, Entry, ReplicaId, ReplicaStatus } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { ReplicaSetRig } from "@quorum/testing"
import { Context, Effect, Option } from "effect"
import * as path from "node:path"
import { tempFolder } from "./support/store.ts"
import { daysAhead } from "./support/wall.ts"

/** A replica set of one, by whose clock it is `days` later than it is. */
const set = Effect.gen(function* () {
  const ahead = { days: 0 }
  const on = daysAhead(() => ahead.days)
  const rig = yield* ReplicaSetRig.make(["a"])
  return { ahead, start: rig.start("a", { on }), replaceStore: (store: Store) => rig.replaceStore("a", store) }
})

type Store = ReplicaStore.ReplicaStore["Service"]

const file = Effect.map(tempFolder, (folder) => path.join(folder, "set.backup"))

const backup = ({ context }: ReplicaSetRig.Running, to: string) => Context.get(context, Backup.Backup).toFile(to)

const newStore = ReplicaStore.makeMemory({ cluster: "test", replica: ReplicaId.make("a"), doubt: "blank" })

/** A new store that was filled from a file. */
const restored = Effect.fnUntraced(function* (from: string) {
  const store = yield* newStore
  yield* Effect.provideService(Backup.restore(from), ReplicaStore.ReplicaStore, store)
  return store
})

const put = (key: string, value: string) => Entry.put("n", key, value)

const valueOf = ({ records }: ReplicaSetRig.Running, key: string) =>
  Effect.map(records.read("n", key), (record) =>
    Option.match(record, { onNone: () => undefined, onSome: ({ value }) => new TextDecoder().decode(value) })
  )

describe("a backup of a replica that is alone", () => {
  it.live("is not made while entries are damaged, which nobody can mend: it says what is left to do", () =>
    Effect.gen(function* () {
      const { replaceStore, start } = yield* set
      const store = yield* newStore
      replaceStore(store)
      const replica = yield* start
      for (const key of ["k", "l", "m"]) yield* replica.writer.commit(put(key, "v"))
      store.damage(replica.status().log, 2)
      yield* Context.get(replica.context, ReplicaStatus.ReplicaStatus).scrub
      const error = yield* Effect.flip(backup(replica, yield* file))
      assert.include(error.message, "are damaged; no other replica has them; export the records")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})

describe("a replica set that begins with a backup", () => {
  it.live("LaterWins: writes after all that is in it, wherever in a log, and however far its clock was ahead", () =>
    Effect.gen(function* () {
      const { ahead, replaceStore, start } = yield* set
      const to = yield* file
      ahead.days = 3650
      const before = yield* start
      for (const key of ["k", "l", "m"]) yield* before.writer.commit(put(key, "before"))
      yield* backup(before, to)
      yield* before.stop
      ahead.days = 0
      replaceStore(yield* restored(to))
      const after = yield* start
      for (const key of ["k", "l", "m"]) yield* after.writer.commit(put(key, "after"))
      for (const key of ["k", "l", "m"]) assert.strictEqual(yield* valueOf(after, key), "after")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live(
    "NoResurrection: refuses a stamp of before the deletes that are forgotten in it, whatever its clock",
    () =>
      Effect.gen(function* () {
        const { ahead, replaceStore, start } = yield* set
        const to = yield* file
        const before = yield* start
        const stamp = yield* before.writer.stamp({ namespace: "n", key: "k" })
        yield* before.writer.commit(put("k", "deleted"), { stamp })
        yield* before.writer.commit(Entry.remove("n", "k"))
        const status = Context.get(before.context, ReplicaStatus.ReplicaStatus)
        ahead.days = 3
        // Until the delete is forgotten, which is not while it is the last of its log.
        yield* before.writer.commit(put("l", ""))
        for (let round = 0; (yield* status.compact).last!.waitingBytes > 0; round++) {
          assert.isBelow(round, 100)
          yield* Effect.sleep(100)
        }
        const { floor } = yield* backup(before, to)
        yield* before.stop
        ahead.days = 0
        replaceStore(yield* restored(to))
        const after = yield* start
        const error = yield* Effect.flip(after.writer.commit(put("k", "deleted"), { stamp }))
        assert.strictEqual(error._tag, "TooOldToKnow")
        assert.isUndefined(yield* valueOf(after, "k"))
        assert.isAbove(after.status().clock.wallTime, floor!.wallTime - 1)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    30_000
  )
})
