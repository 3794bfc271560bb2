/**
 * What was measured on.
 */
import { cpus, loadavg, totalmem } from "node:os"

/** The machine and its load. */
export interface Machine {
  readonly cpus: number
  readonly cpu: string
  readonly memoryGiB: number
  readonly node: string
  /** The load averages of 1, 5 and 15 minutes. */
  readonly load: ReadonlyArray<number>
  readonly at: string
}

/** This machine, now. */
export const now = (): Machine => ({
  cpus: cpus().length,
  cpu: cpus()[0]?.model ?? "unknown",
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  load: loadavg().map((load) => Math.round(load * 100) / 100),
  at: new Date().toISOString()
})

/** In one line. */
export const line = ({ at, cpu, cpus, load, memoryGiB, node }: Machine): string =>
  `${at}, node ${node}, ${cpus} × ${cpu}, ${memoryGiB} GiB, load ${load.join(" ")}`
