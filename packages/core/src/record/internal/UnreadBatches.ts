/** Batches that were appended and not looked at yet. */
import { Effect, Latch } from "effect"
import type * as EntryBatch from "../../log/EntryBatch.ts"

/** Batches that were appended and not looked at yet. */
export const make = () => {
  let batches: Array<EntryBatch.EntryBatch> = []
  let bytes = 0
  const appended = Latch.makeUnsafe(false)
  return {
    /** Whether there are too many now. */
    add: (batch: EntryBatch.EntryBatch): boolean => {
      batches.push(batch)
      bytes += batch.bytes.length
      appended.openUnsafe()
      return bytes > maxBytes
    },
    take: (): ReadonlyArray<EntryBatch.EntryBatch> => {
      const taken = batches
      if (taken.length > 0) {
        batches = []
        bytes = 0
      }
      return taken
    },
    /** Waits for the next one. */
    await: Effect.andThen(
      Effect.suspend(() => appended.await),
      Effect.sync(() => appended.closeUnsafe())
    )
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** The most bytes of appended entries that wait to be looked at. */
const maxBytes = 1024 * 1024
