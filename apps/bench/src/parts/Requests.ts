/**
 * The part about what one request of a client can do to all others: how long each kind of heavy ones holds the event loop
 * of a replica of its own, with its files and its sockets.
 */
import { Effect } from "effect"
import * as Bench from "../Bench.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import { paths as metrics } from "../MetricsSwitch.ts"
import * as Replicas from "../Replicas.ts"
import * as Child from "../Child.ts"

/** How long one request may hold the loop, in milliseconds, whatever it asks. */
export const bound = 20

/** Each kind of request, when a replica is asked it for the first time, and after that. */
export const requests: Part = {
  name: "requests",
  description: `heavy requests of clients, one at a time: how long each holds the event loop of the replica`,
  run: Effect.fnUntraced(function* (settings) {
    const times = settings.quick ? 1 : 3
    const figures: Array<Figure> = []
    for (let round = 1; round <= Parts.rounds(settings, 3); round++) {
      const say = ({ first, later, name }: Found) =>
        settings.say(
          `round ${round}, ${name}: ${shown(first)} first, ${shown(later)} later${later.cpuMillis > bound ? "  <==" : ""}`
        )
      const found = yield* Effect.scoped(measure(times, settings.quick ? 0.01 : 1, say))
      for (const { first, later, name } of found) {
        figures.push(
          { name: `${name}: first`, unit: "ms", value: first.wallMillis, round },
          { name: `${name}: first, computing`, unit: "ms", value: first.cpuMillis, round },
          { name: `${name}: later`, unit: "ms", value: later.wallMillis, round },
          { name: `${name}: later, computing`, unit: "ms", value: later.cpuMillis, round }
        )
      }
    }
    return { part: "requests", parameters: { times }, against: "", samples: [], figures }
  })
}

// ---------------------------------------------------------------------------------------------------------------------

type Held = Effect.Success<Child.Child["held"]>

const shown = ({ cpuMillis, wallMillis }: Held): string =>
  `${wallMillis.toFixed(1)} ms (computing ${cpuMillis.toFixed(1)})`

/** What a client asks. */
interface Asked {
  readonly name: string
  readonly ask: (url: string) => Promise<Response>
}

/** How long it held the loop. */
interface Found {
  readonly name: string
  readonly first: Held
  readonly later: Held
}

const measure = Effect.fnUntraced(function* (times: number, share: number, say: (found: Found) => Effect.Effect<void>) {
  const replicas = yield* Replicas.make({ ...Replicas.usual, n: 1, w: 1, folder: yield* Bench.folder })
  const child = yield* Replicas.startAll(replicas)
  const { url } = replicas[0]!
  yield* child.held
  const ask = (asked: Asked) =>
    Effect.gen(function* () {
      yield* Effect.sleep(quietMillis)
      yield* child.held
      yield* answered(asked, url)
      // What it leaves behind, as the index of what it wrote, is its own too.
      yield* Effect.sleep(quietMillis)
      return yield* child.held
    })
  const found: Array<Found> = []
  const each = Effect.fnUntraced(function* (kinds: ReadonlyArray<Asked>) {
    for (const asked of kinds) {
      const first = yield* ask(asked)
      const later = yield* Effect.replicateEffect(ask(asked), times)
      found.push({ name: asked.name, first, later: medianOf(later) })
      yield* say(found.at(-1)!)
    }
  })
  yield* each(documents)
  for (const lines of filling(share)) yield* answered({ name: "filling", ask: sent(lines) }, url)
  yield* Replicas.rest(replicas)
  yield* answered({ name: "metrics", ask: (url) => fetch(url + metrics.on, { method: "POST" }) }, url)
  yield* each(reads)
  yield* each(writes(share))
  return found
})

/** How long the replica is left alone, so that no request has the stops of another. */
const quietMillis = 100

/** Takes the whole answer. That a heavy request is refused is none of its figures. */
const answered = ({ ask, name }: Asked, url: string) =>
  Effect.tryPromise({
    try: async () => {
      const answer = await ask(url)
      const bytes = await answer.arrayBuffer()
      if (answer.ok) return
      throw new Error(`${answer.status} ${new TextDecoder().decode(bytes.slice(0, 500))}`)
    },
    catch: (cause) => new Child.ProcessFailed({ script: "replica", detail: `${name}: ${String(cause)}` })
  })

const medianOf = (all: ReadonlyArray<Held>): Held =>
  all.toSorted((one, other) => one.cpuMillis - other.cpuMillis)[Math.floor(all.length / 2)]!

const get = (path: string, accept = "*/*") => ({
  name: `GET ${path}${accept === "*/*" ? "" : ` as ${accept}`}`,
  ask: (url: string) => fetch(url + path, { headers: { accept } })
})

const lineType = "application/x-ndjson"

