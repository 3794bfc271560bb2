/**
 * The client API of the replicas, as the demo uses it. Asking for a write never fails: what is known about it then is a
 * value, because that is the point.
 */
import {
  type Entry,
  type HybridLogicalClock,
  type QuorumError,
  Receipt,
  type Records,
  type ReplicaStatus,
  type StampToken,
  type WriteId
} from "@quorum/core"
import { type ClientApi, ClientApiClient } from "@quorum/http"
import { type Cause, Effect, Option, Predicate, Record, Schema, Stream } from "effect"
import { Ndjson } from "effect/encoding"
import { HttpBody, HttpClient, type HttpClientError } from "effect/http"
import type { Member } from "./DemoSet.ts"

/** What is known about a write after a request. */
export type Answer =
  | {
      readonly _tag: "Committed"
      readonly writeId: WriteId.WriteId
      readonly clock: HybridLogicalClock.HybridLogicalClock
      readonly receipt: () => Receipt.Receipt
    }
  /** Held by the replica that answered, not known to be on enough others. */
  | {
      readonly _tag: "NotMet"
      readonly writeId: WriteId.WriteId
      readonly got: number
      readonly needed: number
      readonly reason: string
      readonly verdicts: { readonly [id: string]: string }
    }
  /** Nothing was written, as `detail` says; the same request may succeed later. */
  | { readonly _tag: "Unavailable"; readonly detail: string }
  /** Nothing was written, and the same request will never succeed. `isReused`: the stamp is held as that of another write. */
  | { readonly _tag: "Refused"; readonly detail: string; readonly isReused?: boolean }
  /** Nobody listens at the address; nothing was written. */
  | { readonly _tag: "Unreachable"; readonly detail: string }
  /** The request was sent and has no answer: it may have been written. */
  | { readonly _tag: "Unknown"; readonly detail: string }

/** What a read of a record found. */
export type Found =
  | { readonly _tag: "Value"; readonly value: Uint8Array; readonly writeId: WriteId.WriteId }
  | { readonly _tag: "Absent" }
  /** It was not answered: `reason` is the tag of the error. */
  | { readonly _tag: "Failed"; readonly reason: string; readonly detail: string }

/** What a read asks for. */
export interface ReadOptions {
  readonly consistency?: Records.Consistency
  /** The write that has to be visible. */
  readonly atLeast?: WriteId.WriteId
}

/** What a write asks for, where that is not what the policy says. */
export interface WriteOptions {
  /** How many replicas have to hold it. */
  readonly w?: number
  readonly stamp?: StampToken.StampToken
}

/** A write that may be repeated. */
export interface Stamped {
  readonly write: Entry.Write
  readonly stamp: StampToken.StampToken
}

/** The state of a replica. */
export type Status = ReplicaStatus.Status

/** A replica could not be asked. */
export class AskFailed extends Schema.TaggedError<AskFailed>()("AskFailed", {
  id: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `replica ${this.id} did not answer: ${this.detail}`
  }
}

/** The client API of the replicas. */
export interface Client {
  /** Puts or deletes. */
  readonly write: (member: Member, write: Entry.Write, options?: WriteOptions) => Effect.Effect<Answer>
  /** Draws a stamp for each of many writes, which may then be sent any number of times; else, that nothing was written. */
  readonly stamp: (
    member: Member,
    writes: ReadonlyArray<Entry.Write>
  ) => Effect.Effect<ReadonlyArray<StampToken.StampToken>, Answer>
  /**
   * Puts and deletes many in one request, each under its stamp. Answers as they come, each with the place of its write
   * among them; when the request fails, what is known of those without one.
   */
  readonly writeMany: (
    member: Member,
    writes: ReadonlyArray<Stamped>
  ) => Stream.Stream<readonly [place: number, answer: Answer], Answer>
  /** Puts and deletes several that are one entry: it is held whole or not at all. */
  readonly writeAtomic: (member: Member, writes: ReadonlyArray<Entry.Write>) => Effect.Effect<Answer>
  readonly read: (member: Member, namespace: string, key: string, options?: ReadOptions) => Effect.Effect<Found>
  /** Waits for the quorum of a write that the member holds. */
  readonly resume: (member: Member, writeId: WriteId.WriteId, w?: number) => Effect.Effect<Answer>
  /** Whether the member knows that a write is committed. */
  readonly isCommitted: (member: Member, writeId: WriteId.WriteId) => Effect.Effect<boolean, AskFailed>
  readonly status: (member: Member) => Effect.Effect<Status, AskFailed>
  /** Whether the member says that it takes writes. */
  readonly isReady: (member: Member) => Effect.Effect<boolean>
  /** All records of a member, in order. */
  readonly records: (member: Member) => Stream.Stream<Records.Record, AskFailed>
}

