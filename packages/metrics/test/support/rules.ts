/**
 * What the alert rules say of a replica that is well, falls ill in one way, and is well again: made-up values as
 * `promtool test rules` takes them, made from the definitions.
 */
import * as Alerts from "../../src/Alerts.ts"
import { type Attribute, type Key, label, prometheus } from "../../src/Definitions.ts"

/** The values of a series while all is well, ill, and well again; by its steps of ten seconds. */
type Course = readonly [well: string, ill: string, again: string]

interface Series {
  readonly key: Key
  readonly labels: Partial<Record<Attribute | "le", string>>
  readonly suffix?: string
  readonly values: Course
}

/** How a replica is ill. */
export interface Illness {
  readonly alert: string
  /** The series that are not as they should be, in place of those of the same name and labels. */
  readonly series: ReadonlyArray<Series>
  /** The labels of the alert besides `instance` and `severity`. */
  readonly labels: Readonly<Record<string, string>>
  readonly summary: string
  /** Alerts that the same illness may set off. */
  readonly also?: ReadonlyArray<string>
}

const steps = { well: 9, ill: 59, again: 139 }
const constant = (well: number, ill: number): Course => [
  `${well}x${steps.well}`,
  `${ill}x${steps.ill}`,
  `${well}x${steps.again}`
]
/** A counter that grows by so much a step in each phase. */
const counter = (well: number, ill: number): Course => {
  const atIll = well * (steps.well + 1)
  const atAgain = atIll + ill * (steps.ill + 1)
  return [`0+${well}x${steps.well}`, `${atIll}+${ill}x${steps.ill}`, `${atAgain}+${well}x${steps.again}`]
}

const gauge = (key: Key, labels: Series["labels"], well: number, ill: number = well): Series => ({
  key,
  labels,
  values: constant(well, ill)
})
const count = (key: Key, labels: Series["labels"], ill: number): Series => ({ key, labels, values: counter(0, ill) })

/** A hundred measurements a step: all at most 10 ms while well, all between one second and two while ill, if it is. */
const histogram = (key: Key, labels: Series["labels"], isIll: boolean): ReadonlyArray<Series> =>
  ["0.01", "1", "2", "+Inf"].map((le) => ({
    key,
    labels: { ...labels, le },
    suffix: "_bucket",
    values: counter(100, isIll && Number(le) <= 1 ? 0 : 100)
  }))

const committed = { "quorum.outcome": "committed" } as const
const own = { "quorum.log": "own" } as const
const [b, c] = [{ "quorum.peer": "b" }, { "quorum.peer": "c" }] as const
const full = { "error.type": "disk_full" } as const
const unreadable = { "error.type": "unavailable" } as const
const refused = { "quorum.direction": "incoming", "error.type": "version" } as const

/** Every series that a rule looks at, of a replica that is well. */
const wellSeries: ReadonlyArray<Series> = [
  ...[b, c].flatMap((peer) => [
    gauge("peerDrifted", peer, 0),
    count("peerRejections", peer, 0),
    gauge("peerUp", peer, 1),
    gauge("peerLagTime", peer, 0.1),
    gauge("peerHoldsBack", peer, 0),
    gauge("peerSkew", peer, 0.01)
  ]),
  count("drifts", {}, 0),
  gauge("damaged", {}, 0),
  count("mended", {}, 0),
  gauge("lost", {}, 0),
  gauge("storeFault", full, 0),
  gauge("diskStalled", {}, 0),
  gauge("putsRefused", {}, 0),
  count("scrubFailures", unreadable, 0),
  gauge("scrubAge", {}, 86_400),
  gauge("stableTimeAge", {}, 90),
  count("failures", { reason: "timeout" }, 0),
  gauge("recovered", {}, 1),
  gauge("voting", {}, 1),
  gauge("clockHeld", {}, 0),
  gauge("diskFree", {}, 50),
  gauge("diskSize", {}, 100),
  count("handshakesRefused", refused, 0),
  ...histogram("commitDuration", committed, false),
  ...histogram("appendDuration", own, false),
  gauge("indexDelay", {}, 1),
  gauge("eventLoopDelay", {}, 0.01)
]

