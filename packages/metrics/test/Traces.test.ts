import { assert, describe, it } from "@effect/vitest"
import { FaultyReplicaStore } from "@quorum/testing"
import { Entry } from "@quorum/core"
import { Effect, Schema } from "effect"
import { HttpMiddleware } from "effect/http"
import * as Collector from "./support/collector.ts"
import * as Served from "./support/served.ts"

const slowMillis = 400

const put = (address: string, headers: Record<string, string> = {}) =>
  Effect.promise(() =>
    fetch(`${address}/v1/records/secret-space/secret-key?w=2`, { method: "PUT", body: "secret", headers })
  )

const decodeApi = Schema.decodeUnknownSync(
  Schema.Struct({
    paths: Schema.Record(
      Schema.String,
      Schema.Struct({
        get: Schema.optional(
          Schema.Struct({ parameters: Schema.Array(Schema.Struct({ in: Schema.String, name: Schema.String })) })
        )
      })
    )
  })
)

/** The one that there is. */
const only = <A>(found: ReadonlyArray<A>): A => {
  assert.strictEqual(found.length, 1)
  return found[0]!
}

for (const transport of ["ws", "http"] as const) {
  describe(`traces over ${transport}`, () => {
    it.live("one shows the request, its batch, both pushes, both appends, and whose disk was slow", () =>
      Effect.gen(function* () {
        const collector = yield* Collector.make
        const { a, c, flush } = yield* Served.make({ transport, url: collector.url })
        c.faults.inject(FaultyReplicaStore.slowDisk(slowMillis))
        const { status } = yield* put(a.address)
        assert.strictEqual(status, 201)
        yield* Served.until("all hold it", () => a.status().peers.every(({ lag }) => lag === 0))
        yield* flush

        const spans = collector.spans()
        const request = only(spans.filter(({ name }) => name === "PUT"))
        const trace = spans.filter(({ traceId }) => traceId === request.traceId)
        const named = (name: string, replica: string) =>
          trace.filter((span) => span.name === name && span.replica === replica)
        const append = only(named("quorum.append", "a"))
        assert.strictEqual(append.parentSpanId, request.spanId)
        assert.deepStrictEqual(
          request.links.map(({ spanId, traceId }) => [traceId, spanId]),
          [[append.traceId, append.spanId]]
        )
        const pushes = named("quorum.push", "a")
        assert.deepStrictEqual(
          pushes.map(({ parentSpanId }) => parentSpanId),
          [append.spanId, append.spanId]
        )
        const copies = ["b", "c"].map((peer) => {
          const push = only(pushes.filter(({ attributes }) => attributes["quorum.peer"] === peer))
          const copy = only(named("quorum.append", peer))
          assert.strictEqual(copy.parentSpanId, push.spanId)
          return copy
        })
        assert.strictEqual(trace.length, 6)
        // A timer may be early by less than a millisecond.
        assert.isAtLeast(copies[1]!.millis, slowMillis - 1)
        // However busy this machine is: all of them are in one process.
        assert.isBelow(append.millis, copies[1]!.millis)
        assert.isBelow(copies[0]!.millis, copies[1]!.millis)
        // Peers' requests have no spans of their own, and nothing of what was written is in any.
        assert.strictEqual(spans.length, 6)
        assert.notInclude((collector.bodies.get("/v1/traces") ?? []).join(), "secret")
        assert.strictEqual(request.attributes["url.path"], "/v1/records")
      })
    )

    it.live("a caller that does not sample its trace has none sent from any replica", () =>
      Effect.gen(function* () {
        const collector = yield* Collector.make
        const { a, flush } = yield* Served.make({ transport, url: collector.url })
        yield* put(a.address, { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00" })
        yield* Served.until("all hold it", () => a.status().peers.every(({ lag }) => lag === 0))
        yield* flush
        assert.deepStrictEqual(collector.spans(), [])
        assert.isAbove(collector.bodies.get("/v1/metrics")!.length, 0)
      })
    )
  })
}

describe("traces", () => {
  it.live("of a request nothing names a key, however it is answered and spelled", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make
      const { a, b, c, flush } = yield* Served.make({ transport: "http", url: collector.url })
      const ask = (path: string, init: RequestInit = {}) =>
        Effect.promise(async () => {
          const answer = await fetch(a.address + path, init)
          await answer.text()
          return answer.status
        })
      yield* b.stop
      yield* c.stop
      yield* Served.until("nobody is there", () => a.status().peers.every(({ link }) => link === "down"))
      const key = "/v1/records/secret/(secret)secret"
      assert.strictEqual(yield* ask(key, { method: "PUT", body: "v" }), 503)
      assert.strictEqual(yield* ask(`${key}?atLeast=secret`, { headers: { "if-match": "x" } }), 501)
      for (const path of [
        "/v1//records/secret/secret",
        "/v1%2Frecords/secret",
        "/V1/Records/secret",
        "//v1/records/secret"
      ]) {
        assert.strictEqual(yield* ask(path), 404)
      }
      yield* flush
      const paths = new Set(collector.spans().map(({ attributes }) => attributes["url.path"]))
      assert.deepStrictEqual(paths, new Set(["/v1/records"]))
      // Wherever a namespace, or what keys begin with, is asked for.
      const api = yield* Effect.promise(() => fetch(`${a.address}/openapi.json`).then((answer) => answer.json()))
      const routes = Object.entries(decodeApi(api).paths).flatMap(([path, { get }]) => {
        const query = (get?.parameters ?? []).filter((one) => one.in === "query").map(({ name }) => `${name}=secret`)
        const isNaming = /\{namespace\}|[?&](namespace|prefix|after)=/.test(`${path}?${query.join("&")}`)
        return isNaming ? [`${path.replaceAll(/\{\w+\}/g, "secret")}?${query.join("&")}`] : []
      })
      assert.isAtLeast(routes.length, 6)
      for (const route of routes) yield* ask(route)
      yield* flush
      const told = (collector.bodies.get("/v1/traces") ?? []).join()
      assert.notInclude(told, "secret")
      assert.include(told, "ResponseError (503 PUT /v1/records)")
    })
  )

  it.live("a batch of requests without spans, as the application wants it, is a root", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make
      const { a, flush } = yield* Effect.provideService(
        Served.make({ transport: "http", url: collector.url }),
        HttpMiddleware.TracerDisabledWhen,
        () => true
      )
      yield* put(a.address)
      yield* Served.until("all hold it", () => a.status().peers.every(({ lag }) => lag === 0))
      yield* flush
      const names = collector.spans().map(({ name }) => name)
      assert.sameMembers(names, ["quorum.append", "quorum.push", "quorum.push", "quorum.append", "quorum.append"])
    })
  )

  it.live("of a share of none, none is sent from any replica, whatever begins them", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make
      const { a, flush } = yield* Served.make({ transport: "ws", url: collector.url, traceShare: 0 })
      yield* put(a.address)
      yield* a.writer.commit(Entry.put("n", "k", "v"))
      yield* Served.until("all hold it", () => a.status().peers.every(({ lag }) => lag === 0))
      yield* flush
      assert.deepStrictEqual(collector.spans(), [])
    })
  )
})

