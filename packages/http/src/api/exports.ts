/**
 * The records of a namespace as lines that a batch takes.
 */
import type { QuorumError, Records } from "@quorum/core"
import type { ReplicaStore } from "@quorum/core/adapter"
import { Effect, Option, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import type { InvalidRequest } from "./ApiErrors.ts"
import * as ClientTokens from "./ClientTokens.ts"
import { namingParameter } from "./commits.ts"
import { lines } from "./feeds.ts"
import { fieldsOf, keyFields } from "./lines.ts"
import { inTurns } from "./pieces.ts"
import { problemOf } from "./ProblemTable.ts"

/** Which records are meant, and how many at most. */
type Options = Partial<Records.PageOptions> & Records.SessionOptions

/** All records that are meant, page after page, as the client takes them. Before the first one an error is the answer. */
export const answer = Effect.fnUntraced(function* (
  page: (options: Records.PageOptions & Records.SessionOptions) => Effect.Effect<Records.Page, Records.PageError>,
  options: Options,
  report: (error: Records.PageError) => Effect.Effect<void>
): Effect.fn.Return<
  HttpServerResponse.HttpServerResponse,
  ReplicaStore.StoreError | QuorumError.NotReady | QuorumError.WriteReplaced | Records.NotYetVisible | InvalidRequest
> {
  const { after, limit = Number.POSITIVE_INFINITY, ...part } = options
  const read = ({ after, left }: Place) =>
    Effect.tapError(
      page({ ...part, ...(after === undefined ? {} : { after }), limit: Math.min(left, pageKeys) }),
      report
    )
  const allowed = yield* ClientTokens.whileAllowed
  const first = yield* namingParameter(read({ after, left: limit }))
  const rest = Stream.paginate(placeAfter(first, limit), (place) =>
    Option.match(place, {
      onNone: () => Effect.succeed([[], Option.none()] as const),
      onSome: (at) => Effect.map(read(at), (page) => [[page], Option.some(placeAfter(page, at.left))] as const)
    })
  )
  return HttpServerResponse.stream(
    allowed(Stream.concat(Stream.succeed(first), rest)).pipe(
      Stream.flatMap((page) => inTurns(textsOf(page))),
      Stream.catch((error) => Stream.succeed(lineOf({ problem: problemOf(error).problem }))),
      Stream.encodeText
    ),
    { contentType: lines, headers: { "cache-control": "no-store" } }
  )
})

// ---------------------------------------------------------------------------------------------------------------------

/** How many keys are read at once. */
const pageKeys = 256

/** Where to go on, and how many lines are left. */
interface Place {
  readonly after: Records.PageOptions["after"] | undefined
  readonly left: number
}

/** Where to go on after a page; nowhere after the last, or when there are enough. A page says of how many keys it is. */
const placeAfter = ({ damaged, next, records }: Records.Page, left: number): Option.Option<Place> => {
  const still = left - records.length - damaged.length
  return Option.isNone(next) || still <= 0 ? Option.none() : Option.some({ after: next.value, left: still })
}

const lineOf = (line: object): string => `${JSON.stringify(line)}\n`

/** Its records, then what belongs among them and is missing; what may be missing anywhere with the last page. */
function* textsOf({ damaged, next, records, unreadable }: Records.Page): Generator<string, void> {
  for (const { contentType, key, namespace, value } of records) {
    yield `{${keyFields(namespace, key)},`
    yield* fieldsOf(value, contentType)
    yield "}\n"
  }
  for (const record of damaged) yield lineOf({ damaged: record })
  if (Option.isNone(next)) for (const range of unreadable) yield lineOf({ unreadable: range })
}
