/**
 * What a certificate of Node says, as core reads it.
 */
import type { X509Certificate } from "node:crypto"
import type { PeerCertificate } from "@quorum/core/adapter"

/** Reads a certificate. */
export const factsOf = (certificate: X509Certificate): PeerCertificate.Facts => {
  const names = namesOf(certificate.subjectAltName ?? "")
  return {
    uris: names.flatMap(({ kind, name }) => (kind === "URI" ? [name] : [])),
    dnsNames: names.flatMap(({ kind, name }) => (kind === "DNS" ? [name] : [])),
    fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    validFromMillis: Date.parse(certificate.validFrom),
    validToMillis: Date.parse(certificate.validTo)
  }
}

/**
 * The names of a subject, as Node writes them: `URI:quorum://notes/a, DNS:a.example`. A name with a comma, a quote or
 * anything else that could end it is written as a string of JSON, so that no name can pretend to be two. What is not
 * written so has no names.
 */
export const namesOf = (text: string): ReadonlyArray<{ readonly kind: string; readonly name: string }> => {
  const names: Array<{ readonly kind: string; readonly name: string }> = []
  const entry = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y
  while (entry.lastIndex < text.length) {
    const match = entry.exec(text)
    if (match === null) return []
    const [, kind, name] = match
    names.push({ kind: kind!, name: name!.startsWith('"') ? String(JSON.parse(name!)) : name! })
  }
  return names
}
