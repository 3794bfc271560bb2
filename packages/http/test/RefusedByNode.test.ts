/** What Node refuses by itself, as it is on the wire. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Net from "node:net"
import * as Cluster from "./support/cluster.ts"

/** A replica by itself. */
const single = Effect.flatMap(Cluster.make(["a"]), (set) => set.start("a"))

/** Sends bytes as they are, and returns all that is said until the connection ends, each answer with its body. */
const exchanged = (url: string, sent: string) =>
  Effect.callback<ReadonlyArray<{ readonly head: string; readonly body: string }>>((resume) => {
    const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => socket.write(sent))
    let said = ""
    socket.on("data", (data) => void (said += data.toString()))
    socket.on("error", (error) => resume(Effect.die(error)))
    socket.on("close", () => {
      const answers = said.split(/(?=HTTP\/1\.1 \d)/).map((answer) => answer.split("\r\n\r\n"))
      resume(Effect.succeed(answers.map(([head = "", body = ""]) => ({ head, body }))))
    })
    return Effect.sync(() => socket.destroy())
  })

describe("what Node refuses before anybody here sees it", () => {
  it.live("L17 is answered with a problem, and the connection ends", () =>
    Effect.gen(function* () {
      const a = yield* single
      const head = (line: string, ...fields: ReadonlyArray<string>) =>
        [line, "Host: localhost", ...fields, "", ""].join("\r\n")
      for (const [sent, status, error, field] of [
        ["no request at all\r\n\r\n", 400, "invalid_request", "request"],
        [head("GET /v1/status HTTP/1.1", "Bad Name: x"), 400, "invalid_request", "request"],
        [head("GET /v1/status HTTP/1.1", `X: ${"x".repeat(20_000)}`), 431, "request_too_large", "request"],
        [
          head("PUT /v1/records/n/k HTTP/1.1", "Transfer-Encoding: chunked") + "no size\r\n",
          400,
          "invalid_request",
          "request"
        ],
        // A mebibyte in pieces of one byte held the event loop for a second, and took a hundred of them.
        [
          head("PUT /v1/records/n/k HTTP/1.1", "Transfer-Encoding: chunked") + "1\r\nx\r\n".repeat(2000),
          413,
          "request_too_large",
          "request"
        ],
        ["GET /v1/status HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "invalid_request", "host"],
        ["PUT /v1/nothing HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "invalid_request", "host"],
        [head("GET /v1/status HTTP/1.1", "Expect: a miracle"), 417, "not_implemented", "expect"],
        [head("PUT /v1/records/n/k HTTP/1.1", "Expect: x", "Content-Length: 5"), 417, "not_implemented", "expect"]
      ] as const) {
        const [answer, ...more] = yield* exchanged(a.url, sent)
        assert.lengthOf(more, 0, sent)
        assert.include(answer!.head, `HTTP/1.1 ${status} `, sent)
        assert.match(answer!.head, /content-type: application\/problem\+json/i)
        const { detail, message, title, ...rest } = JSON.parse(answer!.body)
        assert.deepStrictEqual(rest, { type: `urn:quorum:problem:${error}`, status, error, field })
        assert.strictEqual(message, `${field}: ${detail}`)
        assert.isNotEmpty(title)
      }
      assert.strictEqual(a.head(a.own).seq, 0)
    })
  )

  it.live("is not answered in the middle of another answer", () =>
    Effect.gen(function* () {
      const a = yield* single
      const feed = ["GET /v1/changes HTTP/1.1", "Host: localhost", "", ""].join("\r\n")
      const [answer, ...more] = yield* Effect.callback<ReadonlyArray<string>>((resume) => {
        let said = ""
        const socket = Net.connect(Number(new URL(a.url).port), "127.0.0.1", () => socket.write(feed))
        socket.on("data", (data) => {
          if (said === "") socket.write("nonsense\r\n\r\n")
          said += data.toString()
        })
        socket.on("close", () => resume(Effect.succeed(said.split(/(?=HTTP\/1\.1 \d)/))))
      })
      assert.include(answer, "HTTP/1.1 200 ")
      assert.lengthOf(more, 0)
    })
  )
})
