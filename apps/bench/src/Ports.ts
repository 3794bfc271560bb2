/**
 * Free ports on loopback, below the range that systems give to outgoing connections.
 */
import { createServer } from "node:net"
import { Effect, Random } from "effect"

const probe = (port: number): Effect.Effect<number, Error> =>
  Effect.callback((resume) => {
    const server = createServer()
    server.once("error", (error) => resume(Effect.fail(error)))
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resume(Effect.succeed(port))))
  })

/** Ports that were given away: free until whoever asked for one listens on it. */
const given = new Set<number>()

/** A free port, another one each time. */
export const free: Effect.Effect<number> = Random.nextIntBetween(20_000, 32_000).pipe(
  Effect.flatMap((port) => (given.has(port) ? Effect.fail(new Error(`${port} was given away`)) : probe(port))),
  Effect.tap((port) => Effect.sync(() => given.add(port))),
  Effect.retry({ times: 50 }),
  Effect.orDie
)
