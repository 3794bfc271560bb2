/**
 * Mutual TLS between members: each shows a certificate that names it, in both directions, and is refused without.
 *
 * Files are read again while they are used: a certificate or a key that was exchanged counts for the next connection, and
 * one that is not allowed any more, or has expired, loses the connections that it has (law L41), within seconds.
 */
import { constants, X509Certificate } from "node:crypto"
import { createServer, type Server, type ServerOptions } from "node:https"
import { isIP } from "node:net"
import { connect, type TLSSocket } from "node:tls"
import { type ReplicaId, ReplicaSet } from "@quorum/core"
import { ClientCertificate, PeerCertificate, PeerUrls } from "@quorum/core/adapter"
import { Clock, Context, Effect, FileSystem, Layer, Option, Result } from "effect"
import * as Certificate from "./Certificate.ts"
import * as LiveConnections from "./LiveConnections.ts"
import * as Material from "./Material.ts"

/** The files of a replica's TLS cannot be used. */
export const InvalidPeerTls = Material.InvalidPeerTls
export type InvalidPeerTls = Material.InvalidPeerTls

/** How members show each other certificates. */
export interface Options extends Material.Options {
  /**
   * Whether who shows no certificate that the authority has signed is turned away before it can ask anything. Unless given, that is so for
   * the route of peers alone, and clients that have none are answered on the same port.
   */
  readonly required?: boolean | undefined
}

/** Where a peer is called. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** The mutual TLS of a replica. */
export interface Tls {
  /** A server for `https`, which asks for certificates. What is exchanged in the files counts for its next connection. */
  readonly createServer: (options: ServerOptions) => Server
  /** Which member is at the other end of the connection of a request, as a server of {@link createServer} hands it over. */
  readonly identify: (source: object) => Option.Option<ReplicaId.ReplicaId>
  /** `ClientCertificate` of core, for requests of a server of {@link createServer}. */
  readonly fingerprint: (source: object) => string | undefined
  /** Calls a peer. The connection fails unless it proves to be that peer. */
  readonly connect: (peer: ReplicaId.ReplicaId, address: Address) => TLSSocket
}

/** The mutual TLS of this replica; there is none unless a layer provides it. */
export const PeerTls = Context.Reference<Tls | undefined>("@quorum/node/PeerTls", { defaultValue: () => undefined })

/** How often the files are read again and live connections are looked at, in milliseconds. */
export const reloadMillis = 1000

/** How long before its end a certificate is warned of, in milliseconds. */
export const warnMillis = 14 * 24 * 3600 * 1000

