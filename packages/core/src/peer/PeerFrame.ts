/**
 * The peer protocol as bytes, for transports that carry messages: one frame per request and one per answer.
 *
 * Pushes, acks and pulled entries are laid out by hand, so that a batch is copied once when it is sent and not at all
 * when it is received; everything else is rare, and is JSON by its schema. Numbers are big-endian:
 *
 * | bytes | field |
 * |---|---|
 * | 1 | kind: see {@link kinds} |
 * | 4 | number of the request, chosen by the caller and echoed by the answer |
 * | … | a batch, an ack, or JSON |
 *
 * A text is its length (1 byte) and its ASCII characters. A batch is log (text), from (6), count (4), chain before (8),
 * chain after (8), and the bytes of its entries; an ack is replica (text), log (text), seq (6), chain (8).
 */
import { Effect, Result, Schema } from "effect"
import * as Chain from "../log/Chain.ts"
import type * as EntryBatch from "../log/EntryBatch.ts"
import * as LogId from "../identity/LogId.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"

/** What a caller asks. */
export type Request =
  | { readonly _tag: "hello"; readonly payload: PeerProtocol.Hello }
  | { readonly _tag: "push"; readonly payload: PeerProtocol.Push }
  | { readonly _tag: "pull"; readonly payload: PeerProtocol.Pull }

/** What is answered: to which of the three, and the success or the typed error. */
export type Answer =
  | { readonly _tag: "hello"; readonly result: Result.Result<PeerProtocol.Welcome, PeerProtocol.HandshakeRefused> }
  | { readonly _tag: "push"; readonly result: Result.Result<PeerProtocol.Ack, PeerProtocol.PushError> }
  | { readonly _tag: "pull"; readonly result: Result.Result<PeerProtocol.Pulled, PeerProtocol.PullError> }

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

/** The first byte of every frame. */
export const kinds = {
  hello: 1,
  push: 2,
  pull: 3,
  welcome: 4,
  ack: 5,
  pulled: 6,
  nothing: 7,
  helloError: 8,
  pushError: 9,
  pullError: 10
} as const

/** A request as a frame. */
export const encodeRequest = (number: number, request: Request): Uint8Array => {
  switch (request._tag) {
    case "hello":
      return encodeJson(kinds.hello, number, hello.encode(request.payload))
    case "push": {
      const { batch, session } = request.payload
      const writer = begin(kinds.push, number, 1 + session.length + batchRoom(batch))
      writer.text(session)
      return writeBatch(writer, batch)
    }
    case "pull":
      return encodeJson(kinds.pull, number, pull.encode(request.payload))
  }
}

/** Reads a request. */
export const decodeRequest = (frame: Uint8Array): Result.Result<Numbered<Request>, MalformedFrame> =>
  decode(frame, (kind, reader): Request => {
    switch (kind) {
      case kinds.hello:
        return { _tag: "hello", payload: hello.decode(reader.rest()) }
      case kinds.push:
        return { _tag: "push", payload: { session: reader.text(), batch: readBatch(reader) } }
      case kinds.pull:
        return { _tag: "pull", payload: pull.decode(reader.rest()) }
      default:
        throw new Error(`${kind} is no kind of request`)
    }
  })

/** An answer as a frame. */
export const encodeAnswer = (number: number, answer: Answer): Uint8Array => {
  switch (answer._tag) {
    case "hello":
      return Result.match(answer.result, {
        onSuccess: (value) => encodeJson(kinds.welcome, number, welcome.encode(value)),
        onFailure: (error) => encodeJson(kinds.helloError, number, helloError.encode(error))
      })
    case "push":
      return Result.match(answer.result, {
        onSuccess: ({ chain, log, replica, seq }) => {
          const writer = begin(kinds.ack, number, 1 + replica.length + 1 + log.length + 6 + 8)
          writer.text(replica)
          writer.text(log)
          writer.sequence(seq)
          writer.chain(chain)
          return writer.bytes
        },
        onFailure: (error) => encodeJson(kinds.pushError, number, pushError.encode(error))
      })
    case "pull":
      return Result.match(answer.result, {
        onSuccess: ({ batch }) =>
          batch === null
            ? begin(kinds.nothing, number, 0).bytes
            : writeBatch(begin(kinds.pulled, number, batchRoom(batch)), batch),
        onFailure: (error) => encodeJson(kinds.pullError, number, pullError.encode(error))
      })
  }
}

