/**
 * A real Prometheus, as a process that scrapes the replicas and evaluates the alert rules. It ends with the scope.
 */
import { join } from "node:path"
import { Ports } from "@quorum/server/tools"
import { Effect, FileSystem, Schedule, Schema, Stream } from "effect"
import { HttpClient } from "effect/http"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import type { Member } from "./DemoSet.ts"

/** Prometheus cannot be asked. */
export class PrometheusFailed extends Schema.TaggedError<PrometheusFailed>()("PrometheusFailed", {
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/** Starts it, and waits until it answers. `rules` is the text of the alert rules. */
export const start = Effect.fnUntraced(function* (options: {
  readonly folder: string
  readonly port: number
  readonly members: ReadonlyArray<Member>
  readonly rules: string
}) {
  const { folder, members, port, rules } = options
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const http = yield* HttpClient.HttpClient
  yield* fs.makeDirectory(folder, { recursive: true })
  yield* fs.writeFileString(join(folder, "alerts.yml"), rules)
  yield* fs.writeFileString(join(folder, "prometheus.yml"), configuration(members))
  const url = `http://${Ports.host}:${port}`
  const command = ChildProcess.make(
    "prometheus",
    [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${Ports.host}:${port}`,
      "--log.level=warn"
    ],
    { stdout: "pipe", stderr: "pipe", forceKillAfter: 5000 }
  )
  const { stderr, stdout } = yield* spawner
    .spawn(command)
    .pipe(
      Effect.mapError(
        () => new PrometheusFailed({ detail: "there is no program `prometheus`: apt-get install prometheus" })
      )
    )
  yield* Stream.runDrain(Stream.merge(stdout, stderr)).pipe(Effect.ignore, Effect.forkScoped)

  const ask = <A>(path: string, schema: Schema.Codec<A, unknown>) =>
    http.get(`${url}/api/v1/${path}`).pipe(
      Effect.flatMap((response) => response.json),
      Effect.flatMap(Schema.decodeUnknownEffect(schema)),
      Effect.mapError((error) => new PrometheusFailed({ detail: `Prometheus at ${url}: ${error.message}` }))
    )
  yield* ask("alerts", Alerts).pipe(Effect.retry({ schedule: Schedule.spaced(100), times: 200 }))
  return {
    url,
    /** The alerts that are pending or firing. */
    alerts: Effect.map(ask("alerts", Alerts), ({ data }) => data.alerts),
    /** The values of an expression now, by `instance`. */
    query: (expression: string) =>
      Effect.map(ask(`query?query=${encodeURIComponent(expression)}`, Values), ({ data }) =>
        data.result.map(({ metric, value }) => ({ instance: metric["instance"] ?? "", value: Number(value[1]) }))
      ),
    /** The values of an expression from one second of the epoch to another, in steps of a second. */
    range: (expression: string, from: number, to: number) =>
      Effect.map(
        ask(`query_range?query=${encodeURIComponent(expression)}&start=${from}&end=${to}&step=1`, Ranges),
        ({ data }) =>
          data.result.map(({ metric, values }) => ({
            labels: metric,
            points: values.map(([second, value]) => [second, Number(value)] as const)
          }))
      )
  }
})

/** A Prometheus that runs. */
export type Prometheus = Effect.Success<ReturnType<typeof start>>

// ---------------------------------------------------------------------------------------------------------------------

const Alerts = Schema.Struct({
  data: Schema.Struct({
    alerts: Schema.Array(
      Schema.Struct({
        labels: Schema.Record(Schema.String, Schema.String),
        annotations: Schema.Record(Schema.String, Schema.String),
        state: Schema.Literals(["pending", "firing"])
      })
    )
  })
})

const Values = Schema.Struct({
  data: Schema.Struct({
    result: Schema.Array(
      Schema.Struct({
        metric: Schema.Record(Schema.String, Schema.String),
        value: Schema.Tuple([Schema.Finite, Schema.String])
      })
    )
  })
})

const Ranges = Schema.Struct({
  data: Schema.Struct({
    result: Schema.Array(
      Schema.Struct({
        metric: Schema.Record(Schema.String, Schema.String),
        values: Schema.Array(Schema.Tuple([Schema.Finite, Schema.String]))
      })
    )
  })
})

/** Each replica is called by its id, whatever its port. */
const configuration = (members: ReadonlyArray<Member>): string =>
  [
    "global: { scrape_interval: 1s, evaluation_interval: 1s }",
    "rule_files: [alerts.yml]",
    "scrape_configs:",
    "  - job_name: quorum",
    "    static_configs:",
    ...members.map(({ id, port }) => `      - { targets: ["${Ports.host}:${port}"], labels: { instance: "${id}" } }`),
    ""
  ].join("\n")
