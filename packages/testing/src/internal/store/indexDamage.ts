/** What damage of the index costs: a while without reads. For places that know how to damage it. */
import { assert } from "@effect/vitest"
import { Entry, QuorumPolicy, QuorumWriter, Records, Replica, ReplicaSet, ReplicaStatus } from "@quorum/core"
import { PeerTransport, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Layer, Option, Result, Schedule } from "effect"
import * as Conformance from "../../Conformance.ts"
import { StorePlace } from "../../StorePlace.ts"
import { type Open, owner, using } from "./rig.ts"

const keys = Array.from({ length: 500 }, (_, i) => `key ${i} ${"long".repeat(20)}`)

const damage = Effect.gen(function* () {
  const { damageIndex } = yield* StorePlace
  if (damageIndex === undefined) {
    return yield* Effect.die(new Error("the place has no `damageIndex`: add it, or skip `needDamage` with the reason"))
  }
  yield* damageIndex
})

/** A replica without peers on what is open. */
const replica = ({ index, store }: Open) =>
  Effect.map(
    Layer.build(
      Replica.layer({ policy: Result.getOrThrow(QuorumPolicy.make({ n: 1, w: 1 })) }).pipe(
        Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, store)),
        Layer.provide(Layer.succeed(RecordIndex.RecordIndex, index)),
        Layer.provide(Layer.succeed(PeerTransport.PeerTransport, { maxInFlight: 1, connect: () => Effect.never })),
        Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, { cluster: owner.cluster, self: owner.replica, peers: [] }))
      )
    ),
    (context) => ({
      writer: Context.get(context, QuorumWriter.QuorumWriter),
      records: Context.get(context, Records.Records),
      status: Context.get(context, ReplicaStatus.ReplicaStatus).current
    })
  )

/** Uses a replica on what is there, and stops it. */
const onReplica = <A, E, R>(use: (running: Effect.Success<ReturnType<typeof replica>>) => Effect.Effect<A, E, R>) =>
  using((opened) => Effect.scoped(Effect.flatMap(replica(opened), use)))

const soon = { schedule: Schedule.spaced(10), times: 500 }

export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  Conformance.make(
    "an index that is damaged costs its replica no restart: it commits, and soon it reads everything again",
    Effect.gen(function* () {
      yield* onReplica(({ writer }) =>
        Effect.forEach(keys, (key) => writer.commit(Entry.put("ns", key, "v")), { concurrency: "unbounded" })
      )
      yield* damage
      yield* onReplica(({ records, status, writer }) =>
        Effect.gen(function* () {
          const first = yield* Effect.forEach(keys, (key) => Effect.result(records.read("ns", key)))
          const failures = first.filter(Result.isFailure).map(({ failure }) => failure._tag)
          assert.isAbove(failures.length, 0, "the damage of the place harms nothing")
          for (const tag of failures) assert.include(["StoreError", "NotReady"], tag)
          for (const read of first.filter(Result.isSuccess)) assert(Option.isSome(read.success), "a record is gone")
          yield* writer.commit(Entry.put("ns", keys[0]!, "newer"))
          for (const key of keys) {
            const found = Option.getOrThrow(yield* Effect.retry(records.read("ns", key), soon))
            assert.strictEqual(new TextDecoder().decode(found.value), key === keys[0] ? "newer" : "v")
          }
          assert.lengthOf((yield* records.page({ limit: 1000 })).records, keys.length)
          const { readable, storeFault } = status()
          assert.deepStrictEqual({ readable, storeFault }, { readable: true, storeFault: null })
        })
      )
      // Whole again on the disk too.
      yield* onReplica(({ records }) =>
        Effect.map(records.page({ limit: 1000 }), (page) => assert.lengthOf(page.records, keys.length))
      )
    })
  )
]