/** Makes clients of all members. */
export const make = Effect.fnUntraced(function* (members: ReadonlyArray<Member>) {
  const http = yield* HttpClient.HttpClient
  const clients = new Map<Member, ClientApiClient.Methods>()
  for (const member of members) clients.set(member, yield* ClientApiClient.make({ url: member.url }))
  const of = (member: Member): ClientApiClient.Methods => clients.get(member)!

  const asking = <A, E extends { readonly message: string }>(
    member: Member,
    effect: Effect.Effect<A, E>
  ): Effect.Effect<A, AskFailed> =>
    effect.pipe(
      Effect.timeout(patienceMillis),
      Effect.mapError((error) => new AskFailed({ id: member.id, detail: error.message }))
    )

  const batch = (url: string, writes: ReadonlyArray<Partial<Stamped> & Pick<Stamped, "write">>) =>
    Stream.unwrap(
      Effect.map(
        http.post(url, { body: HttpBody.text(writes.map(lineOf).join(""), lines) }),
        ({ status, stream }): Stream.Stream<Uint8Array, HttpClientError.HttpClientError | Answer> =>
          status === 200 ? stream : Stream.fail({ _tag: "Unavailable", detail: `status ${status}` })
      )
    ).pipe(
      Stream.pipeThroughChannel(Ndjson.decode()),
      Stream.map((line) => answerOfLine(line as unknown as AnswerLine)),
      Stream.mapError((error): Answer => {
        if (error._tag === "Unavailable") return error
        const isNowhere = error._tag === "HttpClientError" && isRefusedConnection(error)
        return { _tag: isNowhere ? "Unreachable" : "Unknown", detail: String(error) }
      })
    )

  const client: Client = {
    write: (member, { key, kind, namespace, value }, { stamp, w } = {}) => {
      const headers = stamp === undefined ? {} : { "quorum-stamp": stamp }
      const place = { params: { namespace, key }, query: queryOf(w), headers }
      const { put, remove } = of(member).records
      return answer(kind === "put" ? put({ ...place, payload: value }) : remove(place))
    },
    stamp: (member, writes) =>
      of(member)
        .stamps.drawEach({ payload: { keys: keysOf(writes) }, headers: {} })
        .pipe(
          Effect.map(({ stamps }) => stamps),
          Effect.mapError((error): Answer => {
            const answer = answerOf(error)
            // Whatever became of the request, no write was sent.
            return answer._tag === "Unknown" ? { _tag: "Unavailable", detail: answer.detail } : answer
          })
        ),
    writeMany: (member, writes) => batch(`${member.url}/v1/batch`, writes),
    writeAtomic: (member, writes) =>
      batch(
        `${member.url}/v1/batch?atomic=true`,
        writes.map((write) => ({ write }))
      ).pipe(
        Stream.runHead,
        Effect.timeoutOrElse({ duration: patienceMillis, orElse: () => Effect.succeedNone }),
        Effect.match({
          onFailure: (answer) => answer,
          onSuccess: (first) => (Option.isSome(first) ? first.value[1] : { _tag: "Unknown", detail: "no answer came" })
        })
      ),
    read: (member, namespace, key, options = {}) =>
      found(of(member).records.get({ params: { namespace, key }, query: options, headers: {} })),
    resume: (member, writeId, w) =>
      answer(of(member).writes.resume({ params: { id: writeId }, query: queryOf(w), headers: {} })),
    isCommitted: (member, writeId) =>
      Effect.map(asking(member, of(member).writes.status({ params: { id: writeId } })), ({ committed }) => committed),
    status: (member) => asking(member, of(member).status()),
    isReady: (member) => Effect.match(asking(member, of(member).readyz()), succeededOrNot),
    records: (member) =>
      Stream.paginate(undefined as typeof ClientApi.Cursor.Type | undefined, (after) =>
        Effect.map(
          asking(
            member,
            of(member).records.list({ query: { limit: 1000, ...(after === undefined ? {} : { after }) }, headers: {} })
          ),
          ({ next, records }) => [records, Option.fromUndefinedOr(next)] as const
        )
      )
  }
  return client
})

// ---------------------------------------------------------------------------------------------------------------------

/** How long a request may take, in milliseconds. A replica answers a write within its deadline, 2 seconds. */
const patienceMillis = 10_000

const queryOf = (w: number | undefined) => (w === undefined ? {} : { w })

const succeededOrNot = { onSuccess: () => true, onFailure: () => false }

type Failure =
  | Effect.Error<ReturnType<ClientApiClient.Methods["records"]["put"]>>
  | Effect.Error<ReturnType<ClientApiClient.Methods["writes"]["resume"]>>
  | Effect.Error<ReturnType<ClientApiClient.Methods["stamps"]["drawEach"]>>
  | Cause.TimeoutError

