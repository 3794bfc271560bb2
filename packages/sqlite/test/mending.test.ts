/**
 * Damage of real files under a whole replica set: bits, pages and ends of them. Everything is found and mended while nobody
 * does anything, or told at the start.
 *
 * `QUORUM_DAMAGE_ROUNDS=2000 npx -y pnpm@12 --filter @quorum/sqlite exec vitest run test/mending.test.ts` is the long form;
 * `QUORUM_DAMAGE_SEED` begins elsewhere.
 */
import { assert, describe, it } from "@effect/vitest"
import { Entry, type LogId, ReplicaId, ReplicaSet, ReplicaStatus } from "@quorum/core"
import { PeerProtocol, type ReplicaStore } from "@quorum/core/adapter"
import { ReplicaSetRig } from "@quorum/testing"
import { Effect, Layer, Option, Result } from "effect"
import * as fs from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { SqliteReplicaStore } from "../src/index.ts"
import { fileOf, tempFolder } from "./support/store.ts"

const rounds = Number(process.env["QUORUM_DAMAGE_ROUNDS"] ?? 24)
const firstSeed = Number(process.env["QUORUM_DAMAGE_SEED"] ?? 1)
const ids = ["a", "b", "c"]

const open = (folder: string, id: string) =>
  SqliteReplicaStore.make({ folder }).pipe(
    Effect.provideService(ReplicaSet.ReplicaSet, { cluster: "test", self: ReplicaId.make(id), peers: [] })
  )

/** Runs the replica set on the folders; a store that cannot be opened is emptied first, as its error says. */
const running = Effect.fnUntraced(function* (folders: ReadonlyMap<string, string>) {
  const rig = yield* ReplicaSetRig.make(ids)
  const emptied: Array<string> = []
  for (const id of ids) {
    const folder = folders.get(id)!
    const opened = yield* Effect.result(open(folder, id))
    if (Result.isFailure(opened)) {
      assert.strictEqual(opened.failure.reason, "corrupt", opened.failure.message)
      emptied.push(id)
      // An empty file is a new store; the next round finds the same file.
      fs.truncateSync(fileOf(folder))
      fs.rmSync(`${fileOf(folder)}-wal`, { force: true })
      rig.replaceStore(id, yield* open(folder, id))
    } else rig.replaceStore(id, opened.success)
  }
  const on = Layer.succeed(PeerProtocol.HeartbeatInterval, 40)
  const replicas = yield* Effect.forEach(ids, (id) => rig.start(id, { on }))
  return { rig, replicas, emptied }
})

/** Waits until something is so. */
const until = Effect.fnUntraced(function* (what: () => string, isSo: () => boolean) {
  for (let waited = 0; !isSo(); waited += 10) {
    if (waited > 20_000) return assert.fail(`not so after 20 s: ${what()}`)
    yield* Effect.sleep(10)
  }
})

const bytesOf = (store: ReplicaStore.ReplicaStore["Service"], log: LogId.LogId) =>
  Effect.gen(function* () {
    const parts: Array<Buffer> = []
    for (let at = 0; ;) {
      const page = yield* store.read(log, at, 1 << 20)
      if (Option.isNone(page)) return Buffer.concat(parts).toString("latin1")
      parts.push(Buffer.from(page.value.bytes))
      at = page.value.from + page.value.count - 1
    }
  })

/** Three folders of a replica set in which each replica has written, what they hold, and their files. */
const template = Effect.gen(function* () {
  const folders = new Map<string, string>()
  for (const id of ids) folders.set(id, yield* tempFolder)
  const logs = new Map<LogId.LogId, string>()
  yield* Effect.gen(function* () {
    const { replicas, rig } = yield* running(folders)
    yield* until(
      () => "no votes",
      () => replicas.every(({ status }) => status().recovered)
    )
    for (let i = 0; i < 60; i++) {
      for (const { id, writer } of replicas) {
        const value = `${id}-${i}-`.padEnd(i % 10 === 0 ? 5000 : 20 + ((i * 37) % 400), "x")
        yield* writer.commit(Entry.put("ns", `${id} ${i}`, value), { w: "all" })
      }
    }
    for (const { status } of replicas) {
      const { log } = status()
      logs.set(log, yield* bytesOf(rig.store("a"), log))
    }
  }).pipe(Effect.scoped)
  const files = new Map(ids.map((id) => [id, fs.readFileSync(fileOf(folders.get(id)!))]))
  const places = new Map(ids.map((id) => [id, placesOf(fileOf(folders.get(id)!))]))
  return { folders, files, logs, places }
})

