/**
 * The connections of a server on which nothing was asked yet. Node ends those that are idle when a server stops, and takes
 * these for busy: stopping would wait for them.
 */
import type { IncomingMessage, Server } from "node:http"
import type { Socket } from "node:net"

/** Looks at no server yet. */
export const make = () => {
  const unasked = new Map<string, Socket>()
  /** A connection over TLS is another object than the one that it goes over, and has the same key. */
  const opened = (socket: Socket): void => {
    const key = keyOf(socket)
    unasked.set(key, socket)
    socket.once("close", () => {
      if (unasked.get(key) === socket) unasked.delete(key)
    })
  }
  const asked = ({ socket }: IncomingMessage): void => void unasked.delete(keyOf(socket))

  return {
    /** Looks at the connections of a server from now on. */
    watch: (server: Server): void => {
      for (const event of ["connection", "secureConnection"]) server.prependListener(event, opened)
      for (const event of ["request", "upgrade"]) server.prependListener(event, asked)
    },
    /** Ends those on which nothing was asked. */
    end: (): void => {
      for (const socket of unasked.values()) socket.destroy()
    }
  }
}

/** The connections of a server on which nothing was asked. */
export type Unasked = ReturnType<typeof make>

// ---------------------------------------------------------------------------------------------------------------------

const keyOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`
