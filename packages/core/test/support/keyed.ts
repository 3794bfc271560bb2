/** Writes under a key that their caller invented, at three replicas. */
import { Effect, Option } from "effect"
import type { PeerMethods, ReplicaStore } from "../../src/adapter.ts"
import { Entry, type QuorumWriter } from "../../src/index.ts"
import type { Options } from "../../src/internal/parts.ts"
import * as Cluster from "./cluster.ts"
import { during, pass } from "./time.ts"

export const put = (value: string, key = "k", namespace = "n") => Entry.put(namespace, key, value)

export const keyed = { idempotencyKey: "order-1" }

/** What is odd about the replicas of a test. */
interface Oddities {
  /** How `a` writes to its store, which it does at once otherwise. */
  readonly write?: (append: ReturnType<Store["append"]>) => ReturnType<Store["append"]>
  /** What becomes of requests on these links. */
  readonly links?: ReadonlyArray<string>
  readonly client?: (client: PeerMethods.PeerClient) => PeerMethods.PeerClient
}

type Store = ReplicaStore.ReplicaStore["Service"]

export const slowReads = (client: PeerMethods.PeerClient): PeerMethods.PeerClient => ({
  ...client,
  read: (read) => Effect.delay(client.read(read), 50)
})

/** Three replicas that have met. */
export const met = Effect.fnUntraced(function* (options: Options = {}, { client, links = [], write }: Oddities = {}) {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  if (write !== undefined) {
    const { steps: _, ...store } = yield* cluster.storeOf("a")
    cluster.stores.set("a", { ...store, append: (batch) => write(store.append(batch)) })
  }
  for (const link of links) cluster.faults.set(link, client!)
  const [a, b, c] = yield* Effect.all([
    cluster.start("a", options),
    cluster.start("b", options),
    cluster.start("c", options)
  ])
  yield* pass(2000)
  const apart = (id: string): void => {
    for (const other of ["a", "b", "c"].filter((each) => each !== id)) {
      cluster.cut(id, other)
      cluster.cut(other, id)
    }
  }
  return { a, b, c, cluster, apart }
})

export const commit = (replica: Cluster.Running, write: Entry.Writes, options: QuorumWriter.WriteOptions = keyed) =>
  during(replica.writer.commit(write, options), 5000)

/** How many entries with this value anybody holds, by their ids. */
export const copies = (replica: Cluster.Running, value: string) =>
  Effect.gen(function* () {
    const found: Array<string> = []
    for (const { log, seq } of replica.logs.vector()) {
      for (let at = 1; at <= seq; at++) {
        const batch = Option.getOrThrow(yield* replica.logs.read(log, at - 1, 1))
        const { records } = Entry.decodeAt(batch.bytes, 0)
        if (records.some((each) => new TextDecoder().decode(each.value) === value)) found.push(`${log}:${at}`)
      }
    }
    return found
  })
