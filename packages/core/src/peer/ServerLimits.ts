/**
 * What one connection to a replica's HTTP server may cost, for servers of Node. A client that sends slowly, or does not
 * read what it asked for, would keep memory for as long as it likes otherwise (law L63).
 */

/**
 * Options of `createServer` of `node:http`, in milliseconds: how long the head of a request may take, how long all of it,
 * and how often that is looked at. By Node's own a body may take five minutes.
 */
export const timeouts = { headersTimeout: 5000, requestTimeout: 15_000, connectionsCheckingInterval: 1000 } as const

/** How many requests of one connection may be without a read answer. Who sends more at once reads none. */
export const maxPipelined = 16

/** A server of `node:http`, as far as it is needed here. */
export interface NodeServer {
  readonly prependListener: (
    event: "request",
    listener: (
      request: { readonly socket: { readonly destroy: () => unknown } },
      response: { readonly once: (event: "close", listener: () => void) => unknown }
    ) => void
  ) => unknown
}

/** Whether the connection of a request, as a server of Node hands it over, was ended: of what was sent before, the rest. */
export const isEnded = (source: object): boolean => {
  const socket = "socket" in source ? source.socket : undefined
  return typeof socket === "object" && socket !== null && "destroyed" in socket && socket.destroyed === true
}

/** Ends connections with more than {@link maxPipelined} requests that are not answered to the end. */
export const limitPipelines = <A extends NodeServer>(server: A): A => {
  const waiting = new WeakMap<object, number>()
  server.prependListener("request", ({ socket }, response) => {
    const count = (waiting.get(socket) ?? 0) + 1
    waiting.set(socket, count)
    if (count > maxPipelined) return void socket.destroy()
    response.once("close", () => void waiting.set(socket, waiting.get(socket)! - 1))
  })
  return server
}
