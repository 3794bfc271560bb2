/**
 * A group of reads, which are lines of one request; one that is alone is a request for its record.
 */
import { errorOf, unexpected } from "./Answers.ts"
import type { Calls } from "./Calls.ts"
import type { Kind } from "./Gathering.ts"
import { RecordNotFound } from "./QuorumError.ts"
import { ofJson, type Place, type QuorumRecord, type RecordJson } from "./Record.ts"
import * as Sending from "./Sending.ts"
import * as Waitings from "./Waiting.ts"

/** A read that waits for its answer. */
export interface Waiting extends Waitings.Waiting<QuorumRecord | undefined> {
  readonly place: Place
}

/** What all of a group ask for. */
interface Asked {
  readonly consistency?: string | undefined
  readonly r?: number | undefined
}

/** Sends one in a request of its own, and settles it. `onFailed` is called when an attempt has failed. Never fails. */
export type Alone = (waiting: Waiting, onFailed?: () => void) => Promise<void>

/** How reads that ask for the same are sent together. `onRefused` is called when they may not share a request. */
export const kindOf = (call: Calls["call"], query: Asked, alone: Alone, onRefused: () => void): Kind<Waiting> => ({
  most: maxGroups,
  take: (queue) => Waitings.take(queue, maxLines, ({ place: { key, namespace } }) => namespace.length + key.length),
  run: (group, onFirst) => {
    if (group.length === 1) return alone(group[0]!, onFirst)
    const refused = (waiting: Waiting) => {
      onRefused()
      return alone(waiting)
    }
    return Sending.send(call, group, { ...linesOf(query), alone: refused }, Waitings.limitsOf(group), onFirst)
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/**
 * The most reads of a group, and how many groups are under way. Nobody knows how long the values are: these many of a
 * mebibyte each come in the time of an attempt, where a thousand would not.
 */
const maxLines = 64
const maxGroups = 4

const linesOf = (query: Asked): Omit<Sending.Lines<Waiting>, "alone"> => ({
  request: (sent) => {
    const body = sent.map(({ place }) => `${JSON.stringify(place)}\n`).join("")
    return { method: "POST", path: "/v1/reads", query: { ...query }, headers, body }
  },
  settle: ({ place, resolve }, { problem, record, status }, url) => {
    if (record !== undefined) return void resolve(recordOf(record, place, status, url))
    const error = errorOf(status, problem, url)
    if (error instanceof RecordNotFound) return void resolve(undefined)
    return error
  }
})

const headers = { "content-type": "application/x-ndjson" }

/** The record that a line says, if it is the one that was asked for. */
const recordOf = (record: RecordJson, { key, namespace }: Place, status: number, url: string): QuorumRecord => {
  const { value, writeId } = record as { readonly [Field in keyof RecordJson]?: unknown }
  const isWhole = typeof writeId === "string" && typeof value === "string"
  if (isWhole && record.namespace === namespace && record.key === key) return ofJson(record)
  throw unexpected(status, url, "a line of it is not the record that was asked for")
}
