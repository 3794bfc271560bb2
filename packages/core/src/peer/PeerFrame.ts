/**
 * The peer protocol as bytes, for transports that carry messages: one frame per request and one per answer.
 *
 * | bytes | field |
 * |---|---|
 * | 1 | kind: which message of which method, see `PeerMethods.methods` |
 * | 4 | number of the request, chosen by the caller and echoed by the answer |
 * | … | the message |
 *
 * A text is its length (1 byte) and its ASCII characters; numbers are big-endian.
 */
import { Effect, Result, Schema } from "effect"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import * as Thrown from "../log/Thrown.ts"
import * as FrameBytes from "./internal/FrameBytes.ts"
import * as PeerMethods from "./PeerMethods.ts"
import * as PeerProtocol from "./PeerProtocol.ts"

/** What a caller asks. */
export type Request = {
  readonly [N in PeerMethods.Name]: { readonly _tag: N; readonly payload: PeerMethods.RequestOf<N> }
}[PeerMethods.Name]

/** What is answered: to which method, and the success or the typed error. */
export type Answer = {
  readonly [N in PeerMethods.Name]: {
    readonly _tag: N
    readonly result: Result.Result<PeerMethods.AnswerOf<N>, PeerMethods.ErrorOf<N>>
  }
}[PeerMethods.Name]

/** A frame that was read. The bytes of a batch are those of the frame. */
export interface Numbered<A> {
  readonly number: number
  readonly message: A
}

/** Bytes that are no frame of the protocol. Nothing after them on the same connection can be trusted. */
export class MalformedFrame extends Schema.TaggedError<MalformedFrame>()("MalformedFrame", {
  detail: Schema.String
}) {
  override get message(): string {
    return `not a frame of the peer protocol: ${this.detail}`
  }
}

/**
 * The most bytes of a handshake, which is read before it is known who says it. It has room for 2,000 logs that are held and
 * remembered to be acked, where ids of replicas have 48 characters or fewer.
 */
export const maxHelloBytes = 512 * 1024

/** A request as a frame. */
export const encodeRequest = (number: number, { _tag, payload }: Request): Uint8Array =>
  PeerMethods.methods[_tag].request.encode(number, payload as never)

/** Reads a request. */
export const decodeRequest = (frame: Uint8Array): Result.Result<Numbered<Request>, MalformedFrame> =>
  isLongHello(frame)
    ? Result.fail(new MalformedFrame({ detail: `a handshake has at most ${maxHelloBytes} bytes` }))
    : decode(frame, "request", requests)

/** An answer as a frame. */
export const encodeAnswer = (number: number, said: Answer): Uint8Array => {
  const { answer, error } = PeerMethods.methods[said._tag]
  const result: AnyResult = said.result
  return Result.isSuccess(result)
    ? answer.encode(number, result.success as never)
    : error.encode(number, result.failure as never)
}

/** Reads an answer. */
export const decodeAnswer = (frame: Uint8Array): Result.Result<Numbered<Answer>, MalformedFrame> =>
  decode(frame, "answer", answers)

/** Makes a client of the protocol from a way to have requests answered. An answer to another question is none. */
export const clientOf = (
  peer: ReplicaId.ReplicaId,
  call: (request: Request) => Effect.Effect<Answer, PeerProtocol.PeerUnreachable>
): PeerMethods.PeerClient =>
  PeerMethods.make((name, payload) =>
    Effect.flatMap(
      call({ _tag: name, payload } as Request),
      (answer): PeerMethods.AnyCall<PeerProtocol.PeerUnreachable> => {
        if (answer._tag === name) return Effect.fromResult<AnySuccess, AnyFailure>(answer.result)
        const detail = `a ${name} is answered as a ${answer._tag}`
        return Effect.fail(new PeerProtocol.PeerUnreachable({ peer, reason: "invalid_answer", detail }))
      }
    )
  )

// ---------------------------------------------------------------------------------------------------------------------

type AnySuccess = PeerMethods.AnswerOf<PeerMethods.Name>
type AnyFailure = PeerMethods.ErrorOf<PeerMethods.Name>
type AnyResult = Result.Result<AnySuccess, AnyFailure>

const isLongHello = (frame: Uint8Array): boolean =>
  frame.length > maxHelloBytes && PeerMethods.methods.hello.request.kinds.includes(frame[0]!)

/** How each kind of frame is read. */
type Readers<A> = ReadonlyMap<number, (kind: number, reader: FrameBytes.Reader) => A>

const requests: Readers<Request> = new Map(
  PeerMethods.names.flatMap((_tag) => {
    const { request } = PeerMethods.methods[_tag]
    const read = (kind: number, reader: FrameBytes.Reader) =>
      ({ _tag, payload: request.decode(kind, reader) }) as Request
    return request.kinds.map((kind) => [kind, read] as const)
  })
)

const answers: Readers<Answer> = new Map(
  PeerMethods.names.flatMap((_tag) => {
    const { answer, error } = PeerMethods.methods[_tag]
    const success = (kind: number, reader: FrameBytes.Reader) =>
      ({ _tag, result: Result.succeed(answer.decode(kind, reader)) }) as Answer
    const failure = (kind: number, reader: FrameBytes.Reader) =>
      ({ _tag, result: Result.fail(error.decode(kind, reader)) }) as Answer
    return [
      ...answer.kinds.map((kind) => [kind, success] as const),
      ...error.kinds.map((kind) => [kind, failure] as const)
    ]
  })
)

/** What throws while a frame is read makes it malformed. */
const decode = <A>(
  frame: Uint8Array,
  what: "request" | "answer",
  readers: Readers<A>
): Result.Result<Numbered<A>, MalformedFrame> => {
  try {
    const reader = FrameBytes.read(frame)
    const kind = reader.byte()
    const number = reader.uint32()
    const read = readers.get(kind)
    if (read === undefined) return Result.fail(new MalformedFrame({ detail: `${kind} is no kind of ${what}` }))
    return Result.succeed({ number, message: read(kind, reader) })
  } catch (cause) {
    return Result.fail(new MalformedFrame({ detail: Thrown.messageOf(cause) }))
  }
}
