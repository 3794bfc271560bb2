/**
 * Giving room back to the file system, which LMDB never does: at a start, the file is copied without what is free in it, and
 * the copy takes its place.
 *
 * A crash on the way leaves the file, or the copy, which is whole, durable and in its place by then. What is left of a copy
 * that did not come to its end is removed, and then none is made: LMDB may end the process where a page is damaged, and a
 * replica has to start all the same.
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Environment from "./environment.ts"
import * as Files from "./files.ts"
import * as Guard from "./guard.ts"
import * as Notes from "./notes.ts"

/** Removes what is left of a copy, and returns whether there was anything. */
export const removeLeft = (file: string): boolean => {
  const isLeft = fs.existsSync(copyOf(file))
  Files.remove(copyOf(file))
  return isLeft
}

/**
 * Makes the copy, durably, which says of itself where it is. Returns whether there is one: less than a third of the file
 * that is free is not worth it, and without room for it, or where it cannot be made, there is none.
 */
export const copy = (file: string, environment: Environment.Environment): Effect.Effect<boolean> => {
  const to = copyOf(file)
  return Effect.gen(function* () {
    const { free, taken } = environment.space()
    if (free < leastBytes || free <= taken / 3) return false
    yield* environment.copyTo(to)
    fs.chmodSync(to, 0o600)
    Files.sync(to)
    yield* Effect.acquireUseRelease(
      Effect.sync(() => {
        const copied = Environment.open(to, { sync: true })
        return { copied, guard: Guard.make(to, copied) }
      }),
      ({ copied, guard }) => Notes.make(to, copied, guard).set({ place: Notes.placeOf(to) }),
      ({ guard }) => guard.close
    )
    return true
  }).pipe(
    Effect.catchCause((cause) => {
      Files.remove(to)
      return Effect.as(Effect.logWarning(`${file} could not be made smaller, and stays as it is`, cause), false)
    })
  )
}

/** Puts the copy in the place of the file, which nobody has open any more. */
export const putInPlace = (file: string): void => {
  fs.renameSync(copyOf(file), file)
  Files.remove(copyOf(file))
  Files.sync(file)
}

// ---------------------------------------------------------------------------------------------------------------------

/** Less than this is not worth a copy, in bytes. */
const leastBytes = 1024 * 1024

const copyOf = (file: string): string => path.join(path.dirname(file), `small-${path.basename(file)}`)
