/**
 * What one connection to a replica's HTTP server may cost, for servers of Node. A client that sends slowly, or does not
 * read what it asked for, would keep memory for as long as it likes otherwise (law L63).
 */

import * as Limits from "../log/Limits.ts"
import * as Endings from "./Endings.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import * as ServerConnections from "./ServerConnections.ts"
import * as BodyShares from "./internal/BodyShares.ts"
import * as RefusedByNode from "./internal/RefusedByNode.ts"
import * as UnreadAnswers from "./internal/UnreadAnswers.ts"

/**
 * Options of `createServer` of `node:http`, in milliseconds: how long the head of a request may take, how often that is
 * looked at, and how long a connection may wait for a further request. What follows the head is limited by {@link limit};
 * by Node's own it may take five minutes. A request without a host is answered by
 * `ReplicaServer`, since Node would not say what is wrong with it.
 */
export const timeouts = {
  headersTimeout: 5000,
  requestTimeout: 0,
  connectionsCheckingInterval: 1000,
  keepAliveTimeout: 5000,
  requireHostHeader: false
} as const

/** How long a body may take, in milliseconds; of one that is a stream of lines, how long nothing of it may come. */
export const bodyMillis = 15_000

/** How long a connection that was upgraded may say nothing that counts before its end, in milliseconds: no handshake. */
export const helloMillis = 5000

/** How long it may say nothing at all after that, in milliseconds. Peers say something on every heartbeat. */
export const silenceMillis = 60_000

/** How many requests of one connection may be without a read answer. Who sends more at once reads none. */
export const maxPipelined = 16

/** What the bodies that a server is sent at once may come to, and the answers that wait to be read. */
export interface Bodies {
  /** The most bytes that are kept of one body; a larger one is refused. */
  readonly largest: number
  /**
   * The most bytes of all that are under way, those of clients; peers have as much for themselves. Answers may come to as
   * much again.
   */
  readonly together: number
}

/** {@link Bodies} by the limits of writes: 128 MiB together, or sixteen of the largest. */
export const bodiesOf = (limits: Limits.Limits = Limits.defaults): Bodies => {
  const largest = PeerProtocol.maxMessageBytes(limits)
  return { largest, together: Math.max(128 * 1024 * 1024, 16 * largest) }
}

/** A request of `node:http`, as far as it is needed here. */
export interface NodeRequest {
  readonly url?: string | undefined
  readonly headers: {
    readonly "content-type"?: string | undefined
    readonly "content-length"?: string | undefined
    readonly "transfer-encoding"?: string | undefined
  }
  /** Whether all of it was received. */
  readonly complete: boolean
  /** Bytes that were received and are not read. */
  readonly readableLength: number
  readonly socket: ServerConnections.Connection &
    UnreadAnswers.Answer & { readonly bytesRead: number; readonly end: () => unknown }
  readonly once: (event: "close", listener: () => void) => unknown
}

/** A server of `node:http`, as far as it is needed here. */
export interface NodeServer {
  readonly listening: boolean
  readonly prependListener: {
    (event: "connection", listener: (socket: ServerConnections.Connection) => void): unknown
    (event: "upgrade", listener: (request: Pick<NodeRequest, "url" | "socket">) => void): unknown
    (event: "request", listener: (request: NodeRequest, response: NodeResponse) => void): unknown
    (event: "checkExpectation", listener: (request: object, response: RefusedByNode.Answer) => void): unknown
    (event: "clientError", listener: (error: Error, socket: RefusedByNode.Connection) => void): unknown
  }
}

/** An answer of `node:http`, as far as it is needed here. */
interface NodeResponse extends UnreadAnswers.Answer {
  readonly headersSent: boolean
}

/** Whether the connection of a request, as a server of Node hands it over, was ended: of what was sent before, the rest. */
export const isEnded = (source: object): boolean => {
  const socket = "socket" in source ? source.socket : undefined
  return typeof socket === "object" && socket !== null && "destroyed" in socket && socket.destroyed === true
}

/** Ends the connection of a request, as a server of Node hands it over. */
export const end = (source: object): void => {
  const socket = "socket" in source ? source.socket : undefined
  if (isSocket(socket)) socket.destroy()
}

/**
 * Ends the connection of a request, as a server of Node hands it over, when more than so many bytes of answers wait there
 * to be read. For connections that are upgraded, on which nobody else counts.
 */
export const endUnread = (source: object, maxBytes: number): boolean => {
  const socket = "socket" in source ? source.socket : undefined
  if (!isSocket(socket) || socket.writableLength <= maxBytes) return false
  socket.destroy()
  return true
}

/**
 * Says whose a request is, as a server of Node hands it over: a token's, or an address's. Whether its body fits into what
 * that client may have under way, which is no more than is left for the others. What waits on its connection to be read
 * counts as that client's too.
 */
export const isWithinShare = (source: object, client: string): boolean => {
  const socket = "socket" in source ? source.socket : undefined
  if (isSocket(socket)) clients.set(socket, client)
  return bodiesUnderWay.get(source)?.of(client) ?? true
}

