/**
 * A replica, composed of what its settings say: store, transport, the client API, metrics and security, on one port.
 */
import { accessSync, constants, existsSync, statSync } from "node:fs"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Limits, type QuorumError, Replica, ReplicaSet } from "@quorum/core"
import type { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { ClientApiServer, ClientRate, ClientTokens } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { OtlpExport, Prometheus, ReplicaLog } from "@quorum/metrics"
import { ProcessMetrics } from "@quorum/metrics/node"
import { SqliteStore } from "@quorum/sqlite"
import type { ReplicaPort } from "@quorum/node"
import { WsNode } from "@quorum/ws/node"
import { Duration, Effect, Layer, Predicate, type Redacted, Runtime, Schema } from "effect"
import { CliError } from "effect/cli"
import { HttpServer, HttpServerError } from "effect/http"
import * as BackupRoute from "./BackupRoute.ts"
import * as RecoverRoute from "./RecoverRoute.ts"
import { InvalidConfig, type ServerConfig } from "./ServerConfig.ts"
import * as Ports from "./tools/Ports.ts"

/** A file that the settings name cannot be used, or a package that they need is missing. */
export class Unusable extends Schema.TaggedError<Unusable>()("Unusable", {
  /** The setting: `secretFile`. */
  setting: Schema.String,
  detail: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 2
  readonly code = "unusable_setting"
  override get message(): string {
    return `${this.setting}: ${this.detail}`
  }
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** A replica did not start, although its settings can be used. Nothing of it runs. */
export class NotStarted extends Schema.TaggedError<NotStarted>()("NotStarted", {
  /** What programs branch on: `store_locked`, `port_in_use` … */
  code: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** What may stand in the way of a start. */
export type StartError =
  | Unusable
  | ReplicaSet.InvalidReplicaSet
  | QuorumError.InvalidPolicy
  | ReplicaStore.StoreError
  | ReplicaPort.ServingError

/** What a replica is built from beside its settings. */
export interface Options {
  /** The secret of the peers, instead of that in `secretFile`. */
  readonly secret?: Redacted.Redacted<string> | undefined
}

/**
 * Runs a replica until the scope closes: then it takes no more writes, finishes those under way, and closes its files.
 * Built as soon as it listens; whether writes can be committed says `/readyz`.
 */
export const layer = (
  config: ServerConfig,
  options: Options = {}
): Layer.Layer<Replica.Services | HttpServer.HttpServer, StartError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const secret = options.secret ?? (yield* secretOf(config))
      const { cluster, host, hosts, id, insecure, maxConnections, members, origins, peers, port, tls } = config
      // Listening comes last, and an empty folder would be a store with an identity by then.
      yield* Effect.mapError(Ports.probe(host, port), (cause) => new HttpServerError.ServeError({ cause }))
      const listening = { host, hosts, insecure, maxConnections, origins, peers, port, secret, tls }
      return replica(config).pipe(
        serveBy[config.transport]({ ...listening, routes: routes(config) }),
        Layer.provide(storeOf(config)),
        Layer.provide(tokensOf(config)),
        Layer.provide(Layer.succeed(ClientRate.ClientRate, config.clientRate)),
        Layer.provide(
          Layer.succeed(ClientTokens.RouteAccess, {
            "/v1/status": config.statusFor,
            "/metrics": config.metricsFor,
            [RecoverRoute.path]: "admin"
          })
        ),
        Layer.provide(otlpOf(config)),
        Layer.provide(ReplicaSet.layer({ cluster, self: id, members })),
        Layer.provide(Layer.succeed(Limits.Limits, config.limits))
      )
    })
  )

/** What stands in the way of a start, and what to do; of settings that cannot be used, which. */
export const explained = (config: ServerConfig, error: StartError): Unusable | NotStarted | InvalidConfig => {
  const { host, port, secretFile, tls } = config
  const invalid = (source: string, detail: string) => new InvalidConfig({ problems: [{ source, detail }] })
  switch (error._tag) {
    case "Unusable":
      return error
    case "StoreError":
      return new NotStarted({ code: `store_${error.reason}`, detail: error.message })
    case "ServeError": {
      const cause = Predicate.hasProperty(error.cause, "code") ? String(error.cause.code) : error.message
      if (/^(?:EADDRNOTAVAIL|EAFNOSUPPORT|EAI_|ENOTFOUND)/.test(cause)) {
        const detail = `${host} cannot be listened on: ${cause}; give another host, an address or a name of this machine, of IPv6 without brackets`
        return new NotStarted({ code: "host_unusable", detail })
      }
      const why = cause === "EADDRINUSE" ? "it is in use" : cause === "EACCES" ? "this user may not use it" : cause
      const detail = `port ${port} of ${host} cannot be listened on: ${why}; give another port`
      return new NotStarted({ code: cause === "EADDRINUSE" ? "port_in_use" : "port_unusable", detail })
    }
    case "InvalidPeerUrls":
    case "InvalidReplicaSet":
      return invalid("peers", error.detail)
    case "PeersUnproven":
      return invalid(secretFile === undefined ? "secret" : "secretFile", error.detail)
    case "InvalidPeerTls": {
      const [setting = "tlsKeyFile"] = tlsSettings
        .filter(([, name]) => tls?.[name] === error.file)
        .map(([name]) => name)
      return invalid(setting, error.message)
    }
    case "InvalidOrigins":
      return invalid("origins", error.detail)
    case "InvalidPort":
      return invalid("port", error.detail)
    case "InvalidPolicy":
      return invalid("w", error.detail)
    case "InvalidOptions":
      return invalid(error.option, error.detail)
  }
}

/** Where a replica answers. */
export const urlOf = ({ tls }: ServerConfig, address: HttpServer.HttpServer["Service"]["address"]): string => {
  const url = HttpServer.formatAddress(address)
  return tls === undefined ? url : url.replace(/^http:/, "https:")
}

// ---------------------------------------------------------------------------------------------------------------------

const tlsSettings = [
  ["tlsKeyFile", "key"],
  ["tlsCertFile", "certificate"],
  ["tlsCaFile", "authority"],
  ["tlsAllowlistFile", "allowlist"]
] as const

const serveBy = {
  http: (options: HttpNode.Options) => HttpNode.serve(options),
  ws: (options: HttpNode.Options) => WsNode.serve(options)
}

const replica = ({
  awayBytes,
  awayHours,
  clockBoundMillis,
  clockSkewWarnMillis,
  namespaces,
  policy,
  reads,
  reserveBytes
}: ServerConfig) =>
  Replica.layer({
    policy,
    namespaces,
    reads,
    ...(awayHours === undefined ? {} : { awayAfter: awayHours === 0 ? Duration.infinity : Duration.hours(awayHours) }),
    ...(awayBytes === undefined ? {} : { awayBytes }),
    ...(clockBoundMillis === undefined ? {} : { clockBound: clockBoundMillis }),
    ...(clockSkewWarnMillis === undefined ? {} : { clockSkewWarn: clockSkewWarnMillis }),
    ...(reserveBytes === undefined ? {} : { reserveBytes })
  })

/** What is answered beside the peers: clients, and whoever watches. */
const routes = ({ data, metrics }: ServerConfig) =>
  Layer.mergeAll(
    ClientApiServer.layer.pipe(
      Layer.provide(Layer.succeed(ClientApiServer.FurtherRoutes, [BackupRoute.described, RecoverRoute.described]))
    ),
    ReplicaLog.layer(),
    BackupRoute.layer(data),
    RecoverRoute.layer,
    metrics ? Layer.merge(Prometheus.layer(), ProcessMetrics.layer({ folder: data })) : Layer.empty
  )

type Stores = Layer.Layer<
  ReplicaStore.ReplicaStore | RecordIndex.RecordIndex,
  ReplicaStore.StoreError | Unusable,
  ReplicaSet.ReplicaSet
>

/** The store of a replica, as its settings say. */
export const storeOf = ({ data: folder, maxBytes, store }: ServerConfig): Stores =>
  Layer.unwrap(
    Effect.gen(function* () {
      const other = store === "sqlite" ? "lmdb" : "sqlite"
      if (hasStore(folder, other) && !hasStore(folder, store)) {
        // A new store beside it would begin as if there had been none.
        const detail = `it is ${store}, and ${folder} has the store of a replica in ${other}; say ${other}, or start with an empty folder, which the peers fill`
        return yield* new Unusable({ setting: "store", detail })
      }
      if (store === "lmdb") return (yield* lmdb).LmdbStore.layer({ folder })
      return SqliteStore.layer({ folder, ...(maxBytes === undefined ? {} : { maxBytes }) })
    })
  )

const hasStore = (folder: string, kind: ServerConfig["store"]): boolean =>
  existsSync(join(folder, kind === "sqlite" ? "log.db" : "log.mdb"))

/** Loaded when it is asked for: its binaries are not there for every platform. */
const lmdb = Effect.tryPromise({
  try: () => import("@quorum/lmdb"),
  catch: (cause) =>
    new Unusable({ setting: "store", detail: `lmdb cannot be loaded (npm install @quorum/lmdb): ${messageOf(cause)}` })
})

const tokensOf = ({ tokensFile }: ServerConfig): Layer.Layer<never, Unusable> =>
  tokensFile === undefined
    ? Layer.empty
    : ClientTokens.layerFile(tokensFile).pipe(
        Layer.provide(NodeFileSystem.layer),
        Layer.catch((error) =>
          Layer.effectDiscard(
            Effect.fail(new Unusable({ setting: "tokensFile", detail: `${tokensFile}: ${messageOf(error)}` }))
          )
        )
      )

const otlpOf = ({ otlpUrl }: ServerConfig): Layer.Layer<never, never, ReplicaSet.ReplicaSet> =>
  otlpUrl === undefined ? Layer.empty : Layer.provide(OtlpExport.layer({ url: otlpUrl }), NodeHttpClient.layerUndici)

/** The file of the secret, which can be read. Others than its owner should not be able to. */
const secretOf = Effect.fnUntraced(function* ({ secretFile }: ServerConfig) {
  if (secretFile === undefined) return undefined
  const mode = yield* Effect.try({
    try: () => {
      accessSync(secretFile, constants.R_OK)
      return statSync(secretFile).mode
    },
    catch: (cause) => new Unusable({ setting: "secretFile", detail: `it cannot be read: ${messageOf(cause)}` })
  })
  if ((mode & 0o007) !== 0) {
    yield* Effect.logWarning(
      `the secret of the peers can be read by every user of this machine: chmod 600 ${secretFile}`
    )
  }
  return { file: secretFile }
})

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
