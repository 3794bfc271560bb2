/**
 * The part about those who ask from other processes: `quorum import` of a long file, reads by key beside those of what a
 * user would pick instead, and a list, with how long it holds the event loop of the replica that is asked.
 */
import { readFileSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Fiber } from "effect"
import * as Bench from "../Bench.ts"
import * as Catalogue from "../Catalogue.ts"
import * as Child from "../Child.ts"
import type { Reads, Run } from "../ClosedLoop.ts"
import * as Course from "../Course.ts"
import type { Found } from "../Lag.ts"
import { etcd } from "../others/Etcd.ts"
import * as Program from "../others/Program.ts"
import { redis } from "../others/Redis.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"

/** What clients must keep to, by the names of the figures. */
export const importing = "import"
export const importerMemory = `${importing}, memory of the importer: last fifth of the first`
export const replicaMemory = `${importing}, memory of the replica: last fifth of the first`
export const listing = "list of 100,000 records"
export const listingLag = `${listing}: loop held, at most`

const readers = 64
const valueBytes = 128

/** An import, reads and lists of three replicas over ws, and then the reads of what is asked beside them. */
export const clients: Part = {
  name: "clients",
  description:
    "from other processes: quorum import of 1,000,000 lines, reads by key by 64 readers, a list of 100,000 records",
  run: Effect.fnUntraced(function* (settings) {
    const records = Parts.commits(settings, 1_000_000)
    const listed = Parts.commits(settings, 100_000)
    const lists = settings.quick ? 1 : 5
    const run: Run = {
      writers: readers,
      warmup: Parts.rehearsal(settings),
      seconds: Parts.seconds(settings, 5),
      valueBytes,
      keys: records
    }
    const { here, missing } = Catalogue.installed([etcd, redis])
    for (const line of missing) yield* settings.say(line)

    const ofQuorum = Effect.gen(function* () {
      const folder = yield* Bench.folder
      const replicas = yield* Replicas.make({ ...Replicas.usual, folder })
      const replica = yield* Replicas.startAll(replicas)
      const { url } = replicas[0]!
      const imported = yield* imports(replica, url, folder, records, settings.quick ? 25 : 250)
      yield* Replicas.rest(replicas)
      // One replica, as that of the other tables.
      const client = yield* Child.start("gathering", { urls: [url] })
      const read = yield* Effect.forEach(["local", "linearizable"] as const, (reads) =>
        gets("@quorum/client", client, { ...run, reads }, replica.pid)
      )
      return [...imported, ...read.flat(), ...(yield* listsOf(replica, client, { ...run, keys: listed }, lists))]
    })
    const ofOthers = Effect.forEach(
      here,
      Effect.fnUntraced(function* (other) {
        const started = yield* other.start(join(yield* Bench.folder, other.name), [])
        const kinds: ReadonlyArray<Reads> = other.name === etcd.name ? ["local", "linearizable"] : ["local"]
        const read = yield* Effect.forEach(kinds, (reads) => gets(other.name, started, { ...run, reads }))
        return read.flat()
      }, Effect.scoped)
    )

    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 3); round++) {
      for (const turn of [Effect.scoped(ofQuorum), Effect.map(ofOthers, (found) => found.flat())]) {
        const found = yield* turn
        figures.push(...found.map((figure) => ({ ...figure, round })))
        yield* Effect.forEach(found, ({ name, unit, value }) =>
          settings.say(
            `round ${round}, ${name}: ${value.toLocaleString("en-US", { maximumSignificantDigits: 3 })} ${unit}`
          )
        )
      }
    }
    const parameters = { ...run, records, listed, lists, missing }
    const legend = [...here.map(({ description, name }) => `${name}: ${description}`), ...missing]
    return { part: "clients", parameters, against: "", samples: [], figures, legend }
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/** The command, as it is installed. */
const quorum = fileURLToPath(new URL("dist/main.js", import.meta.resolve("@quorum/server/package.json")))

/** Has the command import a file, and looks at the memory of its process and of the replica's. */
const imports = Effect.fnUntraced(function* (
  replica: Child.Child,
  url: string,
  folder: string,
  records: number,
  everyMillis: number
) {
  const file = join(folder, "records.jsonl")
  yield* Effect.promise(() => writeFile(file, lines(records)))
  const replicaCpu = cpuSince(replica.pid)
  const { pid, said } = yield* Program.begin({
    name: "quorum import",
    command: process.execPath,
    args: [quorum, "import", file, "--url", url, "--json"],
    folder
  })
  const importerCpu = cpuSince(pid)
  const running = yield* Effect.forkChild(said)
  const ofReplica: Array<number> = []
  const ofImporter: Array<number> = []
  let ofItsOwn: ReadonlyArray<number> = []
  while (running.pollUnsafe() === undefined) {
    // Of a process that has gone nothing can be read: what was read last counts.
    const spent = importerCpu()
    if (spent.length > 0) ofItsOwn = spent
    ofReplica.push((yield* replica.status).rssMiB)
    ofImporter.push(...memoryOf(pid))
    yield* Effect.sleep(everyMillis)
  }
  const output = yield* Fiber.join(running)
  const { committed, millis }: { committed: number; millis: number } = JSON.parse(output.slice(output.lastIndexOf("{")))
  if (committed !== records) return yield* new Child.ProcessFailed({ script: "quorum import", detail: output })
  const found: Found = [
    { name: importing, unit: "lines/s", value: (committed / millis) * 1000 },
    ...cpu(importing, "importer", ofItsOwn, records),
    ...cpu(importing, "replica", replicaCpu(), records),
    ...memory("importer", importerMemory, ofImporter),
    ...memory("replica", replicaMemory, ofReplica)
  ]
  return found
})

const memory = (whose: string, grown: string, seen: ReadonlyArray<number>): Found => {
  if (seen.length === 0) return []
  const { first, last } = Course.ends(seen)
  return [
    { name: `${importing}, memory of the ${whose}, first fifth`, unit: "MiB", value: first },
    { name: `${importing}, memory of the ${whose}, last fifth`, unit: "MiB", value: last },
    { name: grown, unit: "share", value: last / first }
  ]
}

/** Resident memory of another process in MiB, as Linux says it; nothing elsewhere, and of one that has gone. */
const memoryOf = (pid: number | undefined): ReadonlyArray<number> => {
  try {
    return [Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024]
  } catch {
    return []
  }
}

/** Tells how much processor time another process has spent since, in microseconds, as Linux says it; nothing elsewhere. */
const cpuSince = (pid: number | undefined): (() => ReadonlyArray<number>) => {
  const now = (): ReadonlyArray<number> => {
    try {
      const [, user, system] = /\) \S(?: \S+){10} (\d+) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))!
      return [(Number(user) + Number(system)) * tickMicros]
    } catch {
      return []
    }
  }
  const [before = 0] = now()
  return () => now().map((spent) => spent - before)
}

