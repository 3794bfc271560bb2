/**
 * What one client did and saw, at whatever replicas: the value by which its next writes come after that, and its next
 * reads show it.
 *
 * It is a clock, at or after that of every write in it, and for each log the last place of it. Sessions are joined; the
 * order in which that is done, and how often, makes no difference. As text it is a token for clients, who keep it, send it
 * and look at nothing in it.
 *
 * Source: D. Terry, A. Demers, K. Petersen, M. Spreitzer, M. Theimer, B. Welch, "Session Guarantees for Weakly Consistent
 * Replicated Data" (PDIS 1994): a client reads its own writes, never something older than before, and its writes are
 * ordered after what it wrote and read.
 */
import { Option, Schema, SchemaTransformation } from "effect"
import * as WriteId from "../identity/WriteId.ts"
import * as Chain from "../log/Chain.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"

/** A session. */
export const ClientSession = Schema.Struct({
  /** The latest clock of all that was done and seen. */
  clock: HybridLogicalClock.HybridLogicalClock,
  /** The last place of each log that was written to or seen, in the order of the logs' names. */
  places: Schema.Array(WriteId.WriteId).check(
    Schema.makeFilter((places) => places.every((id, i) => i === 0 || logOf(places[i - 1]!) < logOf(id)), {
      expected: "one place of each log, in the order of the logs' names"
    })
  )
})

/** A session. */
export type ClientSession = typeof ClientSession.Type

/** The longest token that is taken, in characters. */
export const maxTokenLength = 8192

/** A client that has done and seen nothing. */
export const empty: ClientSession = { clock: HybridLogicalClock.zero, places: [] }

/** Whether a value is a session; what throws when it is looked at is none. */
export const is = (value: unknown): value is ClientSession => {
  try {
    return isSession(value)
  } catch {
    return false
  }
}

/** A session in which nothing but this write was done or seen: that of a receipt, or of a record. */
export const ofWrite = (write: {
  readonly writeId: WriteId.WriteId
  readonly clock: HybridLogicalClock.HybridLogicalClock
}): ClientSession => ({ clock: write.clock, places: [write.writeId] })

/** All that was done or seen in either. */
export const join = (a: ClientSession, b: ClientSession): ClientSession => ({
  clock: HybridLogicalClock.compare(a.clock, b.clock) >= 0 ? a.clock : b.clock,
  places: a.places.length === 0 ? b.places : b.places.length === 0 ? a.places : merge(a.places, b.places)
})

/** A session as text. */
export const encode = ({ clock, places }: ClientSession): string => {
  const said = [`1.${clock.wallTime}.${clock.logical}`, ...places].join("~")
  return `${said}~${checkOf(said)}`
}

/** What a token stands for; none when it is misspelt, or of a version that is not spoken here. */
export const decode = (token: unknown): Option.Option<ClientSession> => {
  if (typeof token !== "string" || token.length > maxTokenLength || !shape.test(token)) return Option.none()
  const said = token.slice(0, -9)
  if (token.slice(-8) !== checkOf(said)) return Option.none()
  const [head, ...places] = said.split("~")
  const [, wallTime, logical] = head!.split(".")
  const session = { clock: { wallTime: Number(wallTime), logical: Number(logical) }, places }
  return is(session) ? Option.some(session) : Option.none()
}

/** A session as clients carry it: its token, or several with commas between them, which are joined. */
export const FromText: Schema.Codec<ClientSession, string> = Schema.String.check(
  Schema.makeFilter((text) => Option.isSome(decodeAll(text)) || malformed)
).pipe(
  Schema.decodeTo(
    Schema.toType(ClientSession),
    SchemaTransformation.transform({ decode: (text) => Option.getOrThrow(decodeAll(text)), encode })
  )
)

// ---------------------------------------------------------------------------------------------------------------------

const isSession = Schema.is(ClientSession)

const malformed = "a session is what a replica answered it to be, unchanged; leave it out to begin a new one"

const decodeAll = (text: string): Option.Option<ClientSession> => {
  if (text.length > maxTokenLength) return Option.none()
  return Option.map(Option.all(text.split(",").map((part) => decode(part.trim()))), (all) => all.reduce(join))
}

/** A clock, the ids of writes, and a check against misspelling. */
const shape = /^1\.(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,9})(~[^~]{1,120})*~[0-9a-f]{8}$/

const logOf = (id: WriteId.WriteId): string => id.slice(0, id.lastIndexOf(":"))

const utf8 = new TextEncoder()

const checkOf = (text: string): string => {
  const bytes = utf8.encode(text)
  const state = Chain.state(Chain.empty)
  Chain.extend(state, Chain.viewOf(bytes), 0, bytes.length)
  return Chain.format(state).slice(0, 8)
}

/** The later of two places of one log. Of two writes at one place either may be kept: an id never answers for another. */
const later = (a: WriteId.WriteId, b: WriteId.WriteId): WriteId.WriteId => {
  const { check, seq } = WriteId.place(a)
  const other = WriteId.place(b)
  return seq > other.seq || (seq === other.seq && check >= other.check) ? a : b
}

const merge = (
  a: ReadonlyArray<WriteId.WriteId>,
  b: ReadonlyArray<WriteId.WriteId>
): ReadonlyArray<WriteId.WriteId> => {
  const merged: Array<WriteId.WriteId> = []
  let i = 0
  let j = 0
  while (i < a.length && j < b.length) {
    const x = a[i]!
    const y = b[j]!
    const order = logOf(x) === logOf(y) ? 0 : logOf(x) < logOf(y) ? -1 : 1
    merged.push(order < 0 ? x : order > 0 ? y : later(x, y))
    if (order <= 0) i++
    if (order >= 0) j++
  }
  return [...merged, ...a.slice(i), ...b.slice(j)]
}
