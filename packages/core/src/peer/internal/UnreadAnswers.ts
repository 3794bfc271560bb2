/**
 * How many bytes of answers wait for those who do not read them, of all connections of a server of Node together. Each
 * connection has bounds of its own, and many connections together could take the memory of the process all the same.
 */

/** What closes at some time. */
interface Closing {
  readonly once: (event: "close", listener: () => void) => unknown
}

/** What is under way on a connection: an answer, or a connection that was upgraded. */
export interface Answer extends Closing {
  /** Bytes that were handed over and that nobody has taken. */
  readonly writableLength: number
  /** Whether all of it was handed over. */
  readonly writableEnded: boolean
}

/** Looks at the answers of a server. */
export interface UnreadAnswers<Connection> {
  /** Something is under way on a connection, until it closes. */
  readonly began: (connection: Connection, answer: Answer) => void
}

/**
 * Has connections ended while there is more than `together` that is unread: each time of the client that has most of it the
 * one with most, so that whoever opens many does not cost others theirs. It looks after every
 * few requests, by how much their answers may have, and every {@link lookMillis} while there are any.
 */
export const make = <Connection extends Closing>(
  largest: number,
  together: number,
  clientOf: (connection: Connection) => string,
  end: (connection: Connection) => void
): UnreadAnswers<Connection> => {
  const underWay = new Map<Connection, Set<Answer>>()
  const known = new WeakSet<Connection>()
  /** How much was unread when that was looked at, and how many answers began since. */
  let unread = 0
  let since = 0
  let timer: ReturnType<typeof setInterval> | undefined

  const look = (): void => {
    const costs = Array.from(underWay, ([connection, answers]) => ({ connection, bytes: unreadOf(answers) }))
    unread = costs.reduce((sum, { bytes }) => sum + bytes, 0)
    since = 0
    if (unread <= together) return
    const clients = new Map<string, { bytes: number; readonly costs: Array<(typeof costs)[number]> }>()
    for (const cost of costs.sort((one, other) => one.bytes - other.bytes)) {
      const name = clientOf(cost.connection)
      const client = clients.get(name) ?? { bytes: 0, costs: [] }
      client.bytes += cost.bytes
      client.costs.push(cost)
      clients.set(name, client)
    }
    while (unread > together) {
      let most = { bytes: 0, costs: new Array<(typeof costs)[number]>() }
      for (const client of clients.values()) if (client.bytes > most.bytes) most = client
      const { bytes, connection } = most.costs.pop()!
      most.bytes -= bytes
      unread -= bytes
      underWay.delete(connection)
      end(connection)
    }
  }

  const drop = (connection: Connection): void => {
    underWay.delete(connection)
    if (underWay.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    began: (connection, answer) => {
      if (!known.has(connection)) {
        known.add(connection)
        // Of answers whose turn did not come nothing is told when it closes.
        connection.once("close", () => drop(connection))
      }
      const answers = underWay.get(connection) ?? new Set()
      underWay.set(connection, answers.add(answer))
      answer.once("close", () => {
        if (answers.delete(answer) && answers.size === 0 && underWay.get(connection) === answers) drop(connection)
      })
      timer ??= setInterval(look, lookMillis)
      since++
      if (unread + since * largest > together) look()
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** How often is looked at least, in milliseconds. */
const lookMillis = 100

/** What an answer that goes on may keep of its own while nobody reads it: the page that it is made from. */
const pageBytes = 1024 * 1024

const unreadOf = (answers: Iterable<Answer>): number => {
  let bytes = 0
  for (const { writableEnded, writableLength } of answers) {
    bytes += writableLength + (writableLength > 0 && !writableEnded ? pageBytes : 0)
  }
  return bytes
}
