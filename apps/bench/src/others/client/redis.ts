/**
 * A client of Redis, as a process: SET and WAIT 1 sent together, on a connection per writer, because WAIT blocks its
 * connection. A write that reached no replica in time has failed.
 */
import { Redis } from "ioredis"
import * as Session from "./Session.ts"

/** What this process is told. */
export interface Config {
  /** The primary's. */
  readonly port: number
}

const { port }: Config = JSON.parse(process.argv[2]!)
const replicas = 1
const timeout = 5000

const connect = async (): Promise<Redis> => {
  const connection = new Redis({ host: "127.0.0.1", port, lazyConnect: true })
  await connection.connect()
  return connection
}

const primary = await connect()
await Session.eventually(async () => {
  const online = (await primary.info("replication")).match(/state=online/g)?.length ?? 0
  if (online < 2) throw new Error(`${online} of 2 replicas are connected`)
})
primary.disconnect()

Session.serve(async ({ writers }) => {
  const connections = await Promise.all(Array.from({ length: writers }, connect))
  const idle = [...connections]
  let next = 0
  return {
    write: async (key, value) => {
      const connection = idle.pop()!
      try {
        const results = await connection.pipeline().set(key, value).wait(replicas, timeout).exec()
        for (const [error] of results!) if (error !== null) throw error
        const reached = results![1]![1] as number
        if (reached < replicas) throw new Error(`reached ${reached} replicas within ${timeout} ms`)
      } finally {
        idle.push(connection)
      }
    },
    fill: (keys, value) => connections[0]!.mset(new Map(keys.map((key) => [key, value]))),
    // Nothing but the primary's own.
    read: (key) => connections[next++ % connections.length]!.getBuffer(key),
    close: () => {
      for (const connection of connections) connection.disconnect()
    }
  }
})
