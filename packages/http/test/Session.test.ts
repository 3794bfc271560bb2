/** The header `Quorum-Session`: what one client does at several replicas stays in order, for any W. */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ClientSession } from "@quorum/core"
import { Effect, Layer, Option, Ref } from "effect"
import { ClientApiClient } from "../src/index.ts"
import { assertInvalid, cluster, single } from "./support/api.ts"
import * as Cluster from "./support/cluster.ts"
import { type Answer, request } from "./support/request.ts"

const sessionOf = ({ headers }: Answer) => {
  const token = headers.get("quorum-session")
  assert.isNotNull(token)
  const { clock, places } = Option.getOrThrow(ClientSession.decode(token))
  return { token: token!, clock, places: places as ReadonlyArray<unknown> }
}

const tokenOf = ClientSession.encode

/** The lines of an answer. */
const linesOf = ({ text }: Answer) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))

const ask = (replica: Cluster.Running, method: string, path: string, session?: string, body?: BodyInit) =>
  request(method, replica.url + path, {
    ...(body === undefined ? {} : { body }),
    ...(session === undefined ? {} : { headers: { "quorum-session": session } })
  })

const k = "/v1/records/n/k"

/** `c` hears of nobody, and nobody of it. */
const alone = Effect.gen(function* () {
  const [nowhere, nobody] = [yield* Cluster.freePort, yield* Cluster.freePort].map((port) => `http://127.0.0.1:${port}`)
  const set = yield* Cluster.make(["a", "b", "c"], { w: 1 })
  const a = yield* set.start("a", { peers: { c: nowhere! } })
  const b = yield* set.start("b", { peers: { c: nowhere! } })
  const c = yield* set.start("c", { peers: { a: nowhere!, b: nobody! } })
  yield* Cluster.connected(a, "b")
  return { a, b, c }
})