/**
 * Ends connections with more than {@link maxPipelined} requests that are not answered to the end, and those of which a
 * body does not come, see {@link bodyMillis}. Lines are read no faster than they are dealt with, so a long body of them
 * may take as long as it does. So many slow senders at once that their bodies would not fit into {@link Bodies} find their
 * connections ended: the last of them, so that those under way are taken; what one client may have of them says
 * {@link isWithinShare}. Where the answers that nobody reads do not fit, the client for whom most of them wait loses the
 * connections on which most of these do. So many connections as {@link ServerConnections}
 * lets be are kept, `clients` of them of clients. Which it ended is told.
 *
 * What Node refuses by itself (a request that is not as HTTP has it, a head that is too long or too slow, an `Expect`) is
 * answered with a problem.
 */
export const limit = <A extends NodeServer>(
  server: A,
  bodies: Bodies = bodiesOf(),
  clients?: number,
  ended: Endings.Endings = Endings.untold
): A => {
  const waiting = new WeakMap<object, number>()
  const newest = new WeakMap<object, NodeResponse>()
  const shares = { clients: BodyShares.make(bodies.together), peers: BodyShares.make(bodies.together) }
  const connections = ServerConnections.make(clients, ended)
  const endFor = (reason: Endings.Reason, socket: ServerConnections.Connection): void => {
    ended(reason, socket.remoteAddress)
    socket.destroy()
  }
  const unreadOf = () =>
    UnreadAnswers.make<NodeRequest["socket"]>(bodies.largest, bodies.together, clientOf, (socket) =>
      endFor("unread", socket)
    )
  const unread = { clients: unreadOf(), peers: unreadOf() }
  const kindOf = ({ url }: Pick<NodeRequest, "url">) => (url === "/peer" ? "peers" : "clients")
  const asked = (request: Pick<NodeRequest, "url" | "socket">, answer: UnreadAnswers.Answer): void => {
    const whose = kindOf(request)
    connections.asked(request.socket, whose === "peers")
    unread[whose].began(request.socket, answer)
  }
  server.prependListener("connection", connections.opened)
  server.prependListener("upgrade", (request) => asked(request, request.socket))
  server.prependListener("checkExpectation", (_, response) => RefusedByNode.unexpected(response))
  server.prependListener("clientError", (error, socket) => {
    const count = waiting.get(socket) ?? 0
    RefusedByNode.end(error, socket, count > 1 || (count === 1 && newest.get(socket)!.headersSent))
  })
  server.prependListener("request", (request, response) => {
    const { socket } = request
    asked(request, response)
    const count = (waiting.get(socket) ?? 0) + 1
    waiting.set(socket, count)
    newest.set(socket, response)
    if (count > maxPipelined) return endFor("too_many_requests", socket)
    response.once("close", () => {
      const left = waiting.get(socket)! - 1
      waiting.set(socket, left)
      // An answer that began before the server stopped did not say that it is the last one.
      if (left === 0 && !server.listening) socket.end()
    })
    if (request.complete || !hasBody(request)) return
    const body = shares[kindOf(request)].begin(claimOf(request, bodies.largest))
    if (body === undefined) return endFor("too_many_bodies", socket)
    bodiesUnderWay.set(request, body)
    request.once("close", body.end)
    limitBody(request, () => endFor("slow_body", socket))
  })
  return server
}

// ---------------------------------------------------------------------------------------------------------------------

/** The bodies of requests, until they have come. */
const bodiesUnderWay = new WeakMap<object, BodyShares.Body>()

/** Of whom the last request on a connection was; an address's until that is said. */
const clients = new WeakMap<object, string>()

const clientOf = (socket: ServerConnections.Connection): string =>
  clients.get(socket) ?? `address ${socket.remoteAddress ?? ""}`

/** How much of lines is kept at once: they are read as they are dealt with. */
const lineBytes = 64 * 1024

const sendsLines = ({ headers }: NodeRequest): boolean =>
  headers["content-type"]?.startsWith("application/x-ndjson") === true

/** Node says of no request that it is complete when it comes. */
const hasBody = ({ headers }: NodeRequest): boolean =>
  headers["transfer-encoding"] !== undefined || headers["content-length"] !== undefined

/** How many bytes of a body may be kept: all of it, which may be as much as one that does not say how long it is. */
const claimOf = (request: NodeRequest, largest: number): number => {
  const most = sendsLines(request) ? lineBytes : largest
  const length = Number(request.headers["content-length"])
  return length >= 0 ? Math.min(length, most) : most
}

/** Looks at a body until it has come, and has its connection ended when it does not. */
const limitBody = (request: NodeRequest, end: () => void): void => {
  const { socket } = request
  const isLines = sendsLines(request)
  let received = socket.bytesRead
  const timer = setInterval(() => {
    if (request.complete) return clearInterval(timer)
    const isComing = socket.bytesRead > received || request.readableLength > 0
    received = socket.bytesRead
    if (isLines && isComing) return
    clearInterval(timer)
    end()
  }, bodyMillis)
  request.once("close", () => clearInterval(timer))
}

const isSocket = (socket: unknown): socket is { readonly writableLength: number; readonly destroy: () => unknown } =>
  typeof socket === "object" && socket !== null && "writableLength" in socket && "destroy" in socket
