/**
 * Pages of changes as they travel: lines of JSON, or server-sent events. Pure.
 */
import { Changes } from "@quorum/core"
import { Duration, Schema } from "effect"
import { Sse } from "effect/encoding"
import { eventStream } from "./ChangesApi.ts"
import { fieldsOf, keyFields } from "./lines.ts"

/** How a feed travels. */
export interface Format {
  readonly contentType: string
  /** What comes before all pages. */
  readonly opening: string
  /** For `inTurns`: a page may be mebibytes. */
  readonly page: (page: Changes.Page) => Iterable<string>
  /** Why there is no further page. */
  readonly end: (problem: object) => string
  /** That there is none, because all that was asked for was shown. */
  readonly done: string
}

/** The format that a request accepts; `undefined` when it accepts none of them. Lines, where it accepts both. */
export const formatOf = (accept = "*/*"): Format | undefined => {
  if (accepts(accept, lines)) return ndjson
  if (accepts(accept, eventStream)) return events
  return accepts(accept, "*/*", "application/*") ? ndjson : undefined
}

/** Whether a request asks for lines where an answer is JSON otherwise. */
export const isLinesOnly = (accept = "*/*"): boolean => accepts(accept, lines) && !accepts(accept, "application/json")

/** The type of lines of JSON. */
export const lines = "application/x-ndjson"

// ---------------------------------------------------------------------------------------------------------------------

/** Whether one of these types, or ranges of types, is among those that are accepted. */
const accepts = (accept: string, ...types: ReadonlyArray<string>): boolean =>
  accept.split(",").some((range) => {
    const [type, ...parameters] = range.split(";").map((part) => part.trim().toLowerCase())
    return types.includes(type!) && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })

const textOf = Schema.encodeSync(Changes.Position)

/** A change as a line says it, with the position after it where it is the last of its page. */
function* lineOf(
  { clock, contentType, deleted, key, namespace, tie, value, writeId }: Changes.Change,
  position?: string
): Generator<string, void> {
  yield `{${keyFields(namespace, key)},`
  if (deleted) yield '"delete":true'
  else yield* fieldsOf(value, contentType)
  yield `,${JSON.stringify({ writeId, clock, tie, ...(position === undefined ? {} : { position }) }).slice(1)}`
}

const ndjson: Format = {
  contentType: lines,
  opening: "",
  *page({ changes, position }) {
    const end = textOf(position)
    for (const [i, change] of changes.entries()) {
      yield* lineOf(change, i === changes.length - 1 ? end : undefined)
      yield "\n"
    }
    if (changes.length === 0) yield `${JSON.stringify({ position: end })}\n`
  },
  end: (problem) => `${JSON.stringify({ problem })}\n`,
  done: `${JSON.stringify({ done: true })}\n`
}

/** How long a browser waits before it goes on after a break. */
const retry = Sse.encoder.write(new Sse.Retry({ duration: Duration.seconds(1), lastEventId: undefined }))

const events: Format = {
  contentType: eventStream,
  opening: retry,
  *page({ changes, position }) {
    const id = textOf(position)
    // Without data it is no event: a sign of life, and the id to go on from.
    if (changes.length === 0) yield `:\nid: ${id}\n\n`
    for (const [i, change] of changes.entries()) {
      // JSON has no line breaks, so its texts are one line of data.
      yield i === changes.length - 1 ? `id: ${id}\ndata: ` : "data: "
      yield* lineOf(change)
      yield "\n\n"
    }
  },
  end: (problem) =>
    Sse.encoder.write({ _tag: "Event", event: "problem", id: undefined, data: JSON.stringify(problem) }),
  done: Sse.encoder.write({ _tag: "Event", event: "done", id: undefined, data: "{}" })
}
