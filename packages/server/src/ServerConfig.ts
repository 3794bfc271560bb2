/**
 * What a replica is told: settings out of flags, variables of the environment and a JSON file, checked together. A setting
 * that nobody knows, that cannot be used, or that would do nothing is an error that says where it was given.
 */
import { Limits, QuorumPolicy, type ReplicaId, type Records } from "@quorum/core"
import { PeerSecret } from "@quorum/core/adapter"
import type { ClientTokens } from "@quorum/http"
import type { PeerTls } from "@quorum/node"
import { Result, Runtime, Schema } from "effect"
import { CliError } from "effect/cli"
import * as Reading from "./config/reading.ts"
import { inert } from "./config/inert.ts"
import { type Encoded, flagOf, type Given, variableOf } from "./config/settings.ts"

/** Settings as they stand in a JSON file. */
export type Settings = Encoded

/** The settings cannot be used. Every problem names where the setting was given, and what to do. */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>()("InvalidConfig", {
  problems: Schema.NonEmptyArray(Schema.Struct({ source: Schema.String, detail: Schema.String }))
}) {
  override readonly [Runtime.errorExitCode] = 2
  readonly code = "invalid_config"
  override get message(): string {
    return this.problems.map(({ detail, source }) => `${source}: ${detail}`).join("\n")
  }
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** A replica, as it is started. Files are not read yet. */
export interface ServerConfig {
  readonly id: ReplicaId.ReplicaId
  readonly cluster: string
  readonly members: ReadonlyArray<ReplicaId.ReplicaId>
  /** Where the members answer; empty in a set of one that has no address. */
  readonly peers: Readonly<Record<string, string>>
  readonly data: string
  readonly transport: "ws" | "http"
  readonly store: "sqlite" | "lmdb"
  readonly host: string
  readonly port: number
  readonly hosts: ReadonlyArray<string>
  readonly origins: ReadonlyArray<string>
  readonly maxConnections: number | undefined
  readonly secretFile: string | undefined
  /** The files of TLS, by which replicas show each other certificates. */
  readonly tls: PeerTls.Options | undefined
  /** Whether replicas prove nothing to each other. */
  readonly insecure: boolean
  readonly tokensFile: string | undefined
  /** Who may ask `/v1/status` and `/metrics`, where there are tokens. */
  readonly statusFor: ClientTokens.Access
  readonly metricsFor: ClientTokens.Access
  /** Requests a second of one client. */
  readonly clientRate: number | undefined
  readonly policy: QuorumPolicy.QuorumPolicy
  /** The policies and the reads of single namespaces. */
  readonly namespaces: Readonly<Record<string, QuorumPolicy.QuorumPolicy>>
  readonly reads: Readonly<Record<string, Records.Consistency>>
  readonly limits: Limits.Limits
  readonly maxBytes: number | undefined
  /** Room that is kept for other things than puts. */
  readonly reserveBytes: number | undefined
  readonly clockBoundMillis: number | undefined
  readonly clockSkewWarnMillis: number | undefined
  /** How many hours, and behind how many bytes, a replica may be away before it is marked; never when hours are 0. */
  readonly awayHours: number | undefined
  readonly awayBytes: number | undefined
  readonly metrics: boolean
  readonly otlpUrl: string | undefined
  readonly logFormat: "text" | "json"
}

/** Where settings are given. */
export interface Sources {
  /** By the names of settings, as text. They go before all others. */
  readonly flags?: Readonly<Record<string, string>>
  /** Those that begin with `QUORUM_`. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** An object of settings, and where it stands: `in quorum.json`. */
  readonly object?: { readonly settings: object; readonly place: string }
  /** Whether the secret of the peers is given in another way than by `secretFile`, or nobody needs it. */
  readonly hasSecret?: boolean
}

/** The port of a replica whose address is not given. */
export const defaultPort = 7401

/** Reads and checks all settings. Fails with everything that is wrong at once. */
export const make = ({
  environment = {},
  flags = {},
  hasSecret = false,
  object
}: Sources): Result.Result<ServerConfig, InvalidConfig> => {
  const read = Reading.read([
    Reading.ofFlags(flags),
    Reading.ofEnvironment(environment),
    object === undefined ? new Map() : Reading.ofObject(object.settings, object.place)
  ])
  if (Result.isFailure(read)) return invalid(read.failure)
  return settle(read.success, hasSecret)
}

// ---------------------------------------------------------------------------------------------------------------------

const invalid = (problems: ReadonlyArray<Reading.Problem>): Result.Result<never, InvalidConfig> =>
  Result.fail(new InvalidConfig({ problems: [problems[0]!, ...problems.slice(1)] }))

const required = ["id", "data"] as const

/** The settings together. */
const settle = ({ given, sourceOf }: Reading.Read, hasSecret: boolean): Result.Result<ServerConfig, InvalidConfig> => {
  const problems: Array<Reading.Problem> = []
  for (const name of required) {
    if (given[name] === undefined) {
      const detail = `it is missing; give it, or ${variableOf(name)}, or ${JSON.stringify(name)} in the file of --config`
      problems.push({ source: flagOf(name), detail })
    }
  }
  const { data, id, peers = {} } = given
  if (id === undefined || data === undefined) return invalid(problems)
  const alone = Object.keys(peers).length === 0
  const members = alone ? [id] : (Object.keys(peers) as Array<ReplicaId.ReplicaId>)
  if (!members.includes(id)) {
    problems.push({ source: sourceOf("id"), detail: `${id} is not among the peers, which are ${members.join(", ")}` })
  }
  problems.push(...proofs(given, members.length, hasSecret, sourceOf))
  const port = portOf(given, id)
  if (Result.isFailure(port)) problems.push({ source: sourceOf("port"), detail: port.failure })
  const policies = policiesOf(given, members.length, sourceOf)
  problems.push(...policies.problems, ...inert(given, members.length, sourceOf))
  if (problems.length > 0 || Result.isFailure(port)) return invalid(problems)
  return Result.succeed({
    id,
    cluster: given.cluster ?? "quorum",
    members,
    peers,
    data,
    transport: given.transport ?? "ws",
    store: given.store ?? "sqlite",
    host: given.host ?? "127.0.0.1",
    port: port.success,
    hosts: given.hosts ?? [],
    origins: given.origins ?? [],
    maxConnections: given.maxConnections,
    secretFile: given.secretFile,
    tls: tlsOf(given),
    insecure: given.insecure ?? false,
    tokensFile: given.tokensFile,
    statusFor: given.statusFor ?? "read",
    metricsFor: given.metricsFor ?? "read",
    clientRate: given.clientRate,
    policy: policies.usual!,
    namespaces: policies.namespaces,
    reads: policies.reads,
    limits: { ...Limits.defaults, ...given.limits },
    maxBytes: given.maxBytes,
    reserveBytes: given.reserveBytes,
    clockBoundMillis: given.clockBoundMillis,
    clockSkewWarnMillis: given.clockSkewWarnMillis,
    awayHours: given.awayHours,
    awayBytes: given.awayBytes,
    metrics: given.metrics ?? true,
    otlpUrl: given.otlpUrl,
    logFormat: given.logFormat ?? "text"
  })
}

const tlsOf = ({ tlsAllowlistFile, tlsCaFile, tlsCertFile, tlsKeyFile }: Given): PeerTls.Options | undefined =>
  tlsKeyFile === undefined || tlsCertFile === undefined || tlsCaFile === undefined
    ? undefined
    : { key: tlsKeyFile, certificate: tlsCertFile, authority: tlsCaFile, allowlist: tlsAllowlistFile }

const tlsFiles = ["tlsKeyFile", "tlsCertFile", "tlsCaFile"] as const

/** What is wrong with how the replicas prove to each other who they are. */
const proofs = (
  given: Given,
  n: number,
  hasSecret: boolean,
  sourceOf: Reading.Read["sourceOf"]
): ReadonlyArray<Reading.Problem> => {
  const { host = "127.0.0.1", insecure = false, secretFile, tlsAllowlistFile } = given
  const some = tlsFiles.find((name) => given[name] !== undefined)
  const tls = some ?? (tlsAllowlistFile === undefined ? undefined : "tlsAllowlistFile")
  const missing = tls === undefined ? [] : tlsFiles.filter((name) => given[name] === undefined)
  if (missing.length > 0) {
    const detail = `TLS needs ${missing.map(flagOf).join(" and ")} beside ${sourceOf(tls!)}`
    return missing.slice(0, 1).map((name) => ({ source: flagOf(name), detail: `it is missing; ${detail}` }))
  }
  if (secretFile !== undefined || hasSecret || tls !== undefined) return []
  if (!PeerSecret.isLoopback(host)) {
    const detail = `others reach ${host}, and without a secret everybody could be a peer; give ${flagOf("secretFile")}, or certificates (${tlsFiles.map(flagOf).join(", ")})`
    return [{ source: sourceOf("host"), detail }]
  }
  if (insecure || n === 1) return []
  const detail =
    `it is missing: how replicas prove to each other who they are. Give the same to all (openssl rand -hex 32), ` +
    `or certificates (${tlsFiles.map(flagOf).join(", ")}), or for trying out ${flagOf("insecure")} true`
  return [{ source: flagOf("secretFile"), detail }]
}

/** The port that is given, or that of this replica's address. */
const portOf = ({ peers = {}, port, tlsKeyFile }: Given, id: ReplicaId.ReplicaId): Result.Result<number, string> => {
  if (port !== undefined) return Result.succeed(port)
  const url = URL.parse(peers[id] ?? "")
  if (url === null) return Result.succeed(defaultPort)
  const isTls = url.protocol === "https:" || url.protocol === "wss:"
  if (isTls && tlsKeyFile === undefined) {
    return Result.fail(
      `it is missing: the address of ${id} is ${url.protocol}//, which something in front of this replica answers; ` +
        "say on which port this replica listens"
    )
  }
  return Result.succeed(url.port === "" ? (isTls ? 443 : 80) : Number(url.port))
}

type Rule = NonNullable<Given["namespaces"]>[string]

/** The policies for a replica set of `n`. */
const policiesOf = (given: Given, n: number, sourceOf: Reading.Read["sourceOf"]) => {
  const problems: Array<Reading.Problem> = []
  const policyOf = (rule: Rule, namespace?: string): QuorumPolicy.QuorumPolicy | undefined => {
    const { ackTimeoutMillis: ackTimeout, w: asked = "majority" } = rule
    const w = asked === "majority" ? Math.floor(n / 2) + 1 : asked === "all" ? n : asked
    const source = namespace === undefined ? sourceOf("w") : sourceOf("namespaces")
    const prefix = namespace === undefined ? "" : `${namespace}.w: `
    if (w > n) {
      const detail = `${prefix}${w} replicas cannot hold a write, because the set has ${n}`
      problems.push({ source, detail })
      return undefined
    }
    const order = rule.order ?? (w > n / 2 ? "real-time" : "clock")
    return Result.getOrThrow(QuorumPolicy.make({ n, w, order, ackTimeout, unavailable: rule.unavailable }))
  }
  const of = ({ ackTimeoutMillis, order, unavailable, w }: Given) => ({
    ...(w === undefined ? {} : { w }),
    ...(ackTimeoutMillis === undefined ? {} : { ackTimeoutMillis }),
    ...(order === undefined ? {} : { order }),
    ...(unavailable === undefined ? {} : { unavailable })
  })
  const usual = policyOf(of(given))
  const namespaces = new Map<string, QuorumPolicy.QuorumPolicy>()
  const reads = new Map<string, Records.Consistency>()
  for (const [namespace, rule] of Object.entries(given.namespaces ?? {})) {
    const { reads: how, ...writing } = rule
    if (how !== undefined) reads.set(namespace, how)
    // What a rule does not say is as everywhere; an order goes with the w that it was given for.
    const rest = writing.w === undefined ? of(given) : { ...of(given), order: undefined }
    const policy = Object.keys(writing).length === 0 ? undefined : policyOf({ ...strip(rest), ...writing }, namespace)
    if (policy !== undefined) namespaces.set(namespace, policy)
  }
  // A namespace may be called `__proto__`.
  return { usual, namespaces: Object.fromEntries(namespaces), reads: Object.fromEntries(reads), problems }
}

const strip = ({ order, ...rest }: { readonly order?: Rule["order"] | undefined } & Omit<Rule, "order">): Rule =>
  order === undefined ? rest : { ...rest, order }
