/** What is answered on a connection on which Node cannot go on. */
import { assert, describe, it } from "@effect/vitest"
import * as RefusedByNode from "../src/peer/internal/RefusedByNode.ts"

/** What is sent on a connection that Node gives up, and whether it ends. */
const ended = (code: string | undefined, hasBegun = false, writable = true) => {
  const seen = { text: "", isDestroyed: false }
  const connection = {
    writable,
    end: (text: string, onSent: () => void) => {
      seen.text = text
      onSent()
    },
    destroy: () => void (seen.isDestroyed = true)
  }
  RefusedByNode.end(code === undefined ? {} : { code }, connection, hasBegun)
  assert.isTrue(seen.isDestroyed)
  return seen.text
}

describe("a connection on which Node cannot go on", () => {
  it("L17 is answered with a problem that says what was wrong", () => {
    for (const [code, status, error] of [
      ["ERR_HTTP_REQUEST_TIMEOUT", 408, "request_timeout"],
      ["HPE_HEADER_OVERFLOW", 431, "request_too_large"],
      ["HPE_CHUNK_EXTENSIONS_OVERFLOW", 413, "request_too_large"],
      ["HPE_INVALID_METHOD", 400, "invalid_request"]
    ] as const) {
      const [head, body] = ended(code).split("\r\n\r\n")
      assert.include(head, `HTTP/1.1 ${status} `)
      assert.include(head, `content-length: ${Buffer.byteLength(body!)}`)
      assert.deepInclude(JSON.parse(body!), { status, error, field: "request" })
    }
  })

  it("is ended without a word in the middle of an answer, and where it broke or is no HTTP", () => {
    assert.strictEqual(ended("HPE_INVALID_METHOD", true), "")
    assert.strictEqual(ended("HPE_INVALID_METHOD", false, false), "")
    for (const code of ["ECONNRESET", "ERR_SSL_HTTP_REQUEST", undefined]) assert.strictEqual(ended(code), "")
  })
})
