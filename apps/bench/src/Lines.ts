/**
 * The child's end of how the benchmark talks to its processes: one JSON line says that it is ready, then every line it
 * reads is a measurement to make or one of the words "status", "compact" and "held", and is answered with one. It ends when its
 * standard input does.
 */
import { createInterface } from "node:readline"
import type { Run, Sample } from "./ClosedLoop.ts"
import * as Held from "./Held.ts"
import type { Point } from "./Points.ts"

/** How a replica process is doing. */
export interface Status extends Pick<Point, "at" | "rssMiB" | "heapMiB"> {
  /** Entries that it holds durably, of all logs. */
  readonly held: number
  /** Entries of those that its record index does not cover yet. */
  readonly indexDelay: number
  /** Bytes of entries that are live by the last compaction, and that go when more is known, when that ended, and whether one is under way. */
  readonly liveBytes: number
  readonly waitingBytes: number
  readonly compactions: number
  readonly isCompacting: boolean
}

/** The first line of a process that is ready. */
export const ready = JSON.stringify({ ready: true })

/** What can be asked of a replica. */
export interface Replica {
  readonly status: () => Promise<Status>
  /** Takes out of its logs what may go, and says how it is doing then. */
  readonly compact: () => Promise<Status>
}

/** Says that this process is ready, and makes the measurements that it is asked for. */
export const serve = (measure: (run: Run) => Promise<Sample>, { compact, status }: Replica = noReplica): void => {
  const lines = createInterface({ input: process.stdin })
  const held = Held.make()
  let last = Promise.resolve()
  lines.on("line", (line) => {
    last = last.then(async () => {
      const asked: "status" | "compact" | "held" | Run = JSON.parse(line)
      if (asked === "held") say(held())
      else if (asked === "status") say(await status())
      else if (asked === "compact") say(await compact())
      else say(await measure(asked))
    })
  })
  lines.on("close", () => process.exit(0))
  process.stdout.write(`${ready}\n`)
}

/** For processes that are only peers. */
export const peerOnly = (): Promise<Sample> => Promise.reject(new Error("this process makes no writes"))

const isNone = (): Promise<Status> => Promise.reject(new Error("this process is no replica"))
const noReplica: Replica = { status: isNone, compact: isNone }

const say = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`)
