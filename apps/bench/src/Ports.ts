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

/** A free port. */
export const free: Effect.Effect<number> = Effect.flatMap(Random.nextIntBetween(20_000, 32_000), probe).pipe(
  Effect.retry({ times: 50 }),
  Effect.orDie
)
