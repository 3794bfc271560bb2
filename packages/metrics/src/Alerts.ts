/**
 * Alert rules for Prometheus. They are written in the keys of the definitions, so none can name a metric that there is
 * not; `prometheus/alerts.yml` of this package is {@link render} with the thresholds as they are here.
 */
import { type Attribute, type Key, label, prometheus } from "./Definitions.ts"

/** When somebody is told. Times are seconds. */
export interface Thresholds {
  /** For how long a peer may be down. */
  readonly downSeconds: number
  /** For how long a peer may keep the logs of all others from shrinking, and what was deleted from being forgotten. */
  readonly heldBackSeconds: number
  /** How long ago all that is stored may have been read again. */
  readonly scrubSeconds: number
  /** For how long a disk may not answer. */
  readonly stalledSeconds: number
  /** How old the oldest entry may be that a peer misses, and for how long. */
  readonly lagSeconds: number
  readonly lagForSeconds: number
  /** How far a peer's clock may differ. */
  readonly skewSeconds: number
  /** How slow the slowest hundredth of commits, and of appends, may be. */
  readonly commitSeconds: number
  readonly appendSeconds: number
  /** For how long the record index may be behind. */
  readonly indexSeconds: number
  /** How late the slowest hundredth of a process's timers may be. */
  readonly eventLoopSeconds: number
  /** How much of the disk has to be free. */
  readonly diskFreeShare: number
}

/** For a start; a replica set with a purpose has its own. */
export const defaults: Thresholds = {
  downSeconds: 60,
  heldBackSeconds: 3600,
  // All is read once a day unless set otherwise, and 170 GiB take two days.
  scrubSeconds: 3 * 86_400,
  stalledSeconds: 5,
  lagSeconds: 30,
  lagForSeconds: 30,
  skewSeconds: 5,
  commitSeconds: 1,
  appendSeconds: 0.5,
  indexSeconds: 60,
  eventLoopSeconds: 0.5,
  diskFreeShare: 0.1
}

/** One rule. */
export interface Alert {
  readonly name: string
  readonly severity: "warning" | "critical"
  readonly expr: string
  readonly forSeconds: number
  readonly summary: string
}

/** The rules, the worst first. */
export const alerts = (thresholds: Thresholds = defaults): ReadonlyArray<Alert> => [
  ...ofData(thresholds),
  ...ofQuorum(thresholds),
  ...ofPeers(thresholds),
  ...ofSpeed(thresholds)
]

/** Rules as a file for Prometheus. */
export const render = (rules: ReadonlyArray<Alert> = alerts()): string =>
  [
    "# Made from src/Alerts.ts of @quorum/metrics. What each alert means and what to do is in docs/operations.md.",
    "groups:",
    "  - name: quorum",
    "    rules:",
    ...rules.flatMap(({ expr, forSeconds, name, severity, summary }) => [
      `      - alert: ${name}`,
      `        expr: ${JSON.stringify(expr)}`,
      `        for: ${forSeconds}s`,
      "        labels:",
      `          severity: ${severity}`,
      "        annotations:",
      `          summary: ${JSON.stringify(summary)}`,
      `          runbook_url: ${JSON.stringify(runbookOf(name))}`
    ]),
    ""
  ].join("\n")

/** Where it is told what an alert means, and what to do. */
export const runbookOf = (name: string): string => `${runbook}#${name.toLowerCase()}`

// ---------------------------------------------------------------------------------------------------------------------

const runbook = "https://github.com/quorum-write/quorum/blob/main/docs/operations.md"

const replica = "{{ $labels.instance }}"
const peer = `{{ $labels.${label("quorum.peer")} }}`
const errorType = `{{ $labels.${label("error.type")} }}`

/** The slowest hundredth of a histogram in the last five minutes. */
const p99 = (key: Key, attribute: Attribute, value: string): string =>
  `histogram_quantile(0.99, sum by (instance, le) (rate(${prometheus(key)}_bucket{${label(attribute)}="${value}"}[5m])))`

