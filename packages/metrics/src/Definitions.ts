/**
 * Every metric of Quorum, as data: what is recorded, exported, drawn and alerted on is made from this table or checked
 * against it.
 *
 * Names are OpenTelemetry's, units UCUM's. The four of `replication_*` keep the names under which they were promised.
 */

/** What a metric is called and what it says. */
export interface Definition {
  readonly name: string
  readonly kind: "counter" | "gauge" | "histogram"
  /** `s`, `By`, a thing that is counted in braces, or `1`. */
  readonly unit: string
  readonly help: string
  /** The attributes of its series. Their values are words of this package and ids of configured replicas, no others. */
  readonly attributes: ReadonlyArray<Attribute>
  /** The upper bounds of a histogram. */
  readonly bounds?: ReadonlyArray<number>
}

/** The attributes that are used. */
export type Attribute =
  | "quorum.outcome"
  | "quorum.peer"
  | "quorum.replica"
  | "quorum.log"
  | "quorum.direction"
  | "error.type"
  | "result"
  | "reason"
  | "peer"

/** Half a millisecond to ten seconds. */
const durations = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
const counts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
const sizes = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304]

const define = <const T extends Record<string, Definition>>(table: T): { readonly [K in keyof T]: Definition } => table

/** All metrics by the name that the code uses. */
export const definitions = define({
  // What was promised by these names.
  acks: {
    name: "replication_quorum_ack_total",
    kind: "counter",
    unit: "{write}",
    attributes: ["result"],
    help: "What peers answered about writes: ack, late (after the deadline), id_drift, rejected, failed (the link broke)."
  },
  failures: {
    name: "replication_quorum_failures_total",
    kind: "counter",
    unit: "{write}",
    attributes: ["reason"],
    help: "Commits that did not succeed: the four reasons of a quorum that was not met, and what failed before writing."
  },
  clockSkew: {
    name: "replication_clock_skew_seconds",
    kind: "histogram",
    unit: "s",
    attributes: ["peer"],
    help: "How far the clock of a peer differs, whichever is ahead, from the four timestamps of every handshake.",
    bounds: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 3600]
  },
  drifts: {
    name: "replication_id_drift_total",
    kind: "counter",
    unit: "{detection}",
    attributes: [],
    help: "How often a peer's copy of a log was found to differ from the one here, again after every connection."
  },
  // Commits.
  commits: {
    name: "quorum.commits",
    kind: "counter",
    unit: "{write}",
    attributes: ["quorum.outcome"],
    help: "Commits by how they ended."
  },
  commitDuration: {
    name: "quorum.commit.duration",
    kind: "histogram",
    unit: "s",
    attributes: ["quorum.outcome"],
    help: "From the start of the append until W replicas held the write, or its deadline had passed.",
    bounds: durations
  },
  ackDuration: {
    name: "quorum.peer.ack.duration",
    kind: "histogram",
    unit: "s",
    attributes: ["quorum.peer"],
    help: "From the start of the append until a peer had acked the write.",
    bounds: durations
  },
  lastAckDuration: {
    name: "quorum.last_ack.duration",
    kind: "histogram",
    unit: "s",
    attributes: [],
    help: "From the start of the append until every peer had acked the write.",
    bounds: durations
  },
  writesWaiting: {
    name: "quorum.writes.waiting",
    kind: "gauge",
    unit: "{write}",
    attributes: [],
    help: "Writes that wait for an append or for acks."
  },
  writesLimit: {
    name: "quorum.writes.limit",
    kind: "gauge",
    unit: "{write}",
    attributes: [],
    help: "How many may wait before further writes are refused as overloaded."
  },
  waitingSize: {
    name: "quorum.writes.waiting.size",
    kind: "gauge",
    unit: "By",
    attributes: [],
    help: "Bytes of the values that wait for an append."
  },
  waitingSizeLimit: {
    name: "quorum.writes.limit.size",
    kind: "gauge",
    unit: "By",
    attributes: [],
    help: "How many bytes may wait before further writes are refused as overloaded."
  },
  // Appends.
  appendDuration: {
    name: "quorum.append.duration",
    kind: "histogram",
    unit: "s",
    attributes: ["quorum.log"],
    help: "How long an append took, its fsync included: to the own log, or to a copy of a peer's.",
    bounds: durations
  },
  syncDuration: {
    name: "quorum.append.sync.duration",
    kind: "histogram",
    unit: "s",
    attributes: ["quorum.log"],
    help: "The part of an append in which the store made it durable: what the disk takes, its fsync included.",
    bounds: durations
  },
  appendEntries: {
    name: "quorum.append.entries",
    kind: "histogram",
    unit: "{entry}",
    attributes: ["quorum.log"],
    help: "Entries in one append, which share an fsync.",
    bounds: counts
  },
  appendSize: {
    name: "quorum.append.size",
    kind: "histogram",
    unit: "By",
    attributes: ["quorum.log"],
    help: "Bytes of entries in one append.",
    bounds: sizes
  },
  appendFailures: {
    name: "quorum.append.failures",
    kind: "counter",
    unit: "{append}",
    attributes: ["error.type"],
    help: "Appends that failed, by the reason that the store gave."
  },
  // Peers.
  peerUp: {
    name: "quorum.peer.up",
    kind: "gauge",
    unit: "1",
    attributes: ["quorum.peer"],
    help: "1 while a peer can be reached and stores what it gets, otherwise 0."
  },
  peerLag: {
    name: "quorum.peer.lag",
    kind: "gauge",
    unit: "{entry}",
    attributes: ["quorum.peer"],
    help: "Entries of this replica's log that a peer is not known to hold."
  },
  peerLagTime: {
    name: "quorum.peer.lag.time",
    kind: "gauge",
    unit: "s",
    attributes: ["quorum.peer"],
    help: "Age of the oldest of those entries; at most the time since this replica started. 0 when there are none."
  },
  peerLagSize: {
    name: "quorum.peer.lag.size",
    kind: "gauge",
    unit: "By",
    attributes: ["quorum.peer"],
    help: "Bytes of those entries, as far as they were appended since this replica started."
  },
  peerPushes: {
    name: "quorum.peer.pushes.in_flight",
    kind: "gauge",
    unit: "{push}",
    attributes: ["quorum.peer"],
    help: "Pushes to a peer that have no answer yet."
  },
  peerPushesLimit: {
    name: "quorum.peer.pushes.limit",
    kind: "gauge",
    unit: "{push}",
    attributes: [],
    help: "How many pushes to one peer may be under way at once, by the transport."
  },
  peerPushSize: {
    name: "quorum.peer.pushes.in_flight.size",
    kind: "gauge",
    unit: "By",
    attributes: ["quorum.peer"],
    help: "Bytes of the entries in those pushes."
  },
  peerConnectionSize: {
    name: "quorum.peer.connection.waiting.size",
    kind: "gauge",
    unit: "By",
    attributes: ["quorum.peer"],
    help: "Bytes of requests that wait in the connection to a peer. Absent with a transport that cannot know it, as HTTP."
  },
  peerAckedAt: {
    name: "quorum.peer.last_ack.timestamp",
    kind: "gauge",
    unit: "s",
    attributes: ["quorum.peer"],
    help: "When a peer acked last, in seconds since the epoch; 0 before the first time since this replica started."
  },
  peerConnects: {
    name: "quorum.peer.connects",
    kind: "counter",
    unit: "{connection}",
    attributes: ["quorum.peer"],
    help: "How often the link to a peer came up."
  },
  peerLosses: {
    name: "quorum.peer.losses",
    kind: "counter",
    unit: "{connection}",
    attributes: ["quorum.peer"],
    help: "How often the link to a peer went down."
  },
  peerRejections: {
    name: "quorum.peer.rejections",
    kind: "counter",
    unit: "{entry}",
    attributes: ["quorum.peer"],
    help: "Entries that a peer will not take, so that nothing after them can follow."
  },
  peerDrifted: {
    name: "quorum.peer.drifted",
    kind: "gauge",
    unit: "{log}",
    attributes: ["quorum.peer"],
    help: "Logs of which a peer's copy differs from the one here."
  },
  peerSkew: {
    name: "quorum.peer.clock.skew",
    kind: "gauge",
    unit: "s",
    attributes: ["quorum.peer"],
    help: "A peer's clock minus this replica's, at the last handshake."
  },
  handshakesRefused: {
    name: "quorum.handshakes.refused",
    kind: "counter",
    unit: "{handshake}",
    attributes: ["quorum.direction", "error.type"],
    help: "Handshakes that were refused: ours by a peer (outgoing), or a caller's here (incoming)."
  },
  catchUpEntries: {
    name: "quorum.catch_up.entries",
    kind: "counter",
    unit: "{entry}",
    attributes: ["quorum.peer"],
    help: "Entries that were fetched from a peer because this replica missed them."
  },
  catchUpSize: {
    name: "quorum.catch_up.size",
    kind: "counter",
    unit: "By",
    attributes: ["quorum.peer"],
    help: "Bytes of those entries."
  },
  // What is held here.
  info: {
    name: "quorum.replica.info",
    kind: "gauge",
    unit: "1",
    attributes: ["quorum.replica"],
    help: "Always 1; says which replica this is."
  },
  recovered: {
    name: "quorum.replica.recovered",
    kind: "gauge",
    unit: "1",
    attributes: [],
    help: "1 once this replica has heard of the end of its own log since it started, and so may append; before, 0."
  },
  voting: {
    name: "quorum.replica.voting",
    kind: "gauge",
    unit: "1",
    attributes: [],
    help: "1 while this replica counts for quorums, 0 while it may lack something that it acknowledged."
  },
  clockHeld: {
    name: "quorum.clock.held",
    kind: "gauge",
    unit: "s",
    attributes: [],
    help: "How far the time that this replica goes by is held back from its own clock, which is too far from the members'."
  },
  logHead: {
    name: "quorum.log.head",
    kind: "gauge",
    unit: "{entry}",
    attributes: ["quorum.replica"],
    help: "Entries that are held here of the logs of a replica, over all its incarnations."
  },
  damaged: {
    name: "quorum.log.damaged",
    kind: "gauge",
    unit: "{entry}",
    attributes: [],
    help: "Entries that are held here and cannot be read any more."
  },
  storeFault: {
    name: "quorum.store.fault",
    kind: "gauge",
    unit: "1",
    attributes: ["error.type"],
    help: "1 for the reason of the store's last failure, as long as it has not worked since."
  },
  indexWaiting: {
    name: "quorum.index.waiting",
    kind: "gauge",
    unit: "{key}",
    attributes: [],
    help: "Keys whose newest write the record index does not have yet. Reads see them all the same."
  },
  indexDelay: {
    name: "quorum.index.delay",
    kind: "gauge",
    unit: "s",
    attributes: [],
    help: "For how long the oldest of those may have waited; 0 when there are none."
  },
  mergeDuration: {
    name: "quorum.index.merge.duration",
    kind: "histogram",
    unit: "s",
    attributes: [],
    help: "How long it took to merge writes into the record index.",
    bounds: durations
  },
  mergeKeys: {
    name: "quorum.index.merged",
    kind: "counter",
    unit: "{key}",
    attributes: [],
    help: "Keys that were merged into the record index."
  },
  // The process and its disk; `ProcessMetrics` of `@quorum/metrics/node` has them.
  eventLoopDelay: {
    name: "nodejs.eventloop.delay.p99",
    kind: "gauge",
    unit: "s",
    attributes: [],
    help: "How late timers of the process were in the last minute, 99th percentile."
  },
  eventLoopDelayMax: {
    name: "nodejs.eventloop.delay.max",
    kind: "gauge",
    unit: "s",
    attributes: [],
    help: "How late a timer of the process was at most in the last minute."
  },
  storeSize: {
    name: "quorum.store.size",
    kind: "gauge",
    unit: "By",
    attributes: [],
    help: "Bytes of the files in the replica's folder, the record index included."
  },
  diskFree: {
    name: "quorum.disk.free",
    kind: "gauge",
    unit: "By",
    attributes: [],
    help: "Bytes that are left to the replica on the disk of its folder."
  },
  diskSize: {
    name: "quorum.disk.size",
    kind: "gauge",
    unit: "By",
    attributes: [],
    help: "Bytes of the disk of the replica's folder."
  }
})

