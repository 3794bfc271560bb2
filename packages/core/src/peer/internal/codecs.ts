/**
 * How the messages of the protocol are laid out in frames. Pushes, acks and pulled entries are laid out by hand, so that
 * a batch is copied once when it is sent and not at all when it is received; everything else is rare, and is JSON by its
 * schema.
 */
import { Schema } from "effect"
import type * as LogId from "../../identity/LogId.ts"
import * as Entry from "../../log/Entry.ts"
import type * as EntryBatch from "../../log/EntryBatch.ts"
import * as JsonBounds from "../../log/JsonBounds.ts"
import * as PeerProtocol from "../PeerProtocol.ts"
import { maxTraces } from "../../events/Tracing.ts"
import { begin, type Reader, type Writer } from "./FrameBytes.ts"

/** How one message is laid out, and the kinds of frame that carry it. */
export interface FrameCodec<A> {
  readonly kinds: ReadonlyArray<number>
  /** The frame of a message. `number` is that of its request. */
  readonly encode: (number: number, message: A) => Uint8Array
  /** Reads what follows the head of a frame. Throws at what is not the message. */
  readonly decode: (kind: number, reader: Reader) => A
}

/** A message as JSON. */
export const json = <A, I>(kind: number, schema: Schema.Codec<A, I>): FrameCodec<A> => {
  const codec = Schema.fromJsonString(Schema.toCodecJson(schema))
  const encode = Schema.encodeSync(codec)
  const decode = Schema.decodeUnknownSync(codec)
  return {
    kinds: [kind],
    encode: (number, message) => {
      const body = utf8.encode(encode(message))
      const writer = begin(kind, number, body.length)
      writer.tail(body)
      return writer.bytes
    },
    decode: (_, reader) => decode(jsonText(reader.rest()))
  }
}

/**
 * A push: session (text), batch. What else there is to say comes first, in a kind of its own: of one that belongs to
 * traces how many (1), and of each the trace (16), the span in it (8) and the flags (1), as in a `traceparent`; of one
 * that is ahead of its sender's disk how far that has it (6).
 */
export const push = (kinds: {
  readonly plain: number
  readonly traced: number
  readonly ahead: number
  readonly tracedAhead: number
}): FrameCodec<PeerProtocol.Push> => ({
  kinds: [kinds.plain, kinds.traced, kinds.ahead, kinds.tracedAhead],
  encode: (number, { batch, durable, session, traces = [] }) => {
    const isTraced = traces.length > 0
    const [kind, more] =
      durable === undefined
        ? [isTraced ? kinds.traced : kinds.plain, 0]
        : [isTraced ? kinds.tracedAhead : kinds.ahead, 6]
    const room = more + 1 + session.length + batchRoom(batch)
    const writer = isTraced ? beginTraced(kind, number, traces, room) : begin(kind, number, room)
    if (durable !== undefined) writer.sequence(durable)
    writer.text(session)
    return writeBatch(writer, batch)
  },
  decode: (kind, reader) => {
    const traces = kind === kinds.traced || kind === kinds.tracedAhead ? { traces: readTraces(reader) } : {}
    const durable = kind === kinds.ahead || kind === kinds.tracedAhead ? { durable: reader.sequence() } : {}
    return { ...traces, ...durable, session: reader.text(), batch: readBatch(reader) }
  }
})

/**
 * An ack: replica (text), incarnation (8), log (text), seq (6), chain (8), hash of the members (4), clock (6 + 4), and
 * whether the replica votes (1).
 */
export const ack = (kind: number): FrameCodec<PeerProtocol.Ack> => ({
  kinds: [kind],
  encode: (number, { chain, clock, incarnation, log, members, replica, seq, voting }) => {
    const writer = begin(kind, number, 1 + replica.length + 8 + 1 + log.length + 6 + 8 + 4 + 10 + 1)
    writer.text(replica)
    writer.hex(incarnation)
    writer.text(log)
    writer.sequence(seq)
    writer.chain(chain)
    writer.uint32(members)
    writer.clock(clock)
    writer.byte(voting ? 1 : 0)
    return writer.bytes
  },
  decode: (_, reader) => {
    const ack = {
      replica: reader.replica(),
      incarnation: reader.hex(8) as LogId.Incarnation,
      log: reader.log(),
      seq: reader.sequence(),
      chain: reader.chain(),
      members: reader.uint32(),
      clock: reader.clock(),
      voting: reader.flag()
    }
    reader.end()
    return ack
  }
})

/** What is said of a key: its length (4), as JSON, and the value. */
export const readAnswer = (kind: number): FrameCodec<PeerProtocol.ReadAnswer> => ({
  kinds: [kind],
  encode: (number, { head, value }) => {
    const json = utf8.encode(encodeReadHead(head))
    const writer = begin(kind, number, 4 + json.length + value.length)
    writer.uint32(json.length)
    writer.raw(json)
    writer.tail(value)
    return writer.bytes
  },
  decode: (_, reader) => {
    const json = reader.raw(reader.uint32())
    return { head: decodeReadHead(jsonText(json)), value: reader.rest() }
  }
})

