/**
 * How much memory the replicas hold, second by second (Bounded).
 */
import { readFileSync } from "node:fs"
import { Effect, Schedule } from "effect"
import type { DemoSet, Member } from "../DemoSet.ts"

/** What one replica held: when, in milliseconds since the beginning, and how much, in MB of 2^20 bytes. */
export interface Sample {
  readonly atMillis: number
  readonly mb: number
}

/** Looks again and again, until the scope closes. */
export const watch = Effect.fnUntraced(function* (set: DemoSet) {
  const samples = new Map<Member, Array<Sample>>(set.members.map((member) => [member, []]))
  const since = new Map<number, number>()
  const startedAt = performance.now()
  const look = (): void => {
    for (const [member, seen] of samples) {
      const pid = set.pid(member)
      if (pid === undefined) continue
      const now = performance.now()
      if (!since.has(pid)) since.set(pid, now)
      const mb = heldMb(pid)
      if (mb !== undefined && now - since.get(pid)! >= warmMillis) seen.push({ atMillis: now - startedAt, mb })
    }
  }
  yield* Effect.sync(look).pipe(Effect.repeat(Schedule.spaced(sampleMillis)), Effect.forkScoped)
  return samples
})

/** The mean of the first and of the last third of a run. `undefined` when one of them was not seen. */
export const thirds = (
  samples: ReadonlyArray<Sample>,
  lastedMillis: number
): { readonly first: number; readonly last: number } | undefined => {
  const mean = (of: ReadonlyArray<Sample>) => of.reduce((sum, { mb }) => sum + mb, 0) / of.length
  const first = samples.filter(({ atMillis }) => atMillis < lastedMillis / 3)
  const last = samples.filter(({ atMillis }) => atMillis >= (lastedMillis * 2) / 3)
  return first.length === 0 || last.length === 0 ? undefined : { first: mean(first), last: mean(last) }
}

// ---------------------------------------------------------------------------------------------------------------------

const sampleMillis = 1000

/** A process that has just been started tells nothing yet. */
const warmMillis = 5000

/** What a process holds now, as Linux tells. */
const heldMb = (pid: number): number | undefined => {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) / 1024
  } catch {
    return undefined
  }
}
