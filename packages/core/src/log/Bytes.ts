/**
 * Numbers and text in bytes. Numbers are unsigned and big-endian, text is UTF-8.
 */

/** Whether bytes are the name of a namespace or a key. Plain ASCII, which most names are, is looked at once. */
export const isName = (bytes: Uint8Array, start: number, end: number): boolean => {
  if (start === end) return false
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0) return false
    if (byte > 0x7f) return isText(bytes.subarray(start, end))
  }
  return true
}

/** Whether bytes are visible ASCII and spaces. */
export const isVisible = (bytes: Uint8Array, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) if (bytes[i]! < 0x20 || bytes[i]! > 0x7e) return false
  return true
}

/** Text as bytes of its own. */
export const ofText = (text: string): Uint8Array => encoder.encode(text)

/** How many bytes text is. It is counted, which is far less than to make them. */
export const sizeOfText = (text: string): number => {
  let size = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    size += unit < 0x800 ? 1 : 2
    // A pair is four bytes, of which two are counted as its units.
    if (isHigh(unit) && isLow(text.charCodeAt(i + 1))) i++
  }
  return size
}

/** Writes text at `offset` and returns how many bytes that took. The caller has made room for them. */
export const encodeText = (target: Uint8Array, offset: number, text: string): number => {
  // Short ASCII text is the common case, and a loop beats the call into the encoder there.
  if (text.length <= 64) {
    let i = 0
    for (; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) break
      target[offset + i] = code
    }
    if (i === text.length) return i
  }
  return encoder.encodeInto(text, target.subarray(offset)).written
}

/** The text from `start` up to, not including, `end`. */
export const decodeText = (bytes: Uint8Array, start: number, end: number): string => {
  const length = end - start
  if (length <= 32) {
    const units: Array<number> = []
    for (let i = start; i < end && bytes[i]! <= 0x7f; i++) units.push(bytes[i]!)
    if (units.length === length) return String.fromCharCode(...units)
  }
  return decoder.decode(bytes.subarray(start, end))
}

/** Whether the bytes from `start` up to, not including, `end` are this text. ASCII is not made into text for that. */
export const isOf = (text: string, bytes: Uint8Array, start: number, end: number): boolean => {
  if (end - start !== text.length) return end - start > text.length && decodeText(bytes, start, end) === text
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[start + i]!
    // As many bytes as units of text are ASCII, or another text.
    if (byte > 0x7f || byte !== text.charCodeAt(i)) return false
  }
  return true
}

/** Order of two ranges: the first byte that differs decides, then the length. */
export const compare = (
  a: Uint8Array,
  aAt: number,
  aLength: number,
  b: Uint8Array,
  bAt: number,
  bLength: number
): number => {
  const length = Math.min(aLength, bLength)
  for (let i = 0; i < length; i++) {
    const difference = a[aAt + i]! - b[bAt + i]!
    if (difference !== 0) return difference
  }
  return aLength - bLength
}

/** Writes four bytes. */
export const writeUint32 = (target: Uint8Array, offset: number, value: number): void => {
  target[offset] = value >>> 24
  target[offset + 1] = value >>> 16
  target[offset + 2] = value >>> 8
  target[offset + 3] = value
}

/** Four bytes as a number. */
export const readUint32 = (bytes: Uint8Array, offset: number): number =>
  bytes[offset]! * 0x100_0000 + ((bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!)

/** Two bytes as a number. */
export const readUint16 = (bytes: Uint8Array, offset: number): number => (bytes[offset]! << 8) | bytes[offset + 1]!

// ---------------------------------------------------------------------------------------------------------------------

/** Whether a unit of UTF-16 is the first half of a pair, or the second. */
const isHigh = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const isText = (bytes: Uint8Array): boolean => {
  try {
    return !strict.decode(bytes).includes("\0")
  } catch {
    return false
  }
}
