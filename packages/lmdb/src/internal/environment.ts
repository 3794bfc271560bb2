/**
 * An environment of LMDB, which is a file, and naming what goes wrong with it.
 *
 * LMDB copies what it changes and never overwrites what a reader may see, so a crash at any moment leaves the last commit
 * that was synced. Writes are handed to a thread of its own, which commits and syncs; reads look into the mapped file.
 */
import { ReplicaStore, Thrown } from "@quorum/core/adapter"
import { Effect } from "effect"
import { type Database, type DatabaseOptions, open as openLmdb, type RangeOptions, type RootDatabase } from "lmdb"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Files from "./files.ts"
import * as Pages from "./pages.ts"

/** A table: keys in the order of their bytes. */
export type Table = Database<Buffer, Buffer>

/** What is read of a table without copying it, which takes as long as finding it. */
export interface Borrowed<K> {
  /** The value of a key. It is LMDB's own, and good until LMDB is asked for anything else. */
  readonly get: (key: Buffer) => Buffer | undefined
  /** The keys of a range, as they were asked for, and their values: each good until LMDB is asked for the next. */
  readonly getRange: (options: BorrowedRange) => Iterable<{ readonly key: K; readonly value: Buffer }>
}

/** A range of keys, which `lmdb` describes. */
export interface BorrowedRange extends Omit<RangeOptions, "start" | "end"> {
  readonly start: Buffer
  readonly end?: Buffer
}

/** An environment that is open. */
export interface Environment {
  readonly table: (name: string) => Table
  /** The same table, borrowed: of a key comes what `keyIn` makes of its bytes, which are good as long as it is called. */
  readonly borrowed: <K>(name: string, keyIn: (bytes: Buffer, from: number, to: number) => K) => Borrowed<K>
  /** Puts a value, inside a commit. */
  readonly put: (table: Table, key: Buffer, value: Buffer) => void
  /** Removes a key, inside a commit. */
  readonly remove: (table: Table, key: Buffer) => void
  /**
   * Hands writes over, all of which are held or none. Durable when it returns, in an environment that syncs. What was
   * handed over takes place, whether it is waited for or not.
   */
  readonly commit: (write: () => void) => Effect.Effect<void, unknown>
  /** How much room it takes. */
  readonly space: () => ReplicaStore.Space
  /** Copies all of it but what is free into a new file, not durably, and not on the event loop. */
  readonly copyTo: (file: string) => Effect.Effect<void, unknown>
  /** Ends it, once all that was handed over has taken place. */
  readonly close: () => Promise<void>
}

/**
 * Looks whether the pages of a file are in order, which has to be done before it is opened. A file that is not there is.
 * Fails with `corrupt` where they are not; `name` is what the file is called then.
 */
export const check = (file: string, name = file): Effect.Effect<void, ReplicaStore.StoreError> =>
  Effect.suspend(() =>
    fs.existsSync(file) ? Effect.mapError(Pages.check(file, pageSize), (cause) => storeError(name, cause)) : Effect.void
  )

/** Opens an environment that was checked. Without `sync` nothing in it is durable before it is closed and synced. */
export const open = (file: string, { sync }: { readonly sync: boolean }): Environment => {
  Files.prepare(file)
  Files.takeRoom(file)
  const root: RootDatabase<Buffer, Buffer> = openLmdb({
    path: file,
    noSubdir: true,
    noSync: !sync,
    // A commit is durable before it is answered, and before the next one: LMDB's own order, with two syncs.
    overlappingSync: false,
    // What is handed over in one turn makes no batch of its own, whose failure nobody would hear of.
    eventTurnBatching: false,
    encoding: "binary",
    keyEncoding: "binary",
    pageSize
  })
  const tables = new Map<string, Table>()
  const table = (name: string): Table => {
    const known = tables.get(name) ?? root.openDB({ name, encoding: "binary", keyEncoding: "binary" })
    tables.set(name, known)
    return known
  }
  return {
    table,
    borrowed: (name, keyIn) =>
      root.openDB({
        name,
        encoding: "binary",
        encoder: lent,
        keyEncoder: { writeKey, readKey: keyIn }
      } as DatabaseOptions & {
        readonly name: string
      }) as unknown as Borrowed<never>,
    // What becomes of it says the commit.
    put: (table, key, value) => void table.put(key, value).catch(() => undefined),
    remove: (table, key) => void table.remove(key).catch(() => undefined),
    commit: (write) =>
      Effect.ensuring(
        Effect.tryPromise({ try: () => committed(root.batch(write)), catch: (cause) => cause }),
        // Reads look at what was committed from here on.
        Effect.sync(() => root.resetReadTxn())
      ),
    space: () => {
      const { free, lastPageNumber, root: names } = root.getStats() as Stats
      let used = 2 + pagesOf(free) + pagesOf(names)
      for (const name of root.getKeys()) used += pagesOf(table(Buffer.from(name).toString()).getStats() as Stats)
      const taken = lastPageNumber + 1
      return { taken: taken * pageSize, free: Math.max(0, taken - used) * pageSize }
    },
    copyTo: (to) => Effect.tryPromise({ try: () => root.backup(to, true), catch: (cause) => cause }),
    close: () => root.close()
  }
}

