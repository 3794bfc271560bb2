/** What has changed, over HTTP. */
import * as Http from "node:http"
import { connect } from "node:net"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Changes, ClientSession, Entry, type LogId, QuorumError, Records, type WriteId } from "@quorum/core"
import { Chain, ReplicaStore } from "@quorum/core/adapter"
import { createHash } from "node:crypto"
import { Deferred, Effect, Option, Schedule, Stream } from "effect"
import { maxFeeds } from "../src/api/ChangesApi.ts"
import { ClientApiClient, ClientTokens } from "../src/index.ts"
import { single } from "./support/api.ts"
import { until } from "./support/cluster.ts"
import { follow, linesOf } from "./support/follow.ts"
import { request } from "./support/request.ts"
import * as Stub from "./support/stub.ts"

const log = "b@0000000000000001" as LogId.LogId
const watermark = (seq: number) => ({ log, seq, chain: Chain.empty })

/** Pages without changes. */
const pages = (count: number): ReadonlyArray<Changes.Page> =>
  Array.from({ length: count }, (_, i) => ({ changes: [], position: [watermark(i + 1)] }))

const serving = (stream: Stream.Stream<Changes.Page, Changes.ChangesError>) => Stub.serve({ changes: () => stream })

const events = { accept: "text/event-stream" }

