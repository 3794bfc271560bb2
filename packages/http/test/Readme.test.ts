import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

describe("the readme", () => {
  it("names every error that an answer may carry", () => {
    const sources = [
      "../src/api/ProblemTable.ts",
      "../src/api/ClientApiServer.ts",
      "../src/api/RequestRules.ts",
      "../src/peer/HttpPeerServer.ts"
    ]
      .map(read)
      .join("\n")
    const codes = new Set(Array.from(sources.matchAll(/"([a-z]+_[a-z_]+|internal)"/g), ([, code]) => code!))
    // A part of an error, and what listeners are told of who was turned away.
    for (const other of ["too_large", "not_the_protocol"]) codes.delete(other)
    for (const code of codes) assert.include(read("../README.md"), `\`${code}\``, code)
    assert.isAtLeast(codes.size, 13)
  })
})
