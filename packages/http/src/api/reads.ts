/**
 * Many reads: the lines of a request, and what is read as lines.
 */
import type { ClientSession, ClientSessions, Records } from "@quorum/core"
import { Effect, Option, Predicate, Result, Schema, Stream } from "effect"
import * as Answers from "./answers.ts"
import { type InvalidRequest, RecordNotFound } from "./ApiErrors.ts"
import { inTurns } from "./pieces.ts"
import { ReadLine } from "./ReadsApi.ts"
import * as RecordPages from "./RecordPages.ts"
import { endOf, invalid } from "./requestLines.ts"

/** The newest write of a key. */
export type Read = (
  namespace: string,
  key: string
) => Effect.Effect<Option.Option<Records.Newest>, Exclude<Records.ReadError, Records.ReadRejected> | InvalidRequest>

/** What was found for a line: what it is answered with, and the write that was seen by it, a delete too. */
interface Found {
  readonly outcome: Result.Result<Records.Record, Error>
  readonly seen: Option.Option<Records.Newest>
}

/** What the session of the client is after these writes were seen, and all before. */
type Session = (seen: ReadonlyArray<ClientSessions.Written>) => Effect.Effect<ClientSession.ClientSession>

/**
 * What is found for lines, as many at a time as are read at once: no more is read before those are answered. `arrived` says
 * each time whether what the client has seen is still here.
 */
export const found = <E>(
  lines: Stream.Stream<unknown, E>,
  read: Read,
  arrived: Effect.Effect<void, ClientSessions.NotArrived>
): Stream.Stream<ReadonlyArray<Found>, E> =>
  lines.pipe(
    Stream.chunks,
    Stream.flatMap((chunk) =>
      Stream.unfold({ at: 0, atOnce: maxAtOnce }, ({ at, atOnce }) => {
        if (at >= chunk.length) return Effect.undefined
        const some = Effect.matchEffect(arrived, {
          onFailure: (error) => Effect.succeed(chunk.slice(at).map(() => failed(error))),
          onSuccess: () => readSome(chunk.slice(at, at + atOnce), read)
        })
        return Effect.map(some, (some) => {
          // Of long values fewer are read at once, until they are short again.
          const next = some.length < atOnce ? some.length : Math.min(2 * atOnce, maxAtOnce)
          return [some, { at: at + some.length, atOnce: next }] as const
        })
      })
    )
  )

/** The answers to lines, as text. What ends the lines, as one that is no JSON, is the last of them. */
export const textOf = (all: Stream.Stream<ReadonlyArray<Found>, unknown>, session: Session): Stream.Stream<string> => {
  let count = 0
  return all.pipe(
    Stream.mapEffect((some) =>
      Effect.map(session(some.flatMap(({ seen }) => Option.toArray(seen))), (after) => {
        const first = count + 1
        count += some.length
        return textsOf(first, some, Answers.sessionText(after))
      })
    ),
    Stream.flatMap(inTurns),
    Stream.catch((cause) => Stream.suspend(() => Stream.succeed(Answers.problemLine(count + 1, endOf(cause)))))
  )
}

// ---------------------------------------------------------------------------------------------------------------------

/** How many lines are read at once: those that ask peers share questions, and others have their turn between them. */
const maxAtOnce = 32

/** How many bytes of values may be kept when there is one more. */
const maxBytes = 256 * 1024

const failed = (error: Error): Found => ({ outcome: Result.fail(error), seen: Option.none() })

/** Reads lines side by side: all of them, or the first, if their values are so long that the others have to wait. */
const readSome = (lines: ReadonlyArray<unknown>, read: Read): Effect.Effect<ReadonlyArray<Found>> => {
  let bytes = 0
  const one = (line: unknown): Effect.Effect<Found | undefined> =>
    Effect.suspend(() => {
      if (bytes > maxBytes) return Effect.undefined
      const place = placeOf(line)
      if (Result.isFailure(place)) return Effect.succeed(failed(place.failure))
      const { key, namespace } = place.success
      return Effect.match(read(namespace, key), {
        onFailure: failed,
        onSuccess: (seen) => {
          if (Option.isNone(seen) || seen.value.deleted) {
            return { outcome: Result.fail(new RecordNotFound({ namespace, key })), seen }
          }
          bytes += seen.value.value.length
          return { outcome: Result.succeed(seen.value), seen }
        }
      })
    })
  return Effect.map(Effect.forEach(lines, one, { concurrency: "unbounded" }), (some) =>
    keptOf(some.filter(Predicate.isNotUndefined))
  )
}

/** The first of what was read, as much as may be kept; the others are read again when they are. */
const keptOf = (some: ReadonlyArray<Found>): ReadonlyArray<Found> => {
  let bytes = 0
  const last = some.findIndex(({ outcome }) => {
    if (Result.isSuccess(outcome)) bytes += outcome.success.value.length
    return bytes > maxBytes
  })
  return last < 0 ? some : some.slice(0, last + 1)
}

const decode = Schema.decodeUnknownResult(ReadLine, { onExcessProperty: "error" })

/** The place that a line names. What is wrong with it the schema says. */
const placeOf = (line: unknown): Result.Result<typeof ReadLine.Type, InvalidRequest> => {
  if (isPlace(line)) return Result.succeed(line)
  return Result.mapError(decode(line), ({ message }) => invalid(message))
}

/** Whether a line is as most are. */
const isPlace = (line: unknown): line is typeof ReadLine.Type =>
  Predicate.hasProperty(line, "namespace") &&
  Predicate.hasProperty(line, "key") &&
  typeof line.namespace === "string" &&
  typeof line.key === "string" &&
  Object.keys(line).length === 2

function* textsOf(first: number, some: ReadonlyArray<Found>, session: string): Generator<string, void> {
  for (const [i, { outcome }] of some.entries()) {
    const more = i === some.length - 1 ? session : ""
    if (Result.isSuccess(outcome)) {
      yield `{"line":${first + i},"status":200,"record":`
      yield* RecordPages.textsOfRecord(outcome.success)
      yield `${more}}\n`
    } else yield Answers.problemLine(first + i, outcome.failure, more)
  }
}
