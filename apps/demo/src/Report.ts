/**
 * The outcome of a run: as JSON for a program, as a few lines for a person.
 */
import { Effect, FileSystem, Schema } from "effect"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Millis = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/** What became of the write that was made while too few replicas were alive. */
export const NotMet = Schema.Struct({
  writeId: Schema.String,
  /** The replica that answered. */
  replica: Schema.String,
  reason: Schema.String,
  got: Count,
  needed: Count,
  /** How long the answer took. */
  afterMs: Millis,
  /** What is known of every replica, by id. */
  verdicts: Schema.Record(Schema.String, Schema.String),
  /** Whether the same write was committed after the replicas were back. */
  committedLater: Schema.Boolean
})

/** A replica that was killed. */
export const Kill = Schema.Struct({
  id: Schema.String,
  pid: Count,
  /** Writes acknowledged before. */
  afterWrites: Count,
  /** Writes that were waiting for an answer at that moment, at any replica. */
  inFlight: Count,
  /** Those of them that waited for the killed one. */
  inFlightHere: Count
})

/** What the metrics of a replica that was never killed say, beside what the demo counted itself. */
export const Seen = Schema.Struct({
  replica: Schema.String,
  /** Its commits by outcome, and the answers of it that the demo counted. */
  committed: Schema.Struct({ metrics: Count, demo: Count }),
  notMet: Schema.Struct({ metrics: Count, demo: Count }),
  /** Requests to it that nobody knows the outcome of, so that the two may differ by as many. */
  unknown: Count,
  /** Of every killed replica, by id. */
  peers: Schema.Record(
    Schema.String,
    Schema.Struct({
      /** How often the link to it went down, and came up. */
      losses: Count,
      connects: Count,
      /** The most entries and seconds that it was seen to be behind. */
      maxLag: Count,
      maxLagSeconds: Schema.Finite,
      /** How many entries it is behind at the end. */
      lag: Count
    })
  )
})

/** What the metrics of a replica that was never killed say. */
export type Seen = typeof Seen.Type

/** The outcome of a run, as `--report` writes it. */
export const Report = Schema.Struct({
  /** Whether everything held that the demo checks. `problems` says what did not. */
  ok: Schema.Boolean,
  problems: Schema.Array(Schema.String),
  input: Schema.String,
  replicas: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      url: Schema.String,
      folder: Schema.String,
      /** The most memory that it ever held, in MB of 2^20 bytes; null where the system does not tell. */
      rssMb: Schema.NullOr(Schema.Finite)
    })
  ),
  n: Count,
  w: Count,
  /** Lines that are not blank. */
  lines: Count,
  /** Lines that ask for a write. */
  accepted: Count,
  rejected: Schema.Array(Schema.Struct({ line: Count, reason: Schema.String })),
  /** Accepted lines whose write was committed. */
  committed: Count,
  /** Accepted lines whose write was not committed in the end. */
  failed: Schema.Array(Schema.Struct({ line: Count, reason: Schema.String })),
  /** Answers "quorum not met" of the whole run. All these writes are committed in the end when `ok`. */
  notMet: Count,
  /** The ids of the killed replicas, in order. */
  killed: Schema.Array(Schema.String),
  kills: Schema.Array(Kill),
  inFlightAtKill: Count,
  /** What the metrics saw; null when no replica was left alive, or its metrics could not be read. */
  metrics: Schema.NullOr(Seen),
  /** Requests that broke because their replica was killed, so that nobody knew what became of the write. */
  outcomeUnknown: Count,
  /** Writes that were sent again, to another replica. */
  sentAgain: Count,
  quorumNotMet: Schema.NullOr(NotMet),
  /** From the restart of the dead replicas until all held the same logs; null when that did not happen. */
  caughtUpMs: Schema.NullOr(Millis),
  /** Every acknowledged write is on every replica byte for byte, and all replicas hold the same logs and records. */
  converged: Schema.Boolean,
  /** SHA-256 of all records of a replica, by id. */
  digests: Schema.Record(Schema.String, Schema.String),
  /** How many records every replica holds, by id. */
  records: Schema.Record(Schema.String, Count),
  importMs: Millis,
  compareMs: Millis,
  writesPerSecond: Schema.Finite,
  totalMs: Millis
})

/** The outcome of a run. */
export type Report = typeof Report.Type

/** Writes a report as JSON. */
export const write = Effect.fnUntraced(function* (path: string, report: Report) {
  const fs = yield* FileSystem.FileSystem
  const json = yield* Schema.encodeEffect(Report)(report)
  yield* fs.writeFileString(path, `${JSON.stringify(json, undefined, 2)}\n`)
})

