/**
 * What a certificate of Node says, as core reads it.
 */
import { X509Certificate } from "node:crypto"
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

/** All certificates of a text in PEM, in their order; throws where there is none, or one that cannot be read. */
export const all = (pem: string): readonly [X509Certificate, ...ReadonlyArray<X509Certificate>] => {
  const [, ...others] = pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? []
  return [new X509Certificate(pem), ...others.map((text) => new X509Certificate(text))]
}

/** Whether the first of some certificates leads, by those that come with it, to one of the authorities. */
export const isSigned = (
  [first, ...between]: readonly [X509Certificate, ...ReadonlyArray<X509Certificate>],
  authorities: ReadonlyArray<X509Certificate>
): boolean => {
  if (authorities.some((authority) => authority.fingerprint256 === first.fingerprint256 || signs(authority, first))) {
    return true
  }
  return between.some(
    (next, i) => signs(next, first) && isSigned([next, ...between.filter((_, j) => j !== i)], authorities)
  )
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

// ---------------------------------------------------------------------------------------------------------------------

const signs = (issuer: X509Certificate, certificate: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
