/**
 * A JSON Lines file, read as a stream: what every line asks to be written, or why it cannot be.
 *
 * A line is `{ "namespace", "key", "value" }`, or any other object with an `id`; the latter is stored whole in the
 * namespace "memories" under its id. Values are stored as JSON text, their numbers as they are spelled where they have more
 * digits than JavaScript keeps. Instead of `value`, which `json` is another name of,
 * a line may have `text`, bytes as `base64`, or `"delete": true`; and a `contentType`, which that of JSON need not say.
 * Blank lines do not count as lines, and the numbers of lines are those an editor shows.
 */
import { Entry, Limits } from "@quorum/core"
import { Effect, FileSystem, Predicate, Result, Schema, Stream } from "effect"
import * as ExactJson from "./ExactJson.ts"

/** A line that asks for a write. */
export interface WriteLine {
  readonly _tag: "Write"
  readonly number: number
  readonly write: Entry.Write
}

/** A line that cannot be imported, and why. */
export interface RejectedLine {
  readonly _tag: "Rejected"
  readonly number: number
  readonly reason: string
}

/** A line that is not blank. */
export type Line = WriteLine | RejectedLine

/** The longest line that is read: a value of the largest size, with room for its escapes and its names. */
export const maxLineBytes = ({ valueBytes }: Limits.Limits): number => 3 * valueBytes + 1024 * 1024

/** The namespace of objects that have an `id` and no place of their own. */
export const memories = "memories"

/** The lines of a file that are not blank, the first `limit` of them. Holds one line in memory at a time. */
export const read = (path: string, limit = Number.POSITIVE_INFINITY) =>
  FileSystem.FileSystem.pipe(
    Effect.map((fs) => fs.stream(path, { chunkSize: 256 * 1024 })),
    Stream.unwrap,
    split(limit)
  )

/** The lines of bytes as they come, the first `limit` of them. `limits` are those of the replicas that are meant. */
export const split =
  (limit = Number.POSITIVE_INFINITY, limits = Limits.defaults) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Line, E, R> => {
    const lines = Stream.mapAccum(
      bytes,
      () => makeSplitter(maxLineBytes(limits), limits),
      (splitter, chunk) => [splitter, splitter.push(chunk)],
      { onHalt: (splitter) => splitter.end() }
    )
    return Number.isFinite(limit) ? Stream.take(lines, limit) : lines
  }

/** How many lines a file has, and how many of them ask for a write. */
export const count = (path: string, limit?: number) =>
  Stream.runFold(
    read(path, limit),
    () => ({ lines: 0, writes: 0 }),
    (sum, line) => ({ lines: sum.lines + 1, writes: sum.writes + (line._tag === "Write" ? 1 : 0) })
  )

/** Reads one line that is not blank. */
export const parse = (number: number, text: string, limits = Limits.defaults): Line => {
  const rejected = (reason: string): RejectedLine => ({ _tag: "Rejected", number, reason })
  const json = Result.try({ try: () => ExactJson.parse(text), catch: (error) => (error as Error).message })
  if (Result.isFailure(json)) return rejected(`not JSON: ${json.failure}`)
  const place = placeOf(json.success)
  if (Predicate.isString(place)) return rejected(place)
  const content = contentOf(place)
  if (Predicate.isString(content)) return rejected(content)
  const { namespace, key, contentType = content.contentType } = place
  const write =
    content.bytes === undefined
      ? Entry.remove(namespace, key)
      : Entry.put(namespace, key, content.bytes, contentType === undefined ? {} : { contentType })
  const checked = Limits.checkWrite(write, limits)
  if (Result.isFailure(checked)) return rejected(`${checked.failure.field}: ${checked.failure.detail}`)
  const unnameable = write.kind === "delete" ? undefined : unnameableIn(place)
  if (unnameable !== undefined)
    return rejected(`${unnameable}: \`.\` and \`..\` cannot be part of a path; choose another name`)
  return { _tag: "Write", number, write: checked.success }
}

