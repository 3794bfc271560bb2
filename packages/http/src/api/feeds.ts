/**
 * Pages of changes as they travel: lines of JSON, or server-sent events. Pure.
 */
import { Changes } from "@quorum/core"
import { Duration, Schema } from "effect"
import { Sse } from "effect/encoding"
import { eventStream } from "./ChangesApi.ts"
import { fieldsOf } from "./lines.ts"

/** How a feed travels. */
export interface Format {
  readonly contentType: string
  /** What comes before all pages. */
  readonly opening: string
  readonly page: (page: Changes.Page) => string
  /** Why there is no further page. */
  readonly end: (problem: object) => string
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
const lineOf = ({ clock, contentType, deleted, key, namespace, tie, value, writeId }: Changes.Change) => ({
  namespace,
  key,
  ...(deleted ? { delete: true } : fieldsOf(value, contentType)),
  writeId,
  clock,
  tie
})

const ndjson: Format = {
  contentType: lines,
  opening: "",
  page: ({ changes, position }) => {
    const end = { position: textOf(position) }
    const all = changes.map((change, i) =>
      JSON.stringify(i === changes.length - 1 ? { ...lineOf(change), ...end } : lineOf(change))
    )
    return `${(all.length === 0 ? [JSON.stringify(end)] : all).join("\n")}\n`
  },
  end: (problem) => `${JSON.stringify({ problem })}\n`
}

const event = (data: object, id: string | undefined, name = "message") =>
  Sse.encoder.write({ _tag: "Event", event: name, id, data: JSON.stringify(data) })

/** How long a browser waits before it goes on after a break. */
const retry = Sse.encoder.write(new Sse.Retry({ duration: Duration.seconds(1), lastEventId: undefined }))

const events: Format = {
  contentType: eventStream,
  opening: retry,
  page: ({ changes, position }) => {
    const id = textOf(position)
    // Without data it is no event: a sign of life, and the id to go on from.
    if (changes.length === 0) return `:\nid: ${id}\n\n`
    return changes.map((change, i) => event(lineOf(change), i === changes.length - 1 ? id : undefined)).join("")
  },
  end: (problem) => event(problem, undefined, "problem")
}
