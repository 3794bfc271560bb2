/**
 * How far the write-ahead log has grown since it began anew, as guessed from what was written, and when it is time to move
 * it on into the file.
 */

/** Begins with a log in which nothing is, or with one that the file has no room for. */
export const make = (isWhole: boolean) => {
  /** What a checkpoint would copy, and the frames of the log. */
  let pages = 0
  let frames = isWhole ? 0 : 1
  let mostFrames = checkpointFrames
  let isStuck = !isWhole

  return {
    /** So many bytes were written. */
    wrote: (bytes: number): void => {
      pages += bytes / pageBytes
      // An entry of some length begins a page as a rule, which its parent and the map of pages name.
      frames += Math.ceil(bytes / pageBytes) + (bytes > pageBytes / 4 ? 3 : 1)
    },
    /** Whether it is time for a checkpoint. */
    isDue: (): boolean => pages >= checkpointPages || frames >= mostFrames,
    /** Whether there was no room for what it holds the last time. */
    isStuck: (): boolean => isStuck,
    /** It was cut, and may find no room to become longer again: it is moved on while a part of it is free. */
    cut: (): void => void (mostFrames = cutFrames),
    /** The log could not be made longer. What it holds may have room in the file, and then the log begins anew. */
    foundNoRoom: (): void => {
      if (isStuck || mostFrames <= checkpointFrames) mostFrames = Math.max(1, Math.min(frames, mostFrames))
    },
    /** What the log holds was moved into the file, all of it or as much as there was room for. */
    moved: (isWhole: boolean): void => {
      // Without room for it the log grows on, and it is tried again when there is more of it.
      mostFrames = isWhole ? checkpointFrames : 2 * frames
      isStuck = !isWhole
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

/** The same after it was cut to 512 KiB: about half of that. */
const cutFrames = 64