/** Reads the files, which have to be usable, and watches them until its scope closes. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const members = yield* ReplicaSet.ReplicaSet
  const clock = yield* Clock.Clock
  const files = yield* FileSystem.FileSystem
  const checked = PeerCertificate.checkNames(members, options.names ?? {})
  if (Result.isFailure(checked)) {
    return yield* new Material.InvalidPeerTls({ file: "names", detail: checked.failure.detail })
  }
  const read = Effect.suspend(() =>
    Effect.provideService(
      Material.read(options, members, clock.currentTimeMillisUnsafe()),
      FileSystem.FileSystem,
      files
    )
  )
  let material = yield* read
  const servers = new Set<Server>()

  const judge = (facts: PeerCertificate.Facts) =>
    PeerCertificate.judge(facts, material.rules, clock.currentTimeMillisUnsafe())

  const faultOf = (facts: PeerCertificate.Facts) =>
    PeerCertificate.faultOf(facts, material.rules, clock.currentTimeMillisUnsafe())
  const live = LiveConnections.make(() => material.authorities, faultOf)

  /** What does not fit together changes nothing: the files may be in the middle of being exchanged. */
  let failed: string | undefined
  const reload = Effect.matchEffect(read, {
    onSuccess: (now) => {
      failed = undefined
      if (now.version === material.version) return Effect.void
      material = now
      for (const server of servers) server.setSecureContext(now.options)
      isWarned = false
      return Effect.logInfo("the files of TLS have changed, and count from now on")
    },
    onFailure: ({ message }) => {
      const isKnown = failed === message
      failed = message
      if (isKnown) return Effect.void
      return Effect.logError(`the files of TLS cannot be used, and stay what they were: ${message}`)
    }
  })

  /** Says once of a certificate that it ends soon, whenever that begins to be so. */
  let isWarned = false
  const warn = Effect.suspend(() => {
    const { validToMillis } = material.own
    if (isWarned || validToMillis - clock.currentTimeMillisUnsafe() > warnMillis) return Effect.void
    isWarned = true
    return Effect.logWarning(`the certificate of this replica ends at ${new Date(validToMillis).toISOString()}`)
  })

  yield* warn
  const look = Effect.andThen(reload, Effect.andThen(warn, live.audit))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(reloadMillis), look)))

  const tls: Tls = {
    createServer: (serverOptions) => {
      const server = createServer({
        ...serverOptions,
        ...material.options,
        requestCert: true,
        rejectUnauthorized: options.required === true,
        handshakeTimeout,
        // A session that is taken up again shows no certificate.
        secureOptions: noTicket
      })
      server.on("secureConnection", live.watch)
      server.once("listening", () => void servers.add(server))
      server.once("close", () => void servers.delete(server))
      return server
    },
    identify: (source) => {
      const facts = live.factsOf(source)
      return facts === undefined ? Option.none() : Option.getSuccess(judge(facts))
    },
    fingerprint: (source) => {
      const facts = live.factsOf(source)
      return facts === undefined || faultOf(facts) !== undefined ? undefined : facts.fingerprint
    },
    connect: (peer, { host: name, port }) => {
      const host = name.replace(/^\[(.*)\]$/, "$1")
      const socket = connect({
        host,
        port,
        ...(isIP(host) === 0 ? { servername: host } : {}),
        secureContext: material.context,
        rejectUnauthorized: true,
        ALPNProtocols: ["http/1.1"],
        // Not the name by which it was called, but the member that was called.
        checkServerIdentity: (_, { raw }) => {
          const judged = judge(Certificate.factsOf(new X509Certificate(raw)))
          if (Result.isFailure(judged)) return new Error(PeerCertificate.explain[judged.failure])
          return judged.success === peer ? undefined : new Error(`its certificate is that of ${judged.success}`)
        }
      })
      const timer = setTimeout(() => socket.destroy(new Error("no TLS within 5 s")), handshakeTimeout)
      socket.once("close", () => clearTimeout(timer))
      socket.once("secureConnect", () => {
        clearTimeout(timer)
        live.watch(socket)
      })
      return socket
    }
  }
  return tls
})

/** Whether all peers are called by urls of TLS: with certificates configured, nobody is to be called without. */
export const checkUrls = (
  options: Options | undefined,
  urls: PeerUrls.PeerUrls
): Effect.Effect<void, PeerUrls.InvalidPeerUrls> => {
  const plain = Object.entries(urls).find(([, url]) => /^(?:http|ws):/i.test(url))
  if (options === undefined || plain === undefined) return Effect.void
  const [replica, url] = plain
  const detail = `${replica}: with TLS, urls begin with https:// or wss://, and not as ${JSON.stringify(url)}`
  return Effect.fail(new PeerUrls.InvalidPeerUrls({ detail }))
}

/** {@link make} as a layer, and by which certificates clients are known; nothing where no files are given. */
export const layer = (
  options: Options | undefined
): Layer.Layer<never, Material.InvalidPeerTls, ReplicaSet.ReplicaSet | FileSystem.FileSystem> =>
  options === undefined
    ? Layer.succeed(PeerTls, undefined)
    : Layer.effectContext(
        Effect.map(make(options), (tls) =>
          Context.make(PeerTls, tls as Tls | undefined).pipe(
            Context.add(ClientCertificate.ClientCertificate, tls.fingerprint)
          )
        )
      )

// ---------------------------------------------------------------------------------------------------------------------

/** How long a TLS handshake may take, in milliseconds. */
const handshakeTimeout = 5000

/** `SSL_OP_NO_TICKET` of OpenSSL. */
const noTicket = constants.SSL_OP_NO_TICKET
