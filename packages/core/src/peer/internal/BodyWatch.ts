/**
 * How the body of a request comes, for servers of Node: in time, and in pieces that are worth what they cost.
 */

/** A request of `node:http` whose body is under way. */
export interface Coming {
  /** Whether all of it was received. */
  readonly complete: boolean
  /** Bytes that were received and are not read. */
  readonly readableLength: number
  readonly socket: { readonly bytesRead: number }
  readonly once: (event: "close", listener: () => void) => unknown
  /** Takes a piece of it, as the parser of Node hands it over: what has a head of its own is one, however short. */
  push: (piece: Uint8Array | null) => boolean
}

/** A body that is looked at. */
export interface BodyWatch {
  /** How much of lines is kept, which is of one that has not come to its end; 0 when one has. */
  readonly keeps: (bytes: number) => void
}

/** How long a body may take, in milliseconds; of one that is a stream of lines, how long nothing of it may come. */
export const bodyMillis = 15_000

/** How much of lines is kept at once: they are read as they are dealt with. A line that is longer has to come in time. */
export const lineBytes = 64 * 1024

/**
 * Looks at a body until it has come, and calls `end` once: when it does not come, or nothing of its lines, or one of them for
 * two looks; or when its pieces are too small. Each is an object of a hundred bytes or more and a call, so that a mebibyte
 * one by one would take seconds and a hundred of them.
 */
export const watch = (
  request: Coming,
  isLines: boolean,
  end: (reason: "slow_body" | "small_pieces") => void
): BodyWatch => {
  let received = request.socket.bytesRead
  let longBytes = 0
  let wasLong = false
  let worth = freePieces
  let isOver = false
  const endFor = (reason: "slow_body" | "small_pieces"): void => {
    isOver = true
    clearInterval(timer)
    end(reason)
  }
  const timer = setInterval(() => {
    if (request.complete) return clearInterval(timer)
    const isComing = request.socket.bytesRead > received || request.readableLength > 0
    received = request.socket.bytesRead
    worth = freePieces
    if (!isLines || !isComing || wasLong) return endFor("slow_body")
    wasLong = longBytes > lineBytes
  }, bodyMillis)
  request.once("close", () => clearInterval(timer))
  const { push } = request
  request.push = (piece) => {
    if (isOver) return false
    if (piece !== null) worth += piece.length / pieceBytes - 1
    if (worth >= 0) return push.call(request, piece)
    endFor("small_pieces")
    return false
  }
  return {
    keeps: (bytes) => {
      longBytes = bytes
      if (bytes === 0) wasLong = false
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** How long pieces have to be, all together: less than the shortest line of a batch, which may come by itself. */
const pieceBytes = 32

/** How many may be short in {@link bodyMillis}: signs of life, and what is typed. */
const freePieces = 1024
