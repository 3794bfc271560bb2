/**
 * Stands between a caller and a replica: one address that outlives restarts, connections that are counted, and all that
 * a network and a stranger at the other end can do to them.
 */
import { Effect } from "effect"
import * as net from "node:net"

/** What becomes of new connections. */
export type Mode =
  /** They are turned away at once. */
  | { readonly _tag: "Refuse" }
  /** They lead to a port of this machine. */
  | { readonly _tag: "Forward"; readonly port: number }
  /** They are accepted, and all that comes in is answered with these bytes. */
  | { readonly _tag: "Answer"; readonly bytes: Uint8Array }
  /** They are accepted, and nothing is ever said. */
  | { readonly _tag: "Silence" }

/** A proxy on 127.0.0.1. */
export interface TcpProxy {
  readonly port: number
  readonly set: (mode: Mode) => void
  /** How many connections of callers are open. */
  readonly open: () => number
  /** How many connections there were. */
  readonly accepted: () => number
  /** How many bytes callers have sent. */
  readonly received: () => number
  /** Breaks all open connections, as a process that is killed does. */
  readonly reset: () => void
  /** From now on nothing passes on the open connections, and nobody is told. */
  readonly mute: () => void
  /** Sends bytes to all callers, as if they came from the replica. */
  readonly inject: (bytes: Uint8Array) => void
}

/** Listens until the scope closes; new connections are refused until `set`. */
export const make = Effect.gen(function* () {
  let mode: Mode = { _tag: "Refuse" }
  let accepted = 0
  let received = 0
  /** The callers' connections, each with the one that it leads to. */
  const open = new Map<net.Socket, net.Socket | undefined>()

  const onConnection = (caller: net.Socket): void => {
    accepted++
    caller.on("error", ignore)
    caller.setNoDelay(true)
    if (mode._tag === "Refuse") {
      caller.resetAndDestroy()
      return
    }
    open.set(caller, undefined)
    caller.on("close", () => {
      open.get(caller)?.destroy()
      open.delete(caller)
    })
    if (mode._tag === "Forward") return forward(caller, mode.port)
    const answer = mode._tag === "Answer" ? mode.bytes : undefined
    caller.on("data", (bytes: Uint8Array) => {
      received += bytes.length
      if (answer !== undefined) caller.write(answer)
    })
  }

  const forward = (caller: net.Socket, port: number): void => {
    const replica = net.connect({ host: "127.0.0.1", port })
    replica.setNoDelay(true)
    open.set(caller, replica)
    replica.on("error", () => caller.destroy())
    replica.on("close", () => caller.destroySoon())
    caller.on("data", (bytes: Uint8Array) => (received += bytes.length))
    caller.pipe(replica)
    replica.pipe(caller)
  }

  const server = yield* Effect.acquireRelease(
    Effect.callback<net.Server>((resume) => {
      const server = net.createServer({ allowHalfOpen: false }, onConnection)
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const [caller, replica] of open) {
          caller.destroy()
          replica?.destroy()
        }
      })
  )

  const proxy: TcpProxy = {
    port: (server.address() as net.AddressInfo).port,
    set: (next) => {
      mode = next
    },
    open: () => open.size,
    accepted: () => accepted,
    received: () => received,
    reset: () => {
      for (const [caller, replica] of open) {
        caller.resetAndDestroy()
        replica?.resetAndDestroy()
      }
    },
    mute: () => {
      for (const [caller, replica] of open) {
        caller.unpipe()
        caller.resume()
        replica?.unpipe()
        replica?.resume()
      }
    },
    inject: (bytes) => {
      for (const caller of open.keys()) caller.write(bytes)
    }
  }
  return proxy
})

/** Opens a connection, sends bytes, and waits until the other end closes it. Ends with what was answered. */
export const send = (port: number, bytes: Uint8Array): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let answer = ""
    const socket = net.connect({ host: "127.0.0.1", port }, () => socket.write(bytes))
    socket.setEncoding("latin1")
    socket.on("data", (text: string) => (answer = (answer + text).slice(0, 10_000)))
    socket.on("error", ignore)
    socket.on("close", () => resume(Effect.succeed(answer)))
    return Effect.sync(() => socket.destroy())
  })

/** Whether somebody listens on a port. */
export const listens = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = net.connect({ host: "127.0.0.1", port }, () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.on("error", () => resume(Effect.succeed(false)))
  })

// ---------------------------------------------------------------------------------------------------------------------

/** A connection that breaks is what is being tested. */
const ignore = (): void => {}
