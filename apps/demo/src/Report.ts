/**
 * The outcome of a run: as JSON for a program, as a few lines for a person.
 */
import { HybridLogicalClock, Receipt } from "@quorum/core"
import { Text } from "@quorum/server/tools"
import { Effect, FileSystem, Schema } from "effect"
import * as StoryText from "./StoryText.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Millis = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/** What was answered to the write that was made while too few replicas were alive. */
export const Shortage = Schema.Struct({
  /** The replica that answered. */
  replica: Schema.String,
  /** `NotMet`: it was written there, and committed when the replicas were back. `Unavailable`: it was written nowhere. */
  answer: Schema.Literals(["NotMet", "Unavailable"]),
  detail: Schema.String,
  /** How long the answer took. */
  afterMs: Millis
})

/** The story of a write that was read back at the other replicas. */
export const OwnWrites = Schema.Struct({
  replica: Schema.String,
  writeId: Schema.String,
  /** How long each read took, by replica. */
  afterMs: Schema.Record(Schema.String, Millis)
})

/** The story of a replica that stood still while the others took writes, and caught up. */
export const Apart = Schema.Struct({
  /** The replica that stood still, and the one that was written at. */
  stopped: Schema.String,
  writer: Schema.String,
  /** When it was stopped; what follows is counted from there. */
  stoppedAt: Schema.String,
  /** How many records were written meanwhile. */
  records: Count,
  /** How many entries of all logs the two of them held just before it went on, by id. */
  held: Schema.Record(Schema.String, Count),
  /** How many entries it lacked by what the other knew. */
  lag: Count,
  /** When it went on, and when all replicas held the same logs; null when that did not happen. */
  wentOnAfterMs: Millis,
  sameAfterMs: Schema.NullOr(Millis)
})

/** The story of a write that missed its quorum, and got its receipt all the same. */
export const NotMet = Schema.Struct({
  writeId: Schema.String,
  /** The replica that answered, and the one that stood still. */
  replica: Schema.String,
  stopped: Schema.String,
  /** When it was asked for; what follows is counted from there. */
  askedAt: Schema.String,
  reason: Schema.String,
  got: Count,
  needed: Count,
  /** How long the answer took. */
  afterMs: Millis,
  /** What is known of every replica, by id. */
  verdicts: Schema.Record(Schema.String, Schema.String),
  /** When the same write was waited for again, and when it had its receipt; null when it got none. */
  resumedAfterMs: Millis,
  committedAfterMs: Schema.NullOr(Millis),
  receipt: Schema.NullOr(Receipt.Receipt)
})

/** The story of a write that missed its quorum. */
export interface NotMet extends Schema.Schema.Type<typeof NotMet> {}

/** A write of the story of a wrong clock. */
const Written = Schema.Struct({
  replica: Schema.String,
  writeId: Schema.String,
  /** The time of day at its replica. */
  localTime: Schema.String,
  /** What it was stamped with. */
  clock: HybridLogicalClock.HybridLogicalClock,
  acked: Schema.Array(Receipt.Acked)
})

/** The story of a replica whose clock is wrong: two writes to one key, the second at that replica. */
export const WrongClock = Schema.Struct({
  replica: Schema.String,
  /** By how much its clock is ahead; below 0 when it is behind. */
  shiftMs: Schema.Finite,
  /** By how much that is beyond what it follows, as it says itself; null when it does not answer. */
  heldMs: Schema.NullOr(Schema.Finite),
  first: Written,
  second: Written,
  /** What every replica shows afterwards, by id. */
  shown: Schema.Record(Schema.String, Schema.String)
})

/** Somebody who was turned away at the route of peers: at which replica, and what they showed. */
export const TurnedAway = Schema.Struct({ at: Schema.String, shown: Schema.String })

/** Somebody who was turned away. */
export type TurnedAway = typeof TurnedAway.Type

