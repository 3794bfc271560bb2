/** What the index does where a bit of what it has stored is another. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaId, ReplicaSet } from "@quorum/core"
import { RecordIndex, ReplicaStore, RunId, Watermark } from "@quorum/core/adapter"
import { Effect, Layer } from "effect"
import { open as openLmdb } from "lmdb"
import * as path from "node:path"
import { LmdbStore } from "../src/index.ts"
import { batchAfter, logA, tempFolder } from "./support/store.ts"

const using = <A, E>(
  folder: string,
  use: (index: RecordIndex.RecordIndex["Service"], store: ReplicaStore.ReplicaStore["Service"]) => Effect.Effect<A, E>
) =>
  Effect.flatMap(Effect.all([RecordIndex.RecordIndex, ReplicaStore.ReplicaStore]), ([index, store]) =>
    use(index, store)
  ).pipe(
    Effect.provide(
      Layer.fresh(LmdbStore.layer({ folder })).pipe(
        Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, { cluster: "test", self: ReplicaId.make("a"), peers: [] }))
      )
    )
  )

const pointer = (key: string, seq: number): RecordIndex.Pointer => ({
  namespace: "ns",
  key,
  log: logA,
  seq,
  clock: { wallTime: 1_700_000_000_000 + seq, logical: 0 },
  tie: RunId.none,
  deleted: false
})

/** Puts another key and value in the place of a row, in the closed file. */
const changeRow = async (
  folder: string,
  row: { readonly table: string; readonly key: string },
  to: (key: Buffer, value: Buffer) => void
): Promise<void> => {
  const options = { encoding: "binary", keyEncoding: "binary" } as const
  const root = openLmdb<Buffer, Buffer>({ path: path.join(folder, "index.mdb"), ...options })
  const table = root.openDB<Buffer, Buffer>({ name: row.table, ...options })
  const name = Buffer.from(row.key)
  const [before, value] = [Buffer.from(name), Buffer.from(table.getBinary(name)!)]
  to(name, value)
  await table.remove(before)
  await table.put(name, value)
  await root.close()
}

const change = (folder: string, key: string, to: (key: Buffer, value: Buffer) => void) =>
  changeRow(folder, { table: "pointers", key: `ns\0${key}` }, to)

describe("L60 DamageIsLocal: the index on LMDB", () => {
  it.live("fails with corrupt wherever one bit of a pointer is another, and answers for the others", () =>
    Effect.gen(function* () {
      const folder = yield* tempFolder
      yield* using(folder, (index) => index.merge([pointer("x", 1), pointer("y", 2)], new Map()))
      const size = 29 + logA.length
      for (let at = 0; at < size; at++) {
        const flip = Effect.promise(() => change(folder, "x", (_, value) => void (value[at]! ^= 1 << (at % 8))))
        yield* flip
        yield* using(folder, (index) =>
          Effect.gen(function* () {
            assert.strictEqual((yield* Effect.flip(index.get("ns", "x"))).reason, "corrupt")
            assert.strictEqual((yield* Effect.flip(index.scan({ limit: 9 }))).reason, "corrupt")
            assert.strictEqual((yield* index.getAll([{ namespace: "ns", key: "y" }]))[0]?.seq, 2)
          })
        )
        yield* flip
      }
      yield* Effect.promise(() => change(folder, "x", (key) => void (key[3]! ^= 1)))
      yield* using(folder, (index) =>
        Effect.map(Effect.flip(index.get("ns", "y")), ({ reason }) => assert.strictEqual(reason, "corrupt"))
      )
    })
  )

  it.live("is built again where one bit of how far it goes is another", () =>
    Effect.gen(function* () {
      // The log goes further, so only the checksum tells 5, 6 and 0 from 4.
      for (const [at, bit] of [
        [5, 1],
        [5, 2],
        [5, 4],
        [6, 1],
        [9, 128]
      ] as const) {
        const folder = yield* tempFolder
        yield* using(folder, (index, store) =>
          Effect.andThen(
            store.append(batchAfter(Watermark.none(logA), ["1", "2", "3", "4", "5", "6", "7"])),
            index.merge([pointer("k", 4)], new Map([[logA, 4]]))
          )
        )
        yield* using(folder, (index) =>
          Effect.map(index.progress, (progress) => assert.deepStrictEqual(progress, new Map([[logA, 4]])))
        )
        const row = { table: "progress", key: logA }
        yield* Effect.promise(() => changeRow(folder, row, (_, value) => void (value[at]! ^= bit)))
        yield* using(folder, (index) =>
          Effect.map(index.progress, (progress) => assert.deepStrictEqual(progress, new Map()))
        )
      }
    })
  )
})
