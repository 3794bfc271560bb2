/**
 * A client of NATS JetStream, as a process: every write is published and acknowledged by a stream on three servers.
 */
import { jetstream, jetstreamManager, StorageType } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import * as Session from "./Session.ts"

/** What this process is told. */
export interface Config {
  /** The address of every server by name. */
  readonly servers: Readonly<Record<string, string>>
}

const { servers }: Config = JSON.parse(process.argv[2]!)
const name = "bench"

/** Makes the stream, and waits until two more servers follow the one that leads it. */
const leader = await Session.eventually(async () => {
  const connection = await connect({ servers: Object.values(servers) })
  try {
    const manager = await jetstreamManager(connection)
    await manager.streams.add({ name, subjects: [`${name}.*`], storage: StorageType.File, num_replicas: 3 })
    const { cluster } = await manager.streams.info(name)
    const current = cluster?.replicas?.filter((replica) => replica.current && replica.name in servers).length ?? 0
    if (cluster?.leader === undefined || current < 2) throw new Error("the stream is not on three servers yet")
    return servers[cluster.leader]!
  } finally {
    await connection.close()
  }
})

Session.serve(async () => {
  const connection = await connect({ servers: [leader], ignoreClusterUpdates: true })
  const stream = jetstream(connection, { timeout: 5000 })
  return {
    write: (key, value) => stream.publish(`${name}.${key}`, value),
    close: () => connection.close()
  }
})