/** The most bytes of a key, with pages of this size. */
export const maxKeyBytes = 1978

/** LMDB's page, on every machine. */
export const pageSize = 4096

/** Whether a commit failed for want of room, before anything of it was made durable. */
export const isFull = (file: string, cause: unknown, bytes: number): boolean =>
  // What was written in part, because the disk was full then, is an error of the disk to LMDB.
  noRoom.has(codeOf(cause)) || (codeOf(cause) === failed && Files.roomIn(file) < bytes)

/** What a call after the end of the scope fails with. */
export const closed = (file: string): ReplicaStore.StoreError =>
  new ReplicaStore.StoreError({ reason: "unavailable", detail: `${file} was closed` })

/** What to do about a store that cannot be used as it is. It is not emptied by itself (decision 0081). */
export const remedy = "restore it, or start with an empty folder, which the peers fill"

/** Says that what is stored cannot be used. */
export const damaged = (detail: string): ReplicaStore.StoreError =>
  new ReplicaStore.StoreError({ reason: "corrupt", detail })

/** There is no room for what was to be written. */
export const diskFull = (file: string, cause: unknown): ReplicaStore.StoreError =>
  new ReplicaStore.StoreError({
    reason: "disk_full",
    detail: `no room to write ${file}; free space on its disk, then try again`,
    cause
  })

/** Names a thrown value: the reason, the file and the remedy. */
export const storeError = (file: string, cause: unknown): ReplicaStore.StoreError => {
  if (cause instanceof ReplicaStore.StoreError) return cause
  const fail = (reason: ReplicaStore.StoreError["reason"], detail: string) =>
    new ReplicaStore.StoreError({ reason, detail, cause })
  const message = Thrown.messageOf(cause)
  if (cause instanceof Files.Locked) {
    return fail("locked", `another process has the folder of ${file} open; stop it, or choose another folder`)
  }
  if (noRoom.has(codeOf(cause))) return diskFull(file, cause)
  if (cause instanceof Pages.Unreadable || unreadable.has(codeOf(cause))) {
    return fail("corrupt", `${file} is damaged (${message})${isIndex(file) ? "" : `; ${remedy}`}`)
  }
  switch (cause instanceof Error && "code" in cause ? cause.code : undefined) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
    case 13:
    case 30:
      return fail(
        "read_only",
        `${file} cannot be written (${message}); run as the user whose they are, or make the file and its folder writable for this one`
      )
  }
  return fail("unavailable", `${file} cannot be used: ${message}`)
}

// ---------------------------------------------------------------------------------------------------------------------

/** Hands out the bytes of a value where they are. */
const lent = {
  encode: (value: Buffer) => value,
  decode: (bytes: Buffer, size = bytes.length) => Buffer.from(bytes.buffer, bytes.byteOffset, size)
}

const writeKey = (key: Buffer, target: Buffer, start: number): number => {
  target.set(key, start)
  return start + key.length
}

/** How many pages of each kind a tree has. */
interface Tree {
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

/** What LMDB says of a table and of its environment: also the tree of the tables' names, and that of what is free. */
interface Stats extends Tree {
  readonly root: Tree
  readonly free: Tree
  readonly lastPageNumber: number
}

const pagesOf = (tree: Tree): number => tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages

/** Waits for a commit; why it failed comes in a promise of its own. */
const committed = async (batch: Promise<unknown>): Promise<void> => {
  try {
    await batch
  } catch (cause) {
    if (cause instanceof Error && "commitError" in cause) await cause.commitError
    throw cause
  }
}

/** Whether a file is built again by itself when it is damaged. */
const isIndex = (file: string): boolean => path.basename(file) === Files.indexName

const codeOf = (cause: unknown): unknown => (cause instanceof Error && "code" in cause ? cause.code : undefined)

/** EIO. */
const failed = 5

/** ENOSPC, EDQUOT and MDB_MAP_FULL. */
const noRoom = new Set<unknown>([28, 122, "ENOSPC", "EDQUOT", -30792])

/** MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_VERSION_MISMATCH and MDB_INVALID. */
const unreadable = new Set<unknown>([-30797, -30796, -30794, -30793])
