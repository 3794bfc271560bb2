/**
 * Long answers as text in pieces, made one after the other: made at once, mebibytes of it would hold the event loop, and
 * nobody else would have an answer meanwhile (law L63).
 */
import { Effect, Stream } from "effect"
import { HttpServerResponse } from "effect/http"

/** How many characters are made before others have their turn. */
const pieceLength = 64 * 1024

/** Values of more bytes are taken apart with turns for others in between. */
export const largeBytes = 64 * 1024

/**
 * Texts one after the other in pieces, each made when the one before is on its way; others have their turn before each. An
 * empty text ends a piece.
 */
export const inTurns = (texts: Iterable<string>): Stream.Stream<string> =>
  Stream.suspend(() => {
    const iterator = texts[Symbol.iterator]()
    return Stream.unfold(undefined, () =>
      Effect.map(Effect.yieldNow, () => {
        const piece = pieceOf(iterator)
        return piece === undefined ? undefined : ([piece, undefined] as const)
      })
    ).pipe(Stream.filter((piece) => piece !== ""))
  })

/** An answer of JSON that consists of these texts: with its length where it is short, and in turns otherwise. */
export const answer = (texts: Iterable<string>): HttpServerResponse.HttpServerResponse => {
  const iterator = texts[Symbol.iterator]()
  const first = pieceOf(iterator) ?? ""
  const next = iterator.next()
  if (next.done === true) return HttpServerResponse.text(first, { contentType })
  const rest = inTurns({ [Symbol.iterator]: () => iterator })
  return HttpServerResponse.stream(Stream.encodeText(Stream.concat(Stream.make(first, next.value), rest)), {
    contentType
  })
}

// ---------------------------------------------------------------------------------------------------------------------

const contentType = "application/json"

/** As many of the texts that are left as make a piece; `undefined` when none is left. */
const pieceOf = (texts: Iterator<string>): string | undefined => {
  let piece = ""
  for (let next = texts.next(); next.done !== true; next = texts.next()) {
    piece += next.value
    if (next.value === "" || piece.length >= pieceLength) return piece
  }
  return piece === "" ? undefined : piece
}