describe("logs", () => {
  it.live(
    "a line for each change of state goes to the collector, from the replica that saw it, and none for writes",
    () =>
      Effect.gen(function* () {
        const collector = yield* Collector.make
        const { a, b, c, flush } = yield* Served.make({ transport: "ws", url: collector.url })
        // Until all listen, each may find nobody.
        yield* Served.until("all are connected", () =>
          [a, b, c].every(({ status }) => status().peers.every(({ link }) => link === "up"))
        )
        yield* flush
        const before = collector.lines().length
        const said = (event: string) =>
          collector
            .lines()
            .slice(before)
            .filter(({ attributes }) => attributes["quorum.event"] === event)
        yield* put(a.address)
        yield* c.stop
        yield* Served.until("both miss it", () =>
          [a, b].every(({ status }) => status().peers.some((p) => p.link === "down"))
        )
        yield* put(a.address)
        yield* Served.until("it is said", () => {
          Effect.runFork(flush)
          return said("peer_down").length >= 2
        })
        const down = said("peer_down")
        assert.deepStrictEqual(
          down.map(({ attributes }) => attributes["quorum.peer"]),
          ["c", "c"]
        )
        assert.sameMembers(
          down.map(({ replica }) => replica),
          ["a", "b"]
        )
        assert.deepStrictEqual(
          down.map(({ severityText }) => severityText),
          ["Warn", "Warn"]
        )
        assert.notInclude((collector.bodies.get("/v1/logs") ?? []).join(), "secret")
      })
  )
})