const answer = (request: Effect.Effect<Receipt.Receipt, Failure>): Effect.Effect<Answer> =>
  request.pipe(
    Effect.timeout(patienceMillis),
    Effect.match({
      onSuccess: (receipt): Answer => committedAs(receipt),
      onFailure: answerOf
    })
  )

const committedAs = (receipt: Receipt.Receipt): Answer => ({
  _tag: "Committed",
  writeId: receipt.writeId,
  clock: receipt.clock,
  receipt: () => receipt
})

const lines = "application/x-ndjson"

const keysOf = (writes: ReadonlyArray<Entry.Write>) =>
  writes.map(({ key, namespace }) => ({ namespace, key })) as [{ namespace: string; key: string }]

/** A write as a line of a batch. */
const lineOf = ({
  stamp,
  write: { contentType, key, kind, namespace, value }
}: Partial<Stamped> & Pick<Stamped, "write">): string => {
  if (kind === "delete") return `${JSON.stringify({ namespace, key, delete: true, stamp })}\n`
  const text = contentType === "application/json" ? { text: Buffer.from(value).toString() } : undefined
  const said = text ?? { value: Buffer.from(value).toString("base64") }
  return `${JSON.stringify({ namespace, key, ...said, contentType, stamp })}\n`
}

/** A line of an answer. Of its receipt most is never looked at. */
interface AnswerLine {
  readonly line: number
  readonly status: number
  readonly receipt?: Pick<Receipt.Receipt, "clock" | "writeId">
  readonly problem?: { readonly [field: string]: unknown }
}

const receiptOf = Schema.decodeUnknownSync(Schema.toCodecJson(Receipt.Receipt))

const answerOfLine = ({ line, problem = {}, receipt, status }: AnswerLine): readonly [number, Answer] => [
  line - 1,
  receipt === undefined
    ? answerOfProblem(status, problem)
    : { _tag: "Committed", writeId: receipt.writeId, clock: receipt.clock, receipt: () => receiptOf(receipt) }
]

const answerOfProblem = (status: number, problem: { readonly [field: string]: unknown }): Answer => {
  const detail = String(problem["message"])
  if (problem["error"] === "quorum_not_met") {
    const { got, needed, reason, verdicts, writeId } = problem as unknown as QuorumError.QuorumNotMet
    return { _tag: "NotMet", writeId, got, needed, reason, verdicts: Record.map(verdicts, ({ _tag }) => _tag) }
  }
  if (status === 503) return { _tag: "Unavailable", detail }
  return { _tag: status < 500 ? "Refused" : "Unknown", detail }
}

const answerOf = (error: Failure): Answer => {
  const detail = error.message
  switch (error._tag) {
    case "QuorumNotMet": {
      const { got, needed, reason, writeId } = error
      const verdicts = Record.map(error.verdicts, ({ _tag }) => _tag)
      return { _tag: "NotMet", writeId, got, needed, reason, verdicts }
    }
    case "QuorumUnavailable":
    case "LocalWriteFailed":
    case "Overloaded":
    case "DiskLow":
    case "ReplicaClosing":
    case "NotReady":
    case "IdempotencyUnknown":
    case "RateLimited":
      return { _tag: "Unavailable", detail }
    case "WriteRejected":
    case "InvalidRequest":
      return { _tag: "Refused", detail: `${error.field}: ${error.detail}` }
    case "StampReused":
      return { _tag: "Refused", detail, isReused: true }
    case "IdempotencyKeyReused":
    case "TooOldToKnow":
    case "Unauthorized":
    case "Forbidden":
      return { _tag: "Refused", detail }
    case "HttpClientError":
      return { _tag: isRefusedConnection(error) ? "Unreachable" : "Unknown", detail }
    case "SchemaError":
    case "TimeoutError":
    case "WriteUnknown":
    case "WriteCompacted":
    case "WriteReplaced":
    case "WriteUncertain":
    case "StoreError":
      return { _tag: "Unknown", detail }
  }
}

const found = (
  request: Effect.Effect<
    { readonly body: Uint8Array; readonly headers: { readonly "quorum-write-id": WriteId.WriteId } },
    { readonly _tag: string; readonly message: string }
  >
): Effect.Effect<Found> =>
  request.pipe(
    Effect.timeout(patienceMillis),
    Effect.match({
      onSuccess: ({ body, headers }): Found => ({ _tag: "Value", value: body, writeId: headers["quorum-write-id"] }),
      onFailure: ({ _tag, message }): Found =>
        _tag === "RecordNotFound" ? { _tag: "Absent" } : { _tag: "Failed", reason: _tag, detail: message }
    })
  )

const isRefusedConnection = ({ reason }: HttpClientError.HttpClientError): boolean =>
  reason._tag === "TransportError" &&
  Predicate.hasProperty(reason.cause, "code") &&
  reason.cause.code === "ECONNREFUSED"
