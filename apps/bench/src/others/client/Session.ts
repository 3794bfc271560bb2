/**
 * What the clients of other systems have in common: a session per measurement, made before it and closed after it, and
 * a rest, so that the next measurement starts in peace.
 */
import { setTimeout } from "node:timers/promises"
import { run as closedLoop, type Run } from "../../ClosedLoop.ts"
import * as Lines from "../../Lines.ts"

/** Connections that are open. */
export interface Session {
  /** Resolves when the write is acknowledged, and rejects otherwise. */
  readonly write: (key: string, value: Buffer) => Promise<unknown>
  /** Writes many keys at once, and reads one; only where reads are measured. */
  readonly fill?: (keys: ReadonlyArray<string>, value: Buffer) => Promise<unknown>
  readonly read?: (key: string, consistency: "local" | "linearizable") => Promise<Buffer | null>
  readonly close: () => unknown
}

let isFilled = false

/** Says that this process is ready, and makes the measurements that it is asked for. */
export const serve = (open: (run: Run) => Promise<Session>): void =>
  Lines.serve(async (run) => {
    const session = await open(run)
    const value = Buffer.alloc(run.valueBytes, 120)
    const { reads } = run
    if (reads !== undefined && !isFilled) {
      await fill(session, run.keys, value)
      isFilled = true
    }
    const sample = await closedLoop(run, async (key) => {
      if (reads === undefined) return session.write(key, value)
      if (reads === "list" || session.read === undefined) throw new Error("nobody asks these for that")
      if ((await session.read(key, reads)) === null) throw new Error(`${key} is not found`)
    })
    await session.close()
    await setTimeout(500)
    return sample
  })

/** Tries until it works, for at most 20 seconds: servers that have started still have to find each other. */
export const eventually = async <A>(attempt: () => Promise<A>): Promise<A> => {
  const deadline = performance.now() + 20_000
  while (true) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await setTimeout(100)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Writes all keys, a hundred at once, and sixteen times that many under way. */
const fill = async (session: Session, keys: number, value: Buffer): Promise<void> => {
  let next = 0
  const writer = async (): Promise<void> => {
    while (next < keys) {
      const from = next
      next += filledAtOnce
      const count = Math.min(filledAtOnce, keys - from)
      await session.fill?.(
        Array.from({ length: count }, (_, i) => `key-${from + i}`),
        value
      )
    }
  }
  await Promise.all(Array.from({ length: 16 }, writer))
}

/** etcd takes 128 in a transaction. */
const filledAtOnce = 100
