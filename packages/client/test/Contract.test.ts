/** That the client knows exactly what the replicas' table of errors says. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { errorOf } from "../src/Answers.ts"
import { UnexpectedAnswer } from "../src/ClientError.ts"
import * as QuorumErrors from "../src/QuorumError.ts"

/** The rows of the table: status, code, what else is said, and whether anything was written. */
const rows = Array.from(
  readFileSync(new URL("../../http/README.md", import.meta.url), "utf8").matchAll(
    /^\| (\d{3}) \| `([a-z_]+)` \|(.*?)\|(.*)\|$/gm
  ),
  ([, status, code, also, written]) => ({ status: Number(status), code: code!, also: also!, written: written!.trim() })
)

const codes = Array.from(new Set(rows.map(({ code }) => code))).sort()

/** What the sources of the server name, so that the table itself is no hearsay. */
const answered = (() => {
  const read = (path: string) => readFileSync(new URL(`../../http/src/${path}`, import.meta.url), "utf8")
  const sources = ["api/ProblemTable.ts", "api/ClientApiServer.ts", "api/ClientTokens.ts"]
  const found = sources.flatMap((path) =>
    Array.from(read(path).matchAll(/"([a-z]+(?:_[a-z]+)+)"/g), ([, code]) => code!)
  )
  return new Set(found.filter((code) => code !== "too_large"))
})()

describe("the errors of the client", () => {
  it("are exactly those of the table of the replicas", () => {
    const known = Object.values(QuorumErrors)
      .filter((each) => each !== QuorumErrors.QuorumError)
      .map(
        (Class) => new (Class as new (fields: QuorumErrors.Fields) => QuorumErrors.QuorumError)({ message: "" }).code
      )
    assert.deepStrictEqual(known.sort(), codes)
    assert.isAtLeast(answered.size, 20)
    for (const code of answered) assert.include(known, code)
  })

  it("have the fields that the table names, and the message, and the replica", () => {
    for (const { also, code, status } of rows) {
      const fields = Array.from(also.matchAll(/`(\w+)(?:: "(\w+)")?`/g), ([, name, value]) => [
        name!,
        value ?? `the ${name}`
      ])
      const error = errorOf(status, { error: code, message: "why", ...Object.fromEntries(fields) }, "http://a")
      assert.notInstanceOf(error, UnexpectedAnswer, code)
      assert.deepInclude(error, { code, message: "why", url: "http://a", ...Object.fromEntries(fields) })
    }
  })

  it("say of what was written what the table says", () => {
    for (const { code, status, written } of rows) {
      const expected = written.startsWith("**yes")
        ? "here"
        : /^\*\*perhaps|whether before/.test(written)
          ? "perhaps"
          : "no"
      assert.strictEqual(errorOf(status, { error: code, message: "" }, "").written, expected, code)
    }
  })

  it("are none of a replica's when the answer is something else", () => {
    for (const body of [undefined, null, "a page", 5, {}, { error: "constructor" }, { error: "of_a_later_release" }]) {
      assert.instanceOf(errorOf(502, body, "http://a"), UnexpectedAnswer, String(body))
    }
  })
})
