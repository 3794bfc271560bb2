/**
 * Free ports on loopback.
 */
import { createServer } from "node:net"
import { Effect, Random, Schema } from "effect"
import { CliError } from "effect/cli"

/** The address on which everything listens. */
export const host = "127.0.0.1"

/** A port that a command was told to use is taken. */
export class PortInUse extends Schema.TaggedError<PortInUse>()("PortInUse", {
  port: Schema.Int,
  code: Schema.String
}) {
  override get message(): string {
    const why = this.code === "EACCES" ? "may not be used by this user" : "is in use"
    return `port ${this.port} of ${host} ${why}; give another --port, or none to have free ones chosen`
  }
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/**
 * Whether a port can be listened on now: fails with what Node says against it. It is closed again at once, and who
 * connects in between finds nobody.
 */
export const probe = (host: string, port: number): Effect.Effect<void, NodeJS.ErrnoException> =>
  Effect.callback((resume) => {
    const server = createServer((socket) => socket.destroy())
    server.once("error", (error: NodeJS.ErrnoException) => resume(Effect.fail(error)))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resume(Effect.void)))
  })

/** `count` ports in a row from `first` on; fails when one of them is taken. */
export const inRow = (first: number, count: number): Effect.Effect<ReadonlyArray<number>, PortInUse> => {
  const ports = Array.from({ length: count }, (_, i) => first + i)
  return Effect.as(Effect.forEach(ports, unused, { discard: true }), ports)
}

/**
 * `count` free ports in a row. Chosen below the range that systems give to outgoing connections: a port from there
 * could be taken while its replica is down, even by a peer that tries to reach it.
 */
export const free = (count: number): Effect.Effect<ReadonlyArray<number>, PortInUse> =>
  Random.nextIntBetween(lowest, highest - count).pipe(
    Effect.flatMap((first) => inRow(first, count)),
    Effect.retry({ times: 50 })
  )

// ---------------------------------------------------------------------------------------------------------------------

const lowest = 20_000
const highest = 32_000

const unused = (port: number): Effect.Effect<void, PortInUse> =>
  Effect.mapError(probe(host, port), ({ code = "unknown" }) => new PortInUse({ port, code }))