const ofData = ({ scrubSeconds, stalledSeconds }: Thresholds): ReadonlyArray<Alert> => [
  {
    name: "QuorumDrift",
    severity: "critical",
    // It is settled before anybody has looked, mostly, and how two stores came to be is to be found out all the same.
    expr: `${prometheus("peerDrifted")} > 0 or on (instance) increase(${prometheus("drifts")}[20m]) > 0`,
    forSeconds: 0,
    summary: `a peer holds, or has held, other bytes than ${replica} at the same place of a log`
  },
  {
    name: "QuorumDamage",
    severity: "critical",
    // Most damage is mended before anybody has looked, and its disk is to be looked at all the same.
    expr: `${prometheus("damaged")} > 0 or increase(${prometheus("mended")}[20m]) > 0`,
    forSeconds: 0,
    summary: `${replica} has found entries that it cannot read, or has mended such: look at its disk`
  },
  {
    name: "QuorumLost",
    severity: "critical",
    expr: `${prometheus("lost")} > 0`,
    forSeconds: 0,
    summary: `${replica} holds damaged entries that no member has`
  },
  {
    name: "QuorumStoreFault",
    severity: "critical",
    expr: `${prometheus("storeFault")} == 1`,
    forSeconds: 0,
    summary: `the store of ${replica} does not work: ${errorType}`
  },
  {
    name: "QuorumDiskStalled",
    severity: "critical",
    expr: `${prometheus("diskStalled")} > ${stalledSeconds}`,
    forSeconds: 0,
    summary: `the disk of ${replica} has not answered for {{ $value | humanizeDuration }}`
  },
  {
    name: "QuorumPutsRefused",
    severity: "critical",
    expr: `${prometheus("putsRefused")} == 1`,
    forSeconds: 0,
    summary: `${replica} has nearly no room left, and takes deletes only`
  },
  {
    name: "QuorumPeerRejects",
    severity: "critical",
    expr: `increase(${prometheus("peerRejections")}[10m]) > 0`,
    forSeconds: 0,
    summary: `${peer} will not take an entry of ${replica}, and nothing after it can follow`
  },
  {
    name: "QuorumScrubFails",
    severity: "warning",
    expr: `increase(${prometheus("scrubFailures")}[10m]) > 0`,
    forSeconds: 0,
    summary: `not all that ${replica} stores can be read again: ${errorType}`
  },
  {
    name: "QuorumScrubLate",
    severity: "warning",
    expr: `${prometheus("scrubAge")} > ${scrubSeconds}`,
    forSeconds: 60,
    summary: `all that ${replica} stores was read again last {{ $value | humanizeDuration }} ago`
  }
]

const ofQuorum = ({ diskFreeShare, downSeconds }: Thresholds): ReadonlyArray<Alert> => [
  {
    name: "QuorumTooFewReplicas",
    severity: "critical",
    expr:
      `1 + sum by (instance) (${prometheus("peerUp")}) <= ` + `(1 + count by (instance) (${prometheus("peerUp")})) / 2`,
    forSeconds: 10,
    summary: `${replica} reaches no majority, so commits fail there`
  },
  {
    name: "QuorumCommitsFailing",
    severity: "warning",
    expr: `sum by (instance, reason) (rate(${prometheus("failures")}[2m])) > 0`,
    forSeconds: 60,
    summary: `commits fail on ${replica}: {{ $labels.reason }}`
  },
  {
    name: "QuorumNotRecovered",
    severity: "warning",
    expr: `${prometheus("recovered")} == 0`,
    forSeconds: downSeconds,
    summary: `${replica} has not heard of the end of its own log, and may not append`
  },
  {
    name: "QuorumNotVoting",
    severity: "warning",
    expr: `${prometheus("voting")} == 0`,
    forSeconds: 60,
    summary: `${replica} may lack something that it acknowledged, and counts for no quorum`
  },
  {
    name: "QuorumDiskLow",
    severity: "warning",
    expr: `${prometheus("diskFree")} / ${prometheus("diskSize")} < ${diskFreeShare}`,
    forSeconds: 60,
    summary: `the disk of ${replica} is nearly full`
  }
]

