/**
 * Tokens of writes that may be repeated: a version that was drawn before the write is made, as text.
 *
 * Whoever holds one may commit its write at any replica, any number of times: all copies have this version, so they are
 * one write. It says for which keys it was drawn, by a hash, and ends with a check against misspelling; it is no proof of
 * who drew it.
 */
import { Option, Schema } from "effect"
import * as Chain from "../log/Chain.ts"
import type { Stamp } from "../log/Entry.ts"
import type { RunId } from "../identity/RunId.ts"

const pattern = /^(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,9})\.[0-9a-f]{16}\.[pu]\.[0-9a-f]{16}\.[0-9a-f]{8}$/

/** A token: `wallTime.logical.tie.order.keys.check`; the order is `p` when a majority was probed for its clocks, or `u`. */
export const StampToken = Schema.String.check(
  Schema.isPattern(pattern, { message: "a stamp is what a replica answered when it was asked for one" })
).pipe(Schema.brand("@quorum/core/StampToken"))

/** A token. */
export type StampToken = typeof StampToken.Type

/** A key that a write is about. */
interface Key {
  readonly namespace: string
  readonly key: string
}

/** The token of a version that was drawn for these keys. */
export const make = ({ clock, tie, unprobed }: Stamp, keys: ReadonlyArray<Key>): StampToken => {
  const said = `${clock.wallTime}.${clock.logical}.${tie}.${unprobed ? "u" : "p"}.${hashOf(keys)}`
  return `${said}.${checkOf(said)}` as StampToken
}

/** Whether something looks like a token, as the schema says it. */
export const is = (token: unknown): token is StampToken => typeof token === "string" && pattern.test(token)

/** What a token stands for; none when it is misspelt. */
export const read = (token: unknown): Option.Option<Stamp & { readonly keys: string }> => {
  if (!is(token)) return Option.none()
  const [wallTime, logical, tie, order, keys, check] = token.split(".") as [
    string,
    string,
    string,
    string,
    string,
    string
  ]
  if (check !== checkOf(token.slice(0, -9))) return Option.none()
  const clock = { wallTime: Number(wallTime), logical: Number(logical) }
  if (clock.wallTime >= 2 ** 48 || clock.logical >= 2 ** 32) return Option.none()
  return Option.some({ clock, tie: tie as RunId, unprobed: order === "u", keys })
}

/** A hash of keys, in any order. */
export const hashOf = (keys: ReadonlyArray<Key>): string => {
  const [only, ...others] = keys
  // Most are of one key.
  if (only !== undefined && others.length === 0) return digest(`${only.namespace}\0${only.key}`)
  const names = keys.map(({ key, namespace }) => `${namespace}\0${key}`).sort()
  return digest(names.join("\0\0"))
}

// ---------------------------------------------------------------------------------------------------------------------

const utf8 = new TextEncoder()

/** Room for the text of most tokens and keys, which is hashed before this is used again. */
const room = new Uint8Array(4096)
const roomView = Chain.viewOf(room)

const digest = (text: string): string => {
  const state = { high: 0, low: 0 }
  if (text.length * 3 <= room.length) {
    Chain.extend(state, roomView, 0, utf8.encodeInto(text, room).written)
  } else {
    const bytes = utf8.encode(text)
    Chain.extend(state, Chain.viewOf(bytes), 0, bytes.length)
  }
  return Chain.format(state)
}

const checkOf = (text: string): string => digest(text).slice(0, 8)
