/** What the tests share: folders that go away, stores, and damage. */
import { Entry, HybridLogicalClock, type LogId, ReplicaId, ReplicaSet } from "@quorum/core"
import { Chain, EntryBatch, type ReplicaStore, type Watermark } from "@quorum/core/adapter"
import { Effect } from "effect"
import { open as openLmdb } from "lmdb"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as LmdbReplicaStore from "../../src/LmdbReplicaStore.ts"

export const logA = "a@00000000000000aa" as LogId.LogId
export const logB = "b@00000000000000bb" as LogId.LogId

/** Entries of one key with these values, after what a log has. */
export const batchAfter = (head: Watermark.Watermark, values: ReadonlyArray<string>) =>
  EntryBatch.encode(
    head,
    values.map((value) => Entry.put("ns", "k", value)),
    HybridLogicalClock.zero,
    1_700_000_000_000
  ).batch

/** A new folder, removed with the scope. */
export const tempFolder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "quorum-lmdb-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

export const fileOf = (folder: string) => path.join(folder, "log.mdb")

/** Opens a store until the surrounding scope closes. */
export const open = (folder: string, replica = ReplicaId.make("a")) =>
  LmdbReplicaStore.make({ folder }).pipe(
    Effect.provideService(ReplicaSet.ReplicaSet, { cluster: "test", self: replica, peers: [] })
  )

/** Opens a store, uses it, closes it. */
export const using = <A, E>(
  folder: string,
  use: (store: ReplicaStore.ReplicaStore["Service"]) => Effect.Effect<A, E>
) => Effect.scoped(Effect.flatMap(open(folder), use))

/** Flips one bit of an entry's value in the closed file, as a bad disk would. */
export const damageEntry = async (folder: string, log: LogId.LogId, seq: number): Promise<void> => {
  const root = openLmdb<Buffer, Buffer>({ path: fileOf(folder), encoding: "binary", keyEncoding: "binary" })
  const table = root.openDB<Buffer, Buffer>({ name: "entries", encoding: "binary", keyEncoding: "binary" })
  const keyOf = (sequence: number) => {
    const key = Buffer.alloc(log.length + 7)
    key.write(log, 0, "latin1")
    key.writeUIntBE(sequence, log.length + 1, 6)
    return key
  }
  const [row] = Array.from(table.getRange({ start: keyOf(seq), limit: 1 }))
  const { key, value } = row!
  const bytes = Buffer.from(value)
  const from = bytes.readUIntBE(0, 6)
  const count = key.readUIntBE(key.length - 6, 6) - from + 1
  const entries = { log, from, count, prevChain: Chain.empty, chain: Chain.empty, bytes: bytes.subarray(26) }
  bytes[26 + EntryBatch.upTo(entries, seq).bytes.length - 1]! ^= 1
  await table.put(Buffer.from(key), bytes)
  await root.close()
}
