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
 * | caller | `c3` | the channel (16), a frame, and its code (32) |
 * | called | `c4` | the channel (16), a frame, and its code (32) |
 *
 * Proofs and codes are HMAC-SHA-256. The keys of the codes, one for each direction, follow from the secret, the replica
 * set, both ids and both nonces: so a frame counts on the one channel for which it was made, from caller to called, and
 * once, since the number of a request is taken once. Handshakes travel in it, and with them both incarnations and the
 * session.
 */
import { Effect } from "effect"
import { Mac, SecureRandom } from "effect/crypto"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import type { Secret } from "./PeerSecret.ts"
import * as PeerProtocol from "./PeerProtocol.ts"
import * as Seen from "./internal/Seen.ts"

/** The caller's end of a channel. */
export interface Channel {
  /** A request that only the peer takes, and once. The numbers of requests have to differ. */
  readonly seal: (frame: Uint8Array) => Effect.Effect<Uint8Array>
  /** The answer in it, if it is the peer's, of this channel. */
  readonly open: (bytes: Uint8Array) => Effect.Effect<Uint8Array | undefined>
}

/** What a replica makes of bytes that came: an answer to an opening, or a request of a member and how to answer it. */
export type Received =
  | { readonly _tag: "Opened"; readonly bytes: Uint8Array }
  | {
      readonly _tag: "Request"
      readonly frame: Uint8Array
      readonly caller: ReplicaId
      readonly seal: Channel["seal"]
      /** The channel, the same for all that comes on it. */
      readonly channel: object
    }

/** The called end of channels. Undefined is what proves nothing: it is answered with nothing that says more. */
export interface Door {
  readonly received: (bytes: Uint8Array) => Effect.Effect<Received | undefined>
}

/** What is told of a peer whose answer does not prove that it is its own. */
export const notProven = "an answer does not prove that it is of this peer"

