import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Net from "node:net"
import * as RequestRules from "../src/api/RequestRules.ts"
import * as Cluster from "./support/cluster.ts"
import { request } from "./support/request.ts"

/** Sends a request as it is spelled, which no URL parser has been near, and returns the status line. */
const raw = (url: string, head: string, body = "", headers = `Connection: close\r\nContent-Length: ${body.length}`) =>
  Effect.callback<string>((resume) => {
    const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => {
      socket.write(`${head}\r\nHost: localhost\r\n${headers}\r\n\r\n${body}`)
    })
    let said = ""
    socket.on("data", (data) => {
      said += data.toString()
      // What was to be upgraded may be left open.
      if (said.includes("\r\n\r\n")) socket.destroy()
    })
    socket.on("close", () => resume(Effect.succeed(said.split("\r\n")[0]!)))
    socket.on("error", (error) => resume(Effect.die(error)))
    return Effect.sync(() => socket.destroy())
  })

const single = Effect.fnUntraced(function* () {
  const set = yield* Cluster.make(["a"])
  return yield* set.start("a")
})

const keys = (a: Cluster.Running) =>
  Effect.map(a.records.page({ limit: 100 }), ({ records }) =>
    records.map(({ key, namespace }) => `${namespace} ${key}`)
  )

describe("the rules of requests", () => {
  it("L66 a parameter that is given twice is refused, and named", () => {
    assert.isUndefined(RequestRules.ofQuery("/v1/records?limit=1&after=x", ["limit", "after"]))
    const objection = RequestRules.ofQuery("/v1/records?limit=1&after=x&limit=1", ["limit", "after"])
    assert.deepInclude(objection, { status: 400, field: "limit", detail: "it is given twice" })
  })

  it("L65 a parameter whose encoding says no text is refused, and named", () => {
    for (const prefix of ["%", "%f", "%zz", "%ff", "%C3", "%ED%A0%80"]) {
      const objection = RequestRules.ofQuery(`/v1/keys/n?limit=1&prefix=${prefix}`, ["limit", "prefix"])
      assert.deepInclude(objection, { status: 400, field: "prefix" }, prefix)
    }
    assert.isUndefined(RequestRules.ofQuery("/v1/keys/n?prefix=%C3%BC+%25", ["prefix"]))
  })

  it("L66 a body where none is read is refused from its first byte on", () => {
    const of = (length: string) => RequestRules.ofHeaders("DELETE", { "content-length": length })
    assert.isUndefined(of("0"))
    assert.deepInclude(of("1"), { status: 400, field: "body" })
  })

  it("takes the names of encodings in any case", () => {
    for (const chunked of ["chunked", "Chunked", "CHUNKED"]) {
      assert.isUndefined(RequestRules.ofHeaders("PUT", { "transfer-encoding": chunked }))
    }
    assert.deepInclude(RequestRules.ofHeaders("PUT", { "transfer-encoding": "gzip, chunked" }), { status: 501 })
  })
})

describe("paths", () => {
  it.live("L64 no other spelling of a path writes, deletes or reads a record", () =>
    Effect.gen(function* () {
      const a = yield* single()
      yield* request("PUT", `${a.url}/v1/records/s/a`, { body: "v" })
      for (const [path, status] of [
        ["/v1/records/s/a;v=2", 400],
        ["/v1/records/s/a;w=1", 400],
        ["/v1/records/s/a/", 404],
        ["/v1/records//s/a", 404],
        ["//v1/records/s/a", 404],
        ["/v1/records/s//a", 404],
        ["/V1/records/s/a", 404],
        ["/v1/Records/s/a", 404],
        ["/v1/%72ecords/s/a", 404],
        ["/%761/records/s/a", 404],
        ["/v1/records/s/x/../a", 400],
        ["/v1/records/s/%2e%2e", 400],
        ["/v1/records/s/.", 400],
        ["/v1/records/s/%zz", 400],
        ["/v1/records/s/a#b", 400],
        ["/v1/records/s/a?#w=1", 400],
        ["/v1/records/s/%00", 400],
        ["http://localhost/v1/records/s/a", 404],
        ["http://elsewhere/v1/records/s/a", 421]
      ] as const) {
        for (const method of ["PUT", "DELETE"]) {
          const line = yield* raw(a.url, `${method} ${path} HTTP/1.1`, method === "PUT" ? "x" : "")
          assert.include(line, ` ${status} `, `${method} ${path}`)
        }
      }
      assert.deepStrictEqual(yield* keys(a), ["s a"])
      assert.strictEqual(a.head(a.own).seq, 1)
    })
  )

  it.live("a name may hold anything that is percent-encoded, and is read under the same path", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const key of ["a/b", "a;v=2", "a?b", "a#b", "a%2Fb", "Ä €", "\uFEFFa", "a ", "..a"]) {
        const path = `${a.url}/v1/records/s/${encodeURIComponent(key)}`
        assert.strictEqual((yield* request("PUT", path, { body: key })).status, 201, key)
        assert.strictEqual((yield* request("GET", path)).text, key)
      }
      assert.strictEqual((yield* keys(a)).length, 9)
    })
  )
})

