/**
 * How far the write-ahead log has grown since it began anew, as guessed from what was written, and when it is time to move
 * it on into the file.
 */

/** Begins with a log in which nothing is. */
export const make = () => {
  /** What a checkpoint would copy, and the frames of the log. */
  let pages = 0
  let frames = 0
  let mostFrames = checkpointFrames

  return {
    /** So many bytes were written. */
    wrote: (bytes: number): void => {
      pages += bytes / pageBytes
      frames += Math.ceil(bytes / pageBytes) + 1
    },
    /** Whether it is time for a checkpoint. */
    isDue: (): boolean => pages >= checkpointPages || frames >= mostFrames,
    /** The log could not be made longer. What it holds may have room in the file, and then the log begins anew. */
    foundNoRoom: (): void => {
      if (mostFrames === checkpointFrames) mostFrames = Math.max(1, Math.min(frames, checkpointFrames))
    },
    /** What the log holds was moved into the file, all of it or as much as there was room for. */
    moved: (isWhole: boolean): void => {
      // Without room for it the log grows on, and it is tried again when there is more of it.
      mostFrames = isWhole ? checkpointFrames : 2 * frames
      pages = 0
      if (isWhole) frames = 0
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const pageBytes = 4096

/** How many pages a checkpoint copies at most, or so, which holds the event loop. */
const checkpointPages = 256

/** How many frames the write-ahead log grows to, or so. Single entries write the same page again and again. */
const checkpointFrames = 1000
