/**
 * How many connections a replica's HTTP server keeps, for servers of Node: those of clients, those on which nothing was
 * asked yet, and those that ask as peers and are none so far, each kind for itself. So nobody who opens many of one kind
 * keeps others from the rest, and a peer gets in whatever clients do (law L63).
 *
 * Where there are too many, the address that has most of that kind loses one: of clients the newest, so that those that
 * are served stay; of the others the oldest, since whoever means it asks at once. Peers that have proved to be members
 * are not counted.
 */
import * as Endings from "./Endings.ts"
import * as Pool from "./internal/Pool.ts"

/** How many connections of clients there may be unless that is said. Each costs a file descriptor. */
export const maxClients = 2048

/**
 * How many connections there may be on which nothing was asked yet; they end after 5 s in any case. As many as of clients, or
 * a little more than a replica set has peers: after a restart all connect at once, and none of these has been read by then.
 */
export const maxSilent = (clients: number = maxClients): number => Math.max(clients, 256)

/** How many connections there may be that ask as peers and have not proved to be any. */
export const maxUnproven = 256

/** A connection of Node. */
export interface Connection {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly destroy: () => unknown
  readonly once: (event: "close", listener: () => void) => unknown
}

/** What becomes of the connections of a server. */
export interface ServerConnections {
  /** There is a new one. */
  readonly opened: (connection: Connection) => void
  /** Something is asked on it, of the peers' route or of another. */
  readonly asked: (connection: Connection, ofPeers: boolean) => void
}

/** The connection of a request, as a server of Node hands it over, is that of a member from now on. */
export const proved = (source: object): void => {
  const socket = "socket" in source ? source.socket : undefined
  if (typeof socket === "object" && socket !== null) members.add(socket)
}

/** Bounds the connections of one server, and tells which it ended. */
export const make = (clients: number = maxClients, ended: Endings.Endings = Endings.untold): ServerConnections => {
  const live = new Map<string, Connection>()
  const pools = {
    silent: Pool.make(maxSilent(clients), "oldest"),
    clients: Pool.make(clients, "newest"),
    unproven: Pool.make(maxUnproven, "oldest")
  }

  const put = (kind: keyof typeof pools, key: string, connection: Connection): void => {
    const loser = pools[kind].add(key, connection.remoteAddress ?? "")
    const lost = loser === undefined ? undefined : live.get(loser)
    // Some have proved since they were taken that they are of members.
    if (lost === undefined || members.has(lost)) return
    ended(`too_many_${kind}`, lost.remoteAddress)
    lost.destroy()
  }

  /** A connection over TLS is another object than the one that it goes over, and has the same key. */
  const watch = (key: string, connection: Connection): void => {
    if (live.get(key) === connection) return
    live.set(key, connection)
    connection.once("close", () => {
      if (live.get(key) !== connection) return
      live.delete(key)
      for (const pool of [pools.silent, pools.clients, pools.unproven]) pool.remove(key)
    })
  }

  return {
    opened: (connection) => {
      const key = keyOf(connection)
      if (key === undefined) return
      watch(key, connection)
      put("silent", key, connection)
    },
    asked: (connection, ofPeers) => {
      const key = keyOf(connection)
      if (key === undefined || members.has(connection)) return
      watch(key, connection)
      pools.silent.remove(key)
      // What has asked as a client stays one of them.
      if (ofPeers) {
        if (!pools.clients.has(key)) put("unproven", key, connection)
      } else {
        pools.unproven.remove(key)
        put("clients", key, connection)
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const members = new WeakSet<object>()

const keyOf = ({ remoteAddress, remotePort }: Connection): string | undefined =>
  remoteAddress === undefined || remotePort === undefined ? undefined : `${remoteAddress} ${remotePort}`
