/** The connections on which a certificate was shown: it is looked at again while they last, and they end with it. */
import type { TLSSocket } from "node:tls"
import { PeerCertificate } from "@quorum/core/adapter"
import { Effect } from "effect"
import * as Certificate from "./Certificate.ts"

/** A connection on which a certificate was shown, and the authorities by which it was trusted. */
interface Live {
  readonly socket: TLSSocket
  readonly facts: PeerCertificate.Facts
  readonly authorities: string
}

/** Begins with none. `authorities` says which are trusted now, and `faultOf` why a certificate does not count any more. */
export const make = (
  authorities: () => string,
  faultOf: (facts: PeerCertificate.Facts) => PeerCertificate.Refusal | undefined
) => {
  const live = new Set<Live>()
  const connections = new WeakMap<object, Live>()

  return {
    /** What was shown on the connection of a request. */
    factsOf: (source: object): PeerCertificate.Facts | undefined => {
      const socket = "socket" in source ? source.socket : undefined
      return typeof socket === "object" && socket !== null ? connections.get(socket)?.facts : undefined
    },
    /** Looks at a connection from now on. The certificate of a connection does not change. */
    watch: (socket: TLSSocket): void => {
      const certificate = socket.getPeerX509Certificate()
      if (!socket.authorized || certificate === undefined) return
      const connection = { socket, facts: Certificate.factsOf(certificate), authorities: authorities() }
      live.add(connection)
      connections.set(socket, connection)
      socket.once("close", () => void live.delete(connection))
    },
    /** Ends the connections of certificates that do not count any more. */
    audit: Effect.suspend(() => {
      const ended: Array<string> = []
      for (const connection of live) {
        const { facts, socket } = connection
        const fault = faultOf(facts)
        const isOld = connection.authorities !== authorities()
        if (fault === undefined && !isOld) continue
        // An authority may have been taken away: who is still signed by one connects again.
        const why = fault !== undefined ? PeerCertificate.explain[fault] : "the authorities have changed"
        ended.push(`${socket.remoteAddress ?? "a peer"} (${why})`)
        socket.destroy()
      }
      return ended.length === 0 ? Effect.void : Effect.logWarning(`connections end: ${ended.join(", ")}`)
    })
  }
}
