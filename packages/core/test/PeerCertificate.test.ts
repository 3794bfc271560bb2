/** For which member a certificate stands. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaId, ReplicaSet } from "@quorum/core"
import { PeerCertificate } from "@quorum/core/adapter"
import { Result } from "effect"

const members = Result.getOrThrow(ReplicaSet.make({ cluster: "our notes", self: "a", members: ["a", "b", "c"] }))
const fingerprint = "ab".repeat(32)
const facts: PeerCertificate.Facts = {
  uris: ["quorum://our%20notes/b"],
  dnsNames: [],
  fingerprint,
  validFromMillis: 1000,
  validToMillis: 2000
}

const judge = (
  changed: Partial<PeerCertificate.Facts> = {},
  rules: Partial<PeerCertificate.Rules> = {},
  nowMillis = 1500
) => Result.merge(PeerCertificate.judge({ ...facts, ...changed }, { members, ...rules }, nowMillis))

const faultOf = (changed: Partial<PeerCertificate.Facts>, rules: Partial<PeerCertificate.Rules>, nowMillis = 1500) =>
  PeerCertificate.faultOf({ ...facts, ...changed }, { members, ...rules }, nowMillis)

describe("L41 a certificate on a live connection", () => {
  const client = { uris: [], dnsNames: ["shop.example"] }
  const allowed = new Set<string>()

  it("has to count still where it names a member, and only has to be valid where it is a client's", () => {
    assert.isUndefined(faultOf({}, {}))
    assert.strictEqual(faultOf({}, { allowed }), "not_allowed")
    assert.strictEqual(faultOf({ uris: [...facts.uris, "quorum://our%20notes/c"] }, {}), "names_several")
    assert.isUndefined(faultOf(client, {}))
    assert.isUndefined(faultOf(client, { allowed }))
    assert.isUndefined(faultOf(client, { allowed }, 2000))
    assert.strictEqual(faultOf(client, {}, 2001), "expired")
    assert.strictEqual(faultOf(client, {}, 999), "not_yet_valid")
  })

  it("is a member's by a DNS name that stands for one, too", () => {
    const names = { "shop.example": "b" }
    assert.strictEqual(faultOf(client, { names, allowed }), "not_allowed")
  })
})

describe("a certificate", () => {
  it("stands for the member that its URI names", () => {
    assert.strictEqual(judge(), ReplicaId.make("b"))
    assert.strictEqual(judge({ uris: ["https://x.example", "quorum://our%20notes/c"] }), ReplicaId.make("c"))
  })

  it("stands for nobody outside its time, whose first and last moment count", () => {
    assert.strictEqual(judge({}, {}, 999), "not_yet_valid")
    assert.strictEqual(judge({}, {}, 1000), ReplicaId.make("b"))
    assert.strictEqual(judge({}, {}, 2000), ReplicaId.make("b"))
    assert.strictEqual(judge({}, {}, 2001), "expired")
  })

  it("stands for nobody of another set, of no set, or spelled in another way", () => {
    const uris = ["quorum://other/b", "quorum://our notes/b", "QUORUM://our%20notes/b", "quorum://our%20notes/b/", ""]
    for (const uri of uris) assert.strictEqual(judge({ uris: [uri] }), "names_nobody", uri)
    assert.strictEqual(judge({ uris: ["quorum://our%20notes/d"] }), "names_nobody")
  })

  it("stands for nobody when it names two members", () => {
    assert.strictEqual(judge({ uris: ["quorum://our%20notes/b", "quorum://our%20notes/c"] }), "names_several")
    const names = { "b.example": "b", "c.example": "c" }
    assert.strictEqual(judge({ uris: [], dnsNames: ["b.example", "c.example"] }, { names }), "names_several")
  })

  it("stands for the member to which its DNS name is mapped, where it has no URI of the set", () => {
    const names = { "B.example": "b", "c.example": "c" }
    assert.strictEqual(judge({ uris: [], dnsNames: ["b.EXAMPLE"] }, { names }), ReplicaId.make("b"))
    assert.strictEqual(judge({ dnsNames: ["c.example"] }, { names }), ReplicaId.make("b"))
    assert.strictEqual(judge({ uris: [], dnsNames: ["b.example"] }), "names_nobody")
  })

  it("counts only when it is on the allowlist, where there is one", () => {
    assert.strictEqual(judge({}, { allowed: new Set([fingerprint]) }), ReplicaId.make("b"))
    assert.strictEqual(judge({}, { allowed: new Set() }), "not_allowed")
  })
})

describe("an allowlist", () => {
  it("has a fingerprint a line, with colons or without, and comments", () => {
    const spelled = "AB:".repeat(31) + "AB"
    const text = `# members\n\n${spelled} # b, rack 3\r\nsha256 Fingerprint=${spelled.replaceAll("A", "C")}\n`
    const expected = [fingerprint, "cb".repeat(32)]
    assert.deepStrictEqual([...Result.getOrThrow(PeerCertificate.allowlist(text))], expected)
  })

  it("is refused with the line that is none", () => {
    const refused = PeerCertificate.allowlist(`${fingerprint}\n${fingerprint.slice(2)}\n`)
    assert(Result.isFailure(refused))
    assert.include(refused.failure.message, "line 2")
  })

  it("maps names to members only, and whole names", () => {
    for (const names of [{ "x.example": "d" }, { "*.example": "b" }]) {
      assert.isTrue(Result.isFailure(PeerCertificate.checkNames(members, names)))
    }
    assert.isTrue(Result.isSuccess(PeerCertificate.checkNames(members, { "x.example": "b" })))
  })
})