/** Opens a channel to a peer: the bytes to send, and what to make of the answer. */
export const open = (secret: Secret, peer: ReplicaId) => {
  const { cluster, self } = secret.members
  const nonce = SecureRandom.randomBytesUnsafe(nonceBytes)
  return {
    bytes: join(Uint8Array.of(kinds.open), Uint8Array.of(self.length), ascii.encode(self), nonce),
    answered: Effect.fnUntraced(function* (answer: Uint8Array) {
      const id = answer.subarray(1, 1 + nonceBytes)
      const names = { cluster, caller: self, called: peer, nonce, id }
      const isAnswer = answer.length === 1 + nonceBytes + macBytes && answer[0] === kinds.opened
      const key = isAnswer ? yield* keyBehind(secret, names, answer.subarray(1 + nonceBytes)) : undefined
      if (key === undefined) {
        const detail = "what answers does not prove that it is this peer; all members need the same secret"
        return yield* new PeerProtocol.PeerUnreachable({ peer, reason: "invalid_answer", detail })
      }
      const out = yield* keyOf(secret, key, "request", names)
      const back = yield* keyOf(secret, key, "answer", names)
      const channel: Channel = {
        seal: (frame) => seal(secret, out, kinds.request, id, frame),
        open: (bytes) => unseal(secret, back, kinds.answer, id, bytes)
      }
      return channel
    })
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

  const opened = Effect.fnUntraced(function* (bytes: Uint8Array) {
    const caller = peers.find((peer) => peer === callerOf(bytes))
    if (caller === undefined) return undefined
    const id = SecureRandom.randomBytesUnsafe(nonceBytes)
    const names = { cluster, caller, called: self, nonce: bytes.slice(-nonceBytes), id }
    const [key] = secret.keys
    const proof = yield* derive(secret, key, "opened", names)
    const incoming = yield* keyOf(secret, key, "request", names)
    const outgoing = yield* keyOf(secret, key, "answer", names)
    keep(unused, hex(id), { caller, id, incoming, outgoing, seen: Seen.make() }, capacity)
    return { _tag: "Opened", bytes: join(Uint8Array.of(kinds.opened), id, proof) } as const
  })

  const requested = Effect.fnUntraced(function* (bytes: Uint8Array) {
    const name = hex(bytes.subarray(1, 1 + nonceBytes))
    const kept = unused.get(name) ?? peers.map((peer) => used.get(peer)?.get(name)).find((known) => known !== undefined)
    if (kept === undefined) return undefined
    const frame = yield* unseal(secret, kept.incoming, kinds.request, kept.id, bytes)
    if (frame === undefined || !kept.seen(numberOf(frame))) return undefined
    const { caller, id, outgoing } = kept
    if (unused.delete(name)) {
      const mine = used.get(caller) ?? new Map<string, Kept>()
      used.set(caller, mine)
      keep(mine, name, kept, capacity)
    }
    const answer = (said: Uint8Array) => seal(secret, outgoing, kinds.answer, id, said)
    return { _tag: "Request", frame, caller, seal: answer, channel: kept } as const
  })

  return {
    received: (bytes): Effect.Effect<Received | undefined> => {
      if (bytes[0] === kinds.open) return opened(bytes)
      return bytes[0] === kinds.request ? requested(bytes) : Effect.succeed(undefined)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const kinds = { open: 0xc1, opened: 0xc2, request: 0xc3, answer: 0xc4 } as const
const nonceBytes = 16
const macBytes = 32
/** The kind and the number of a frame. */
const frameHeadBytes = 5

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
  readonly incoming: Mac.Key
  readonly outgoing: Mac.Key
  readonly seen: Seen.Seen
}

/** What follows from the secret for one purpose on one channel. */
const derive = (secret: Secret, key: Mac.Key, purpose: string, { called, caller, cluster, id, nonce }: Names) => {
  const text = JSON.stringify(["quorum", purpose, cluster, caller, called, hex(nonce), hex(id)])
  return Effect.orDie(secret.mac.sign(key, ascii.encode(text)))
}

/** The secret by which a proof was made: while one is exchanged, the other side may have another first. */
const keyBehind = Effect.fnUntraced(function* (secret: Secret, names: Names, proof: Uint8Array) {
  for (const key of secret.keys) {
    if (Mac.timingSafeEqual(yield* derive(secret, key, "opened", names), proof)) return key
  }
  return undefined
})

const keyOf = (secret: Secret, key: Mac.Key, purpose: "request" | "answer", names: Names) =>
  Effect.flatMap(derive(secret, key, purpose, names), (bytes) => Effect.orDie(Mac.key(Mac.hmacSha256, bytes)))

const seal = ({ mac }: Secret, key: Mac.Key, kind: number, id: Uint8Array, frame: Uint8Array) => {
  const end = 1 + nonceBytes + frame.length
  const bytes = new Uint8Array(end + macBytes)
  bytes[0] = kind
  bytes.set(id, 1)
  bytes.set(frame, 1 + nonceBytes)
  return Effect.map(Effect.orDie(mac.sign(key, bytes.subarray(0, end))), (code) => {
    bytes.set(code, end)
    return bytes
  })
}

const unseal = ({ mac }: Secret, key: Mac.Key, kind: number, id: Uint8Array, bytes: Uint8Array) => {
  const end = bytes.length - macBytes
  const isOurs =
    end >= 1 + nonceBytes + frameHeadBytes && bytes[0] === kind && id.every((byte, i) => bytes[i + 1] === byte)
  if (!isOurs) return Effect.succeed(undefined)
  const isProven = Effect.orDie(mac.verify(key, bytes.subarray(end), bytes.subarray(0, end)))
  return Effect.map(isProven, (proven) => (proven ? bytes.subarray(1 + nonceBytes, end) : undefined))
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

const numberOf = (frame: Uint8Array): number =>
  new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getUint32(1)

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
