/**
 * The certificates of the replicas of a demo: an authority of the demo's own signs them until tomorrow, and a list says which
 * of them count. They are exchanged while the replicas run.
 */
import { X509Certificate } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { PeerCertificate } from "@quorum/core/adapter"
import { Ports } from "@quorum/server/tools"
import { Certificates as Signing } from "@quorum/testing/node"
import type { ReplicaConfig } from "./ReplicaConfig.ts"

/** What somebody shows who calls a replica: a key and its certificate, in PEM. */
export interface Shown {
  readonly key: string
  readonly cert: string
  /** SHA-256 of the certificate, as `node:tls` writes it. */
  readonly fingerprint: string
}

/** The certificates of all members. What is signed, put in place or taken off the list counts within seconds. */
export interface Certificates {
  /** The certificate of the authority, in PEM, and where it is. */
  readonly authority: string
  readonly authorityFile: string
  /** The files of a member, which stay where they are. */
  readonly filesOf: (id: string) => Extract<ReplicaConfig["proof"], { readonly key: string }>
  /** What a member shows now. */
  readonly current: (id: string) => Shown
  /** Signs the next certificate of a member, and has it count beside the one that the member shows. */
  readonly sign: (id: string) => Shown
  /** Puts what was signed for a member in the place of what it has, and returns what that was. */
  readonly exchange: (id: string, next: Shown) => Shown
  /** Has a certificate not count any more. */
  readonly strike: (shown: Shown) => void
  /** A certificate of a member that is on the list, and has expired two days ago. */
  readonly expired: (id: string) => Shown
}

/** Signs the first certificates of all members in a folder, which is made if it is missing. Throws where there is no `openssl`. */
export const make = (folder: string, cluster: string, ids: ReadonlyArray<string>): Certificates => {
  const { authority, sign } = Signing.authority(folder)
  const allowlist = join(folder, "allowlist.txt")
  const listed = new Map<string, string>()
  const list = (): void =>
    writeFileSync(allowlist, Array.from(listed, ([print, whose]) => `${print} # ${whose}\n`).join(""))

  /** Signs under a name of files, and lists what was signed. */
  const signed = (name: string, id: string, validity: Pick<Signing.Subject, "from" | "to">): Shown => {
    const names = `URI:${PeerCertificate.uriOf(cluster, id)},IP:${Ports.host}`
    const shown = read(sign(name, { names, ...validity }))
    listed.set(shown.fingerprint, name)
    list()
    return shown
  }
  // From yesterday on: it has to be valid for replicas whose clock is behind.
  const now = () => ({ from: new Date(Date.now() - dayMillis), to: new Date(Date.now() + dayMillis) })
  const past = { from: new Date(Date.now() - 3 * dayMillis), to: new Date(Date.now() - 2 * dayMillis) }

  const expired = new Map(ids.map((id) => [id, signed(`${id}-expired`, id, past)]))
  const current = new Map(ids.map((id) => [id, signed(id, id, now())]))
  const filesOf = (id: string) => ({
    key: join(folder, `${id}.key`),
    certificate: join(folder, `${id}.pem`),
    authority,
    allowlist
  })
  return {
    authority: readFileSync(authority, "utf8"),
    authorityFile: authority,
    filesOf,
    current: (id) => current.get(id)!,
    sign: (id) => signed(`${id}-next`, id, now()),
    exchange: (id, next) => {
      const former = current.get(id)!
      writeFileSync(filesOf(id).key, next.key)
      writeFileSync(filesOf(id).certificate, next.cert)
      current.set(id, next)
      return former
    },
    strike: ({ fingerprint }) => {
      listed.delete(fingerprint)
      list()
    },
    expired: (id) => expired.get(id)!
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const dayMillis = 24 * 3600 * 1000

const read = (files: Signing.Files): Shown => {
  const cert = readFileSync(files.certificate, "utf8")
  return { key: readFileSync(files.key, "utf8"), cert, fingerprint: new X509Certificate(cert).fingerprint256 }
}
