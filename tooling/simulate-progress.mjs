// How far a long run of `simulate` has come: figures that are added up in the order of the seeds, and kept in a file, so
// that a run that was stopped goes on where it was.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"

/** Figures of no run. */
const none = { taken: 0, runs: 0, operations: 0, virtualMillis: 0, seconds: 0, faults: {}, possible: [], broken: [] }

/**
 * Begins, or goes on from what a file holds; throws when that is of another run, or of another code. `wanted` is what the run
 * is asked for, and the commit that is run.
 */
export const open = (file, wanted) => {
  const before = file !== undefined && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined
  if (before !== undefined && before.wanted.commit !== wanted.commit)
    throw new Error(
      `${file} was begun on commit ${before.wanted.commit ?? "unknown"}, and this is ${wanted.commit}: ` +
        "what it counts is of one code; go on there, or name another file"
    )
  if (before !== undefined && JSON.stringify(before.wanted) !== JSON.stringify(wanted))
    throw new Error(
      `${file} is of another run: ${JSON.stringify(before.wanted)}; ask for the same, or for another file`
    )
  const figures = before?.figures ?? structuredClone(none)
  /** What came of later parts, by their number, until all before them are done. */
  const early = new Map()
  let next = 0
  const add = ({ broken, faults, operations, scenarios, virtualMillis }) => {
    figures.taken += scenarios.length
    figures.runs += scenarios.length
    figures.operations += operations
    figures.virtualMillis += virtualMillis
    for (const [name, count] of faults) figures.faults[name] = (figures.faults[name] ?? 0) + count
    const kinds = scenarios.flatMap(({ nemesis }) => nemesis.kinds)
    figures.possible = [...new Set([...figures.possible, ...kinds])]
    figures.broken.push(...broken)
  }
  return {
    figures,
    /** Takes in what came of a part of the runs. */
    take: (part, found) => {
      early.set(part, found)
      for (let each = early.get(next); each !== undefined; each = early.get(next)) {
        early.delete(next++)
        add(each)
      }
    },
    /** Keeps what is done; `seconds` is how long that took since it was opened. */
    save: (seconds) => {
      if (file === undefined) return
      const kept = { wanted, figures: { ...figures, seconds: figures.seconds + seconds } }
      writeFileSync(`${file}.new`, JSON.stringify(kept))
      renameSync(`${file}.new`, file)
    }
  }
}