/** The problems of a run in the order of its steps; empty when everything held. */
export const problemsOf = (
  report: Pick<
    Report,
    | "accepted"
    | "committed"
    | "converged"
    | "digests"
    | "failed"
    | "inFlightAtKill"
    | "killed"
    | "metrics"
    | "n"
    | "quorumNotMet"
  >
): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const check = (held: boolean, problem: string): void => void (held || problems.push(problem))
  const first = report.failed[0]
  check(report.accepted > 0, "no line asked for a write, so there was nothing to import")
  check(report.killed.length > 0, "no replica was killed")
  check(report.inFlightAtKill > 0, "no write was in flight when the first replica was killed")
  check(
    report.committed === report.accepted,
    `${report.accepted - report.committed} of ${report.accepted} writes were not committed` +
      (first === undefined ? "" : `, the first on line ${first.line}: ${first.reason}`)
  )
  check(report.quorumNotMet !== null, "the write without a quorum was not answered with quorum_not_met")
  check(report.quorumNotMet?.committedLater !== false, "the write without a quorum was not committed later")
  check(new Set(Object.values(report.digests)).size <= 1, "the replicas hold different records")
  check(report.metrics !== null, "the metrics of the replica that was never killed cannot be read")
  if (report.metrics !== null) problems.push(...disagreements(report.metrics))
  check(report.converged, "not every acknowledged write is on every replica, byte for byte")
  return problems
}

/** The report for a person. */
export const summary = (report: Report): ReadonlyArray<string> => {
  const digest = Object.values(report.digests)[0]
  const rejected = report.rejected.slice(0, shownLines)
  const rest = report.rejected.length - rejected.length
  const row = (label: string, text: string) => `  ${label.padEnd(14)}${text}`
  return [
    row("lines", `${number(report.lines)}, of which ${number(report.rejected.length)} rejected`),
    ...rejected.map(({ line, reason }) => row("", `line ${line}: ${reason}`)),
    ...(rest > 0 ? [row("", `and ${number(rest)} more`)] : []),
    row(
      "committed",
      `${number(report.committed)} of ${number(report.accepted)} on ${report.w} of ${report.n} replicas, in ` +
        `${seconds(report.importMs)} (${number(Math.round(report.writesPerSecond))} writes/s)`
    ),
    row(
      "killed",
      `${report.killed.join(", ")}; ${report.inFlightAtKill} writes in flight at the first kill, ` +
        `${report.outcomeUnknown} without an answer, ${report.sentAgain} sent again`
    ),
    ...(report.quorumNotMet === null ? [] : [row("not met", notMetText(report.quorumNotMet))]),
    ...(report.metrics === null ? [] : metricsRows(report.metrics).map(([label, text]) => row(label, text))),
    row("caught up", report.caughtUpMs === null ? "no" : `${seconds(report.caughtUpMs)} after the restart`),
    row("records", `${pairs(report.records, number)}; read and compared in ${seconds(report.compareMs)}`),
    row("sha256", report.converged && digest !== undefined ? `${digest} on all` : pairs(report.digests, String)),
    row("peak memory", report.replicas.map(({ id, rssMb }) => `${id} ${rssMb === null ? "?" : rssMb} MB`).join(", ")),
    row("took", seconds(report.totalMs)),
    "",
    ...(report.ok
      ? [`All ${number(report.committed)} acknowledged writes are on all ${report.n} replicas, byte for byte.`]
      : ["It did not hold:", ...report.problems.map((problem) => `  - ${problem}`)])
  ]
}

/** A count with commas. */
export const number = (value: number): string => value.toLocaleString("en-US")

/** Milliseconds as seconds. */
export const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

// ---------------------------------------------------------------------------------------------------------------------

const shownLines = 10

/** Where the metrics and the demo's own count differ. */
const disagreements = ({ committed, notMet, peers, replica, unknown }: Seen): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const compare = (what: string, { demo, metrics }: Seen["notMet"]): void => {
    if (metrics < demo || metrics > demo + unknown)
      problems.push(`the metrics of ${replica} count ${metrics} ${what}, and the demo ${demo}`)
  }
  compare("commits", committed)
  compare("writes without a quorum", notMet)
  for (const [peer, { lag, losses }] of Object.entries(peers)) {
    if (losses === 0) problems.push(`the metrics of ${replica} did not see that ${peer} was killed`)
    if (lag > 0) problems.push(`by the metrics of ${replica}, ${peer} still misses ${lag} entries`)
  }
  return problems
}

const metricsRows = ({ committed, notMet, peers, replica }: Seen): ReadonlyArray<readonly [string, string]> => [
  [
    "metrics",
    `${replica}: ${number(committed.metrics)} committed, ${notMet.metrics} not met; counted by the demo: ` +
      `${number(committed.demo)} and ${notMet.demo}`
  ],
  ...Object.entries(peers).map(
    ([peer, { connects, lag, losses, maxLag, maxLagSeconds }]) =>
      [
        "",
        `${replica} lost ${peer} ${times(losses)} and reached it ${times(connects)}; at most ${number(maxLag)} entries ` +
          `and ${maxLagSeconds.toFixed(1)} s behind, now ${lag}`
      ] as const
  )
]

const times = (count: number): string => (count === 1 ? "once" : `${count} times`)

const notMetText = ({ afterMs, committedLater, got, needed, reason }: typeof NotMet.Type): string =>
  `${got} of ${needed}, ${reason}, after ${seconds(afterMs)}; the same write was ` +
  `${committedLater ? "committed after the restart" : "not committed after the restart"}`

const pairs = <A>(values: { readonly [id: string]: A }, show: (value: A) => string): string =>
  Object.entries(values)
    .map(([id, value]) => `${id} ${show(value)}`)
    .join(", ")
