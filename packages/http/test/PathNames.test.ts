/** Names that no path can have. */
import { assert, describe, it } from "@effect/vitest"
import { Entry } from "@quorum/core"
import { Effect } from "effect"
import * as Cluster from "./support/cluster.ts"
import { request } from "./support/request.ts"

const single = Effect.flatMap(Cluster.make(["a"]), (set) => set.start("a"))

const put = (namespace: string, key: string) => ({ namespace, key, text: "v" })

/** What became of the lines of a batch: the status, and which field of what is to blame. */
const sent = (url: string, lines: ReadonlyArray<object>) =>
  Effect.map(
    request("POST", url, {
      headers: { "content-type": "application/x-ndjson" },
      body: lines.map((line) => `${JSON.stringify(line)}\n`).join("")
    }),
    ({ text }) =>
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
        .map(({ problem, status }) => [status, problem?.error, problem?.field])
  )

describe("names that no path can have", () => {
  it.live("L64 are not put by a batch, and deleted by one where they are there all the same", () =>
    Effect.gen(function* () {
      const a = yield* single
      yield* a.writer.commit([Entry.put("n", "..", "by a program that embeds the replica")])
      const batch = `${a.url}/v1/batch`
      const key = [400, "invalid_request", "key"]
      const done = [201, undefined, undefined]
      assert.deepStrictEqual(
        yield* sent(batch, [
          put("n", "."),
          put("..", "k"),
          { ...put("n", ".."), contentType: "text/plain" },
          put("n", "..."),
          { namespace: "n", key: "..", delete: true }
        ]),
        [key, [400, "invalid_request", "namespace"], key, done, done]
      )
      assert.deepStrictEqual(yield* sent(`${batch}?atomic=true`, [put("n", "k"), put("n", ".")]), [key])
      const { records } = yield* a.records.page({ limit: 100 })
      assert.deepStrictEqual(
        records.map(({ key, namespace }) => `${namespace} ${key}`),
        ["n ..."]
      )
    })
  )
})
