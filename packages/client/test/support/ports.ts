/**
 * Ports of one process of tests alone: a replica gets its port again when it is started again, and nobody else in between.
 */
import { createServer, type Server } from "node:net"

// Below those that programs of the project choose by chance, and those that systems give to outgoing connections.
const lowest = 10_000
const blocks = 100
const blockSize = 100

/** Whoever listens on the first port of a block has the others. Each process has one block, until it ends. */
let block: Promise<number> | undefined
let used = 0

/** Ports in a row on which nobody listens. Those given before come again when the block is used up. */
export const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const first = await (block ??= takeBlock())
  for (let tries = 0; tries < blockSize; tries++) {
    if (used + count >= blockSize) used = 0
    const ports = Array.from({ length: count }, (_, i) => first + 1 + used + i)
    used += count
    const servers = await Promise.all(ports.map(listening))
    await Promise.all(servers.map((server) => server && new Promise((resolve) => server.close(resolve))))
    if (!servers.includes(undefined)) return ports
  }
  throw new Error(`somebody else listens on the ports after ${first}`)
}

// ---------------------------------------------------------------------------------------------------------------------

const takeBlock = async (): Promise<number> => {
  for (let tries = 0; tries < blocks; tries++) {
    const first = lowest + blockSize * ((process.pid + tries) % blocks)
    const server = await listening(first)
    if (server !== undefined) {
      server.unref()
      return first
    }
  }
  throw new Error("all blocks of ports are taken")
}

const listening = (port: number): Promise<Server | undefined> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(undefined))
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => resolve(server))
  })
