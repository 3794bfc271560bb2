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
  readonly close: () => unknown
}

/** Says that this process is ready, and makes the measurements that it is asked for. */
export const serve = (open: (run: Run) => Promise<Session>): void =>
  Lines.serve(async (run) => {
    const { close, write } = await open(run)
    const value = Buffer.alloc(run.valueBytes, 120)
    const sample = await closedLoop(run, (key) => write(key, value))
    await close()
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
