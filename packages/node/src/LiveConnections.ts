/** The connections on which a certificate was shown: it is looked at again while they last, and they end with it. */
import type { TLSSocket } from "node:tls"
import { Monotonic, PeerCertificate } from "@quorum/core/adapter"
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
  /** Which ends were told of, and when: who comes back again and again gets a line a minute. */
  const told = new Map<string, number>()

  /** Of some ends those that are to be told of. */
  const news = (ended: ReadonlyArray<string>, nowMillis: number): ReadonlyArray<string> => {
    for (const [end, at] of told) if (nowMillis - at >= tellMillis) told.delete(end)
    return ended.flatMap((end) => {
      const name = told.has(end) || told.size < maxTold ? end : "others"
      if (told.has(name)) return []
      told.set(name, nowMillis)
      return [name]
    })
  }

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
    audit: Effect.clockWith((clock) => {
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
      const said = news(ended, Monotonic.millis(clock))
      return said.length === 0 ? Effect.void : Effect.logWarning(`connections end: ${said.join(", ")}`)
    })
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** For how long the same is not told again, in milliseconds, and of how many the ends are told apart meanwhile. */
const tellMillis = 60_000
const maxTold = 64
