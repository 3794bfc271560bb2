/**
 * Every metric of Quorum, as data: what is recorded, exported, drawn and alerted on is made from this table or checked
 * against it.
 *
 * Names are OpenTelemetry's, units UCUM's. The four of `replication_*` keep the names under which they were promised.
 */
import { counts, define, type Attribute, type Definition, durations, sizes } from "./internal/Definition.ts"
import { peerDefinitions } from "./internal/PeerDefinitions.ts"

export type { Attribute, Definition } from "./internal/Definition.ts"

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
  diskStalled: {
    name: "quorum.disk.stalled",
    kind: "gauge",
    unit: "s",
    attributes: [],
    help: "For how long the disk has not answered an append, once that is a second; 0 while it answers."
  },
  ...peerDefinitions,
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
  stableTimeAge: {
    name: "quorum.stable_time.age",
    kind: "gauge",
    unit: "s",
    attributes: [],
    help: "How long ago stable time rose last, as far as this replica knows: what is deleted after it cannot be forgotten."
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
  lost: {
    name: "quorum.log.lost",
    kind: "gauge",
    unit: "{entry}",
    attributes: [],
    help: "Of the damaged entries those that no member has."
  },
  mended: {
    name: "quorum.log.mended",
    kind: "counter",
    unit: "{entry}",
    attributes: [],
    help: "Damaged entries that came back from a peer."
  },
  scrubAge: {
    name: "quorum.scrub.age",
    kind: "gauge",
    unit: "s",
    attributes: [],
    help: "How long ago all that is stored was read again last, or this replica was started."
  },
  scrubFailures: {
    name: "quorum.scrub.failures",
    kind: "counter",
    unit: "{pass}",
    attributes: ["error.type"],
    help: "How often not all that is stored could be read again, by the reason that the store gave."
  },
  liveSize: {
    name: "quorum.log.live.size",
    kind: "gauge",
    unit: "By",
    attributes: [],
    help: "Bytes of entries that the last compaction left because they are live; 0 before the first."
  },
  reclaimableSize: {
    name: "quorum.log.reclaimable.size",
    kind: "gauge",
    unit: "By",
    attributes: [],
    help: "Bytes of entries that may go: those that wait for a member to hold what superseded them, and those appended since the last compaction."
  },
  storeFree: {
    name: "quorum.store.free",
    kind: "gauge",
    unit: "By",
    attributes: [],
    help: "Of the bytes that the logs take those that are free for what comes."
  },
  storeLeft: {
    name: "quorum.store.left",
    kind: "gauge",
    unit: "By",
    attributes: [],
    help: "Bytes that the store may still take: those that are free in it, and those that its disk or its bound leave; 0 where nobody knows, and then nothing is kept."
  },
  storeReserve: {
    name: "quorum.store.reserve",
    kind: "gauge",
    unit: "By",
    attributes: [],
    help: "How many of these are kept for deletes and for what peers bring."
  },
  putsRefused: {
    name: "quorum.puts.refused",
    kind: "gauge",
    unit: "1",
    attributes: [],
    help: "1 while puts are refused because less is left than is kept."
  },
  erasedSize: {
    name: "quorum.log.erased.size",
    kind: "counter",
    unit: "By",
    attributes: [],
    help: "Bytes of entries that compaction has erased."
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
    help: "How late timers of the process were in the last one to two minutes, 99th percentile."
  },
  eventLoopDelayMax: {
    name: "nodejs.eventloop.delay.max",
    kind: "gauge",
    unit: "s",
    attributes: [],
    help: "How late a timer of the process was at most in the last one to two minutes."
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