/** The story of certificates that were exchanged while records were written. */
export const Renewal = Schema.Struct({
  /** How many records were committed meanwhile, and how many were sent more than once for that. */
  records: Count,
  sentAgain: Count,
  tookMs: Millis,
  /** SHA-256 of the certificate of each replica before and after, by id. */
  fingerprints: Schema.Record(Schema.String, Schema.Struct({ former: Schema.String, current: Schema.String })),
  /** Those who called after that with no certificate, or one that does not count. */
  refused: Schema.Array(TurnedAway)
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
  /**
   * Writes whose outcome was not known elsewhere, and that it answered with a receipt: those that it held already were
   * completed, and are no commits of its own, so that the two may differ by as many.
   */
  repeated: Count,
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
  shortage: Schema.NullOr(Shortage),
  ownWrites: Schema.NullOr(OwnWrites),
  apart: Schema.NullOr(Apart),
  quorumNotMet: Schema.NullOr(NotMet),
  wrongClock: Schema.NullOr(WrongClock),
  /** Null where the replicas share a secret instead of having certificates. */
  renewal: Schema.NullOr(Renewal),
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
export interface Report extends Schema.Schema.Type<typeof Report> {}

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
    | "apart"
    | "committed"
    | "converged"
    | "digests"
    | "failed"
    | "inFlightAtKill"
    | "killed"
    | "metrics"
    | "n"
    | "quorumNotMet"
    | "wrongClock"
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
  check(report.apart !== null, "no records were written while a replica stood still")
  if (report.apart !== null) {
    const { lag, records, sameAfterMs, stopped } = report.apart
    check(lag >= records, `${stopped} stood still for ${records} records, and is said to lack ${lag} entries`)
    check(sameAfterMs !== null, `${stopped} stood still, and holds other logs than the others since`)
  }
  check(report.quorumNotMet !== null, "the write that asks for all was not answered with quorum_not_met")
  check(
    report.quorumNotMet === null || report.quorumNotMet.receipt !== null,
    "the write that missed its quorum has no receipt in the end"
  )
  check(report.wrongClock !== null, "the two writes by a wrong clock were not committed")
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
    row("lines", `${Text.number(report.lines)}, of which ${Text.number(report.rejected.length)} rejected`),
    ...rejected.map(({ line, reason }) => row("", `line ${line}: ${reason}`)),
    ...(rest > 0 ? [row("", `and ${Text.number(rest)} more`)] : []),
    row(
      "committed",
      `${Text.number(report.committed)} of ${Text.number(report.accepted)} on ${report.w} of ${report.n} replicas, in ` +
        `${Text.seconds(report.importMs)} (${Text.number(Math.round(report.writesPerSecond))} writes/s)`
    ),
    row(
      "killed",
      `${report.killed.join(", ")}; ${report.inFlightAtKill} writes in flight at the first kill, ` +
        `${report.outcomeUnknown} without an answer, ${report.sentAgain} sent again`
    ),
    ...(report.shortage === null ? [] : [row("alone", shortageText(report.shortage))]),
    ...(report.ownWrites === null ? [] : [row("own writes", ownWritesText(report.ownWrites))]),
    ...(report.renewal === null ? [] : [row("certificates", renewalText(report.renewal))]),
    ...(report.metrics === null ? [] : metricsRows(report.metrics).map(([label, text]) => row(label, text))),
    row("caught up", report.caughtUpMs === null ? "no" : `${Text.seconds(report.caughtUpMs)} after the restart`),
    row("records", `${pairs(report.records, Text.number)}; read and compared in ${Text.seconds(report.compareMs)}`),
    row("sha256", report.converged && digest !== undefined ? `${digest} on all` : pairs(report.digests, String)),
    row("peak memory", report.replicas.map(({ id, rssMb }) => `${id} ${rssMb === null ? "?" : rssMb} MB`).join(", ")),
    row("took", Text.seconds(report.totalMs)),
    ...(report.apart === null ? [] : ["", ...StoryText.apart(report.apart)]),
    ...(report.quorumNotMet === null ? [] : ["", ...StoryText.missedQuorum(report.quorumNotMet)]),
    ...(report.wrongClock === null ? [] : ["", ...StoryText.wrongClock(report.wrongClock)])
  ]
}

/** What the run comes to. */
export const verdict = (report: Report): ReadonlyArray<string> =>
  report.ok
    ? [`All ${Text.number(report.committed)} acknowledged writes are on all ${report.n} replicas, byte for byte.`]
    : ["It did not hold:", ...report.problems.map((problem) => `  - ${problem}`)]

// ---------------------------------------------------------------------------------------------------------------------

const shownLines = 10

/** Where the metrics and the demo's own count differ. */
const disagreements = ({ committed, notMet, peers, repeated, replica, unknown }: Seen): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const compare = (what: string, { demo, metrics }: Seen["notMet"], fewer = 0): void => {
    if (metrics < demo - fewer || metrics > demo + unknown)
      problems.push(`the metrics of ${replica} count ${metrics} ${what}, and the demo ${demo}`)
  }
  compare("commits", committed, repeated)
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
    `${replica}: ${Text.number(committed.metrics)} committed, ${notMet.metrics} not met; counted by the demo: ` +
      `${Text.number(committed.demo)} and ${notMet.demo}`
  ],
  ...Object.entries(peers).map(
    ([peer, { connects, lag, losses, maxLag, maxLagSeconds }]) =>
      [
        "",
        `${replica} lost ${peer} ${times(losses)} and reached it ${times(connects)}; at most ${Text.number(maxLag)} entries ` +
          `and ${maxLagSeconds.toFixed(1)} s behind, now ${lag}`
      ] as const
  )
]

const times = (count: number): string => (count === 1 ? "once" : `${count} times`)

const ownWritesText = ({ afterMs, replica }: typeof OwnWrites.Type): string =>
  `written at ${replica}, and read back by the id of the write at ${pairs(afterMs, (millis) => `after ${millis.toFixed(1)} ms`)}`

const shortageText = ({ afterMs, answer, replica }: typeof Shortage.Type): string =>
  `${replica} answered after ${Text.seconds(afterMs)}: ` +
  (answer === "NotMet" ? "quorum not met; committed after the restart" : "nothing was written, and nothing was")

const renewalText = ({ fingerprints, records, refused, sentAgain, tookMs }: typeof Renewal.Type): string =>
  `${Object.keys(fingerprints).length} exchanged in ${Text.seconds(tookMs)}, under ${Text.number(records)} writes, ` +
  `${sentAgain} of them sent again; ${refused.length} calls by others refused`

const pairs = <A>(values: { readonly [id: string]: A }, show: (value: A) => string): string =>
  Object.entries(values)
    .map(([id, value]) => `${id} ${show(value)}`)
    .join(", ")