describe("the changes", () => {
  it.live("are a line each, values as lines of a batch have them, and end with what is there when asked to", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const json = { contentType: "application/json" }
      for (const write of [
        Entry.put("n", "bytes", new Uint8Array([0, 255])),
        Entry.put("n", "json", '{"a":[1,null]}', json),
        Entry.put("n", "spaced", "[1, 2]", json),
        Entry.put("m", "text", "grüß", { contentType: "text/plain; charset=utf-8" }),
        Entry.remove("n", "bytes")
      ]) {
        yield* a.writer.commit(write)
      }
      const { headers, status, text } = yield* request("GET", `${a.url}/v1/changes?until=now`)
      assert.deepStrictEqual([status, headers.get("content-type")], [200, "application/x-ndjson"])
      const all = linesOf(text)
      const lines = all.slice(0, -1)
      // What ends without it was cut off on its way.
      assert.deepStrictEqual(all.at(-1), { done: true })
      const shown = yield* request("GET", `${a.url}/v1/changes?until=now`, { headers: events })
      assert.match(shown.text, /\nevent: done\ndata: \{\}\n\n$/)
      assert.deepStrictEqual(
        lines.map(({ clock: _clock, position: _position, tie: _tie, writeId: _writeId, ...line }) => line),
        [
          { namespace: "n", key: "bytes", value: "AP8=" },
          { namespace: "n", key: "json", json: { a: [1, null] }, ...json },
          { namespace: "n", key: "spaced", text: "[1, 2]", ...json },
          { namespace: "m", key: "text", text: "grüß", contentType: "text/plain; charset=utf-8" },
          { namespace: "n", key: "bytes", delete: true }
        ]
      )
      const { clock, tie, writeId } = lines[1]!
      const record = Option.getOrThrow(yield* a.records.read("n", "json"))
      assert.deepStrictEqual([clock, writeId], [record.clock, record.writeId])
      assert.isString(tie)
      const { position } = lines.at(-1)!
      assert.isUndefined(lines[0]!["position"])
      const part = yield* request("GET", `${a.url}/v1/changes?until=now&namespace=n&prefix=s`)
      assert.deepStrictEqual(
        linesOf(part.text).map(({ done, key }) => done ?? key),
        ["spaced", true]
      )
      const rest = yield* request("GET", `${a.url}/v1/changes?until=now&since=${String(position)}`)
      assert.deepStrictEqual(linesOf(rest.text), [{ position }, { done: true }])
    })
  )

  it.live("come as they are written, and as server-sent events go on from the last id", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const feed = yield* follow(`${a.url}/v1/changes`, events)
      assert.strictEqual(feed.headers.get("content-type"), "text/event-stream")
      yield* feed.until((text) => text.includes(":\nid: "))
      yield* a.writer.commit(Entry.put("n", "first", "1"))
      const text = yield* feed.until((text) => text.includes("first"))
      assert.match(text, /^retry: 1000\n\n:\nid: [\w-]*\n\nid: [\w-]+\ndata: \{"namespace":"n","key":"first",.*\}\n\n$/)
      const id = /id: ([\w-]+)\ndata/.exec(text)![1]!
      yield* a.writer.commit(Entry.put("n", "second", "2"))
      const heads = yield* request("HEAD", `${a.url}/v1/changes`)
      assert.deepStrictEqual([heads.status, heads.text], [200, ""])
      // A browser sends the address that it began with, too.
      const next = yield* follow(`${a.url}/v1/changes?since=`, { ...events, "last-event-id": id })
      const rest = yield* next.until((text) => text.includes("second"))
      assert.notInclude(rest, "first")
    })
  )

  it.live("have the type that is accepted, and lines where it does not matter", () =>
    Effect.gen(function* () {
      const { url } = yield* serving(Stream.fromIterable(pages(1)))
      for (const [accept, type] of [
        ["*/*", "application/x-ndjson"],
        ["application/*;q=0.5", "application/x-ndjson"],
        ["text/html, Application/X-NDJSON", "application/x-ndjson"],
        ["text/event-stream", "text/event-stream"],
        ["application/x-ndjson;q=0, text/event-stream", "text/event-stream"],
        ["application/json", undefined],
        ["text/event-stream;q=0.0", undefined]
      ] as const) {
        const answer = yield* request("GET", `${url}/v1/changes`, { headers: { accept } })
        if (type !== undefined) assert.deepStrictEqual([answer.status, answer.headers.get("content-type")], [200, type])
        else assert.deepStrictEqual([answer.status, answer.json["error"]], [406, "not_acceptable"])
      }
    })
  )

  it.live("that cannot be begun are answered with an error, and not with lines", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const { writeId } = yield* a.writer.commit(Entry.put("n", "k", "1"))
      const other = Buffer.from(`${writeId.split(":")[0]!}:1.00000000000000aa`).toString("base64url")
      for (const [query, status, error, field] of [
        ["since=x", 400, "invalid_request", "since"],
        ["prefix=a", 400, "invalid_request", "prefix"],
        ["namespace=", 400, "invalid_request", "namespace"],
        ["until=then", 400, "invalid_request", "until"],
        ["limit=1", 400, "invalid_request", "limit"],
        ["since=&since=", 400, "invalid_request", "since"],
        [`since=${other}`, 409, "write_replaced", undefined]
      ] as const) {
        const { json, status: answered } = yield* request("GET", `${a.url}/v1/changes?${query}`)
        assert.deepStrictEqual([answered, json["error"], json["field"]], [status, error, field], query)
      }
      const odd = yield* request("GET", `${a.url}/v1/changes`, { headers: { "last-event-id": "x" } })
      assert.deepStrictEqual([odd.status, odd.json["field"]], [400, "last-event-id"])
      const closed = yield* serving(Stream.fail(new QuorumError.NotReady({ detail: "so it is" })))
      const refused = yield* request("GET", `${closed.url}/v1/changes`)
      assert.deepStrictEqual([refused.status, refused.headers.get("retry-after")], [503, "1"])
    })
  )

  it.live("that end later say why in the last line, and nothing of files", () =>
    Effect.gen(function* () {
      const damaged = { log, from: 3, to: 5 }
      for (const [error, problem] of [
        [new Changes.LogDamaged(damaged), { error: "log_damaged", ...damaged }],
        [new ReplicaStore.StoreError({ reason: "unavailable", detail: "/var/secret" }), { error: "store_failed" }],
        [new Records.ReadRejected({ field: "since", detail: "so it is" }), { error: "internal" }]
      ] as const) {
        const { url } = yield* serving(Stream.concat(Stream.fromIterable(pages(2)), Stream.fail(error)))
        const answer = yield* request("GET", `${url}/v1/changes`)
        const last = linesOf(answer.text).at(-1)!["problem"]
        assert.deepInclude(last, problem)
        assert.isString((last as { readonly message: string }).message)
        const sent = yield* request("GET", `${url}/v1/changes`, { headers: events })
        assert.match(
          sent.text,
          new RegExp(`\\nevent: problem\\ndata: \\{"type":"urn:quorum:problem:${problem.error}",[^\\n]*\\}\\n\\n$`)
        )
        assert.notInclude(answer.text + sent.text, "secret")
      }
    })
  )

  it.live("end in order when the replica stops, and say so", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const feed = yield* follow(`${a.url}/v1/changes`)
      yield* feed.until((text) => text.includes("\n"))
      yield* Effect.timeout(a.stop, 2000)
      const lines = linesOf(yield* feed.end)
      assert.deepInclude(lines.at(-1)!["problem"], { error: "replica_closing" })
    })
  )

  it.live("L63 of a client that does not read are not made, and what was made is let go when it leaves", () =>
    Effect.gen(function* () {
      let made = 0
      let isOver = false
      const value = new Uint8Array(256 * 1024)
      const change = { namespace: "n", key: "k", deleted: false, value, clock: { wallTime: 0, logical: 0 } }
      const page = { changes: [{ ...change, tie: "", writeId: "" }], position: [] } as unknown as Changes.Page
      const { url } = yield* serving(
        Stream.repeat(
          Stream.sync(() => (made++, page)),
          Schedule.forever
        ).pipe(Stream.ensuring(Effect.sync(() => void (isOver = true))))
      )
      const { hostname, port } = new URL(url)
      const socket = connect(Number(port), hostname)
      socket.pause()
      socket.write(`GET /v1/changes HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`)
      let before = -1
      yield* Effect.suspend(() => {
        const isStill = made > 0 && made === before
        before = made
        return isStill ? Effect.void : Effect.fail("it goes on")
      }).pipe(Effect.retry(Schedule.spaced(200)), Effect.timeout(10_000), Effect.orDie)
      // What the system takes for a connection, and two pages.
      assert.isBelow(made, 32)
      socket.destroy()
      yield* until("the feed is over", () => isOver)
    })
  )

  it.live("L63 are let go where only their head is asked for", () =>
    Effect.gen(function* () {
      let ended = 0
      const feed = Stream.concat(Stream.fromIterable(pages(2)), Stream.never)
      const { url } = yield* serving(
        Stream.ensuring(
          feed,
          Effect.sync(() => ended++)
        )
      )
      const { status, text } = yield* request("HEAD", `${url}/v1/changes`)
      assert.deepStrictEqual([status, text], [200, ""])
      yield* until("the feed has ended", () => ended === 1)
    })
  )

  it.live("are a stream for the typed client", () =>
    Effect.gen(function* () {
      const a = yield* single()
      yield* a.writer.commit(Entry.put("n", "k", "1"))
      const client = yield* ClientApiClient.make({ url: a.url })
      const lines = yield* Stream.runCollect(yield* client.changes.follow({ query: { until: "now" }, headers: {} }))
      assert.deepStrictEqual(
        lines.map((line) => ("key" in line ? line.key : "done" in line)),
        ["k", true]
      )
      const [line] = lines
      assert(line !== undefined && "position" in line)
      const error = yield* Effect.flip(client.changes.follow({ query: { prefix: "x" }, headers: {} }))
      assert.deepInclude(error, { _tag: "InvalidRequest", field: "prefix" })
    }).pipe(Effect.provide(NodeHttpClient.layerUndici))
  )

  it.live("are shown to a token of namespaces for one of them, and no others", () =>
    Effect.gen(function* () {
      const sha256 = createHash("sha256").update("t").digest("hex")
      const { url } = yield* Effect.provideService(
        serving(Stream.fromIterable(pages(1))),
        ClientTokens.ClientTokens,
        () => [{ name: "t", sha256, role: "read", namespaces: ["a b"] }]
      )
      for (const [query, status] of [
        ["?namespace=a+b", 200],
        ["?namespace=a%20b&prefix=x", 200],
        ["", 403],
        ["?namespace=a", 403],
        ["?namespace=a+b&namespace=c", 403],
        ["?Namespace=a+b", 403]
      ] as const) {
        const answer = yield* request("GET", `${url}/v1/changes${query}`, { headers: { authorization: "Bearer t" } })
        assert.strictEqual(answer.status, status, query)
      }
    })
  )

  it.live("end with the reason once the token of who follows is taken away, or may not see them any more", () =>
    Effect.gen(function* () {
      const sha256 = createHash("sha256").update("t").digest("hex")
      const mine: ClientTokens.Token = { name: "t", sha256, role: "read" }
      for (const [later, error] of [
        [[], "unauthorized"],
        [[{ ...mine, namespaces: ["a"] }], "forbidden"]
      ] as const) {
        let tokens: ReadonlyArray<ClientTokens.Token> = [mine]
        const more = yield* Deferred.make<void>()
        const [first, ...rest] = pages(3)
        const { url } = yield* Effect.provideService(
          serving(
            Stream.concat(
              Stream.make(first!),
              Stream.unwrap(Effect.as(Deferred.await(more), Stream.fromIterable(rest)))
            )
          ),
          ClientTokens.ClientTokens,
          () => tokens
        )
        const feed = yield* follow(`${url}/v1/changes`, { authorization: "Bearer t" })
        yield* feed.until((text) => linesOf(text).length === 1)
        tokens = later
        yield* Deferred.succeed(more, undefined)
        const [, ...after] = linesOf(yield* feed.end)
        assert.deepStrictEqual(
          after.map(({ problem }) => (problem as { readonly error: string } | undefined)?.error),
          [error]
        )
      }
    })
  )

  it.live("that are forgotten say in which session to read the records before going on, at whatever replica", () =>
    Effect.gen(function* () {
      const here = ClientSession.ofWrite({
        writeId: "b@0000000000000001:7.00000000" as WriteId.WriteId,
        clock: { wallTime: 5, logical: 0 }
      })
      const known = ClientSession.ofWrite({
        writeId: "c@0000000000000001:1.00000000" as WriteId.WriteId,
        clock: { wallTime: 1, logical: 0 }
      })
      const token = ClientSession.encode(ClientSession.join(known, here))
      const forgotten = Stream.fail(new Changes.ChangesForgotten({ position: "YTox" }))
      for (const [isFirst, stream] of [
        [true, forgotten],
        [false, Stream.concat(Stream.fromIterable(pages(1)), forgotten)]
      ] as const) {
        const { url } = yield* Stub.serve({
          changes: () => stream,
          afterPage: (session) => Effect.succeed(ClientSession.join(session, here))
        })
        const said = { "quorum-session": ClientSession.encode(known) }
        const { headers, status, text } = yield* request("GET", `${url}/v1/changes`, { headers: said })
        const last = linesOf(text).at(-1)!
        const { error, position, session } = (isFirst ? last : last.problem) as Record<string, unknown>
        assert.deepStrictEqual([error, position], ["changes_forgotten", "YTox"])
        assert.deepStrictEqual(isFirst ? [status, headers.get("quorum-session")] : [status, session], [
          isFirst ? 410 : 200,
          token
        ])
      }
    })
  )

  it.live("L63 are at most a thousand at once; one more is told to go elsewhere, until another has ended however", () =>
    Effect.gen(function* () {
      let failing = 20
      const [page] = pages(1)
      const { url } = yield* Stub.serve({
        // What cannot be begun takes nobody's place.
        changes: () =>
          failing-- > 0
            ? Stream.fail(new QuorumError.NotReady({ detail: "not yet" }))
            : Stream.concat(Stream.make(page!), Stream.never)
      })
      const agent = new Http.Agent({ maxSockets: Number.POSITIVE_INFINITY })
      yield* Effect.addFinalizer(() => Effect.sync(() => agent.destroy()))
      const open = Effect.callback<{ readonly answer: Http.IncomingMessage; readonly end: () => void }>((resume) => {
        const request = Http.get(`${url}/v1/changes`, { agent }, (answer) =>
          resume(Effect.succeed({ answer, end: () => request.destroy() }))
        )
        request.on("error", () => undefined)
      })
      const opened = yield* Effect.forEach(Array.from({ length: maxFeeds + failing }), () => open, { concurrency: 50 })
      const feeds = opened.filter(({ answer }) => answer.statusCode === 200)
      assert.strictEqual(feeds.length, maxFeeds)
      for (const { answer } of opened) if (answer.statusCode !== 200) answer.resume()
      const refused = yield* request("GET", `${url}/v1/changes`)
      assert.deepInclude(JSON.parse(refused.text), {
        error: "overloaded",
        detail: `${maxFeeds} feeds are followed here already; follow at another replica, or end some`
      })
      assert.deepStrictEqual([refused.status, refused.headers.get("retry-after")], [503, "1"])
      feeds[0]!.end()
      yield* Effect.repeat(open, { until: ({ answer }) => answer.statusCode === 200 })
    })
  )
})
