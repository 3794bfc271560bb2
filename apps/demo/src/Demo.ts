/**
 * The demo, step by step: import while a replica is killed, show what happens without a quorum, bring everything back,
 * and compare.
 */
import type { Progress } from "@quorum/server/tools"
import { Clock, Effect, type FileSystem, type PlatformError, type Scope } from "effect"
import type { HttpClient } from "effect/http"
import * as Client from "./Client.ts"
import type { DemoSet } from "./DemoSet.ts"
import * as Import from "./Import.ts"
import * as Metrics from "./Metrics.ts"
import * as Renewal from "./Renewal.ts"
import type { ReplicaFailed } from "./ReplicaProcess.ts"
import * as Report from "./Report.ts"
import * as Steps from "./Steps.ts"

/** Runs all steps on replicas that are not running yet, and reports. The replicas run on until their scope closes. */
export const run = Effect.fnUntraced(function* (
  set: DemoSet,
  options: Steps.Options
): Effect.fn.Return<
  Report.Report,
  PlatformError.PlatformError | ReplicaFailed,
  FileSystem.FileSystem | HttpClient.HttpClient | Progress.Progress | Scope.Scope
> {
  const { members, policy } = set
  const metrics = yield* Metrics.watch(set)
  const client = metrics.counting(yield* Client.make(members))
  const startedAt = yield* Clock.currentTimeMillis
  const state = Import.make()

  const { certificates } = options
  const imported = yield* Steps.importAndKill({ set, client, state, ...options })
  const renewed = certificates === undefined ? undefined : yield* Renewal.renew({ set, client, state }, certificates)
  const shortage = yield* Steps.writeWithoutQuorum({ set, client, state })
  const recovery = yield* Steps.recover({ set, client, state, shortage })
  const told = yield* Steps.tell({ set, client, state }, recovery.late, shortage.survivor)
  const strangers = renewed === undefined ? undefined : yield* Renewal.turnAway(set, certificates!, renewed.formers)
  const compared = yield* Steps.compare({ set, client, state, caughtUp: recovery.caughtUpMs !== null })

  const kills = [...imported.kills, ...shortage.kills]
  const seen = yield* metrics.seen(kills.map(({ id }) => id))
  const facts = {
    input: options.input,
    replicas: members.map((member) => ({
      id: member.id,
      url: member.url,
      folder: member.folder,
      rssMb: set.peakMb(member) ?? null
    })),
    n: policy.n,
    w: policy.w,
    lines: state.lines,
    accepted: state.accepted,
    rejected: state.rejected,
    committed: state.committed,
    failed: state.failed,
    notMet: state.notMet,
    killed: kills.map(({ id }) => id),
    kills,
    inFlightAtKill: imported.kills[0]?.inFlight ?? 0,
    metrics: seen,
    outcomeUnknown: state.outcomeUnknown,
    sentAgain: state.sentAgain,
    shortage: shortageOf(shortage),
    ownWrites: told.ownWrites,
    apart: told.apart,
    quorumNotMet: told.notMet,
    wrongClock: told.wrongClock,
    renewal: renewed === undefined ? null : { ...renewed.story, refused: strangers!.refused },
    caughtUpMs: recovery.caughtUpMs,
    converged: compared.converged,
    digests: compared.digests,
    records: compared.records,
    compareMs: compared.compareMs,
    importMs: imported.importMs,
    writesPerSecond: Math.round((state.committed / Math.max(1, imported.importMs)) * 10_000) / 10,
    totalMs: (yield* Clock.currentTimeMillis) - startedAt
  }
  const problems = [
    ...set.crashes(),
    ...Report.problemsOf(facts),
    ...(renewed?.problems ?? []),
    ...shortage.problems,
    ...recovery.problems,
    ...told.problems,
    ...(strangers?.problems ?? []),
    ...compared.problems
  ]
  const report: Report.Report = { ok: problems.length === 0, problems, ...facts }
  return report
})

// ---------------------------------------------------------------------------------------------------------------------

const shortageOf = ({
  afterMs,
  answer,
  survivor
}: Effect.Success<ReturnType<typeof Steps.writeWithoutQuorum>>): typeof Report.Shortage.Type | null =>
  survivor !== undefined && (answer?._tag === "NotMet" || answer?._tag === "Unavailable")
    ? { replica: survivor.id, answer: answer._tag, detail: Import.describe(answer), afterMs }
    : null
