/**
 * How much JSON is taken apart at once. To parse it holds the event loop, and for how long depends less on how long the
 * text is than on how deep it is nested and how many parts it has: four mebibytes of brackets take half a second, and what
 * is made of them cannot be written again, because that goes as deep into the stack. Pure.
 *
 * Bytes are counted before they are parsed. What is no JSON is counted as something; that it is none the parser says.
 */

/** How many lists and objects may stand within each other. */
export const maxDepth = 64

/** How many parts there may be: each bracket, brace, comma and colon is one. */
export const maxParts = 50_000

/** What is too much, in words for whoever sent it, and where its line begins in the piece: 0 when it began before that. */
export interface Excess {
  readonly detail: string
  readonly lineAt: number
}

/**
 * Counts what comes, piece by piece. Of lines, each is JSON of its own, and ends what was begun: no text has one in it.
 */
export const counter = (ofLines = true): ((bytes: Uint8Array) => Excess | undefined) => {
  let depth = 0
  let parts = 0
  let isText = false
  let isEscaped = false
  return (bytes) => {
    const end = bytes.length
    let lineAt = 0
    for (let i = 0; i < end; i++) {
      const skipped = isText ? inText : outside
      if (!isEscaped) while (i < end && skipped[bytes[i]!] === 1) i++
      if (i === end) break
      const byte = bytes[i]!
      if (byte === lineFeed && ofLines) {
        lineAt = i + 1
        depth = parts = 0
        isText = isEscaped = false
      } else if (isText) {
        if (isEscaped) isEscaped = false
        else if (byte === backslash) isEscaped = true
        else if (byte === quote) isText = false
      } else if (byte === quote) isText = true
      else if (byte === openBracket || byte === openBrace) {
        parts++
        if (++depth > maxDepth) return { detail: tooDeep, lineAt }
      } else if (byte === closeBracket || byte === closeBrace) {
        parts++
        depth--
      } else if (byte === comma || byte === colon) parts++
      if (parts > maxParts) return { detail: tooMany, lineAt }
    }
    return undefined
  }
}

/** What is too much in JSON that may have any number of lines, or nothing. */
export const excessOf = (bytes: Uint8Array): string | undefined => counter(false)(bytes)?.detail

// ---------------------------------------------------------------------------------------------------------------------

const lineFeed = 0x0a
const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const openBracket = 0x5b
const backslash = 0x5c
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

const tooDeep = `it is nested deeper than ${maxDepth} levels`
const tooMany = `it has more than ${maxParts} parts (brackets, commas and colons)`

/** The bytes that say nothing about how JSON is built: most of what is long, and passed over in a loop of its own. */
const allBut = (...bytes: ReadonlyArray<number>): Uint8Array => {
  const others = new Uint8Array(256).fill(1)
  for (const byte of bytes) others[byte] = 0
  return others
}
const inText = allBut(lineFeed, quote, backslash)
const outside = allBut(lineFeed, quote, comma, colon, openBracket, closeBracket, openBrace, closeBrace)
