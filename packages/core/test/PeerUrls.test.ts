import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { ReplicaSet } from "../src/index.ts"
import { PeerUrls } from "../src/adapter.ts"

const members = Result.getOrThrow(ReplicaSet.make({ cluster: "test", self: "a", members: ["a", "b", "c"] }))

describe("PeerUrls", () => {
  const check = (peers: Record<string, string>) =>
    Result.match(PeerUrls.check(members, peers, "http"), {
      onSuccess: (urls) => Object.fromEntries(urls),
      onFailure: (error) => error.message
    })

  it("are normalised, with a path of a proxy, and self is left out", () => {
    assert.deepStrictEqual(check({ c: "https://C.example/q/c/", a: "http://a", b: "http://b:80" }), {
      b: "http://b",
      c: "https://c.example/q/c"
    })
  })

  it("a peer without a url is an error that names it", () => {
    assert.strictEqual(check({ b: "http://b" }), "invalid peer urls: c has no url")
  })

  it("L13 two spellings of one address are an error that names both replicas, self included", () => {
    assert.strictEqual(
      check({ b: "http://H.example:80/", c: "http://h.example" }),
      "invalid peer urls: b and c have the same url, http://h.example"
    )
    assert.match(check({ a: "http://h", b: "http://h/", c: "http://c" }) as string, /^invalid peer urls: a and b have/)
  })

  it("a url that is none, or of another scheme, is an error", () => {
    assert.strictEqual(
      check({ b: "b:1", c: "http://c" }),
      'invalid peer urls: b: "b:1" is not a url that starts with http:// or https://, ws:// or wss://'
    )
    assert.strictEqual(
      check({ b: "", c: "http://c" }),
      'invalid peer urls: b: "" is not a url that starts with http:// or https://, ws:// or wss://'
    )
    assert.match(check({ b: "http://b/?x=1", c: "http://c" }) as string, /may not contain a query/)
  })

  it("one spelling of the addresses serves transports of either scheme", () => {
    const urls = { b: "http://b:1", c: "wss://c:2/q" }
    const of = (scheme: "http" | "ws") => Object.fromEntries(Result.getOrThrow(PeerUrls.check(members, urls, scheme)))
    assert.deepStrictEqual(of("http"), { b: "http://b:1", c: "https://c:2/q" })
    assert.deepStrictEqual(of("ws"), { b: "ws://b:1", c: "wss://c:2/q" })
    assert.match(check({ b: "http://h:1", c: "ws://h:1" }) as string, /b and c have the same url/)
  })

  it("credentials in a url are an error, and are not repeated in it", () => {
    const message = check({ b: "http://root:hunter2@b", c: "http://c" }) as string
    assert.match(message, /^invalid peer urls: b: a url may not contain a user or a password$/)
  })

  it("somebody who is not a member is an error", () => {
    assert.strictEqual(
      check({ b: "http://b", c: "http://c", d: "http://d" }),
      "invalid peer urls: d is not a member of the replica set"
    )
  })
})
