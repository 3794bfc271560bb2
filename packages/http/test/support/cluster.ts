/** A replica set over real sockets on loopback: production code over the in-memory store. */
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import {
  Limits,
  type LogId,
  QuorumPolicy,
  QuorumWriter,
  Records,
  Replica,
  ReplicaId,
  ReplicaSet,
  ReplicaStatus
} from "@quorum/core"
import { PeerProtocol, RecordIndex, ReplicaStore, ServerLimits, Watermark } from "@quorum/core/adapter"
import { Context, Effect, Exit, Layer, Logger, Result, Schedule, Scope } from "effect"
import type { HttpClient } from "effect/http"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { type HttpPeerServer, HttpPeerTransport, HttpReplicaServer } from "../../src/index.ts"

export const id = ReplicaId.make

/** A policy by which nobody is asked before a write is stamped. */
export const policy = (n: number, w: number, ackTimeout: number = 2000): QuorumPolicy.QuorumPolicy =>
  Result.getOrThrow(QuorumPolicy.make({ n, w, ackTimeout, order: "clock" }))

export interface Running {
  readonly id: ReplicaId.ReplicaId
  readonly url: string
  /** How many connections its server has accepted. */
  readonly connections: () => number
  readonly writer: QuorumWriter.QuorumWriter["Service"]
  readonly records: Records.Records["Service"]
  readonly status: () => ReplicaStatus.Status
  /** The log that it writes. */
  readonly own: LogId.LogId
  /** How far it holds a log. */
  readonly head: (log: LogId.LogId) => Watermark.Watermark
  /** What it knows of a peer. */
  readonly peer: (peer: string) => ReplicaStatus.PeerStatus
  readonly stop: Effect.Effect<void>
}

export interface StartOptions {
  readonly w?: number
  readonly ackTimeout?: number
  readonly limits?: Limits.Limits
  readonly namespaces?: Readonly<Record<string, QuorumPolicy.QuorumPolicy>>
  readonly client?: Layer.Layer<HttpClient.HttpClient>
  readonly server?: HttpPeerServer.Options
  /** Where peers are, instead of where they are. */
  readonly peers?: Readonly<Record<string, string>>
  readonly store?: ReplicaStore.ReplicaStore["Service"]
  /** An index that outlives the replica; a new one unless given. */
  readonly index?: RecordIndex.RecordIndex["Service"]
}

/**
 * Ports of this test process, below those that the system gives to outgoing connections: a replica gets its port again
 * when it restarts, and nobody else in between.
 */
let nextPort = 21_000 + 100 * Number(process.env["VITEST_POOL_ID"] ?? 0) + (process.pid % 50) * 200

/** A port on which nothing listens, and on which nothing but the caller will. */
export const freePort: Effect.Effect<number> = Effect.callback<number>((resume) => {
  const attempt = (): void => {
    const port = nextPort++
    const server = Http.createServer()
    server.once("error", attempt)
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
  }
  attempt()
})