/** One way to be ill for every alert. */
export const illnesses: ReadonlyArray<Illness> = [
  {
    alert: "QuorumDrift",
    series: [gauge("peerDrifted", b, 0, 1)],
    labels: { quorum_peer: "b" },
    summary: "a peer holds, or has held, other bytes than a at the same place of a log"
  },
  {
    alert: "QuorumDamage",
    series: [count("mended", {}, 1)],
    labels: {},
    summary: "a has found entries that it cannot read, or has mended such: look at its disk"
  },
  {
    alert: "QuorumLost",
    series: [gauge("lost", {}, 0, 3)],
    labels: {},
    summary: "a holds damaged entries that no member has"
  },
  {
    alert: "QuorumStoreFault",
    series: [gauge("storeFault", full, 0, 1)],
    labels: { error_type: "disk_full" },
    summary: "the store of a does not work: disk_full"
  },
  {
    alert: "QuorumDiskStalled",
    series: [gauge("diskStalled", {}, 0, 6)],
    labels: {},
    summary: "the disk of a has not answered for 6s"
  },
  {
    alert: "QuorumPutsRefused",
    series: [gauge("putsRefused", {}, 0, 1)],
    labels: {},
    summary: "a has nearly no room left, and takes deletes only"
  },
  {
    alert: "QuorumPeerRejects",
    series: [count("peerRejections", c, 1)],
    labels: { quorum_peer: "c" },
    summary: "c will not take an entry of a, and nothing after it can follow"
  },
  {
    alert: "QuorumScrubFails",
    series: [count("scrubFailures", unreadable, 1)],
    labels: { error_type: "unavailable" },
    summary: "not all that a stores can be read again: unavailable"
  },
  {
    alert: "QuorumScrubLate",
    series: [gauge("scrubAge", {}, 86_400, 300_000)],
    labels: {},
    summary: "all that a stores was read again last 3d 11h 20m 0s ago"
  },
  {
    alert: "QuorumTooFewReplicas",
    series: [gauge("peerUp", b, 1, 0), gauge("peerUp", c, 1, 0)],
    labels: {},
    summary: "a reaches no majority, so commits fail there",
    also: ["QuorumPeerDown"]
  },
  {
    alert: "QuorumCommitsFailing",
    series: [count("failures", { reason: "timeout" }, 1)],
    labels: { reason: "timeout" },
    summary: "commits fail on a: timeout"
  },
  {
    alert: "QuorumNotRecovered",
    series: [gauge("recovered", {}, 1, 0)],
    labels: {},
    summary: "a has not heard of the end of its own log, and may not append"
  },
  {
    alert: "QuorumNotVoting",
    series: [gauge("voting", {}, 1, 0)],
    labels: {},
    summary: "a may lack something that it acknowledged, and counts for no quorum"
  },
  {
    alert: "QuorumDiskLow",
    series: [gauge("diskFree", {}, 50, 9)],
    labels: {},
    summary: "the disk of a is nearly full"
  },
  {
    alert: "QuorumPeerDown",
    series: [gauge("peerUp", c, 1, 0)],
    labels: { quorum_peer: "c" },
    summary: "a cannot reach c"
  },
  {
    alert: "QuorumHeldBack",
    series: [gauge("peerHoldsBack", c, 0, 4000)],
    labels: { quorum_peer: "c" },
    summary: "c lacks entries, so that the logs of a cannot shrink"
  },
  {
    alert: "QuorumDeletesKept",
    series: [gauge("stableTimeAge", {}, 90, 4000)],
    labels: {},
    summary: "stable time of a has not risen for 1h 6m 40s: further deletes are kept"
  },
  {
    alert: "QuorumPeerLagging",
    series: [gauge("peerLagTime", c, 0.1, 90)],
    labels: { quorum_peer: "c" },
    summary: "c misses entries of a that are 1m 30s old"
  },
  {
    alert: "QuorumClockHeld",
    series: [gauge("clockHeld", {}, 0, -3540)],
    labels: {},
    summary: "the clock of a is not followed: it is too far from the members'"
  },
  {
    alert: "QuorumClockSkew",
    series: [gauge("peerSkew", b, 0.01, -6)],
    labels: { quorum_peer: "b" },
    summary: "the clocks of a and b differ by 6s"
  },
  {
    alert: "QuorumHandshakesRefused",
    series: [count("handshakesRefused", refused, 1)],
    labels: { quorum_direction: "incoming", error_type: "version" },
    summary: "handshakes are refused at a (incoming): version"
  },
  {
    alert: "QuorumCommitsSlow",
    series: histogram("commitDuration", committed, true),
    labels: {},
    summary: "one in a hundred commits on a takes 1.99s"
  },
  {
    alert: "QuorumAppendsSlow",
    series: histogram("appendDuration", own, true),
    labels: {},
    summary: "one in a hundred appends on a takes 1.99s: look at its disk"
  },
  {
    alert: "QuorumIndexBehind",
    series: [gauge("indexDelay", {}, 1, 120)],
    labels: {},
    summary: "the record index of a is 2m 0s behind"
  },
  {
    alert: "QuorumEventLoopLate",
    series: [gauge("eventLoopDelay", {}, 0.01, 0.6)],
    labels: {},
    summary: "the process of a is too busy to answer in time"
  }
]

/** The tests of all of them as a file for promtool, for which JSON is YAML. */
export const tests = (rules: string): string =>
  JSON.stringify({ rule_files: [rules], evaluation_interval: "10s", tests: illnesses.map(testOf) })

// ---------------------------------------------------------------------------------------------------------------------

const nameOf = ({ key, labels, suffix = "" }: Series): string => {
  const said = Object.entries(labels).map(([name, value]) => `${label(name as Attribute)}="${value}"`)
  return `${prometheus(key)}${suffix}{${['instance="a"', ...said].join()}}`
}

const testOf = ({ alert, also = [], labels, series, summary }: Illness) => {
  const ill = new Map(series.map((one) => [nameOf(one), one]))
  const all = wellSeries.map((one) => ill.get(nameOf(one)) ?? one)
  const rules = Alerts.alerts()
  const { severity } = rules.find(({ name }) => name === alert)!
  const fired = {
    exp_labels: { severity, instance: "a", ...labels },
    exp_annotations: {
      summary,
      runbook_url: `https://github.com/quorum-write/quorum/blob/main/docs/operations.md#${alert.toLowerCase()}`
    }
  }
  const at = (time: string, expected: ReadonlyArray<string>) =>
    rules
      .filter(({ name }) => expected.length === 0 || !also.includes(name))
      .map(({ name }) => ({
        eval_time: time,
        alertname: name,
        exp_alerts: expected.includes(name) ? [fired] : []
      }))
  return {
    name: alert,
    interval: "10s",
    input_series: all.map((one) => ({ series: nameOf(one), values: one.values.join(" ") })),
    // Well at first, ill from 1 m 40 s to 11 m 40 s, and then well.
    alert_rule_test: [...at("90s", []), ...at("11m30s", [alert]), ...at("34m", [])]
  }
}
