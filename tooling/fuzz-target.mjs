// What `fuzz` attacks: four replica sets in one process, two over ws and two over http, of which peers prove nothing in one
// and share a secret in the other, with files in the folder that is given. Says where it listens, and answers every line with what it costs: `{ heap, rss, lag, unhandled }`, after a
// collection; `lag` is the most that its event loop was held, in milliseconds, since the line before.
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { createInterface } from "node:readline"
import { pathToFileURL } from "node:url"
import { Effect, Layer, Logger, Redacted } from "effect"
import * as Sealed from "./fuzz-sealed.mjs"
import { root } from "./turbo.mjs"

const dist = (name, file = "index") => import(pathToFileURL(join(root, "packages", name, "dist", `${file}.js`)).href)
const [{ Replica, ReplicaSet }, { ClientApiServer }, { HttpNode }, { WsNode }, { SqliteStore }] = await Promise.all([
  dist("core"),
  dist("http"),
  dist("http", "node"),
  dist("ws", "node"),
  dist("sqlite")
])

let unhandled = 0
for (const event of ["unhandledRejection", "uncaughtException"]) {
  process.on(event, (error) => {
    unhandled++
    console.error(event, error)
  })
}

const { folder, ports } = JSON.parse(process.argv[2])

const replica = (set, self) => {
  const members = Object.keys(ports[set])
  const peers = Object.fromEntries(members.map((id) => [id, `http://127.0.0.1:${ports[set][id]}`]))
  const proof = set.startsWith("sealed") ? { secret: Redacted.make(Sealed.secret) } : { insecure: true }
  const options = { port: ports[set][self], peers, ...proof, routes: ClientApiServer.layer }
  return Replica.layer().pipe(
    set.toLowerCase().endsWith("ws") ? WsNode.serve(options) : HttpNode.serve(options),
    Layer.provide(SqliteStore.layer({ folder: join(folder, set, self) })),
    Layer.provide(ReplicaSet.layer({ cluster: "fuzz", self, members }))
  )
}
const all = Layer.mergeAll(
  ...Object.entries(ports).flatMap(([set, members]) => Object.keys(members).map((id) => replica(set, id)))
)

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()

const measure = () => {
  for (let i = 0; i < 3; i++) globalThis.gc()
  const lag = delay.max / 1e6
  const lag99 = delay.percentile(99) / 1e6
  delay.reset()
  const { heapUsed: heap, rss, external } = process.memoryUsage()
  return { heap, rss, external, lag, lag99, unhandled }
}

const lines = createInterface({ input: process.stdin })
lines.on("line", () => console.log(JSON.stringify(measure())))
lines.on("close", () => process.exit(0))

// Warnings of a replica under attack are many, and none of them is what is looked for.
const quiet = Logger.layer([])
await Effect.runPromise(
  Effect.scoped(
    Effect.andThen(
      Layer.build(Layer.provide(all, quiet)),
      Effect.andThen(
        Effect.sync(() => console.log("ready")),
        Effect.never
      )
    )
  )
)
