/**
 * The child's end of how the benchmark talks to its processes: one JSON line says that it is ready, then every line it
 * reads is a measurement to make, and is answered with one. It ends when its standard input does.
 */
import { createInterface } from "node:readline"
import type { Run, Sample } from "./ClosedLoop.ts"

/** Says that this process is ready, and makes the measurements that it is asked for. */
export const serve = (measure: (run: Run) => Promise<Sample>): void => {
  const lines = createInterface({ input: process.stdin })
  let last = Promise.resolve()
  lines.on("line", (line) => {
    last = last.then(async () => say(await measure(JSON.parse(line))))
  })
  lines.on("close", () => process.exit(0))
  say({ ready: true })
}

/** For processes that are only peers. */
export const peerOnly = (): Promise<Sample> => Promise.reject(new Error("this process makes no writes"))

const say = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`)
