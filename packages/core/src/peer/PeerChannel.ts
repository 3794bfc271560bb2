/**
 * Frames between two members that share a secret, over a connection that proves nothing.
 *
 * A caller opens a channel before anything else is said, and each side then knows that the other has the secret, and
 * for which of the members it speaks:
 *
 * | who | kind | then |
 * |---|---|---|
 * | caller | `c1` | its id (1 byte of length), a nonce (16 bytes) |
 * | called | `c2` | the channel, which is a nonce too (16), and a proof (32) |
 * | caller | `c3` | the channel (16), a number (6), a frame, and its code (16) |
 * | called | `c4` | the channel (16), a number (6), a frame, and its code (16) |
 *
 * Proofs are HMAC-SHA-256, and so are the keys of the codes, one for each direction, which follow from the secret, the
 * replica set, both ids and both nonces. A code covers all that comes before it, and each side numbers what it sends on a
 * channel, from 1 on. So a frame counts on the one channel for which it was made, in one direction, and once, since
 * a number is taken once; and no key ever makes two codes with one number. Handshakes travel in it, and with them both
 * incarnations and the session.
 */
import { Effect } from "effect"
import { Mac, SecureRandom } from "effect/crypto"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import type { Coder, Prover } from "./PeerCodes.ts"
import type { Secret } from "./PeerSecret.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import * as Seen from "./internal/Seen.ts"

/** A frame that only the other end takes, and once. */
export type Seal = (frame: Uint8Array) => Uint8Array

/** The caller's end of a channel. It is over when its secret counts no more. */
export interface Channel {
  readonly seal: Seal
  /** The answer in it, if it is the peer's, of this channel, and did not come before. */
  readonly open: (bytes: Uint8Array) => Uint8Array | undefined
}

/** What a replica makes of bytes that came: an answer to an opening, or a request of a member and how to answer it. */
export type Received =
  | { readonly _tag: "Opened"; readonly bytes: Uint8Array }
  | {
      readonly _tag: "Request"
      readonly frame: Uint8Array
      readonly caller: ReplicaId
      readonly seal: Seal
      /** The channel, the same for all that comes on it. */
      readonly channel: object
    }
  /** A request of a member, on a channel whose secret counts no more: it has to open another. */
  | { readonly _tag: "Outdated" }

/** The called end of channels. Undefined is what proves nothing: it is answered with nothing that says more. */
export interface Door {
  readonly received: (bytes: Uint8Array) => Received | undefined
}

/** What is told of a peer whose answer does not prove that it is its own. */
export const notProven = "an answer does not prove that it is of this peer, by a secret that counts"

/** Opens a channel to a peer: the bytes to send, and what to make of the answer. */
export const open = (secret: Secret, peer: ReplicaId) => {
  const { cluster, self } = secret.members
  const nonce = SecureRandom.randomBytesUnsafe(nonceBytes)
  return {
    bytes: join(Uint8Array.of(kinds.open), Uint8Array.of(self.length), ascii.encode(self), nonce),
    answered: (answer: Uint8Array): Effect.Effect<Channel, PeerProtocol.PeerUnreachable> => {
      const id = answer.slice(1, 1 + nonceBytes)
      const names = { cluster, caller: self, called: peer, nonce, id }
      const isAnswer = answer.length === 1 + nonceBytes + proofBytes && answer[0] === kinds.opened
      const prover = isAnswer ? proverBehind(secret, names, answer.subarray(1 + nonceBytes)) : undefined
      if (prover === undefined) {
        const detail =
          "what answers does not prove that it is this peer; all members need the same secret, and the same peers"
        return Effect.fail(new PeerProtocol.PeerUnreachable({ peer, reason: "invalid_answer", detail }))
      }
      const back = coderOf(secret, prover, "answer", names)
      const isNew = Seen.make()
      return Effect.succeed({
        seal: sealer(coderOf(secret, prover, "request", names), kinds.request, id),
        open: (bytes) =>
          counts(secret, prover) && isCoded(back, bytes) && isNew(numberOf(bytes)) ? frameOf(bytes) : undefined
      })
    }
  }
}

/**
 * Answers openings. So many channels at most are kept that were not used yet, and as many of each caller that were; the
 * oldest goes. A transport with connections has a door for each of them.
 */