/** Cuts bytes into lines and parses them. What is longer than `maxBytes` is dropped while it is read. */
export const makeSplitter = (maxBytes: number, limits = Limits.defaults) => {
  let number = 0
  let held: Array<Uint8Array> = []
  let heldBytes = 0
  let tooLong = false

  const hold = (piece: Uint8Array): void => {
    heldBytes += piece.length
    if (heldBytes > maxBytes) {
      tooLong = true
      held = []
    } else if (piece.length > 0) held.push(piece)
  }

  const finish = (lines: Array<Line>): void => {
    number++
    if (tooLong) lines.push({ _tag: "Rejected", number, reason: `the line is longer than ${maxBytes} bytes` })
    else {
      const bytes = held.length === 1 ? held[0]! : Buffer.concat(held)
      const text = decode(number === 1 ? withoutMark(bytes) : bytes)
      if (text === undefined) lines.push({ _tag: "Rejected", number, reason: notText(number === 1 && isPacked(bytes)) })
      else if (text.trim().length > 0) lines.push(parse(number, text, limits))
    }
    held = []
    heldBytes = 0
    tooLong = false
  }

  return {
    push: (chunk: Uint8Array): Array<Line> => {
      const lines: Array<Line> = []
      let start = 0
      for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
        hold(chunk.subarray(start, end))
        finish(lines)
        start = end + 1
      }
      hold(chunk.subarray(start))
      return lines
    },
    /** The last line, when no newline ends it. */
    end: (): Array<Line> => {
      const lines: Array<Line> = []
      if (heldBytes > 0) finish(lines)
      return lines
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const newline = 0x0a
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const decode = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

const notText = (packed: boolean): string =>
  `the line is not UTF-8 text${packed ? ", but packed by gzip: gunzip -c FILE | quorum import -" : ""}`

/** Whether it begins as what gzip makes. */
const isPacked = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b

/** Drops a byte-order mark. */
const withoutMark = (bytes: Uint8Array): Uint8Array =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes

interface Place {
  readonly namespace: string
  readonly key: string
  /** By which name it stands in the line. */
  readonly kind: Kind
  readonly value: unknown
  readonly contentType?: string
}

/** Which of the names of a put no path can have, so that nobody could read it. What is there by other ways can be deleted. */
const unnameableIn = ({ key, namespace }: Place): "namespace" | "key" | undefined =>
  isPathName(namespace) ? (isPathName(key) ? undefined : "key") : "namespace"

const isPathName = (name: string): boolean => name !== "." && name !== ".."

const kinds = ["value", "json", "text", "base64", "delete"] as const

type Kind = (typeof kinds)[number]

interface Content {
  /** None of a delete. */
  readonly bytes?: Uint8Array | string
  readonly contentType?: string
}

const ofBase64 = Schema.decodeUnknownResult(Schema.Uint8ArrayFromBase64)

/** What is written, or what is wrong with it. */
const contentOf = ({ contentType, kind, value }: Place): Content | string => {
  switch (kind) {
    case "value":
    case "json": {
      // The only failure left for something that was JSON: it is nested too deeply to be written back.
      const text = Result.try(() => JSON.stringify(value))
      if (Result.isFailure(text)) return `${kind}: it is nested too deeply`
      return { bytes: text.success, contentType: "application/json" }
    }
    case "text":
      return Predicate.isString(value) && value.isWellFormed() ? { bytes: value } : "text: expected text"
    case "base64": {
      const bytes = ofBase64(value)
      return Result.isFailure(bytes) ? "base64: expected bytes in base64" : { bytes: bytes.success }
    }
    case "delete":
      if (value !== true) return "delete: expected true"
      return contentType === undefined ? {} : "contentType: a delete has no value"
  }
}

/** Where a line's value goes, or what is wrong with it. */
const placeOf = (line: unknown): Place | string => {
  if (!Predicate.isObject(line) || ExactJson.isSpelled(line)) return `expected an object, got ${describe(line)}`
  return isRecord(line) ? recordPlace(line) : Object.hasOwn(line, "id") ? memoryPlace(line) : missing(line)
}

type Fields = { readonly [name: string]: unknown }

const recordFields = ["namespace", "key", "value"] as const

const isRecord = (line: Fields): boolean =>
  Object.hasOwn(line, "namespace") && Object.hasOwn(line, "key") && kindsOf(line).length > 0

const kindsOf = (line: Fields): ReadonlyArray<Kind> => kinds.filter((kind) => Object.hasOwn(line, kind))

const recordPlace = (line: Fields): Place | string => {
  const { contentType, key, namespace } = line
  if (!Predicate.isString(namespace)) return `namespace: expected text, got ${describe(namespace)}`
  if (!Predicate.isString(key)) return `key: expected text, got ${describe(key)}`
  const [kind, other] = kindsOf(line)
  if (other !== undefined) return `${other}: there is ${kind} too, and a record has one value`
  const place = { namespace, key, kind: kind!, value: line[kind!] }
  if (contentType === undefined) return place
  return Predicate.isString(contentType)
    ? { ...place, contentType }
    : `contentType: expected text, got ${describe(contentType)}`
}

const memoryPlace = (line: Fields): Place | string => {
  const { id } = line
  if (Predicate.isString(id)) return { namespace: memories, key: id, kind: "value", value: line }
  if (ExactJson.isSpelled(id)) return tooLarge
  if (!Predicate.isNumber(id)) return `id: expected text or a number, got ${describe(id)}`
  if (Math.abs(id) > Number.MAX_SAFE_INTEGER) return tooLarge
  return { namespace: memories, key: String(id), kind: "value", value: line }
}

const tooLarge = "id: the number is too large to be exact; write it as text"

const missing = (line: Fields): string => {
  const absent = recordFields.filter((field) => !Object.hasOwn(line, field))
  return absent.length === recordFields.length
    ? "neither namespace, key and value nor an id"
    : `${absent.join(" and ")} missing, and no id either`
}

const describe = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "a list"
      : `a ${ExactJson.isSpelled(value) ? "number" : typeof value}`