const sent =
  (body: string, path = "/v1/batch") =>
  (url: string) =>
    fetch(url + path, { method: "POST", headers: { "content-type": lineType }, body })

const posted = (name: string, path: string, json: unknown): Asked => {
  const body = JSON.stringify(json)
  const headers = { "content-type": "application/json" }
  return { name, ask: (url) => fetch(url + path, { method: "POST", headers, body }) }
}

const mebibyte = 1024 * 1024

const lines = (count: number, lineOf: (i: number) => object): string =>
  Array.from({ length: count }, (_, i) => JSON.stringify(lineOf(i))).join("\n") + "\n"

/** Bytes that are no text, in base64. */
const base64 = (bytes: number): string => Buffer.alloc(bytes, 0xfb).toString("base64")

/** JSON of a mebibyte with as many parts as may be. */
const partly = Array.from({ length: 24_000 }, (_, i) => `${i} ${"x".repeat(34)}`)

/** What the replica holds, in the bodies by which it is written. */
const filling = (share: number): ReadonlyArray<string> => [
  ...Array.from({ length: Math.ceil(20 * share) }, (_, i) =>
    lines(1, () => ({ namespace: "large", key: `k${i}`, value: base64(mebibyte) }))
  ),
  ...Array.from({ length: Math.ceil(8 * share) }, (_, i) =>
    lines(1, () => ({ namespace: "json", key: `k${i}`, json: partly }))
  ),
  ...Array.from({ length: Math.ceil(8 * share) }, (_, i) =>
    lines(1, () => ({ namespace: "text", key: `k${i}`, text: "é".repeat(mebibyte / 2), contentType: "text/plain" }))
  ),
  ...Array.from({ length: Math.ceil(10 * share) }, (_, part) =>
    lines(200, (i) => ({ namespace: "middle", key: `k${part}-${i}`, value: base64(4096) }))
  ),
  ...Array.from({ length: Math.ceil(100 * share) }, (_, part) =>
    lines(1000, (i) => ({ namespace: "small", key: `k${part}-${i}`, value: base64(128) }))
  )
]

const documents = [get("/openapi.json"), get("/docs"), get("/v1/status")]

const reads: ReadonlyArray<Asked> = [
  get("/v1/status"),
  get("/metrics"),
  get("/v1/records/large/k0"),
  ...["large", "json", "middle", "small"].map((namespace) => get(`/v1/records/${namespace}?limit=1000`)),
  ...["large", "json", "text", "middle", "small"].map((namespace) => get(`/v1/records/${namespace}`, lineType)),
  get("/v1/keys/small?limit=1000"),
  get("/v1/namespaces?limit=1000"),
  get("/v1/namespaces/small"),
  ...["large", "json", "text", "middle", "small"].map((namespace) =>
    get(`/v1/changes?until=now&namespace=${namespace}`)
  ),
  get("/v1/changes?until=now&namespace=json", "text/event-stream")
]

const writes = (share: number): ReadonlyArray<Asked> => {
  const many = Math.ceil(10_000 * share)
  const keys = (count: number) => Array.from({ length: count }, (_, i) => ({ namespace: "n", key: `k${i}` }))
  return [
    {
      name: "PUT of a mebibyte",
      ask: (url) => fetch(`${url}/v1/records/n/k`, { method: "PUT", body: new Uint8Array(mebibyte) })
    },
    ...Object.entries({
      [`${many} lines`]: lines(many, (i) => ({ namespace: "n", key: `k${i}`, value: base64(128) })),
      [`${many} lines that are empty objects`]: "{}\n".repeat(many),
      "one line of a mebibyte in base64": lines(1, () => ({ namespace: "n", key: "k", value: base64(mebibyte) })),
      "one line of a mebibyte of text": lines(1, () => ({ namespace: "n", key: "k", text: "é".repeat(mebibyte / 2) })),
      "one line of a mebibyte of JSON": lines(1, () => ({ namespace: "n", key: "k", json: partly })),
      "one line of seven mebibytes, refused": lines(1, () => ({
        namespace: "n",
        key: "k",
        text: "x".repeat(7 * mebibyte)
      })),
      "16 lines of a mebibyte": lines(16, (i) => ({ namespace: "n", key: `k${i}`, value: base64(mebibyte) }))
    }).map(([name, body]) => ({ name: `POST /v1/batch, ${name}`, ask: sent(body) })),
    {
      name: `POST /v1/batch, ${many} lines, atomic`,
      ask: sent(
        lines(many, (i) => ({ namespace: "n", key: `k${i}`, text: "v" })),
        "/v1/batch?atomic=true"
      )
    },
    posted(`POST /v1/stamps of 1,000 keys`, "/v1/stamps", { keys: keys(1000) }),
    posted("POST /v1/stamps/each of 8,000 keys", "/v1/stamps/each", { keys: keys(8000) })
  ]
}