export const door = (secret: Secret, capacity: number): Door => {
  const { cluster, peers, self } = secret.members
  const unused = new Map<string, Kept>()
  const used = new Map<ReplicaId, Map<string, Kept>>()
  let latest: Kept | undefined

  const opened = (bytes: Uint8Array): Received | undefined => {
    const caller = peers.find((peer) => peer === callerOf(bytes))
    if (caller === undefined) return undefined
    const id = SecureRandom.randomBytesUnsafe(nonceBytes)
    const names = { cluster, caller, called: self, nonce: bytes.slice(-nonceBytes), id }
    const [prover] = secret.provers()
    const incoming = coderOf(secret, prover, "request", names)
    const seal = sealer(coderOf(secret, prover, "answer", names), kinds.answer, id)
    keep(unused, hex(id), { caller, id, prover, incoming, seal, isNew: Seen.make() }, capacity)
    return { _tag: "Opened", bytes: join(Uint8Array.of(kinds.opened), id, derive(prover, "opened", names)) }
  }

  const keptOf = (bytes: Uint8Array): Kept | undefined => {
    if (latest !== undefined && isOf(latest.id, bytes)) return latest
    const name = hex(bytes.subarray(1, 1 + nonceBytes))
    return unused.get(name) ?? peers.map((peer) => used.get(peer)?.get(name)).find((known) => known !== undefined)
  }

  const requested = (bytes: Uint8Array): Received | undefined => {
    const kept = keptOf(bytes)
    if (kept === undefined || !isCoded(kept.incoming, bytes)) return undefined
    if (!counts(secret, kept.prover)) return { _tag: "Outdated" }
    if (!kept.isNew(numberOf(bytes))) return undefined
    const { caller, seal } = kept
    if (kept !== latest) {
      latest = kept
      const name = hex(kept.id)
      if (unused.delete(name)) {
        const mine = used.get(caller) ?? new Map<string, Kept>()
        used.set(caller, mine)
        keep(mine, name, kept, capacity)
      }
    }
    return { _tag: "Request", frame: frameOf(bytes), caller, seal, channel: kept }
  }

  return {
    received: (bytes) => {
      if (bytes[0] === kinds.open) return opened(bytes)
      return bytes[0] === kinds.request ? requested(bytes) : undefined
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const kinds = { open: 0xc1, opened: 0xc2, request: 0xc3, answer: 0xc4 } as const
const nonceBytes = 16
const proofBytes = 32
const codeBytes = 16
/** The kind, the channel and the number, before a frame. */
const headBytes = 1 + nonceBytes + 6
/** The kind and the number of a frame. */
const frameHeadBytes = 5
const maxNumber = 2 ** 48 - 1

const ascii = new TextEncoder()

interface Names {
  readonly cluster: string
  readonly caller: ReplicaId
  readonly called: ReplicaId
  readonly nonce: Uint8Array
  readonly id: Uint8Array
}

interface Kept {
  readonly caller: ReplicaId
  readonly id: Uint8Array
  readonly prover: Prover
  readonly incoming: Coder
  readonly seal: Seal
  readonly isNew: Seen.Seen
}

/** What follows from the secret for one purpose on one channel. */
const derive = (prover: Prover, purpose: string, { called, caller, cluster, id, nonce }: Names): Uint8Array =>
  prover(ascii.encode(JSON.stringify(["quorum", purpose, cluster, caller, called, hex(nonce), hex(id)])))

/** The secret by which a proof was made: while one is exchanged, the other side may have another first. */
const proverBehind = ({ provers }: Secret, names: Names, proof: Uint8Array): Prover | undefined =>
  provers().find((prover) => Mac.timingSafeEqual(derive(prover, "opened", names), proof))

/** Whether a secret counts still: while one is exchanged there are two, and then the old one is gone. */
const counts = ({ provers }: Secret, prover: Prover): boolean => provers().includes(prover)

const coderOf = ({ codes }: Secret, prover: Prover, purpose: "request" | "answer", names: Names): Coder =>
  codes.coder(derive(prover, purpose, names))

/** Numbers what is sent in one direction of a channel, with the only key that makes its codes. */
const sealer = (coder: Coder, kind: number, id: Uint8Array): Seal => {
  let number = 0
  return (frame) => {
    if (number === maxNumber) throw new Error("a channel carries no more messages than it has numbers for")
    number++
    const end = headBytes + frame.length
    const bytes = new Uint8Array(end + codeBytes)
    const view = new DataView(bytes.buffer)
    bytes[0] = kind
    bytes.set(id, 1)
    view.setUint16(1 + nonceBytes, Math.floor(number / 0x1_0000_0000))
    view.setUint32(3 + nonceBytes, number % 0x1_0000_0000)
    bytes.set(frame, headBytes)
    bytes.set(coder(number, bytes.subarray(0, end)), end)
    return bytes
  }
}

/** Whether bytes are as the other end of a channel made them. Their code covers the kind, the channel and the number. */
const isCoded = (coder: Coder, bytes: Uint8Array): boolean => {
  const end = bytes.length - codeBytes
  if (end < headBytes + frameHeadBytes) return false
  return Mac.timingSafeEqual(coder(numberOf(bytes), bytes.subarray(0, end)), bytes.subarray(end))
}

/** Whether bytes say that they are of this channel. */
const isOf = (id: Uint8Array, bytes: Uint8Array): boolean => {
  for (let i = 0; i < nonceBytes; i++) if (bytes[i + 1] !== id[i]) return false
  return true
}

const frameOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(headBytes, bytes.length - codeBytes)

const numberOf = (bytes: Uint8Array): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, headBytes)
  return view.getUint16(1 + nonceBytes) * 0x1_0000_0000 + view.getUint32(3 + nonceBytes)
}

/** Keeps so many at most, the newest. */
const keep = (channels: Map<string, Kept>, name: string, kept: Kept, capacity: number): void => {
  channels.set(name, kept)
  for (const oldest of channels.keys()) {
    if (channels.size <= capacity) return
    channels.delete(oldest)
  }
}

/** Who says that it opens a channel. */
const callerOf = (bytes: Uint8Array): string | undefined =>
  bytes.length === 2 + bytes[1]! + nonceBytes ? String.fromCharCode(...bytes.subarray(2, 2 + bytes[1]!)) : undefined

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

const join = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