describe("what nobody would look at", () => {
  it.live("L66 an unknown, misspelt or repeated parameter is refused by its name, and nothing is written", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const [method, path, field] of [
        ["GET", "/v1/records?prefix=a", "prefix"],
        ["GET", "/v1/records?Limit=2", "Limit"],
        ["PUT", "/v1/records/s/a?W=1", "W"],
        ["PUT", "/v1/records/s/a?w=1&w=1", "w"],
        ["DELETE", "/v1/records/s/a?atLeast=x", "atLeast"],
        ["GET", "/v1/records/s/a?w=1", "w"]
      ] as const) {
        const answer = yield* request(method, a.url + path, method === "PUT" ? { body: "x" } : {})
        assert.deepInclude(answer.json, { error: "invalid_request", field }, path)
        assert.strictEqual(answer.status, 400)
      }
      assert.strictEqual(a.head(a.own).seq, 0)
    })
  )

  it.live("L66 a number is spelled in decimal digits, and any other spelling is refused by its field's name", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const { writeId } = (yield* request("PUT", `${a.url}/v1/records/s/a`, { body: "v" })).json
      const spellings = [
        "",
        "1e0",
        "1.0",
        "1.",
        "%2B1",
        "+1",
        "-1",
        "-0",
        "%201",
        "1%20",
        "1%0A",
        "0x1",
        "0b1",
        "1n",
        "1_0"
      ]
      for (const spelling of [
        ...spellings,
        "%EF%BC%91",
        "%D9%A1",
        "Infinity",
        "NaN",
        "1".repeat(16),
        "0",
        "1001",
        "60001"
      ]) {
        for (const [method, path, field] of [
          ["PUT", "/v1/records/s/a", "w"],
          ["DELETE", "/v1/records/s/a", "w"],
          ["POST", `/v1/writes/${writeId}/resume`, "w"],
          ["GET", "/v1/records", "limit"],
          ["GET", `/v1/records/s/a`, "withinMillis"]
        ] as const) {
          const isInRange = field === "withinMillis" && (spelling === "0" || spelling === "1001")
          const answer = yield* request(method, `${a.url}${path}?${field}=${spelling}`)
          assert.strictEqual(answer.status, isInRange ? 200 : 400, `${method} ${field}=${spelling}`)
          if (!isInRange) assert.deepInclude(answer.json, { error: "invalid_request", field }, spelling)
        }
      }
      assert.strictEqual(a.head(a.own).seq, 1)
      assert.strictEqual((yield* request("PUT", `${a.url}/v1/records/s/a?w=1`, { body: "v" })).status, 201)
      assert.strictEqual((yield* request("GET", `${a.url}/v1/records?limit=1000`)).status, 200)
    })
  )

  it.live("L66 a header that would change what a write means is refused, and nothing is written", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const [headers, status, field] of [
        [{ "if-match": '"x"' }, 501, "if-match"],
        [{ "if-none-match": "*" }, 501, "if-none-match"],
        [{ "if-range": '"x"' }, 501, "if-range"],
        [{ "if-modified-since": new Date().toUTCString() }, 501, "if-modified-since"],
        [{ "if-unmodified-since": new Date().toUTCString() }, 501, "if-unmodified-since"],
        [{ range: "bytes=0-0" }, 501, "range"],
        [{ "content-range": "bytes 0-1/2" }, 501, "content-range"],
        [{ "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==" }, 501, "content-md5"],
        [{ digest: "md5=1B2M2Y8AsgTpgAmY7PhCfg==" }, 501, "digest"],
        [{ "content-digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:" }, 501, "content-digest"],
        [{ "repr-digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:" }, 501, "repr-digest"],
        [{ "x-http-method-override": "DELETE" }, 501, "x-http-method-override"],
        [{ "x-http-method": "DELETE" }, 501, "x-http-method"],
        [{ "x-method-override": "DELETE" }, 501, "x-method-override"],
        ...["gzip", "br", "deflate", "zstd", "identity, gzip", "unheard-of"].map(
          (encoding) => [{ "content-encoding": encoding }, 415, "content-encoding"] as const
        )
      ] as const) {
        const answer = yield* request("PUT", `${a.url}/v1/records/s/a`, { body: "xy", headers })
        assert.deepStrictEqual([answer.status, answer.json.field], [status, field])
      }
      assert.strictEqual(a.head(a.own).seq, 0)
      for (const encoding of ["identity", "Identity"]) {
        const plain = { body: "v", headers: { "content-encoding": encoding } }
        assert.strictEqual((yield* request("PUT", `${a.url}/v1/records/s/a`, plain)).status, 201)
      }
    })
  )

  it.live(
    "L66 a header that would make another method of a request is refused whatever the method, as is a key for repeats where nobody looks at it",
    () =>
      Effect.gen(function* () {
        const a = yield* single()
        const { writeId } = (yield* request("PUT", `${a.url}/v1/records/s/a`, { body: "v" })).json
        for (const [method, path] of [
          ["GET", "/v1/records/s/a"],
          ["GET", "/v1/records"],
          ["DELETE", "/v1/records/s/a"],
          ["GET", `/v1/writes/${writeId}`],
          ["POST", `/v1/writes/${writeId}/resume`],
          ["GET", "/v1/status"]
        ] as const) {
          const overridden = yield* request(method, a.url + path, { headers: { "x-http-method-override": "DELETE" } })
          assert.deepInclude(overridden.json, { error: "not_implemented", field: "x-http-method-override" }, path)
          const keyed = yield* request(method, a.url + path, { headers: { "idempotency-key": "x" } })
          // A write of a record takes one, and nothing else that changes something.
          const status = method === "POST" ? 501 : 200
          assert.strictEqual(keyed.status, status, `${method} ${path}`)
          if (method !== "POST") continue
          const stamped = yield* request(method, a.url + path, { headers: { "quorum-stamp": "x" } })
          assert.deepInclude(stamped.json, { error: "not_implemented", field: "quorum-stamp" }, path)
        }
        assert.strictEqual(a.head(a.own).seq, 2)
      })
  )

  it.live(
    "L66 the host, the type and the token of a request are given once, or it is refused, and nothing is written",
    () =>
      Effect.gen(function* () {
        const a = yield* single()
        const once = "Connection: close\r\nContent-Length: 1"
        for (const twice of [
          "Host: evil.example",
          "HOST: localhost",
          "Content-Type: text/plain\r\nContent-Type: text/html",
          "Content-Type: text/plain\r\ncontent-type: text/plain",
          "Authorization: Bearer a\r\nAuthorization: Bearer b"
        ]) {
          for (const [method, path] of [
            ["PUT", "/v1/records/s/a"],
            ["POST", "/v1/batch"],
            ["GET", "/v1/status"],
            ["GET", "/peer"]
          ]) {
            const line = yield* raw(a.url, `${method} ${path} HTTP/1.1`, "x", `${once}\r\n${twice}`)
            assert.include(line, " 400 ", `${method} ${path} ${twice}`)
          }
        }
        assert.strictEqual(a.head(a.own).seq, 0)
        const apart = "Content-Type: text/plain\r\nAuthorization: Bearer a\r\nAccept: a/b\r\nAccept: c/d"
        assert.include(yield* raw(a.url, "PUT /v1/records/s/a HTTP/1.1", "x", `${once}\r\n${apart}`), " 201 ")
      })
  )

  it.live("L66 a body of names with something beside them is refused, and no stamp is drawn", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const key = { namespace: "s", key: "a" }
      for (const path of ["/v1/stamps", "/v1/stamps/each"]) {
        for (const [field, body] of [
          ["w", { keys: [key], w: 2 }],
          ["ttl", { keys: [key, { ...key, key: "b", ttl: 5 }] }]
        ] as const) {
          const answer = yield* request("POST", a.url + path, { body: JSON.stringify(body) })
          assert.deepInclude(answer.json, { error: "invalid_request", field: "body" })
          assert.include(answer.json.detail, field)
        }
        assert.strictEqual(
          (yield* request("POST", a.url + path, { body: JSON.stringify({ keys: [key] }) })).status,
          201
        )
      }
    })
  )

  it.live("L66 a body that is packed for the way is not stored as it came", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const [coding, status] of [
        ["gzip, chunked", 501],
        ["chunked", 201]
      ] as const) {
        const headers = `Connection: close\r\nTransfer-Encoding: ${coding}`
        const line = yield* raw(a.url, "PUT /v1/records/s/a HTTP/1.1", "3\r\nabc\r\n0\r\n\r\n", headers)
        assert.include(line, ` ${status} `, coding)
      }
      assert.strictEqual(a.head(a.own).seq, 1)
    })
  )

  it.live("L66 a body where none is read is refused: it may say what its sender believes is done", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const { writeId } = (yield* request("PUT", `${a.url}/v1/records/s/a`, { body: "v" })).json
      for (const [method, path] of [
        ["POST", `/v1/writes/${writeId}/resume`],
        ["DELETE", "/v1/records/s/a"]
      ] as const) {
        const answer = yield* request(method, a.url + path, { body: '{"w":3}' })
        assert.deepInclude(answer.json, { error: "invalid_request", field: "body" }, method)
        const streamed = yield* request(method, a.url + path, { body: new Blob(['{"w":3}']).stream() })
        assert.deepInclude(streamed.json, { error: "invalid_request", field: "body" }, method)
        assert.strictEqual((yield* request(method, a.url + path, { body: "" })).status, 200, method)
      }
    })
  )

  it.live("L66 the endpoints of the replica itself refuse what they would not look at", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const path of ["/v1/status", "/healthz", "/readyz"]) {
        const answer = yield* request("GET", `${a.url}${path}?peer=b`)
        assert.strictEqual(answer.status, 400, path)
        assert.deepInclude(answer.json, { error: "invalid_request", field: "peer" })
        assert.strictEqual((yield* request("GET", a.url + path)).status, 200, path)
      }
    })
  )

  it.live("a put that asks for an upgrade is refused, and a read that offers one answered as usual", () =>
    Effect.gen(function* () {
      const a = yield* single()
      for (const protocol of ["websocket", "h2c"]) {
        const headers = `Connection: Upgrade\r\nUpgrade: ${protocol}\r\nContent-Length: 5`
        assert.include(yield* raw(a.url, "PUT /v1/records/s/a HTTP/1.1", "value", headers), " 400 ", protocol)
        assert.strictEqual(a.head(a.own).seq, 0)
      }
      yield* request("PUT", `${a.url}/v1/records/s/a`, { body: "v" })
      const headers = "Connection: Upgrade\r\nUpgrade: h2c"
      assert.include(yield* raw(a.url, "GET /v1/records/s/a HTTP/1.1", "", headers), " 200 ")
    })
  )

  it("headers that change nothing are left alone", () => {
    for (const headers of [{}, { "if-match": undefined }, { "content-type": "text/plain" }, { range: "bytes=0-1" }]) {
      assert.isUndefined(RequestRules.ofHeaders("GET", headers))
    }
    assert.isUndefined(RequestRules.ofHeaders("GET", { "if-none-match": '"x"' }))
    for (const name of ["if-modified-since", "if-unmodified-since", "if-range"]) {
      assert.isUndefined(RequestRules.ofHeaders("HEAD", { [name]: "Wed, 25 Nov 2026 00:00:00 GMT" }))
    }
    for (const method of ["GET", "HEAD"]) {
      const objection = RequestRules.ofHeaders(method, { "if-match": '"x"' })
      assert.deepInclude(objection, { status: 501, error: "not_implemented", field: "if-match" })
    }
  })
})
