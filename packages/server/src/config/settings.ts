/**
 * Every setting of a replica: its shape, how it is read from a flag or a variable of the environment, and what it is for.
 */
import { Limits, QuorumPolicy, ReplicaId } from "@quorum/core"
import { ClientTokens } from "@quorum/http"
import { Schema } from "effect"

/** A setting. Its value in a JSON file is the encoded side of the schema; flags and variables are text. */
export interface Setting<S extends Schema.Codec<unknown, unknown>> {
  readonly schema: S
  /** The encoded value that a text stands for; throws an error whose message says what was expected. */
  readonly ofText: (text: string) => unknown
  readonly metavar: string
  readonly description: string
}

const setting = <const S extends Schema.Codec<unknown, unknown>>(
  schema: S,
  ofText: (text: string) => unknown,
  metavar: string,
  description: string
): Setting<S> => ({ schema, ofText, metavar, description })

const text = (value: string): string => value

const whole = (value: string): number => {
  if (!/^[0-9]{1,15}$/.test(value)) throw new Error(`Expected a whole number in decimal digits, got ${shown(value)}`)
  return Number(value)
}

const decimal = (value: string): number => {
  if (!/^[0-9]{1,15}(?:\.[0-9]{1,15})?$/.test(value))
    throw new Error(`Expected a number as 12 or 0.5, got ${shown(value)}`)
  return Number(value)
}

const wholeOrWord = (value: string): number | string => (/^[0-9]/.test(value) ? whole(value) : value)

const yesOrNo = (value: string): boolean => {
  if (value !== "true" && value !== "false") throw new Error(`Expected true or false, got ${shown(value)}`)
  return value === "true"
}

const list = (value: string): ReadonlyArray<string> =>
  value
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")

const pairs = (value: string): Record<string, string> => {
  const read: Record<string, string> = {}
  for (const part of list(value)) {
    const at = part.indexOf("=")
    if (at < 1) throw new Error(`Expected id=URL,id=URL,…, got ${shown(part)}`)
    const id = part.slice(0, at)
    if (Object.hasOwn(read, id)) throw new Error(`${id} is given twice`)
    read[id] = part.slice(at + 1)
  }
  return read
}

