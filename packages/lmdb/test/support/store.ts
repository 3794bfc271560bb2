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
export const damageEntry = (folder: string, log: LogId.LogId, seq: number): Promise<void> =>
  changeRow(folder, log, seq, (bytes, last) => {
    const from = bytes.readUIntBE(0, 6)
    // After the head come marks, and before them how many they are.
    const start = 27 + 16 * bytes[26]!
    const count = last - from + 1
    const entries = { log, from, count, prevChain: Chain.empty, chain: Chain.empty, bytes: bytes.subarray(start) }
    bytes[start + EntryBatch.upTo(entries, seq).bytes.length - 1]! ^= 1
  })

/** Flips one bit of the last mark of the row with an entry in the closed file. */
export const damageMark = (folder: string, log: LogId.LogId, seq: number): Promise<void> =>
  changeRow(folder, log, seq, (bytes) => {
    bytes[27 + 16 * bytes[26]! - 1]! ^= 1
  })

// ---------------------------------------------------------------------------------------------------------------------

/** Changes the row with an entry, of which the last entry is told too. */
const changeRow = async (
  folder: string,
  log: LogId.LogId,
  seq: number,
  change: (bytes: Buffer, last: number) => void
): Promise<void> => {
  const root = openLmdb<Buffer, Buffer>({ path: fileOf(folder), encoding: "binary", keyEncoding: "binary" })
  const table = root.openDB<Buffer, Buffer>({ name: "entries", encoding: "binary", keyEncoding: "binary" })
  const start = Buffer.alloc(log.length + 7)
  start.write(log, 0, "latin1")
  start.writeUIntBE(seq, log.length + 1, 6)
  const [row] = Array.from(table.getRange({ start, limit: 1 }))
  const { key, value } = row!
  const bytes = Buffer.from(value)
  change(bytes, key.readUIntBE(key.length - 6, 6))
  await table.put(Buffer.from(key), bytes)
  await root.close()
}
