/** What a batch may cost while it comes, and for how long it may go on. */
import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { ClientSession, Entry, QuorumError } from "@quorum/core"
import { Clock, Effect, Exit, Stream } from "effect"
import * as Batches from "../src/api/batches.ts"
import * as RequestLines from "../src/api/requestLines.ts"
import { ClientTokens } from "../src/index.ts"
import { begin } from "./support/begin.ts"
import * as Cluster from "./support/cluster.ts"
import { request } from "./support/request.ts"
import * as Stub from "./support/stub.ts"

const utf8 = new TextEncoder()

/** A body in these pieces. */
const bodyOf = (...pieces: ReadonlyArray<string>) => Stream.fromIterable(pieces.map((piece) => utf8.encode(piece)))

describe("a batch that comes", () => {
  it.effect("L63 tells how much is kept of a line that has not come to its end, whatever ends lines", () =>
    Effect.gen(function* () {
      for (const end of ["\n", "\r\n", "\r"]) {
        const told: Array<number> = []
        const body = bodyOf("[1,", "22", `]${end}`, `[]${end}[`, `]${end}[]${end}[`, "]")
        const lines = RequestLines.of(body, (bytes) => told.push(bytes) > 0, "")
        assert.deepStrictEqual(yield* Stream.runCollect(lines), [[1, 22], [], [], [], []])
        // 0 comes before what is kept of the next.
        assert.deepStrictEqual(told, [3, 5, 0, 0, 1, 0, 1, 2])
      }
    })
  )

  it.effect("L63 is over where that does not fit, and what came before is answered", () =>
    Effect.gen(function* () {
      const line = '{"namespace":"n","key":"k","text":"v"}\n'
      const lines = RequestLines.of(bodyOf(line, line, '{"namespace":'), (bytes) => bytes === 0, "")
      const answers = yield* Stream.mkString(
        Batches.each(
          lines,
          (_, __, done) => {
            done(Exit.fail(new QuorumError.ReplicaClosing()))
            return () => undefined
          },
          () => Effect.void,
          () => Effect.succeed(ClientSession.empty)
        )
      )
      const said = answers
        .trimEnd()
        .split("\n")
        .map((text) => JSON.parse(text))
      assert.deepStrictEqual(
        said.map(({ line, problem, status }) => [line, status, problem.error]),
        [
          [1, 503, "replica_closing"],
          [2, 503, "replica_closing"],
          [3, 503, "overloaded"]
        ]
      )
      assert.include(said[2].problem.message, "nothing from here on was read")
    })
  )

  it.effect(
    "L63 has its lines taken while those of no other batch are, so that a turn is a turn however many come",
    () =>
      Effect.gen(function* () {
        const taken: Array<string> = []
        const commit: Parameters<typeof Batches.each>[1] = (write, _, done) => {
          taken.push(Entry.listOf(write)[0]!.key)
          done(Exit.fail(new QuorumError.ReplicaClosing()))
          return () => undefined
        }
        const batch = (name: string) =>
          Stream.runDrain(
            Batches.each(
              Stream.fromIterable([1, 2, 3].map((i) => ({ namespace: "n", key: `${name}${i}`, text: "v" }))),
              commit,
              () => Effect.void,
              () => Effect.succeed(ClientSession.empty)
            )
          )
        let nanos = 0n
        const usual = yield* Clock.Clock
        // Each line takes longer than a turn.
        const slow = { ...usual, monotonicTimeNanosUnsafe: () => (nanos += 6_000_000n) }
        yield* Effect.all(["a", "b"].map(batch), { concurrency: "unbounded" }).pipe(
          Effect.provideService(Clock.Clock, slow)
        )
        assert.deepStrictEqual(taken, ["a1", "a2", "a3", "b1", "b2", "b3"])
      })
  )

  it.live("is of lines, and nothing else is that is kept as a whole", () =>
    Effect.gen(function* () {
      const { url } = yield* Stub.serve({})
      for (const path of ["/v1/stamps", "/v1/stamps/each", "/v1/receipts/verify"]) {
        const headers = { "content-type": "application/x-ndjson" }
        const { json, status } = yield* request("POST", url + path, { headers, body: "{}" })
        assert.deepStrictEqual([status, json["error"], json["field"]], [400, "invalid_request", "content-type"], path)
      }
    })
  )

  it.live("L63 and is atomic is refused once it is longer than a write may be, before it has come to its end", () =>
    Effect.gen(function* () {
      const set = yield* Cluster.make(["a"])
      const a = yield* set.start("a")
      const batch = yield* begin(`${a.url}/v1/batch?atomic=true`)
      const text = "x".repeat(600_000)
      for (const key of ["first", "second"]) batch.send({ namespace: "n", key, text })
      const [line] = yield* batch.answered(1)
      assert.deepInclude(line, { line: 2, status: 413 })
      assert.deepInclude(line!.problem, { error: "write_rejected", field: "writes", reason: "too_large" })
      const other = yield* begin(`${a.url}/v1/batch?atomic=true`)
      other.send({ namespace: "n", key: "short", text: "x" })
      other.send({ namespace: "n", key: "long", text: text + text })
      const [long] = yield* other.answered(1)
      assert.deepInclude(long!.problem, { error: "write_rejected", field: "writes[1].value" })
      assert.strictEqual(a.head(a.own).seq, 0)
    })
  )

  it.live("ends with the reason once the token of who sends it is taken away, or may not write any more", () =>
    Effect.gen(function* () {
      const sha256 = createHash("sha256").update("t").digest("hex")
      const mine: ClientTokens.Token = { name: "t", sha256, role: "write" }
      for (const [later, status, error] of [
        [[], 401, "unauthorized"],
        [[{ ...mine, role: "read" }], 403, "forbidden"]
      ] as const) {
        let tokens: ReadonlyArray<ClientTokens.Token> = [mine]
        let asked = 0
        const { url } = yield* Effect.provideService(
          Stub.serve({
            commitUnsafe: (_, done) => {
              asked++
              done(Exit.fail(new QuorumError.Overloaded({ detail: "later" })))
              return () => undefined
            }
          }),
          ClientTokens.ClientTokens,
          () => tokens
        )
        const batch = yield* begin(`${url}/v1/batch`, { authorization: "Bearer t" })
        batch.send({ namespace: "n", key: "before", text: "v" })
        yield* batch.answered(1)
        tokens = later
        batch.send({ namespace: "n", key: "after", text: "v" })
        const [, refused] = yield* batch.answered(2)
        assert.deepInclude(refused, { line: 2, status })
        assert.strictEqual(refused!.problem["error"], error)
        assert.strictEqual(asked, 1)
      }
    })
  )
})