/** Reads an answer. */
export const decodeAnswer = (frame: Uint8Array): Result.Result<Numbered<Answer>, MalformedFrame> =>
  decode(frame, (kind, reader): Answer => {
    switch (kind) {
      case kinds.welcome:
        return { _tag: "hello", result: Result.succeed(welcome.decode(reader.rest())) }
      case kinds.helloError:
        return { _tag: "hello", result: Result.fail(helloError.decode(reader.rest())) }
      case kinds.ack: {
        const ack = { replica: reader.replica(), log: reader.log(), seq: reader.sequence(), chain: reader.chain() }
        reader.end()
        return { _tag: "push", result: Result.succeed(ack) }
      }
      case kinds.pushError:
        return { _tag: "push", result: Result.fail(pushError.decode(reader.rest())) }
      case kinds.nothing:
        reader.end()
        return { _tag: "pull", result: Result.succeed({ batch: null }) }
      case kinds.pulled:
        return { _tag: "pull", result: Result.succeed({ batch: readBatch(reader) }) }
      case kinds.pullError:
        return { _tag: "pull", result: Result.fail(pullError.decode(reader.rest())) }
      default:
        throw new Error(`${kind} is no kind of answer`)
    }
  })

/** Makes a client of the protocol from a way to have requests answered. An answer to another question is none. */
export const clientOf = (
  peer: ReplicaId.ReplicaId,
  call: (request: Request) => Effect.Effect<Answer, PeerProtocol.PeerUnreachable>
): PeerProtocol.PeerClient => {
  const ask = <A, E>(
    request: Request,
    pick: (answer: Answer) => Result.Result<A, E> | undefined
  ): Effect.Effect<A, E | PeerProtocol.PeerUnreachable> =>
    Effect.flatMap(call(request), (answer): Effect.Effect<A, E | PeerProtocol.PeerUnreachable> => {
      const result = pick(answer)
      if (result !== undefined) return Effect.fromResult(result)
      const detail = `a ${request._tag} is answered as a ${answer._tag}`
      return Effect.fail(new PeerProtocol.PeerUnreachable({ peer, reason: "invalid_answer", detail }))
    })
  return {
    hello: (payload) =>
      ask({ _tag: "hello", payload }, (answer) => (answer._tag === "hello" ? answer.result : undefined)),
    push: (payload) => ask({ _tag: "push", payload }, (answer) => (answer._tag === "push" ? answer.result : undefined)),
    pull: (payload) => ask({ _tag: "pull", payload }, (answer) => (answer._tag === "pull" ? answer.result : undefined))
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Bytes before what a kind says. */
const headBytes = 5

/** The greatest sequence of a batch or an ack. One that wrapped would be another place. */
const maxSequence = 2 ** 48 - 1

const utf8 = new TextEncoder()
const text = new TextDecoder("utf-8", { fatal: true })

const json = <A, I>(schema: Schema.Codec<A, I>) => {
  const codec = Schema.fromJsonString(Schema.toCodecJson(schema))
  const encode = Schema.encodeSync(codec)
  const decode = Schema.decodeUnknownSync(codec)
  return { encode, decode: (bytes: Uint8Array): A => decode(text.decode(bytes)) }
}
const hello = json(PeerProtocol.Hello)
const pull = json(PeerProtocol.Pull)
const welcome = json(PeerProtocol.Welcome)
const helloError = json(PeerProtocol.HandshakeRefused)
const pushError = json(PeerProtocol.PushError)
const pullError = json(PeerProtocol.PullError)

const encodeJson = (kind: number, number: number, value: string): Uint8Array => {
  const body = utf8.encode(value)
  const { bytes } = begin(kind, number, body.length)
  bytes.set(body, headBytes)
  return bytes
}

/** What throws while a frame is read makes it malformed. */
const decode = <A>(
  frame: Uint8Array,
  body: (kind: number, reader: Reader) => A
): Result.Result<Numbered<A>, MalformedFrame> => {
  try {
    const reader = read(frame)
    const kind = reader.byte()
    const number = reader.uint32()
    return Result.succeed({ number, message: body(kind, reader) })
  } catch (cause) {
    return Result.fail(new MalformedFrame({ detail: cause instanceof Error ? cause.message : String(cause) }))
  }
}

const batchRoom = (batch: EntryBatch.EntryBatch): number => 1 + batch.log.length + 6 + 4 + 8 + 8 + batch.bytes.length

const writeBatch = (writer: Writer, batch: EntryBatch.EntryBatch): Uint8Array => {
  writer.text(batch.log)
  writer.sequence(batch.from)
  writer.uint32(batch.count)
  writer.chain(batch.prevChain)
  writer.chain(batch.chain)
  writer.tail(batch.bytes)
  return writer.bytes
}

const readBatch = (reader: Reader): EntryBatch.EntryBatch => {
  const batch = {
    log: reader.log(),
    from: reader.sequence(),
    count: reader.uint32(),
    prevChain: reader.chain(),
    chain: reader.chain(),
    bytes: reader.rest()
  }
  if (batch.from < 1 || batch.count < 1) throw new Error("a batch begins at 1 or later, and has an entry")
  return batch
}

type Writer = ReturnType<typeof begin>

const begin = (kind: number, number: number, room: number) => {
  const bytes = new Uint8Array(headBytes + room)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, kind)
  view.setUint32(1, number)
  let at = headBytes
  const uint32 = (value: number): void => {
    view.setUint32(at, value)
    at += 4
  }
  return {
    bytes,
    uint32,
    text: (value: string): void => {
      if (value.length > 0xff) throw new Error(`a text of ${value.length} characters does not fit in a frame`)
      bytes[at++] = value.length
      for (let i = 0; i < value.length; i++) {
        const code = value.charCodeAt(i)
        if (code > 0x7f) throw new Error(`${JSON.stringify(value)} is not ASCII`)
        bytes[at++] = code
      }
    },
    sequence: (value: number): void => {
      if (value > maxSequence) throw new Error(`the sequence ${value} does not fit in a frame`)
      view.setUint16(at, Math.floor(value / 0x1_0000_0000))
      at += 2
      uint32(value % 0x1_0000_0000)
    },
    chain: (value: Chain.Chain): void => {
      const { high, low } = Chain.state(value)
      uint32(high)
      uint32(low)
    },
    tail: (value: Uint8Array): void => bytes.set(value, at)
  }
}

type Reader = ReturnType<typeof read>

const isLog = Schema.is(LogId.LogId)
const isReplica = Schema.is(ReplicaId.ReplicaId)

/** Reads from the front; throws at the end of the bytes, and at what is not what is asked for. */
const read = (bytes: Uint8Array) => {
  const view = Chain.viewOf(bytes)
  let at = 0
  const byte = (): number => view.getUint8(at++)
  const uint32 = (): number => {
    const value = view.getUint32(at)
    at += 4
    return value
  }
  const text = (): string => {
    let value = ""
    for (let left = byte(); left > 0; left--) value += String.fromCharCode(byte())
    return value
  }
  const rest = (): Uint8Array => {
    const value = bytes.subarray(at)
    at = bytes.length
    return value
  }
  return {
    byte,
    uint32,
    text,
    rest,
    log: (): LogId.LogId => {
      const value = text()
      if (!isLog(value)) throw new Error(`${JSON.stringify(value)} does not name a log`)
      return value
    },
    replica: (): ReplicaId.ReplicaId => {
      const value = text()
      if (!isReplica(value)) throw new Error(`${JSON.stringify(value)} does not name a replica`)
      return value
    },
    sequence: (): number => {
      const high = view.getUint16(at)
      at += 2
      return high * 0x1_0000_0000 + uint32()
    },
    chain: (): Chain.Chain => Chain.format({ high: uint32(), low: uint32() }),
    end: (): void => {
      if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes too many`)
    }
  }
}