describe("Quorum-Session", () => {
  it.live("is said by every answer that wrote or read, and grows", () =>
    Effect.gen(function* () {
      const { a } = yield* alone
      const written = yield* ask(a, "PUT", k, undefined, "1")
      const { places, token } = sessionOf(written)
      assert.deepStrictEqual(places, [written.json.writeId])
      const read = yield* ask(a, "GET", k)
      assert.deepStrictEqual(sessionOf(read).places, places)
      const removed = yield* ask(a, "DELETE", k, token)
      assert.deepStrictEqual(sessionOf(removed).places, [removed.json.writeId])
      const gone = yield* ask(a, "GET", k)
      assert.strictEqual(gone.status, 404)
      assert.deepStrictEqual(sessionOf(gone).places, [removed.json.writeId])
      for (const path of ["/v1/records", "/v1/records/n", "/v1/keys/n", "/v1/namespaces", "/v1/namespaces/n"]) {
        assert.deepStrictEqual(sessionOf(yield* ask(a, "GET", path)).places, [removed.json.writeId])
      }
      const stays = yield* ask(a, "GET", "/v1/records/n/other", token)
      assert.deepStrictEqual(sessionOf(stays).places, places)
      const resumed = yield* ask(a, "POST", `/v1/writes/${String(written.json.writeId)}/resume`)
      assert.deepStrictEqual(sessionOf(resumed).places, places)
      assert.isNull((yield* ask(a, "GET", "/v1/status")).headers.get("quorum-session"))
    })
  )

  it.live("comes after a write that has not met its quorum, and reads do not wait for that", () =>
    Effect.gen(function* () {
      const set = yield* Cluster.make(["a", "b", "c"], { ackTimeout: 1000 })
      const a = yield* set.start("a")
      const body = JSON.stringify({ namespace: "n", key: "k", text: "2" })
      const headers = { "content-type": "application/x-ndjson" }
      const before = Date.now()
      const [unmet, batch] = yield* Effect.all(
        [ask(a, "PUT", k, undefined, "1"), request("POST", `${a.url}/v1/batch`, { body, headers })],
        { concurrency: "unbounded" }
      )
      const [answer] = linesOf(batch)
      assert.deepStrictEqual([unmet.status, answer.status], [504, 504])
      for (const { clock, places } of [sessionOf(unmet), Option.getOrThrow(ClientSession.decode(answer.session))]) {
        assert.deepStrictEqual(places, [])
        assert.isAtLeast(clock.wallTime, before)
      }
    })
  )

  it.live("a read with it waits until everything in it is there, or says that it is not yet", () =>
    Effect.gen(function* () {
      const { a, c } = yield* alone
      const written = yield* ask(a, "PUT", k, undefined, "1")
      const { token } = sessionOf(written)
      assert.strictEqual((yield* ask(c, "GET", k)).status, 404)
      const early = yield* ask(c, "GET", `${k}?withinMillis=50`, token)
      assert.deepStrictEqual(
        [early.status, early.json.error, early.json.writeId, early.headers.get("retry-after")],
        [503, "not_yet_visible", written.json.writeId, "1"]
      )
      const page = yield* ask(c, "GET", "/v1/keys/n", token)
      assert.deepStrictEqual([page.status, page.json.error], [503, "not_yet_visible"])
    })
  )

  it.live("is followed from replica to replica, whatever W", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* cluster({ w: 1 })
      let session: string | undefined
      for (let i = 0; i < 20; i++) {
        const [one, other] = [[a, b, c][i % 3]!, [a, b, c][(i + 1) % 3]!]
        session = sessionOf(yield* ask(one, "PUT", k, session, `${i}`)).token
        const read = yield* ask(other, "GET", k, session)
        assert.deepStrictEqual([read.status, read.text], [200, `${i}`])
        session = sessionOf(read).token
      }
    })
  )

  it.live("several with commas between them are one", () =>
    Effect.gen(function* () {
      const { a, b, c } = yield* alone
      const one = yield* ask(a, "PUT", k, undefined, "1")
      const two = yield* ask(c, "PUT", "/v1/records/n/l", undefined, "2")
      const both = `${sessionOf(one).token}, ${sessionOf(two).token}`
      const early = yield* ask(b, "GET", `${k}?withinMillis=50`, both)
      assert.deepStrictEqual([early.status, early.json.writeId], [503, two.json.writeId])
    })
  )

  it.live("the lines of a batch come after it, and the last of those that come together says it", () =>
    Effect.gen(function* () {
      const { a } = yield* alone
      const ahead = { wallTime: Date.now() + 20_000, logical: 0 }
      const { places } = sessionOf(yield* ask(a, "PUT", k, undefined, "1"))
      const lines = [1, 2, 3].map((i) => JSON.stringify({ namespace: "n", key: `${i}`, text: "v" })).join("\n")
      const headers = {
        "content-type": "application/x-ndjson",
        "quorum-session": tokenOf({ clock: ahead, places: [] })
      }
      const each = linesOf(yield* request("POST", `${a.url}/v1/batch`, { body: lines, headers }))
      for (const { receipt } of each) assert.strictEqual(receipt.clock.wallTime, ahead.wallTime)
      const { clock, places: after } = Option.getOrThrow(ClientSession.decode(each.at(-1).session))
      assert.deepStrictEqual([clock, after], [each.at(-1).receipt.clock, [each.at(-1).receipt.writeId]])
      const further = { wallTime: ahead.wallTime + 1000, logical: 0 }
      const [whole] = linesOf(
        yield* request("POST", `${a.url}/v1/batch?atomic=true`, {
          body: lines,
          headers: { ...headers, "quorum-session": tokenOf({ clock: further, places: places as never }) }
        })
      )
      assert.strictEqual(whole.receipt.clock.wallTime, further.wallTime)
      assert.deepInclude(Option.getOrThrow(ClientSession.decode(whole.session)).places, whole.receipt.writeId)
    })
  )

  it.live("whatever shows all that is there waits for what is in it, and a stamp is drawn after it", () =>
    Effect.gen(function* () {
      const { a, c } = yield* alone
      const { token } = sessionOf(yield* ask(a, "PUT", k, undefined, "1"))
      const paths = ["/v1/records", "/v1/records/n", "/v1/keys/n", "/v1/namespaces", "/v1/namespaces/n"]
      const early = yield* Effect.forEach(paths, (path) => ask(c, "GET", path, token), { concurrency: "unbounded" })
      for (const { json } of early) assert.strictEqual(json.error, "not_yet_visible")
      const headers = { "quorum-session": token, accept: "application/x-ndjson" }
      const lines = yield* request("GET", `${c.url}/v1/records/n`, { headers })
      assert.deepStrictEqual([lines.status, lines.json.error], [503, "not_yet_visible"])

      const ahead = tokenOf({ clock: { wallTime: Date.now() + 20_000, logical: 0 }, places: [] })
      const drawn = yield* single()
      for (const [path, body] of [
        ["/v1/stamps", { keys: [{ namespace: "n", key: "k" }] }],
        ["/v1/stamps/each", { keys: [{ namespace: "n", key: "k" }] }]
      ] as const) {
        const { text } = yield* ask(drawn, "POST", path, ahead, JSON.stringify(body))
        assert.include(text, `"${ahead.split(".")[1]}.`)
      }
    })
  )

  it.live("L64 what is no session is refused by the name of the header, and nothing is written", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const { token } = sessionOf(yield* ask(a, "GET", k))
      const misspelt = token.slice(0, -1) + (token.endsWith("0") ? "1" : "0")
      for (const session of [misspelt, "", "1", `${token}, `, token.replace("1.", "2."), "x".repeat(9000)]) {
        for (const [method, path] of [
          ["PUT", k],
          ["GET", k],
          ["GET", "/v1/records"],
          ["DELETE", k]
        ] as const) {
          assertInvalid(yield* ask(a, method, path, session, method === "PUT" ? "v" : undefined), "quorum-session")
        }
      }
      assert.strictEqual(a.head(a.own).seq, 0)
    })
  )

  it.live("a typed client keeps it over the clients of several replicas", () =>
    Effect.gen(function* () {
      const { a, c } = yield* alone
      const session = yield* ClientApiClient.session
      const http = yield* Layer.build(NodeHttpClient.layerUndici)
      const client = (replica: Cluster.Running) =>
        ClientApiClient.make({ url: replica.url, session }).pipe(Effect.provide(http))
      const [atA, atC] = [yield* client(a), yield* client(c)]
      const params = { namespace: "n", key: "k" }
      const payload = new TextEncoder().encode("1")
      const { writeId } = yield* atA.records.put({ params, query: {}, headers: {}, payload })
      assert.deepStrictEqual((yield* Ref.get(session)).places, [writeId])
      const error = yield* Effect.flip(atC.records.get({ params, query: { withinMillis: 50 }, headers: {} }))
      assert.strictEqual(error._tag, "NotYetVisible")
      assert.strictEqual((yield* Ref.get(session)).places.length, 1)
    })
  )
})
