/**
 * Shows an alert fire: three replicas and a real Prometheus; one replica is stopped, its lag grows and the alerts fire;
 * it is started again, catches up, and the alerts clear. The exit code is 0 only if all of that was seen, or when it was
 * stopped before. With the name of a file it then draws the panels of the dashboard as Prometheus has seen it all.
 */
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Entry, QuorumPolicy } from "@quorum/core"
import { Alerts, Dashboard, Definitions } from "@quorum/metrics"
import { Ports } from "@quorum/server/tools"
import { Clock, Console, Effect, FileSystem, Ref } from "effect"
import { HttpClient } from "effect/http"
import * as Client from "./Client.ts"
import * as DemoSet from "./DemoSet.ts"
import * as Ending from "./Ending.ts"
import * as Picture from "./Picture.ts"
import * as Prometheus from "./Prometheus.ts"

/** The rules of the package, impatient. */
const rules = Alerts.alerts({ ...Alerts.defaults, lagSeconds: 5, lagForSeconds: 3, downSeconds: 5 })

const patienceMillis = 60_000
const lookMillis = 500

/** How much of the time in which all is well the picture shows, before and after; and over what its rates are. */
const aroundMillis = 8000
const rateInterval = "4s"

/** Where the picture goes, if one is wanted. */
const file = process.argv[2]

const run = Effect.gen(function* () {
  const startedAt = yield* Clock.currentTimeMillis
  const say = Effect.fnUntraced(function* (text: string) {
    const seconds = ((yield* Clock.currentTimeMillis) - startedAt) / 1000
    yield* Console.log(`${seconds.toFixed(1).padStart(5)} s  ${text}`)
  })
  const marks: Array<Picture.Drawing["marks"][number]> = []
  const mark = (text: string) =>
    Effect.map(Clock.currentTimeMillis, (now) => void marks.push({ second: now / 1000, text }))
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped({ prefix: "quorum-alerts-" })
  const [port, ...ports] = yield* Ports.free(4)
  const script = fileURLToPath(new URL("./replica.js", import.meta.url))
  const policy = yield* Effect.fromResult(QuorumPolicy.majority(3))
  const set = yield* DemoSet.make({ script, name: "alerts", folder, ports, policy, transport: "ws" })
  const { members } = set
  yield* Effect.forEach(members, set.start, { concurrency: "unbounded", discard: true })
  const prometheus = yield* Prometheus.start({
    folder: join(folder, "prometheus"),
    port: port!,
    members,
    rules: Alerts.render(rules)
  })
  yield* say(`3 replicas run, and Prometheus at ${prometheus.url}, which scrapes them every second`)

  const client = yield* Client.make(members)
  const written = yield* Ref.make(0)
  yield* Effect.forkScoped(
    Ref.getAndUpdate(written, (count) => count + 1).pipe(
      Effect.flatMap((i) => client.write(members[0]!, Entry.put("notes", `k${i}`, "value"))),
      Effect.andThen(Effect.sleep(20)),
      Effect.forever
    )
  )

  /** Says what is new until it is as wanted. Fails when that takes too long. */
  let shown = ""
  const until = Effect.fnUntraced(function* (what: string, isSo: (seen: Look) => boolean) {
    const look = Effect.gen(function* () {
      const lag = yield* valueAt(prometheus, "peerLag")
      const age = yield* valueAt(prometheus, "peerLagTime")
      const alerts = (yield* prometheus.alerts).filter(({ labels }) => labels["instance"] === "a")
      const firing = alerts.filter(({ state }) => state === "firing")
      const names = firing.map(({ annotations, labels }) => `${labels["alertname"]}: ${annotations["summary"]}`)
      const text = names.length === 0 ? "nothing fires" : `fires: ${names.join("; ")}`
      const state = firing.map(({ labels }) => labels["alertname"]).join()
      if (state !== shown) yield* say(`c lags by ${lag} entries, the oldest ${age.toFixed(1)} s old; ${text}`)
      shown = state
      return { lag, firing: firing.map(({ labels }) => labels["alertname"] ?? "") }
    })
    yield* look.pipe(
      Effect.tap(Effect.sleep(lookMillis)),
      Effect.repeat({ until: isSo }),
      Effect.timeoutOrElse({
        duration: patienceMillis,
        orElse: () => Effect.fail(new Prometheus.PrometheusFailed({ detail: `it never came to this: ${what}` }))
      })
    )
    yield* say(what)
  })

  const c = members[2]!
  yield* until("c holds what a wrote, and nothing fires", ({ firing, lag }) => lag < 5 && firing.length === 0)
  const wellAt = yield* Clock.currentTimeMillis
  if (file !== undefined) yield* Effect.sleep(aroundMillis)
  set.killUnsafe(c)
  yield* mark("c killed")
  yield* set.gone(c)
  yield* say("c was killed; writes go on")
  yield* until(
    "both alerts fire",
    ({ firing, lag }) => lag > 100 && ["QuorumPeerDown", "QuorumPeerLagging"].every((name) => firing.includes(name))
  )
  yield* set.start(c)
  yield* mark("c started")
  yield* say("c was started again")
  yield* until("c has caught up, and nothing fires", ({ firing, lag }) => lag < 5 && firing.length === 0)

  if (file === undefined) return
  yield* Effect.sleep(aroundMillis)
  const to = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const svg = yield* picture(prometheus, Math.floor(wellAt / 1000), to, marks)
  yield* fs.writeFileString(resolve(process.env["INIT_CWD"] ?? ".", file), svg)
  yield* say(`the dashboard's panels are drawn in ${file}`)
}).pipe(Effect.scoped)

/** The panels of the dashboard, as this Prometheus answers their queries. */
const picture = Effect.fnUntraced(function* (
  prometheus: Prometheus.Prometheus,
  from: number,
  to: number,
  marks: Picture.Drawing["marks"]
) {
  const ofQuery = ({ expr, legend }: Dashboard.Panel["queries"][number]) =>
    Effect.map(prometheus.range(expr.replaceAll("$__rate_interval", rateInterval), from, to), (found) =>
      found.map(({ labels, points }) => ({
        legend: Picture.legendOf(legend, labels),
        points: points.filter(([, value]) => Number.isFinite(value))
      }))
    )
  const rows = yield* Effect.forEach(Dashboard.rows, ({ panels, title }) =>
    Effect.map(
      Effect.forEach(panels, ({ queries, title, unit }) =>
        Effect.map(Effect.forEach(queries, ofQuery), (lines) => ({ title, unit, lines: lines.flat() }))
      ),
      (panels) => ({ title, panels })
    )
  )
  return Picture.draw({ rows, from, to, marks })
})

interface Look {
  readonly lag: number
  readonly firing: ReadonlyArray<string>
}

/** What replica a says of c. */
const valueAt = (prometheus: Prometheus.Prometheus, key: Definitions.Key) =>
  Effect.map(
    prometheus.query(`${Definitions.prometheus(key)}{instance="a",${Definitions.label("quorum.peer")}="c"}`),
    ([first]) => first?.value ?? Number.NaN
  )

run.pipe(
  Effect.tapError((error) => Console.error(error.message)),
  Effect.onInterrupt(() => Console.log("Stopped, and the replicas and Prometheus")),
  Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
  Effect.provide([NodeHttpClient.layerUndici, NodeServices.layer]),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: Ending.teardown })
)
