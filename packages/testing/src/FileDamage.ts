/**
 * Damage of the real files of a store under a whole replica set: bits, pages and ends of them, of one member, or of all at
 * different places. Everything has to be found and mended while nobody does anything, or told at the start.
 */
import { Entry, type LogId, ReplicaId, ReplicaStatus } from "@quorum/core"
import { PeerProtocol, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Layer, Option, Result, Scope } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as ReplicaSetRig from "./ReplicaSetRig.ts"

/** A file of a store. */
export interface File {
  /** Its name in the folder. An empty one is that of a new store. */
  readonly name: string
  /** What is removed when it is changed: the names of files that go with what is in it. */
  readonly beside: ReadonlyArray<string>
}

/** A store that keeps the logs of a replica in one file, and its record index in another. */
export interface Store {
  /** The store of a replica of the replica set `test` in a folder, which is made where it is missing. */
  readonly layer: (
    folder: string,
    replica: ReplicaId.ReplicaId
  ) => Layer.Layer<ReplicaStore.ReplicaStore | RecordIndex.RecordIndex, ReplicaStore.StoreError>
  readonly logs: File
  readonly index: File
}

/** How many rounds ended how. */
export interface Outcome {
  /** The damage of one file was mended in its place. */
  readonly mended: number
  /** Bits were flipped on all members, and mended. */
  readonly all: number
  /** The record index of one member was damaged, and is as it was. */
  readonly index: number
  /** The store could not be opened and said so; an empty one was filled again. */
  readonly told: number
}

/**
 * Fills three stores, and damages their files as often as asked for, each time from the same beginning and by a seed of
 * its own, the first of which is given. Fails when something that is damaged is served or stays, when an opened store does
 * not hold all again after 20 seconds, or does not show every record, and when a store cannot be opened for another reason
 * than `corrupt`.
 */
export const rounds = Effect.fnUntraced(function* (store: Store, count: number, firstSeed: number) {
  const { files, folders, logs } = yield* template(store)
  const outcome = { mended: 0, all: 0, index: 0, told: 0 }
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const damage = damageOf(files, seed)
    for (const [id, { index, logs }] of damage.files) {
      write(store.logs, folders.get(id)!, logs)
      write(store.index, folders.get(id)!, index)
    }
    const isTold = yield* Effect.scoped(mended(store, folders, logs, damage, `seed ${seed}, ${damage.how}`))
    outcome[isTold ? "told" : damage.kind]++
  }
  return outcome satisfies Outcome
}, Effect.scoped)

// ---------------------------------------------------------------------------------------------------------------------

const ids = ["a", "b", "c"]
const entriesEach = 60
const pageBytes = 4096

const tempFolder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "quorum-damage-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/** Writes the same file anew, so that no store takes itself for a copy. */
const write = ({ beside, name }: File, folder: string, bytes: Uint8Array): void => {
  for (const other of beside) fs.rmSync(path.join(folder, other), { force: true })
  fs.writeFileSync(path.join(folder, name), bytes)
}

/** Runs the replica set on the folders; a store that cannot be opened has its files emptied first, as its error says. */
const running = Effect.fnUntraced(function* (store: Store, folders: ReadonlyMap<string, string>, damaged: File) {
  const rig = yield* ReplicaSetRig.make(ids)
  const scope = yield* Scope.Scope
  let isTold = false
  const indexes = new Map<string, RecordIndex.RecordIndex["Service"]>()
  for (const [id, folder] of folders) {
    const layer = Layer.fresh(store.layer(folder, ReplicaId.make(id)))
    const tried = yield* Effect.result(Effect.scoped(Layer.build(layer)))
    if (Result.isFailure(tried)) {
      if (tried.failure.reason !== "corrupt") return yield* tried.failure
      isTold = true
      for (const file of damaged === store.logs ? [store.logs, store.index] : [damaged]) {
        write(file, folder, new Uint8Array(0))
      }
    }
    const opened = yield* Layer.buildWithScope(layer, scope)
    rig.replaceStore(id, Context.get(opened, ReplicaStore.ReplicaStore))
    indexes.set(id, Context.get(opened, RecordIndex.RecordIndex))
  }
  const on = Layer.succeed(PeerProtocol.HeartbeatInterval, 40)
  const replicas = yield* Effect.forEach(ids, (id) => rig.start(id, { on, index: indexes.get(id)! }))
  return { rig, replicas, isTold }
})