/** The name that the code uses for a metric. */
export type Key = keyof typeof definitions

/** All metrics, in the order of the table. */
export const all: ReadonlyArray<Definition> = Object.values(definitions)

/** What a metric is called in Prometheus: the unit is part of the name, and a counter ends in `_total`. */
export const prometheusName = ({ kind, name, unit }: Definition): string => {
  const base = name.replaceAll(".", "_")
  const suffix = unitSuffixes[unit]
  const withUnit = suffix === undefined || base.endsWith(suffix) ? base : base + suffix
  return kind !== "counter" || withUnit.endsWith("_total") ? withUnit : `${withUnit}_total`
}

/** The Prometheus name of a metric by the name that the code uses. */
export const prometheus = (key: Key): string => prometheusName(definitions[key])

/** What an attribute is called in Prometheus. */
export const label = (attribute: Attribute): string => attribute.replaceAll(".", "_")

/** The table of metrics as Markdown. */
export const markdown = (): ReadonlyArray<string> => [
  "| Prometheus | OpenTelemetry | kind | unit | attributes | |",
  "| --- | --- | --- | --- | --- | --- |",
  ...all.map((definition) => {
    const { attributes, help, kind, name, unit } = definition
    const names = attributes.map((attribute) => `\`${attribute}\``).join(", ")
    return `| \`${prometheusName(definition)}\` | \`${name}\` | ${kind} | \`${unit}\` | ${names} | ${help} |`
  })
]

// ---------------------------------------------------------------------------------------------------------------------

const unitSuffixes: Readonly<Record<string, string>> = { s: "_seconds", By: "_bytes" }
