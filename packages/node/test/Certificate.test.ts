/** What a certificate of Node says. */
import { X509Certificate } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Certificates } from "@quorum/testing/node"
import * as Certificate from "../src/Certificate.ts"

describe("the names of a certificate", () => {
  it("are read by kind", () => {
    assert.deepStrictEqual(Certificate.namesOf("URI:quorum://notes/a, DNS:a.example, IP Address:10.0.0.1"), [
      { kind: "URI", name: "quorum://notes/a" },
      { kind: "DNS", name: "a.example" },
      { kind: "IP Address", name: "10.0.0.1" }
    ])
    assert.deepStrictEqual(Certificate.namesOf(""), [])
  })

  it("no name can pretend to be two", () => {
    assert.deepStrictEqual(Certificate.namesOf('DNS:"a.example, URI:quorum://notes/a"'), [
      { kind: "DNS", name: "a.example, URI:quorum://notes/a" }
    ])
    for (const text of ['DNS:"a.example', "nonsense", 'DNS:a"b, URI:quorum://notes/a']) {
      assert.deepStrictEqual(Certificate.namesOf(text), [], text)
    }
  })

  it("are those of a real one, with its time and its fingerprint", () => {
    const folder = mkdtempSync(join(tmpdir(), "quorum-certificate-"))
    try {
      const to = new Date("2033-05-18T03:33:20Z")
      const names = "URI:quorum://notes/a,DNS:a.example"
      const { certificate } = Certificates.authority(folder).sign("a", { names, to })
      const facts = Certificate.factsOf(new X509Certificate(readFileSync(certificate)))
      assert.deepStrictEqual([facts.uris, facts.dnsNames], [["quorum://notes/a"], ["a.example"]])
      assert.strictEqual(facts.validToMillis, to.getTime())
      assert.match(facts.fingerprint, /^[0-9a-f]{64}$/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
