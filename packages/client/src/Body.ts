/**
 * The body of an answer, piece by piece. Whoever gives up gives up what is read here: not every platform has a signal that
 * ends a request also end its body, and one that stands still would be waited for without end (Node 20 forgets it).
 */
import { unexpected } from "./Answers.ts"

/** An answer, of which the body is still to be read. */
export interface Answered {
  readonly status: number
  readonly headers: Headers
  /** The next piece of its body; none at the end, or when no more of it is wanted. */
  readonly next: () => Promise<Uint8Array | undefined>
  /** Wants no more of it. */
  readonly cancel: () => void
}

/** What is read of an answer. */
export const answeredOf = ({ body, headers, status }: Response): Answered => {
  const reader = body?.getReader()
  return {
    status,
    headers,
    next: async () => (await reader?.read())?.value,
    cancel: () => void reader?.cancel().catch(() => {})
  }
}

/** All of it. */
export const bytesOf = async (answered: Answered, url: string): Promise<Uint8Array<ArrayBuffer>> => {
  const pieces: Array<Uint8Array> = []
  let length = 0
  for (let piece = await answered.next(); piece !== undefined; piece = await answered.next()) {
    pieces.push(piece)
    length += piece.length
    if (length > maxLength) throw unexpected(answered.status, url, tooLong)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

/** All of it, which is JSON. */
export const jsonOf = async (answered: Answered, url: string): Promise<unknown> => {
  const text = new TextDecoder().decode(await bytesOf(answered, url))
  try {
    return JSON.parse(text)
  } catch {
    throw unexpected(answered.status, url, "its body is no JSON")
  }
}

/** The lines of an answer, as they come. */
export interface Lines {
  /** As many as came at once; `undefined` at the end. Fails when the answer breaks off, or ends within a line. */
  readonly next: () => Promise<ReadonlyArray<unknown> | undefined>
  /** Wants no more of it. */
  readonly cancel: () => void
}

/** The lines of an answer. */
export const linesOf = (answered: Answered, url: string): Lines => {
  const decoder = new TextDecoder()
  /** What has come of a line that has not ended: put together when it has, because it may come in very many pieces. */
  let begun: Array<string> = []
  let length = 0
  const next = async (): Promise<ReadonlyArray<unknown> | undefined> => {
    for (;;) {
      const piece = await answered.next()
      const [first = "", ...others] = decoder.decode(piece, { stream: piece !== undefined }).split("\n")
      begun.push(first)
      length += first.length
      if (length > maxLength) throw unexpected(answered.status, url, tooLong)
      const last = others.pop()
      if (last !== undefined) {
        const lines = [begun.join(""), ...others].filter((line) => line !== "")
        begun = [last]
        length = last.length
        if (lines.length > 0) return lines.map((line) => lineOf(line, answered.status, url))
      }
      if (piece !== undefined) continue
      if (length > 0) throw unexpected(answered.status, url, "it ends within a line")
      return undefined
    }
  }
  return { next, cancel: answered.cancel }
}

/** Reads all lines of an answer. */
export const readLines = async (answered: Answered, url: string, onLines: (lines: ReadonlyArray<unknown>) => void) => {
  const { next } = linesOf(answered, url)
  for (let lines = await next(); lines !== undefined; lines = await next()) onLines(lines)
}

// ---------------------------------------------------------------------------------------------------------------------

/** How long a line may be, or what has none: twice as much as a replica takes of one client at once. */
const maxLength = 128 * 1024 * 1024

const tooLong = "it is longer than any of them"

const lineOf = (line: string, status: number, url: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    throw unexpected(status, url, "a line of it is no JSON")
  }
}
