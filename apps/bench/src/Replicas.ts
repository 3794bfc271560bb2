/**
 * The replicas of a replica set, as processes that can be stopped and started one by one.
 */
import { join } from "node:path"
import { Context, Effect, Exit, Scope } from "effect"
import * as Child from "./Child.ts"
import type { Status } from "./Lines.ts"
import * as Ports from "./Ports.ts"
import type { Config } from "./replica.ts"

/** What the replicas of a set have in common. */
export interface Options extends Pick<
  Config,
  "transport" | "index" | "w" | "order" | "secret" | "waiting" | "compactionShare" | "stalls"
> {
  readonly folder: string
  /** {@link Store} unless given. */
  readonly store?: Config["store"]
  readonly n: number
  /** For the replica that commits, which is the first one. */
  readonly nodeFlags?: ReadonlyArray<string>
}

/** The store of the replicas, where a part or a system does not say. */
export const Store = Context.Reference<"sqlite" | "lmdb">("@quorum/bench/Store", { defaultValue: () => "sqlite" })

/** A replica set of three over ws, as most parts of the benchmark use it. */
export const usual = { transport: "ws", index: "stored", n: 3, w: 2, order: "real-time" } as const

/** One replica of the set. */
export interface Replica {
  readonly id: string
  readonly folder: string
  readonly url: string
  /** Starts its process, and waits until it is ready. It ends with the set, or when it is stopped. */
  readonly start: Effect.Effect<Child.Child, Child.ProcessFailed>
  /** Stops its process in order, as an operator does. */
  readonly stop: Effect.Effect<void>
  /** Its process; a defect when it does not run. */
  readonly running: Effect.Effect<Child.Child>
}

/** Lays a replica set out, without starting it. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const { compactionShare, index, n, nodeFlags, order, secret, stalls, transport, w, waiting } = options
  const store = options.store ?? (yield* Store)
  const ids = ["a", "b", "c", "d", "e", "f", "g"].slice(0, n)
  const ports: Record<string, number> = {}
  for (const id of ids) ports[id] = yield* Ports.free
  const outer = yield* Scope.Scope
  return ids.map((id): Replica => {
    const folder = join(options.folder, id)
    let current: { readonly child: Child.Child; readonly scope: Scope.Closeable } | undefined
    return {
      id,
      folder,
      url: `http://127.0.0.1:${ports[id]}`,
      start: Effect.gen(function* () {
        const scope = yield* Scope.fork(outer)
        const config: Config = {
          id,
          folder,
          transport,
          store,
          index,
          w,
          order,
          secret,
          waiting,
          compactionShare,
          stalls,
          ports
        }
        const child = yield* Scope.provide(Child.start("replica", config, id === "a" ? nodeFlags : []), scope)
        current = { child, scope }
        return child
      }),
      stop: Effect.suspend(() => {
        if (current === undefined) return Effect.void
        const { child, scope } = current
        current = undefined
        return Effect.andThen(child.stop, Scope.close(scope, Exit.void))
      }),
      running: Effect.suspend(() =>
        current === undefined ? Effect.die(new Error(`replica ${id} does not run`)) : Effect.succeed(current.child)
      )
    }
  })
})

/** Starts all replicas of a set and returns the first one's process. */
export const startAll = Effect.fnUntraced(function* (replicas: ReadonlyArray<Replica>) {
  for (const replica of replicas.slice(1)) yield* replica.start
  return yield* replicas[0]!.start
})

/**
 * Waits until these replicas hold the same, and their indexes cover all of it, so that what comes next is measured in
 * peace. Returns how many seconds that took.
 */
export const rest = Effect.fnUntraced(function* (replicas: ReadonlyArray<Replica>) {
  const children = yield* Effect.all(replicas.map(({ running }) => running))
  const begin = performance.now()
  while (true) {
    const statuses = yield* Effect.all(children.map(({ status }) => status))
    const seconds = (performance.now() - begin) / 1000
    if (isAtRest(statuses)) return seconds
    if (seconds > restSeconds) {
      const detail = `the replicas are not at rest after ${restSeconds} s: ${JSON.stringify(statuses)}`
      return yield* new Child.ProcessFailed({ script: "replica", detail })
    }
    yield* Effect.sleep(20)
  }
})

/**
 * {@link rest}, and until too little may go out of their logs to begin a compaction for: a replica without writes compacts
 * as fast as it can, and would take the processors from what is measured next.
 */
export const compacted = Effect.fnUntraced(function* (replicas: ReadonlyArray<Replica>) {
  yield* rest(replicas)
  const children = yield* Effect.all(replicas.map(({ running }) => running))
  let before = Number.POSITIVE_INFINITY
  while (true) {
    const found = yield* Effect.all(
      children.map(({ compact }) => compact),
      { concurrency: "unbounded" }
    )
    const waiting = found.reduce((sum, { waitingBytes }) => sum + waitingBytes, 0)
    if (found.every(({ liveBytes, waitingBytes }) => waitingBytes < liveBytes / 4) || waiting >= before) return
    before = waiting
    // Until all have heard how far the others hold the logs.
    yield* Effect.sleep(heartbeatMillis)
  }
})

/** Whether all hold the same, and their indexes cover it. */
export const isAtRest = (statuses: ReadonlyArray<Pick<Status, "held" | "indexDelay">>): boolean =>
  statuses.every(({ held, indexDelay }) => indexDelay === 0 && held === statuses[0]!.held)

// ---------------------------------------------------------------------------------------------------------------------

const restSeconds = 300

const heartbeatMillis = 1000