const json = (value: string): unknown => {
  try {
    return JSON.parse(value)
  } catch (error) {
    throw new Error(`Expected JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

const shown = (value: string): string => JSON.stringify(value.slice(0, 80))

const Millis = Schema.Finite.check(Schema.isGreaterThan(0))
const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))
const Origin = Schema.String.check(Schema.isPattern(/^https?:\/\/[^/\s?#]+$/))
const Consistency = Schema.Literals(["local", "quorum", "linearizable"])
const Width = Schema.Union([Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)), Schema.Literals(["majority", "all"])])

const Namespace = Schema.Struct({
  w: Schema.optionalKey(Width),
  ackTimeoutMillis: Schema.optionalKey(Millis),
  order: Schema.optionalKey(QuorumPolicy.Order),
  unavailable: Schema.optionalKey(QuorumPolicy.Unavailable),
  reads: Schema.optionalKey(Consistency)
})

const { fields: limitFields } = Limits.LimitsJson

/** All settings, in the order in which help shows them. */
export const settings = {
  id: setting(ReplicaId.ReplicaId, text, "ID", "Which replica this is: one of the names in peers"),
  peers: setting(
    // A set of one by mistake would acknowledge alone: a variable that is empty is one that nobody set.
    Schema.Record(ReplicaId.ReplicaId, Schema.String).check(
      Schema.isMinProperties(1, {
        message: "it names no replica; name all of the set, this one among them, or leave it out for a set of one"
      })
    ),
    pairs,
    "a=URL,b=URL,…",
    "All replicas of the set with their addresses, this one among them; a set of one unless given"
  ),
  data: setting(Schema.NonEmptyString, text, "FOLDER", "Where this replica keeps its files"),
  cluster: setting(
    Schema.NonEmptyString.check(Schema.makeFilter((name) => name.isWellFormed(), { expected: "well-formed text" })),
    text,
    "NAME",
    "The name of the replica set; others refuse each other (default: quorum)"
  ),
  transport: setting(
    Schema.Literals(["ws", "http"]),
    text,
    "ws|http",
    "What carries the protocol between replicas; clients speak HTTP in any case (default: ws)"
  ),
  store: setting(Schema.Literals(["sqlite", "lmdb"]), text, "sqlite|lmdb", "What keeps the logs (default: sqlite)"),
  host: setting(
    Schema.NonEmptyString,
    text,
    "ADDRESS",
    "The interface to listen on; any but loopback needs a secret or TLS (default: 127.0.0.1)"
  ),
  port: setting(Port, whole, "PORT", "Where to listen (default: the port of this replica's address in peers, or 7401)"),
  hosts: setting(
    Schema.Array(Schema.NonEmptyString),
    list,
    "NAME,NAME,…",
    "Further names by which clients call this replica, beside addresses, localhost and those in peers"
  ),
  origins: setting(
    Schema.Array(Origin),
    list,
    "URL,URL,…",
    "The origins of web pages that may ask this replica, beside those of its own host (https://app.example)"
  ),
  maxConnections: setting(
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })),
    whole,
    "COUNT",
    "How many connections of clients there may be at once; replicas have theirs beside them (default: 2048)"
  ),
  secretFile: setting(
    Schema.NonEmptyString,
    text,
    "FILE",
    "Holds the secret that all replicas share, of 32 bytes or more (openssl rand -hex 32); while it is exchanged two, a line each; what changes counts without a restart"
  ),
  tlsKeyFile: setting(Schema.NonEmptyString, text, "FILE", "This replica's private key for TLS, in PEM"),
  tlsCertFile: setting(
    Schema.NonEmptyString,
    text,
    "FILE",
    "Its certificate, in PEM, with the URI quorum://<replica set>/<replica>; renewed files count without a restart"
  ),
  tlsCaFile: setting(
    Schema.NonEmptyString,
    text,
    "FILE",
    "The certificates of the authorities that sign those of the replicas, in PEM"
  ),
  tlsAllowlistFile: setting(
    Schema.NonEmptyString,
    text,
    "FILE",
    "The SHA-256 fingerprints of the certificates that count, a line each (default: all that are signed)"
  ),
  insecure: setting(
    Schema.Boolean,
    yesOrNo,
    "true|false",
    "Whether replicas prove nothing to each other, without a secret and TLS; on loopback only (default: false)"
  ),
  tokensFile: setting(
    Schema.NonEmptyString,
    text,
    "FILE",
    "Holds the tokens of clients as JSON, and is read again when it changes"
  ),
  statusFor: setting(
    ClientTokens.Access,
    text,
    "open|read|write|admin",
    "Who may ask /v1/status: everybody, or a token of this role or a higher one (default: read)"
  ),
  clientRate: setting(
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })),
    whole,
    "COUNT",
    "How many requests a second one client may make, by its token, or by its address without one (default: any number)"
  ),
  w: setting(Width, wholeOrWord, "N|majority|all", "How many replicas have to hold a write (default: majority)"),
  ackTimeoutMillis: setting(Millis, whole, "MS", "How long a write waits for them (default: 2000)"),
  order: setting(
    QuorumPolicy.Order,
    text,
    "real-time|clock",
    "Which of two writes of a key is the later (default: real-time where w is a majority, else clock)"
  ),
  unavailable: setting(
    QuorumPolicy.Unavailable,
    text,
    "refuse|accept",
    "Whether a write is refused, or written here without being committed, while too few replicas are there (default: refuse)"
  ),
  namespaces: setting(
    Schema.Record(Schema.String, Namespace),
    json,
    "JSON",
    'What is other in single namespaces: {"sessions":{"w":1,"ackTimeoutMillis":500,"order":"clock","reads":"quorum"}}'
  ),
  limits: setting(
    Schema.Struct({
      namespaceBytes: Schema.optionalKey(limitFields.namespaceBytes),
      keyBytes: Schema.optionalKey(limitFields.keyBytes),
      valueBytes: Schema.optionalKey(limitFields.valueBytes)
    }),
    json,
    "JSON",
    'How large writes may be, the same on all replicas: {"namespaceBytes":255,"keyBytes":1024,"valueBytes":1048576}'
  ),
  maxBytes: setting(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(1024 * 1024)),
    whole,
    "BYTES",
    "The most that the log of a sqlite store may grow to (default: no limit)"
  ),
  reserveBytes: setting(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
    whole,
    "BYTES",
    "How much room is kept for deletes and for what peers bring: with less left, puts are refused (default: 67108864, or a sixteenth of the disk where that is less)"
  ),
  clockBoundMillis: setting(
    Millis,
    whole,
    "MS",
    "How far this replica's clock may be from the others' (default: 60000)"
  ),
  clockSkewWarnMillis: setting(
    Millis,
    whole,
    "MS",
    "From which difference of clocks on the log warns (default: 30000)"
  ),
  awayHours: setting(
    Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
    decimal,
    "HOURS",
    "How long a replica may be away before it is marked; the others go on without it when a majority has marked it, and 0 is for never (default: 168)"
  ),
  awayBytes: setting(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(1024 * 1024)),
    whole,
    "BYTES",
    "How much may be written here while a replica is away before it is marked all the same (default: no limit)"
  ),
  metrics: setting(Schema.Boolean, yesOrNo, "true|false", "Whether /metrics answers Prometheus (default: true)"),
  metricsFor: setting(
    ClientTokens.Access,
    text,
    "open|read|write|admin",
    "Who may ask /metrics: everybody, or a token of this role or a higher one (default: read)"
  ),
  otlpUrl: setting(
    Schema.String.check(
      Schema.isPattern(/^https?:\/\/\S+$/, { message: "it must be a URL that starts with http:// or https://" })
    ),
    text,
    "URL",
    "An OpenTelemetry collector that gets metrics, logs and traces"
  ),
  logFormat: setting(
    Schema.Literals(["text", "json"]),
    text,
    "text|json",
    "How the log on standard error looks (default: text)"
  )
} as const

/** The name of a setting, as in a JSON file. */
export type Name = keyof typeof settings

/** All names. */
export const names = Object.keys(settings) as ReadonlyArray<Name>

/** The values that were given, decoded. */
export type Given = { readonly [N in Name]?: (typeof settings)[N]["schema"]["Type"] }

/** The values as they stand in a JSON file. */
export type Encoded = { readonly [N in Name]?: (typeof settings)[N]["schema"]["Encoded"] }

/** The flag of a setting: `--ack-timeout-millis`. */
export const flagOf = (name: string): string => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

/** The variable of a setting: `QUORUM_ACK_TIMEOUT_MILLIS`. */
export const variableOf = (name: string): string =>
  `QUORUM_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