const ofPeers = ({
  downSeconds,
  heldBackSeconds,
  lagForSeconds,
  lagSeconds,
  skewSeconds
}: Thresholds): ReadonlyArray<Alert> => [
  {
    name: "QuorumPeerDown",
    severity: "warning",
    expr: `${prometheus("peerUp")} == 0`,
    forSeconds: downSeconds,
    summary: `${replica} cannot reach ${peer}`
  },
  {
    name: "QuorumHeldBack",
    severity: "warning",
    expr: `${prometheus("peerHoldsBack")} > ${heldBackSeconds}`,
    forSeconds: 60,
    summary: `${peer} lacks entries, so that the logs of ${replica} cannot shrink`
  },
  {
    name: "QuorumDeletesKept",
    severity: "warning",
    expr: `${prometheus("stableTimeAge")} > ${heldBackSeconds}`,
    forSeconds: 60,
    summary: `stable time of ${replica} has not risen for {{ $value | humanizeDuration }}: further deletes are kept`
  },
  {
    name: "QuorumPeerLagging",
    severity: "warning",
    expr: `${prometheus("peerLagTime")} > ${lagSeconds}`,
    forSeconds: lagForSeconds,
    summary: `${peer} misses entries of ${replica} that are {{ $value | humanizeDuration }} old`
  },
  {
    name: "QuorumClockHeld",
    severity: "warning",
    expr: `abs(${prometheus("clockHeld")}) > 0`,
    forSeconds: 10,
    summary: `the clock of ${replica} is not followed: it is too far from the members'`
  },
  {
    name: "QuorumClockSkew",
    severity: "warning",
    expr: `abs(${prometheus("peerSkew")}) > ${skewSeconds}`,
    forSeconds: 10,
    summary: `the clocks of ${replica} and ${peer} differ by {{ $value | humanizeDuration }}`
  },
  {
    name: "QuorumHandshakesRefused",
    severity: "warning",
    expr: `increase(${prometheus("handshakesRefused")}[5m]) > 0`,
    forSeconds: 60,
    summary: `handshakes are refused at ${replica} ({{ $labels.${label("quorum.direction")} }}): ${errorType}`
  }
]

const ofSpeed = ({ appendSeconds, commitSeconds, eventLoopSeconds, indexSeconds }: Thresholds) =>
  [
    {
      name: "QuorumCommitsSlow",
      severity: "warning",
      expr: `${p99("commitDuration", "quorum.outcome", "committed")} > ${commitSeconds}`,
      forSeconds: 60,
      summary: `one in a hundred commits on ${replica} takes {{ $value | humanizeDuration }}`
    },
    {
      name: "QuorumAppendsSlow",
      severity: "warning",
      expr: `${p99("appendDuration", "quorum.log", "own")} > ${appendSeconds}`,
      forSeconds: 60,
      summary: `one in a hundred appends on ${replica} takes {{ $value | humanizeDuration }}: look at its disk`
    },
    {
      name: "QuorumIndexBehind",
      severity: "warning",
      expr: `${prometheus("indexDelay")} > ${indexSeconds}`,
      forSeconds: 60,
      summary: `the record index of ${replica} is {{ $value | humanizeDuration }} behind`
    },
    {
      name: "QuorumEventLoopLate",
      severity: "warning",
      expr: `${prometheus("eventLoopDelay")} > ${eventLoopSeconds}`,
      forSeconds: 60,
      summary: `the process of ${replica} is too busy to answer in time`
    }
  ] satisfies ReadonlyArray<Alert>
