/** What the tests share: folders that go away, batches, and child processes that are ended by their pid. */
import { Entry, HybridLogicalClock, type LogId, ReplicaId, ReplicaSet } from "@quorum/core"
import { Chain, EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Exit, Option, Scope } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import * as SqliteReplicaStore from "../../src/SqliteReplicaStore.ts"

export const a = ReplicaId.make("a")
export const logA = "a@00000000000000aa" as LogId.LogId
export const logB = "b@00000000000000bb" as LogId.LogId

/** A new folder, removed with the scope. */
export const tempFolder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "quorum-sqlite-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

export const fileOf = (folder: string) => path.join(folder, "log.db")

/** Flips one bit of an entry's value in the closed file, as a bad disk would. */
export const damageEntry = (folder: string, log: LogId.LogId, seq: number): void => {
  const db = new DatabaseSync(fileOf(folder))
  // An entry that was mended is in a newer part of the log.
  const parts = db.prepare("SELECT id FROM log WHERE name = ? ORDER BY part DESC").all(log) as Array<{ id: number }>
  const rowIn = ({ id }: { id: number }) =>
    db.prepare(`SELECT * FROM batch_${id} WHERE last >= ? AND first <= ? ORDER BY last LIMIT 1`).get(seq, seq)
  const { id } = parts.find((part) => rowIn(part) !== undefined)!
  const { bytes, first, last } = rowIn({ id }) as { bytes: Uint8Array; first: number; last: number }
  const row = { log, from: first, count: last - first + 1, prevChain: Chain.empty, chain: Chain.empty, bytes }
  bytes[EntryBatch.upTo(row, seq).bytes.length - 1]! ^= 1
  db.prepare(`UPDATE batch_${id} SET bytes = ? WHERE last = ?`).run(bytes, last)
  db.close()
}

/** Makes the rows of the closed index unreadable, and nothing else of it. */
export const damageIndex = (folder: string): void => {
  const file = path.join(folder, "index.db")
  const db = new DatabaseSync(file)
  const { rootpage } = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'pointer'").get() as {
    rootpage: number
  }
  db.close()
  const bytes = fs.readFileSync(file)
  bytes.fill(0xff, (rootpage - 1) * 4096, rootpage * 4096)
  fs.writeFileSync(file, bytes)
}

/** Opens a store until the surrounding scope closes. */
export const open = (
  folder: string,
  {
    cluster = "test",
    maxBytes,
    replica = a
  }: { cluster?: string; maxBytes?: number; replica?: ReplicaId.ReplicaId } = {}
) =>
  SqliteReplicaStore.make({ folder, ...(maxBytes === undefined ? {} : { maxBytes }) }).pipe(
    Effect.provideService(ReplicaSet.ReplicaSet, { cluster, self: replica, peers: [] })
  )

/** Opens a store, uses it, closes it. */
export const using = <A, E>(
  folder: string,
  use: (store: ReplicaStore.ReplicaStore["Service"]) => Effect.Effect<A, E>
) => Effect.scoped(Effect.flatMap(open(folder), use))

/** Opens a store; the second result closes it. */
export const openClosable = Effect.fnUntraced(function* (folder: string) {
  const scope = yield* Scope.make()
  const store = yield* Scope.provide(open(folder), scope)
  return [store, Scope.close(scope, Exit.void)] as const
})

/** The entries that follow `head`: one per value. */
export const batchAfter = (
  head: Watermark.Watermark,
  values: ReadonlyArray<string | Uint8Array>,
  key = "k"
): EntryBatch.EntryBatch =>
  EntryBatch.encode(
    head,
    values.map((value) => Entry.put("ns", key, value)),
    HybridLogicalClock.zero,
    1_700_000_000_000 + head.seq
  ).batch

/** The first entries of a log. */
export const firstBatch = (log: LogId.LogId, values: ReadonlyArray<string | Uint8Array>) =>
  batchAfter(Watermark.none(log), values)

/** The values of a log as text, read in pages of `maxBytes`; the chain is computed anew from the bytes. */
export const valuesOf = Effect.fnUntraced(function* (
  store: ReplicaStore.ReplicaStore["Service"],
  log: LogId.LogId,
  maxBytes = 1 << 20
) {
  const values: Array<string> = []
  const chain = Chain.state(Chain.empty)
  while (true) {
    const page = yield* store.read(log, values.length, maxBytes)
    if (Option.isNone(page)) break
    const view = Chain.viewOf(page.value.bytes)
    EntryBatch.forEach(page.value, (_, offset) => {
      const entry = Entry.decodeAt(page.value.bytes, offset)
      Chain.extend(chain, view, offset, Entry.endUnsafe(page.value.bytes, offset))
      for (const { value } of entry.records) values.push(new TextDecoder().decode(value))
    })
  }
  return { values, chain: Chain.format(chain) }
})

/** Starts a program of this folder. `line` waits for its next line of output. It is killed with the scope. */
export const child = (program: string, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const file = fileURLToPath(new URL(program, import.meta.url))
      const started = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", file, ...args], {
        stdio: ["pipe", "pipe", "inherit"]
      })
      const lines: Array<string> = []
      const ended = new Promise<void>((resolve) => started.on("close", () => resolve()))
      let rest = ""
      let wake = (): void => {}
      started.stdout.setEncoding("utf8").on("data", (text: string) => {
        const parts = (rest + text).split("\n")
        rest = parts.pop()!
        lines.push(...parts)
        wake()
      })
      /** Waits until the program has printed so many lines. */
      const printed = (count: number) =>
        Effect.promise(async () => {
          while (lines.length < count && started.exitCode === null && started.signalCode === null) {
            await Promise.race([new Promise<void>((resolve) => (wake = resolve)), ended])
          }
          return lines[count - 1]
        })
      /** SIGKILL, and waits until the process is gone and all that it printed has been read. */
      const kill = Effect.promise(() => {
        started.kill("SIGKILL")
        return ended
      })
      return { lines, printed, kill, ended: Effect.promise(() => ended) }
    }),
    ({ kill }) => kill
  )
