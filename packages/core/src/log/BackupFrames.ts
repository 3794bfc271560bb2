/**
 * The bytes of a backup: a mark, and frames that each end with a checksum over all that came before. Pure.
 *
 * A frame is a byte for its kind, the length of its content (32 bits, little-endian), the content, and the 64 bits of the
 * chain after it (see `Chain`), so that a frame that is damaged, missing or in the wrong place is found where it is.
 */
import { Option, Result, Schema } from "effect"
import * as LogId from "../identity/LogId.ts"
import * as Chain from "./Chain.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as HybridLogicalClock from "./HybridLogicalClock.ts"
import * as ReplicaStore from "./ReplicaStore.ts"
import * as Watermark from "./Watermark.ts"

/** What a backup says of itself first: of which replica, when (milliseconds since the epoch), and how far each log goes. */
export const Header = Schema.Struct({
  format: Schema.Literal(1),
  ...ReplicaStore.StoreIdentity.fields,
  takenAt: Schema.Finite,
  /** The floor of the replica: deletes up to there may be forgotten, so nothing older is stamped where it is restored. */
  floor: Schema.optionalKey(HybridLogicalClock.HybridLogicalClock),
  vector: Watermark.VersionVector
})

/** What a backup says of itself first. */
export type Header = typeof Header.Type

/** What a backup says last: how much was written before. */
export const End = Schema.Struct({ entries: Schema.Int, batches: Schema.Int })

/** A part of a backup. */
export type Frame =
  | { readonly _tag: "Header"; readonly header: Header }
  | { readonly _tag: "Batch"; readonly batch: EntryBatch.EntryBatch }
  | { readonly _tag: "End"; readonly end: typeof End.Type }

/** What a file begins with. */
export const mark = new TextEncoder().encode("quorum backup 1\n")

/** The bytes before the content of a frame, and after it. */
export const headBytes = 5
export const checkBytes = 8

/** The most bytes that a frame may have: a batch of the largest entry. */
export const maxBytes = 256 * 1024 * 1024

/** The checksum of a file, as it goes on from frame to frame. */
export const start = (): Chain.State => Chain.state(Chain.empty)

/** The bytes of a frame, which follow those that the checksum was made of. */
export const encode = (check: Chain.State, frame: Frame): Uint8Array => {
  const content = contentOf(frame)
  const bytes = new Uint8Array(headBytes + content.length + checkBytes)
  const view = Chain.viewOf(bytes)
  bytes[0] = kinds.indexOf(frame._tag)
  view.setUint32(1, content.length, true)
  bytes.set(content, headBytes)
  const end = headBytes + content.length
  Chain.extend(check, view, 0, end)
  view.setUint32(end, check.high)
  view.setUint32(end + 4, check.low)
  return bytes
}

/** How many bytes of content and checksum follow the head of a frame. */
export const restOf = (head: Uint8Array): number => Chain.viewOf(head).getUint32(1, true) + checkBytes

/** What a whole frame says; why it cannot be read, in words, when it is not what was written. */
export const decode = (check: Chain.State, bytes: Uint8Array): Result.Result<Frame, string> => {
  const view = Chain.viewOf(bytes)
  const end = bytes.length - checkBytes
  Chain.extend(check, view, 0, end)
  if (view.getUint32(end) !== check.high || view.getUint32(end + 4) !== check.low) {
    return Result.fail("the checksum does not fit the bytes")
  }
  const frame = frameOf(kinds[bytes[0]!], bytes.subarray(headBytes, end))
  return frame === undefined ? Result.fail("it is not what this version writes") : Result.succeed(frame)
}

// ---------------------------------------------------------------------------------------------------------------------

const kinds: ReadonlyArray<Frame["_tag"]> = ["Header", "Batch", "End"]

const BatchHead = Schema.Struct({
  log: LogId.LogId,
  from: LogId.Sequence,
  count: LogId.Sequence,
  prevChain: Chain.Chain,
  chain: Chain.Chain
})

const jsonOf = <A, I>(schema: Schema.Codec<A, I>) => {
  const codec = Schema.fromJsonString(schema)
  const encode = Schema.encodeSync(codec)
  const decode = Schema.decodeUnknownOption(codec)
  return {
    encode: (value: A) => new TextEncoder().encode(encode(value)),
    decode: (bytes: Uint8Array) => Option.getOrUndefined(decode(new TextDecoder().decode(bytes)))
  }
}

const header = jsonOf(Header)
const end = jsonOf(End)
const batchHead = jsonOf(BatchHead)

const contentOf = (frame: Frame): Uint8Array => {
  if (frame._tag === "Header") return header.encode(frame.header)
  if (frame._tag === "End") return end.encode(frame.end)
  const { bytes, chain, count, from, log, prevChain } = frame.batch
  const head = batchHead.encode({ log, from, count, prevChain, chain } as typeof BatchHead.Type)
  const content = new Uint8Array(2 + head.length + bytes.length)
  Chain.viewOf(content).setUint16(0, head.length, true)
  content.set(head, 2)
  content.set(bytes, 2 + head.length)
  return content
}

const frameOf = (kind: Frame["_tag"] | undefined, content: Uint8Array): Frame | undefined => {
  if (kind === "Header") {
    const found = header.decode(content)
    return found && { _tag: kind, header: found }
  }
  if (kind === "End") {
    const found = end.decode(content)
    return found && { _tag: kind, end: found }
  }
  if (kind !== "Batch" || content.length < 2) return undefined
  const length = Chain.viewOf(content).getUint16(0, true)
  const found = batchHead.decode(content.subarray(2, 2 + length))
  if (found === undefined) return undefined
  const batch = EntryBatch.validate({ ...found, bytes: content.subarray(2 + length) })
  return Result.isSuccess(batch) ? { _tag: kind, batch: batch.success } : undefined
}