/** Pulled entries: a batch, or nothing at all, which has a kind of its own. */
export const pulled = (kind: number, nothing: number): FrameCodec<PeerProtocol.Pulled> => ({
  kinds: [kind, nothing],
  encode: (number, { batch }) =>
    batch === null ? begin(nothing, number, 0).bytes : writeBatch(begin(kind, number, batchRoom(batch)), batch),
  decode: (found, reader) => {
    if (found === kind) return { batch: readBatch(reader) }
    reader.end()
    return { batch: null }
  }
})

/**
 * A probe: session (text), how many keys (4), and of each namespace and key (names). They are those of one entry at most, or
 * of writes whose names are short together.
 */
export const probe = (kind: number): FrameCodec<PeerProtocol.Probe> => ({
  kinds: [kind],
  encode: (number, { keys, session }) => {
    const names = keys.flatMap(({ key, namespace }) => [utf8.encode(namespace), utf8.encode(key)])
    const room = names.reduce((sum, name) => sum + 2 + name.length, 1 + session.length + 4)
    const writer = begin(kind, number, room)
    writer.text(session)
    writer.uint32(keys.length)
    for (const name of names) writer.name(name)
    return writer.bytes
  },
  decode: (_, reader) => {
    const session = reader.text()
    const keys: Array<PeerProtocol.Probe["keys"][number]> = []
    for (let left = listed(reader, "keys"); left > 0; left--)
      keys.push({ namespace: reader.name(), key: reader.name() })
    reader.end()
    return { session, keys }
  }
})

/**
 * The answer to a probe: clock (10), lives (4), whether keys are kept (1), how many versions (4), and of each index (4)
 * and clock (10).
 */
export const probed = (kind: number): FrameCodec<PeerProtocol.Probed> => ({
  kinds: [kind],
  encode: (number, { clock, far, members, versions }) => {
    const writer = begin(kind, number, 10 + 4 + 1 + 4 + 14 * versions.length)
    writer.clock(clock)
    writer.uint32(members)
    writer.byte(far ? 1 : 0)
    writer.uint32(versions.length)
    for (const version of versions) {
      writer.uint32(version.index)
      writer.clock(version.clock)
    }
    return writer.bytes
  },
  decode: (_, reader) => {
    const clock = reader.clock()
    const members = reader.uint32()
    const far = reader.flag()
    const versions: Array<PeerProtocol.Probed["versions"][number]> = []
    for (let left = listed(reader, "versions"); left > 0; left--) {
      versions.push({ index: reader.uint32(), clock: reader.clock() })
    }
    reader.end()
    return { clock, members, far, versions }
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const utf8 = new TextEncoder()
const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The most bytes of JSON in a frame. The names of a key take up to six bytes a byte there. */
const maxJsonBytes = 512 * 1024

/** JSON as text, where it does not hold the event loop to take it apart, whoever sent it. */
const jsonText = (bytes: Uint8Array): string => {
  if (bytes.length > maxJsonBytes)
    throw new Error(`${bytes.length} bytes are JSON, of which there are ${maxJsonBytes} at most`)
  const excess = JsonBounds.excessOf(bytes)
  if (excess !== undefined) throw new Error(`its JSON is too much to be taken apart: ${excess}`)
  return text.decode(bytes)
}

/** How many of a list follow: as many as an entry has records at most, since they are taken apart at once, however small. */
const listed = (reader: Reader, what: string): number => {
  const count = reader.uint32()
  if (count > Entry.maxRecords) throw new Error(`${count} ${what}, of which there are ${Entry.maxRecords} at most`)
  return count
}

const readHead = Schema.fromJsonString(Schema.toCodecJson(PeerProtocol.ReadHead))
const encodeReadHead = Schema.encodeSync(readHead)
const decodeReadHead = Schema.decodeUnknownSync(readHead)

const traceBytes = 16 + 8 + 1

const beginTraced = (
  kind: number,
  number: number,
  traces: ReadonlyArray<PeerProtocol.TraceContext>,
  room: number
): Writer => {
  const writer = begin(kind, number, 1 + traces.length * traceBytes + room)
  writer.byte(traces.length)
  for (const { spanId, traceId } of traces) {
    writer.hex(traceId)
    writer.hex(spanId)
    writer.byte(sampled)
  }
  return writer
}

/** Those that are sampled: nobody else's are sent, and the flag is there to say so one day. */
const readTraces = (reader: Reader): ReadonlyArray<PeerProtocol.TraceContext> => {
  const count = reader.byte()
  if (count < 1 || count > maxTraces) throw new Error(`a push belongs to 1 to ${maxTraces} traces, not ${count}`)
  const traces = Array.from({ length: count }, () => ({
    traceId: readId(reader, 16),
    spanId: readId(reader, 8),
    flags: reader.byte()
  }))
  return traces.flatMap(({ flags, ...trace }) => ((flags & sampled) === sampled ? [trace] : []))
}

const readId = (reader: Reader, length: number): string => {
  const id = reader.hex(length)
  if (/^0*$/.test(id)) throw new Error("an id of a trace, or of a span in it, is all zeros")
  return id
}

/** The flag of a trace that is sampled, in W3C's Trace Context. */
const sampled = 1

/** log (text), from (6), count (4), chain before (8), chain after (8), and the bytes of the entries. */
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
