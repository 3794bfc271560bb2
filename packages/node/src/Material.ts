/**
 * The files of a replica's TLS: its key and certificate, the authority, the allowlist. Read together, and checked, so
 * that what is used fits together.
 */
import { createHash } from "node:crypto"
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls"
import { PeerCertificate, Thrown } from "@quorum/core/adapter"
import type { ReplicaSet } from "@quorum/core"
import { Effect, FileSystem, Result, Schema } from "effect"
import * as Certificate from "./Certificate.ts"

/** Where the files are, and how certificates name members where they do not do it by URI. */
export interface Options {
  /** The private key of this replica, in PEM. Nobody else may read it. */
  readonly key: string
  /** Its certificate, in PEM, followed by those between it and the authority if there are any. */
  readonly certificate: string
  /** The certificates of the authorities that sign those of members, in PEM. */
  readonly authority: string
  /**
   * The fingerprints of the certificates that count, a line each, with comments after `#`; see
   * `PeerCertificate.allowlist`. Unless given all count that the authority has signed.
   */
  readonly allowlist?: string | undefined
  /** For which member a DNS name stands, where certificates have no URI `quorum://<replica set>/<replica>`. */
  readonly names?: Readonly<Record<string, string>> | undefined
}

/** The files of a replica's TLS cannot be used. `detail` says which, and what is wrong. */
export class InvalidPeerTls extends Schema.TaggedError<InvalidPeerTls>()("InvalidPeerTls", {
  file: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.file}: ${this.detail}`
  }
}

/** What was read, and fits together. */
export interface Material {
  /** Differs when a file does. */
  readonly version: string
  /** Differs when the file of the authorities does. */
  readonly authorities: string
  readonly options: SecureContextOptions
  readonly context: SecureContext
  readonly rules: PeerCertificate.Rules
  /** This replica's own certificate. */
  readonly own: PeerCertificate.Facts
}

/** Reads the files. Fails when one cannot be read, or they do not fit together, or the certificate is not this replica's. */
export const read = Effect.fnUntraced(function* (options: Options, members: ReplicaSet.Members, nowMillis: number) {
  const files = yield* FileSystem.FileSystem
  const text = (file: string) =>
    Effect.mapError(files.readFileString(file), ({ reason }) => {
      const detail = reason._tag === "NotFound" ? "there is no such file" : `it cannot be read (${reason._tag})`
      return new InvalidPeerTls({ file, detail })
    })
  const key = yield* text(options.key)
  const cert = yield* text(options.certificate)
  const ca = yield* text(options.authority)
  const list = options.allowlist === undefined ? undefined : yield* text(options.allowlist)
  const shown = yield* certificatesOf(options.certificate, cert)
  const authorities = yield* certificatesOf(options.authority, ca)
  const own = Certificate.factsOf(shown[0])
  const allowed = list === undefined ? undefined : yield* Effect.fromResult(allowlistOf(options.allowlist!, list))
  const secure: SecureContextOptions = { key, cert, ca, minVersion: "TLSv1.3" }
  const context = yield* Effect.try({
    try: () => createSecureContext(secure),
    catch: (error) =>
      new InvalidPeerTls({
        file: options.key,
        detail: `it does not fit ${options.certificate}: ${Thrown.messageOf(error)}`
      })
  })
  const rules = { members, names: options.names, allowed }
  // It is nobody's business here whether others allow it.
  const named = PeerCertificate.judge(own, { ...rules, allowed: undefined }, nowMillis)
  if (Result.isFailure(named)) {
    const detail = `${PeerCertificate.explain[named.failure]}; it needs the URI ${uriOf(members)}`
    return yield* new InvalidPeerTls({ file: options.certificate, detail })
  }
  if (named.success !== members.self) {
    const detail = `it is the certificate of ${named.success}, and this replica is ${members.self}`
    return yield* new InvalidPeerTls({ file: options.certificate, detail })
  }
  // The members trust the same authorities: with a certificate of another one none of them would speak with this replica.
  if (!Certificate.isSigned(shown, authorities)) {
    const detail = `no authority in ${options.authority} has signed it; have one of them sign it, or add the one that did, at all members first`
    return yield* new InvalidPeerTls({ file: options.certificate, detail })
  }
  const version = digest(JSON.stringify([key, cert, ca, list]))
  const material: Material = { version, authorities: digest(ca), options: secure, context, rules, own }
  return material
})

// ---------------------------------------------------------------------------------------------------------------------

const uriOf = ({ cluster, self }: ReplicaSet.Members) => PeerCertificate.uriOf(cluster, self)

const digest = (text: string): string => createHash("sha256").update(text).digest("hex")

/** All certificates in a file. */
const certificatesOf = (file: string, pem: string) =>
  Effect.try({
    try: () => Certificate.all(pem),
    catch: () => new InvalidPeerTls({ file, detail: "it is no certificate in PEM" })
  })

const allowlistOf = (file: string, text: string) =>
  Result.mapError(PeerCertificate.allowlist(text), ({ detail }) => new InvalidPeerTls({ file, detail }))
