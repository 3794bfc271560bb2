/**
 * What one connection to a replica's HTTP server may cost, for servers of Node. A client that sends slowly, or does not
 * read what it asked for, would keep memory for as long as it likes otherwise (law L63).
 */

import * as Limits from "../log/Limits.ts"
import * as Endings from "./Endings.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import * as ServerConnections from "./ServerConnections.ts"
import * as BodyShares from "./internal/BodyShares.ts"
import * as BodyWatch from "./internal/BodyWatch.ts"
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

export { bodyMillis } from "./internal/BodyWatch.ts"

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

/**
 * What a message over a WebSocket may be, for either end by the package `ws`, which takes 100 MiB in 131,072 fragments
 * unless it is told: each fragment costs as much as hundreds of bytes. Peers send none; what stands between may cut a
 * message into some.
 */
export const messagesOf = (limits: Limits.Limits = Limits.defaults) => {
  const maxPayload = PeerProtocol.maxMessageBytes(limits)
  return { maxPayload, maxFragments: Math.ceil(maxPayload / fragmentBytes) }
}

/** A request of `node:http`, as far as it is needed here. */
export interface NodeRequest extends BodyWatch.Coming {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: {
    readonly "content-type"?: string | undefined
    readonly "content-length"?: string | undefined
    readonly "transfer-encoding"?: string | undefined
  }
  readonly socket: ServerConnections.Connection &
    UnreadAnswers.Answer & {
      readonly bytesRead: number
      readonly writable: boolean
      readonly end: (text?: string, onSent?: () => void) => unknown
    }
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

/** Whether a body is a stream of lines by its type: read as it comes, and for as long as it does. */
export const isLines = (type: string | undefined): boolean => /^application\/x-ndjson *(;|$)/i.test(type ?? "")

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
  return bodiesUnderWay.get(source)?.share.of(client) ?? true
}

/**
 * Says of a request whose body is lines how much is kept of one that has not come to its end, 0 when one has. Whether that
 * fits into what all may have under way, and its client.
 */
export const keepsOfLine = (source: object, bytes: number): boolean => {
  const body = bodiesUnderWay.get(source)
  body?.watch.keeps(bytes)
  return body?.share.keeps(bytes) ?? true
}

/**
 * Ends connections with more than {@link maxPipelined} requests that are not answered to the end, and those of which a
 * body does not come, see {@link bodyMillis}, or in pieces of a few bytes. Lines are read no faster than they are dealt with,
 * so a long body of them may take as long as it does. So many slow senders at once that their bodies would not fit into {@link Bodies} find their
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
    const share = shares[kindOf(request)].begin(claimOf(request, bodies.largest))
    if (share === undefined) return endFor("too_many_bodies", socket)
    request.once("close", share.end)
    const watch = BodyWatch.watch(request, sendsLines(request), (reason) => {
      if (reason === "slow_body") return endFor(reason, socket)
      ended(reason, socket.remoteAddress)
      RefusedByNode.end({ code: "SMALL_PIECES" }, socket, waiting.get(socket)! > 1 || response.headersSent)
    })
    bodiesUnderWay.set(request, { share, watch })
  })
  return server
}

// ---------------------------------------------------------------------------------------------------------------------

/** How long fragments of messages have to be, all of one together. */
const fragmentBytes = 1024

/** The bodies of requests, until they have come. */
const bodiesUnderWay = new WeakMap<object, { readonly share: BodyShares.Body; readonly watch: BodyWatch.BodyWatch }>()

/** Of whom the last request on a connection was; an address's until that is said. */
const clients = new WeakMap<object, string>()

const clientOf = (socket: ServerConnections.Connection): string =>
  clients.get(socket) ?? `address ${socket.remoteAddress ?? ""}`

/** What is put is kept as a whole, whatever its type. */
const sendsLines = ({ headers, method }: NodeRequest): boolean => method === "POST" && isLines(headers["content-type"])

/** Node says of no request that it is complete when it comes. */
const hasBody = ({ headers }: NodeRequest): boolean =>
  headers["transfer-encoding"] !== undefined || headers["content-length"] !== undefined

/** How many bytes of a body may be kept: all of it, which may be as much as one that does not say how long it is. */
const claimOf = (request: NodeRequest, largest: number): number => {
  const most = sendsLines(request) ? BodyWatch.lineBytes : largest
  const length = Number(request.headers["content-length"])
  return length >= 0 ? Math.min(length, most) : most
}

const isSocket = (socket: unknown): socket is { readonly writableLength: number; readonly destroy: () => unknown } =>
  typeof socket === "object" && socket !== null && "writableLength" in socket && "destroy" in socket