const until = Effect.fnUntraced(function* (what: () => string, isSo: () => boolean) {
  for (let waited = 0; !isSo(); waited += 10) {
    if (waited > 20_000) throw new Error(`not so after 20 s: ${what()}`)
    yield* Effect.sleep(10)
  }
})

/** All entries of a log, as bytes. */
const bytesOf = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"], log: LogId.LogId) {
  const parts: Array<Buffer> = []
  for (let at = 0; ;) {
    const page = yield* store.read(log, at, 1 << 20)
    if (Option.isNone(page)) return Buffer.concat(parts)
    parts.push(Buffer.from(page.value.bytes))
    at = page.value.from + page.value.count - 1
  }
})

/** The value of a record: some are longer than a page. */
const valueOf = (id: string, i: number): string =>
  `${id}-${i}-`.padEnd(i % 10 === 0 ? 5000 : 20 + ((i * 37) % 400), "x")

/** Three folders of a replica set in which each replica has written, what they hold, and their files. */
const template = Effect.fnUntraced(function* (store: Store) {
  const folders = new Map<string, string>()
  for (const id of ids) folders.set(id, yield* tempFolder)
  const logs = new Map<LogId.LogId, Buffer>()
  yield* Effect.gen(function* () {
    const { replicas, rig } = yield* running(store, folders, store.logs)
    yield* until(
      () => "nobody votes",
      () => replicas.every(({ status }) => status().recovered)
    )
    for (let i = 0; i < entriesEach; i++) {
      for (const { id, writer } of replicas) {
        yield* writer.commit(Entry.put("ns", `${id} ${i}`, valueOf(id, i)), { w: "all" })
      }
    }
    for (const { status } of replicas) logs.set(status().log, yield* bytesOf(rig.store("a"), status().log))
  }).pipe(Effect.scoped)
  const read = (id: string, { name }: File) => fs.readFileSync(path.join(folders.get(id)!, name))
  const files: Files = new Map(ids.map((id) => [id, { logs: read(id, store.logs), index: read(id, store.index) }]))
  return { folders, files, logs }
})

/** Waits until all hold everything again. Returns whether a store said at its start that it cannot be opened. */
const mended = Effect.fnUntraced(function* (
  store: Store,
  folders: ReadonlyMap<string, string>,
  logs: ReadonlyMap<LogId.LogId, Buffer>,
  damage: Damage,
  how: string
) {
  const { isTold, replicas, rig } = yield* running(store, folders, damage.kind === "index" ? store.index : store.logs)
  for (const { context } of replicas) {
    yield* Effect.flatMap(ReplicaStatus.ReplicaStatus, ({ scrub }) => scrub).pipe(Effect.provide(context))
  }
  const isWhole = ({ damaged, readable, vector, voting }: ReplicaStatus.Status): boolean =>
    voting &&
    readable &&
    damaged.length === 0 &&
    Array.from(logs.keys()).every((log) => vector.find((held) => held.log === log)?.seq === entriesEach)
  yield* until(
    () => `${how}: ${JSON.stringify(replicas.map(({ status }) => [status().damaged, status().obstacle]))}`,
    () => replicas.every(({ status }) => isWhole(status()))
  )
  for (const id of ids) {
    for (const [log, bytes] of logs) {
      if (!bytes.equals(yield* bytesOf(rig.store(id), log))) throw new Error(`${how}: ${log} is another at ${id}`)
    }
  }
  for (const { id, records } of replicas) {
    const shown = yield* records.page({ limit: 1000 })
    if (shown.records.length !== ids.length * entriesEach)
      throw new Error(`${how}: ${id} lists ${shown.records.length}`)
    for (const owner of ids) {
      for (let i = 0; i < entriesEach; i++) {
        const value = Option.map(yield* records.read("ns", `${owner} ${i}`), (found) =>
          Buffer.from(found.value).toString()
        )
        if (Option.getOrUndefined(value) !== valueOf(owner, i))
          throw new Error(`${how}: ${id} reads another ${owner} ${i}`)
      }
    }
  }
  return isTold
})