/** The pages of the tables of the logs, by page number. */
const placesOf = (file: string): ReadonlySet<number> => {
  const db = new DatabaseSync(file)
  const roots = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name NOT LIKE 'batch_%'").all()
  const { pages } = db.prepare("SELECT page_count AS pages FROM pragma_page_count").get() as { pages: number }
  db.close()
  const others = new Set([1, ...roots.map(({ rootpage }) => Number(rootpage))])
  return new Set(Array.from({ length: pages }, (_, i) => i + 1).filter((page) => !others.has(page)))
}

const pageBytes = 4096

const diceOf = (seed: number) => {
  let state = seed * 2654435761
  return (n: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 374761393) >>> 0
    return state % n
  }
}

/** Damages a file in one of several ways. */
const damageOne = (bytes: Buffer, below: (n: number) => number): { readonly bytes: Buffer; readonly how: string } => {
  const damaged = Buffer.from(bytes)
  const pages = bytes.length / pageBytes
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
const damageAll = (files: ReadonlyMap<string, Buffer>, below: (n: number) => number) => {
  const damaged = new Map(Array.from(files, ([id, bytes]) => [id, Buffer.from(bytes)]))
  for (let i = 0; i < 57; i++) {
    for (const owner of ids) {
      if (below(4) > 0) continue
      const bytes = damaged.get(ids[below(3)]!)!
      const at = bytes.indexOf(`${owner}-${i}-x`)
      if (at >= 0) bytes[at]! ^= 1 << below(8)
    }
  }
  return damaged
}

describe("L60 DamageIsLocal: damage of files under a replica set", () => {
  it.live(
    `is found and mended, or told at the start: ${rounds} rounds`,
    () =>
      Effect.gen(function* () {
        const { files, folders, logs, places } = yield* template
        assert.isAbove(places.get("a")!.size, 20)
        const seen = { mended: 0, told: 0, all: 0 }
        for (let seed = firstSeed; seed < firstSeed + rounds; seed++) {
          const below = diceOf(seed)
          const damaged = new Map<string, Buffer>(files)
          let how = "all"
          if (below(3) === 0) for (const [id, bytes] of damageAll(files, below)) damaged.set(id, bytes)
          else {
            const id = ids[below(3)]!
            const one = damageOne(files.get(id)!, below)
            damaged.set(id, one.bytes)
            how = `${id}: ${one.how}`
          }
          // The same files, so that no store takes itself for a copy.
          for (const [id, bytes] of damaged) {
            const folder = folders.get(id)!
            fs.rmSync(`${fileOf(folder)}-wal`, { force: true })
            fs.writeFileSync(fileOf(folder), bytes)
          }
          yield* Effect.gen(function* () {
            const { emptied, replicas, rig } = yield* running(folders)
            for (const { context } of replicas) yield* scrub(context)
            yield* until(
              () =>
                `seed ${seed}, ${how}: ${replicas
                  .map(({ status }) => JSON.stringify([status().damaged, status().lost, status().obstacle]))
                  .join(" ")}`,
              () =>
                replicas.every(
                  ({ status }) =>
                    status().voting &&
                    status().damaged.length === 0 &&
                    Array.from(logs.keys()).every((log) => status().vector.find((held) => held.log === log)?.seq === 60)
                )
            )
            for (const id of ids) {
              for (const [log, bytes] of logs) {
                assert.isTrue((yield* bytesOf(rig.store(id), log)) === bytes, `seed ${seed}, ${how}: ${log} at ${id}`)
              }
            }
            seen[emptied.length > 0 ? "told" : how === "all" ? "all" : "mended"]++
          }).pipe(Effect.scoped)
        }
        yield* Effect.log(`${rounds} rounds: ${JSON.stringify(seen)}`)
        assert.isAbove(seen.mended + seen.all, seen.told)
      }),
    { timeout: 60_000 + rounds * 5000 }
  )
})

const scrub = (context: ReplicaSetRig.Running["context"]) =>
  Effect.flatMap(ReplicaStatus.ReplicaStatus, ({ scrub }) => scrub).pipe(Effect.provide(context))
