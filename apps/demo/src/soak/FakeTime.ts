/**
 * Clocks that can be set while their process runs, by Debian's `libfaketime`: it reads by how much it is to be wrong
 * from a file.
 */
import { globSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** The clocks of some processes. */
export interface FakeTime {
  /** What the environment of a process has whose clock this is. */
  readonly env: (id: string) => Readonly<Record<string, string>>
  /** Sets the clock of a process, in seconds from the right time. */
  readonly set: (id: string, seconds: number) => void
  /** Removes what the library leaves behind of processes that were killed. */
  readonly sweep: (pids: Iterable<number>) => void
}

/** Clocks whose files are in a folder; `undefined` where the library is not installed. */
export const make = (folder: string): FakeTime | undefined => {
  const [library] = globSync("/usr/lib/*/faketime/libfaketime.so.1")
  if (library === undefined) return undefined
  const file = (id: string): string => join(folder, `${id}.clock`)
  const set = (id: string, seconds: number): void => {
    writeFileSync(file(id), `${seconds < 0 ? "" : "+"}${seconds}s\n`)
  }
  return {
    env: (id) => ({
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file(id),
      FAKETIME_CACHE_DURATION: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      NO_FAKE_STAT: "1"
    }),
    set,
    sweep: (pids) => {
      for (const pid of pids) {
        for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`])
          rmSync(`/dev/shm/${name}`, { force: true })
      }
    }
  }
}