/** In which Linux tells it to programs. */
const tickMicros = 10_000

const cpu = (what: string, whose: string, spent: ReadonlyArray<number>, records: number): Found =>
  spent.map((micros) => ({ name: `${what}: cpu of the ${whose}`, unit: "µs/record", value: micros / records }))

/** The records in an order that is not that of their keys, as lines, in pieces of a thousand. */
function* lines(records: number): Generator<string> {
  const text = "x".repeat(valueBytes)
  for (let from = 0; from < records; from += 1000) {
    const piece = Array.from({ length: Math.min(1000, records - from) }, (_, i) =>
      JSON.stringify({ namespace: "bench", key: `key-${((from + i) * 7919) % records}`, text })
    )
    yield `${piece.join("\n")}\n`
  }
}

/** Measures reads, of which one at least has to be answered. */
const answered = Effect.fnUntraced(function* (child: Pick<Child.Child, "measure">, run: Run) {
  const sample = yield* child.measure(run)
  if (sample.writes > 0) return sample
  return yield* new Child.ProcessFailed({ script: "client", detail: `no read was answered: ${sample.failure}` })
})

/** Records by keys at random. */
const gets = Effect.fnUntraced(function* (
  whose: string,
  child: Pick<Child.Child, "measure">,
  run: Run,
  replica?: number
) {
  const what = `get by key, ${run.reads}, ${whose}`
  // The rehearsal for itself, so that what a replica spends on it is none of the figures.
  if (run.warmup > 0) yield* child.measure({ ...run, warmup: 0, seconds: run.warmup })
  const replicaCpu = cpuSince(replica)
  const sample = yield* answered(child, { ...run, warmup: 0 })
  const found: Found = [
    { name: what, unit: "records/s", value: sample.writesPerSecond },
    { name: `${what}: p50`, unit: "ms", value: sample.p50 },
    { name: `${what}: p99`, unit: "ms", value: sample.p99 },
    { name: `${what}: cpu of the client`, unit: "µs/record", value: sample.cpuMicros },
    ...cpu(what, "replica", replicaCpu(), sample.writes),
    ...failed(what, sample)
  ]
  return found
})

/** The first records of the namespace, some times after each other. */
const listsOf = Effect.fnUntraced(function* (replica: Child.Child, client: Child.Child, usual: Run, times: number) {
  const run: Run = { ...usual, writers: 1, warmup: 0, seconds: 60, reads: "list" }
  yield* client.measure({ ...run, commits: 1 })
  yield* replica.held
  const replicaCpu = cpuSince(replica.pid)
  const sample = yield* answered(client, { ...run, commits: times })
  const { cpuMillis, wallMillis } = yield* replica.held
  const found: Found = [
    { name: listing, unit: "records/s", value: sample.writesPerSecond * run.keys },
    { name: listingLag, unit: "ms", value: wallMillis },
    { name: `${listing}: loop held, at most, computing`, unit: "ms", value: cpuMillis },
    { name: `${listing}: cpu of the client`, unit: "µs/record", value: sample.cpuMicros / run.keys },
    ...cpu(listing, "replica", replicaCpu(), sample.writes * run.keys),
    ...failed(listing, sample)
  ]
  return found
})

const failed = (
  what: string,
  { failed, failure }: { readonly failed: number; readonly failure: string | undefined }
): Found => (failed === 0 ? [] : [{ name: `${what}: FAILED, first with ${failure}`, unit: "reads", value: failed }])