/** A plain server for answers that replicas never give. Returns its url. */
export const serve = (listener: Http.RequestListener) =>
  Effect.acquireRelease(
    Effect.callback<Http.Server>((resume) => {
      const server = Http.createServer(listener)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`))

/** Waits until a condition holds, 20 seconds at most. */
export const until = (what: string, condition: () => boolean) =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.fail(what))).pipe(
    Effect.retry(Schedule.spaced(10)),
    Effect.timeoutOrElse({ duration: 20_000, orElse: () => Effect.die(`not within 20 s: ${what}`) }),
    Effect.orDie
  )

/** Makes a replica set; its replicas start one by one with `start`, on stores and ports that outlive them. */
export const make = Effect.fnUntraced(function* (ids: ReadonlyArray<string>, defaults: StartOptions = {}) {
  const stores = new Map<string, ReplicaStore.ReplicaStore["Service"]>()
  const ports = new Map<string, number>()
  for (const name of ids) {
    stores.set(name, yield* ReplicaStore.makeMemory({ cluster: "test", replica: id(name) }))
    ports.set(name, yield* freePort)
  }
  const urlOf = (name: string) => `http://127.0.0.1:${ports.get(name)}`

  const start = Effect.fnUntraced(function* (name: string, overrides: StartOptions = {}) {
    const options = { ...defaults, ...overrides }
    const scope = yield* Scope.make()
    let connections = 0
    const createServer = () =>
      ServerLimits.limit(Http.createServer(ServerLimits.timeouts).on("connection", () => connections++))
    const urls = { ...Object.fromEntries(ids.map((each) => [each, urlOf(each)])), ...options.peers }
    const n = ids.length
    const layer = HttpReplicaServer.layer(options.server).pipe(
      Layer.provide(NodeHttpServer.layerServer(createServer, { host: "127.0.0.1", port: ports.get(name)! })),
      Layer.provideMerge(
        Replica.layer({
          policy: policy(n, options.w ?? Math.floor(n / 2) + 1, options.ackTimeout),
          ...(options.namespaces === undefined ? {} : { namespaces: options.namespaces })
        })
      ),
      Layer.provide(HttpPeerTransport.layer({ peers: urls })),
      Layer.provide(options.client ?? NodeHttpClient.layerUndici),
      Layer.provide(
        options.index === undefined ? RecordIndex.layerMemory : Layer.succeed(RecordIndex.RecordIndex, options.index)
      ),
      Layer.provide(Layer.succeed(ReplicaStore.ReplicaStore, options.store ?? stores.get(name)!)),
      Layer.provideMerge(ReplicaSet.layer({ cluster: "test", self: name, members: ids })),
      Layer.provide(Layer.succeed(Limits.Limits, options.limits ?? Limits.defaults)),
      Layer.provide(Layer.succeed(PeerProtocol.RequestTimeout, 300)),
      Layer.provide(Layer.succeed(PeerProtocol.HeartbeatInterval, 100)),
      Layer.provide(Logger.layer([]))
    )
    const context = yield* Layer.buildWithScope(layer, scope)
    const status = Context.get(context, ReplicaStatus.ReplicaStatus).current
    const running: Running = {
      id: id(name),
      url: urlOf(name),
      connections: () => connections,
      writer: Context.get(context, QuorumWriter.QuorumWriter),
      records: Context.get(context, Records.Records),
      status,
      own: status().log,
      head: (log) => status().vector.find((watermark) => watermark.log === log) ?? Watermark.none(log),
      peer: (peer) => status().peers.find(({ replica }) => replica === peer)!,
      stop: Scope.close(scope, Exit.void)
    }
    yield* Effect.addFinalizer(() => running.stop)
    return running
  })

  return { start, stores, urlOf }
})

/** Waits until a replica is connected to a peer. */
export const connected = (replica: Running, peer: string) =>
  until(`${replica.id} is connected to ${peer}`, () => replica.peer(peer).link === "up")

/** Waits until a replica has given up on a peer at least once, and returns how. */
export const lost = (replica: Running, peer: string) =>
  until(`${replica.id} cannot reach ${peer}`, () => replica.peer(peer).link === "down").pipe(
    Effect.map(() => {
      const { detail, verdict } = replica.peer(peer)
      return { detail: detail!, verdict: verdict! }
    })
  )

/** A replica of its own whose disk is full when the test says so. */
export const failing = Effect.fnUntraced(function* () {
  const store = yield* ReplicaStore.makeMemory({ cluster: "test", replica: id("a") })
  let isFull = false
  const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "no room" })
  const set = yield* make(["a"], {
    store: { ...store, append: (batch) => (isFull ? Effect.fail(full) : store.append(batch)) }
  })
  const faults = { always: () => void (isFull = true), never: () => void (isFull = false) }
  return { replica: yield* set.start("a"), faults }
})
