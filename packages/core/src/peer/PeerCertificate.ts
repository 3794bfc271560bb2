/**
 * Whom a certificate proves, when peers show one: the rules, without the cryptography. Pure.
 *
 * That a certificate is signed by the authority and that its key is at the other end is for the transport's TLS to say.
 * Here it is read for whom it stands, whether it holds now, and whether it is allowed.
 */
import { Option, Result, Schema } from "effect"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import type { Members } from "../identity/ReplicaSet.ts"

/** What a certificate says, as far as it matters. Times are milliseconds since the epoch. */
export interface Facts {
  /** The URIs and the DNS names of its subject. */
  readonly uris: ReadonlyArray<string>
  readonly dnsNames: ReadonlyArray<string>
  /** Its SHA-256, as 64 hexadecimal digits in lower case. */
  readonly fingerprint: string
  readonly validFromMillis: number
  readonly validToMillis: number
}

/** What the certificates of members have to be. */
export interface Rules {
  readonly members: Members
  /** For which member a DNS name stands. Looked at where a certificate has no URI of the replica set. */
  readonly names?: Readonly<Record<string, string>> | undefined
  /** The fingerprints of the certificates that count; all that the authority has signed, unless given. */
  readonly allowed?: ReadonlySet<string> | undefined
}

/** Why a certificate proves nobody. */
export type Refusal = "not_yet_valid" | "expired" | "not_allowed" | "names_nobody" | "names_several"

/** An allowlist or a mapping of names is not usable. `detail` says where and what is wrong. */
export class InvalidCertificateRules extends Schema.TaggedError<InvalidCertificateRules>()("InvalidCertificateRules", {
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/** The URI by which a certificate names a member: `quorum://<replica set>/<replica>`, the set's name percent-encoded. */
export const uriOf = (cluster: string, replica: string): string => `quorum://${encodeURIComponent(cluster)}/${replica}`

/** For which member a certificate stands now, or why for none. Of two members it stands for neither. */
export const judge = (facts: Facts, rules: Rules, nowMillis: number): Result.Result<ReplicaId.ReplicaId, Refusal> => {
  if (nowMillis < facts.validFromMillis) return Result.fail("not_yet_valid")
  if (nowMillis > facts.validToMillis) return Result.fail("expired")
  if (rules.allowed !== undefined && !rules.allowed.has(facts.fingerprint)) return Result.fail("not_allowed")
  const named = namedIn(facts, rules)
  if (named.length > 1) return Result.fail("names_several")
  return Option.match(Option.fromUndefinedOr(named[0]), {
    onNone: () => Result.fail("names_nobody"),
    onSome: (member) => Result.succeed(member)
  })
}

/**
 * Why a connection on which this certificate was shown has to end; undefined where it may go on. That of a member has to
 * count still. One that names no member is a client's, and of the rules of members only its time is any of its business.
 */
export const faultOf = (facts: Facts, rules: Rules, nowMillis: number): Refusal | undefined => {
  const judged = judge(facts, rules, nowMillis)
  if (Result.isSuccess(judged)) return undefined
  const isOfTime = judged.failure === "expired" || judged.failure === "not_yet_valid"
  return isOfTime || namedIn(facts, rules).length > 0 ? judged.failure : undefined
}

/**
 * Reads an allowlist: a SHA-256 fingerprint a line, as `openssl x509 -fingerprint -sha256` prints it, with colons or
 * without; the rest of a line after `#` is a comment. An empty list allows nobody.
 */
export const allowlist = (text: string): Result.Result<ReadonlySet<string>, InvalidCertificateRules> => {
  const allowed = new Set<string>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const entry = line.replace(/#.*$/, "").trim()
    if (entry === "") continue
    const fingerprint = entry
      .replace(/^sha256 fingerprint=/i, "")
      .replaceAll(":", "")
      .toLowerCase()
    if (!/^[0-9a-f]{64}$/.test(fingerprint)) {
      const detail = `line ${index + 1} is no SHA-256 fingerprint (64 hexadecimal digits, with colons or without)`
      return Result.fail(new InvalidCertificateRules({ detail }))
    }
    allowed.add(fingerprint)
  }
  return Result.succeed(allowed)
}

/** Checks a mapping of DNS names: each stands for a member, and is a whole name. */
export const checkNames = (
  members: Members,
  names: Readonly<Record<string, string>>
): Result.Result<void, InvalidCertificateRules> => {
  const known: ReadonlyArray<string> = [members.self, ...members.peers]
  for (const [name, replica] of Object.entries(names)) {
    if (!known.includes(replica)) {
      return Result.fail(
        new InvalidCertificateRules({ detail: `names: ${name} stands for ${replica}, which is no member` })
      )
    }
    if (name.includes("*")) {
      return Result.fail(new InvalidCertificateRules({ detail: `names: ${name} has to be a whole name, without *` }))
    }
  }
  return Result.succeed(undefined)
}

/** Why a certificate proves nobody, for people. */
export const explain: Readonly<Record<Refusal, string>> = {
  not_yet_valid: "its certificate is not valid yet",
  expired: "its certificate has expired",
  not_allowed: "its certificate is not on the allowlist",
  names_nobody: "its certificate names no member of the replica set",
  names_several: "its certificate names several members"
}

// ---------------------------------------------------------------------------------------------------------------------

/** The members that a certificate names: by URI, or else by DNS names. */
const namedIn = (facts: Facts, rules: Rules): ReadonlyArray<ReplicaId.ReplicaId> => {
  const { cluster, peers, self } = rules.members
  const members = [self, ...peers]
  const byUri = members.filter((member) => facts.uris.includes(uriOf(cluster, member)))
  return byUri.length > 0 ? byUri : members.filter((member) => isNamed(member, facts, rules))
}

/** Whether a DNS name of the certificate stands for a member. Names do not differ by case. */
const isNamed = (member: ReplicaId.ReplicaId, { dnsNames }: Facts, { names = {} }: Rules): boolean =>
  Object.entries(names).some(
    ([name, replica]) => replica === member && dnsNames.some((dnsName) => dnsName.toLowerCase() === name.toLowerCase())
  )