const diceOf = (seed: number) => {
  let state = seed * 2654435761
  return (n: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 374761393) >>> 0
    return state % n
  }
}

/** What is in the files of each member. */
type Files = ReadonlyMap<string, { readonly logs: Buffer; readonly index: Buffer }>

/** What the files are to be, and what of that is damage. */
interface Damage {
  readonly files: Files
  readonly kind: Exclude<keyof Outcome, "told">
  readonly how: string
}

const damageOf = (files: Files, seed: number): Damage => {
  const below = diceOf(seed)
  const way = below(4)
  if (way === 0) {
    const logs = damageAll(new Map(Array.from(files, ([id, { logs }]) => [id, logs])), below)
    const all = Array.from(files, ([id, { index }]) => [id, { index, logs: logs.get(id)! }] as const)
    return { files: new Map(all), kind: "all", how: "bits of all" }
  }
  const id = ids[below(3)]!
  const own = files.get(id)!
  const part = way === 1 ? "index" : "logs"
  const { bytes, how } = damageOne(own[part], below)
  const kind = part === "index" ? "index" : "mended"
  return { files: new Map(files).set(id, { ...own, [part]: bytes }), kind, how: `${part} of ${id}: ${how}` }
}

/** Damages a file in one of several ways. */
const damageOne = (bytes: Buffer, below: (n: number) => number): { readonly bytes: Buffer; readonly how: string } => {
  const damaged = Buffer.from(bytes)
  const pages = Math.floor(bytes.length / pageBytes)
  switch (below(4)) {
    case 0: {
      const flips = 1 + below(8)
      for (let i = 0; i < flips; i++) damaged[below(bytes.length)]! ^= 1 << below(8)
      return { bytes: damaged, how: `${flips} bits` }
    }
    case 1: {
      const [one, two] = [1 + below(pages - 1), 1 + below(pages - 1)]
      bytes.copy(damaged, one * pageBytes, two * pageBytes, (two + 1) * pageBytes)
      bytes.copy(damaged, two * pageBytes, one * pageBytes, (one + 1) * pageBytes)
      return { bytes: damaged, how: `pages ${one} and ${two} swapped` }
    }
    case 2: {
      const page = 1 + below(pages - 1)
      damaged.fill(below(256), page * pageBytes, (page + 1) * pageBytes)
      return { bytes: damaged, how: `page ${page} overwritten` }
    }
    default: {
      const length = 1 + below(bytes.length - 1)
      return { bytes: damaged.subarray(0, length), how: `cut to ${length} bytes` }
    }
  }
}

/** Flips a bit of some entries' values, at places of which each file has others; the newest entry of no log. */
const damageAll = (logs: ReadonlyMap<string, Buffer>, below: (n: number) => number): ReadonlyMap<string, Buffer> => {
  const damaged = new Map(Array.from(logs, ([id, bytes]) => [id, Buffer.from(bytes)]))
  for (let i = 0; i < entriesEach - 3; i++) {
    for (const owner of ids) {
      if (below(4) > 0) continue
      const bytes = damaged.get(ids[below(3)]!)!
      const at = bytes.indexOf(`${owner}-${i}-x`)
      if (at >= 0) bytes[at]! ^= 1 << below(8)
    }
  }
  return damaged
}
