/**
 * When the entries of the own log were appended, coarsely: from it follow the age and the bytes of what a peer misses.
 * What is appended within a tenth of a second is one piece; when there are too many, neighbours become one.
 */

/** Entries that were appended one after the other: where they end, and when the first of them came, in milliseconds. */
interface Piece {
  readonly seq: number
  /** Bytes appended since the start, up to the end of this piece. */
  readonly bytes: number
  readonly firstMillis: number
}

const maxPieces = 4096
const pieceMillis = 100

/** Starts with a log that ends at `head`. */
export const make = (head: number, startedMillis: number) => {
  let origin: Piece = { seq: head, bytes: 0, firstMillis: startedMillis }
  let pieces: Array<Piece> = []
  const last = (): Piece => pieces[pieces.length - 1] ?? origin

  /** Which piece holds the entry after `seq`. */
  const indexAfter = (seq: number): number => {
    let low = 0
    let high = pieces.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (pieces[middle]!.seq <= seq) low = middle + 1
      else high = middle
    }
    return low
  }

  return {
    /** Entries go to another log from now on, which has none. */
    renewed: (nowMillis: number): void => {
      origin = { seq: 0, bytes: 0, firstMillis: nowMillis }
      pieces = []
    },
    appended: (seq: number, size: number, nowMillis: number): void => {
      const before = last()
      const bytes = before.bytes + size
      if (before !== origin && nowMillis - before.firstMillis < pieceMillis) {
        pieces[pieces.length - 1] = { ...before, seq, bytes }
        return
      }
      pieces.push({ seq, bytes, firstMillis: nowMillis })
      if (pieces.length <= maxPieces) return
      const joined: Array<Piece> = []
      for (let i = 0; i < pieces.length; i += 2) {
        joined.push({ ...(pieces[i + 1] ?? pieces[i]!), firstMillis: pieces[i]!.firstMillis })
      }
      pieces = joined
    },
    /** For how long the oldest entry after `seq` has been there, in milliseconds; 0 when there is none. */
    ageMillis: (seq: number, nowMillis: number): number => {
      if (seq >= last().seq) return 0
      return Math.max(0, nowMillis - (seq < origin.seq ? origin : pieces[indexAfter(seq)]!).firstMillis)
    },
    /** Bytes of the entries after `seq` that were appended since the start; within a piece, by the mean. */
    bytesAfter: (seq: number): number => {
      if (seq >= last().seq) return 0
      if (seq <= origin.seq) return last().bytes
      const i = indexAfter(seq)
      const { bytes, seq: end } = pieces[i]!
      const before = pieces[i - 1] ?? origin
      const share = (end - seq) / (end - before.seq)
      return Math.round(last().bytes - bytes + share * (bytes - before.bytes))
    }
  }
}

/** When the entries of the own log were appended. */
export type Backlog = ReturnType<typeof make>
