/**
 * Writes of records, one by one, many, and several as one. Each has a stamp before it is sent.
 */
import { errorOf, unexpected } from "./Answers.ts"
import { type Read, readReceipt, receiptOf } from "./Attempt.ts"
import { jsonOf } from "./Body.ts"
import type { CallOptions, Calls } from "./Calls.ts"
import * as Failover from "./Failover.ts"
import * as Gathering from "./Gathering.ts"
import * as Group from "./Group.ts"
import { invalid } from "./ClientError.ts"
import { otherThan } from "./Options.ts"
import type { QuorumError } from "./QuorumError.ts"
import { pathOf, placeOf, type Taken } from "./Reads.ts"
import type { Place, Receipt } from "./Record.ts"
import { readAnswers } from "./Sending.ts"
import * as Turns from "./Turns.ts"
import { type Content, contentOf, lengthOf, saidOf, type Value } from "./Value.ts"
import * as Waiting from "./Waiting.ts"

/** How a write is made. */
export interface WriteOptions extends CallOptions {
  /** How many replicas have to hold it, instead of what the policy says. */
  readonly w?: number | undefined
  /** The type of the value, instead of its usual one. */
  readonly contentType?: string | undefined
  /** A stamp that was drawn for its key: a write that was made with it before is completed, and not made again. */
  readonly stamp?: string | undefined
}

/** One of several writes: a value, or `delete: true`. */
export type Write = Place &
  (
    | { readonly value: Value; readonly contentType?: string | undefined; readonly delete?: never }
    | { readonly delete: true; readonly value?: never; readonly contentType?: never }
  )

/** What became of one of many writes. */
export type BatchResult =
  | { readonly ok: true; readonly receipt: Receipt }
  | { readonly ok: false; readonly error: unknown }

/** Writes. What was taken makes all its calls, also while the client is closing. */
export const make = (calls: Calls, taken: Taken, timeoutMillis: number) => {
  const together = Gathering.make<Group.Waiting>()
  const turns = Turns.make(maxBytes)
  const shortTurns = Turns.make(maxShort)

  /** Makes a write under a stamp when it is its turn, all within the time of its call. */
  const stamped = async (
    keys: ReadonlyArray<Place>,
    length: number,
    options: WriteOptions,
    send: (stamp: string, limits: CallOptions) => Promise<Receipt>
  ): Promise<Receipt> => {
    const given = stampOf(options)
    const { signal } = options
    const millis = options.timeoutMillis ?? timeoutMillis
    const deadline = performance.now() + millis
    const limits = (): CallOptions => ({ signal, timeoutMillis: Math.max(1, deadline - performance.now()) })
    const done =
      length <= longLength ? await shortTurns.take(1, millis, signal) : await turns.take(length, millis, signal)
    if (done === undefined) throw Failover.conclude(undefined, given)
    try {
      const stamp = given ?? (await draw(keys, limits()))
      return await send(stamp, limits())
    } finally {
      done()
    }
  }

  const gather = (line: Group.Line, { signal, w, ...options }: WriteOptions): Promise<Receipt> => {
    const stamp = stampOf(options)
    signal?.throwIfAborted()
    return new Promise((resolve, reject) => {
      const millis = options.timeoutMillis ?? timeoutMillis
      const limits = { stamp, signal, deadline: performance.now() + millis }
      // Of those that share a request the first has the least time: nobody waits for one that may take longer.
      together(`${w} ${millis}`, () => Group.kindOf(calls, w), Waiting.make({ line }, limits, { resolve, reject }))
    })
  }

  const draw = async (keys: ReadonlyArray<Place>, options?: CallOptions): Promise<string> => {
    const body = JSON.stringify({ keys: keys.map(({ key, namespace }) => ({ namespace, key })) })
    return calls.call({ request: () => ({ method: "POST", path: "/v1/stamps", body }), read: readStamp }, options)
  }

  /** A long value is not packed into a line: as it is it is shorter. */
  const putLong = async (place: Place, { body, contentType }: Content, options: WriteOptions): Promise<Receipt> => {
    // A `Buffer` has a `slice` that copies nothing.
    const copy = typeof body === "string" ? body : new Uint8Array(body)
    return stamped([place], copy.length, options, (stamp, limits) => {
      const headers = { "quorum-stamp": stamp, "content-type": contentType ?? "application/octet-stream" }
      const query = { w: options.w }
      const request = () => ({ method: "PUT", path: pathOf(place), query, headers, body: copy }) as const
      return calls.call({ request, read: readReceipt, stamp }, limits)
    })
  }

  const stamp = (keys: ReadonlyArray<Place>, options?: CallOptions): Promise<string> => taken(() => draw(keys, options))

  const put = (namespace: string, key: string, value: Value, options: WriteOptions = {}): Promise<Receipt> =>
    taken(() => {
      const place = placeOf(namespace, key)
      const content = contentOf(value, options.contentType)
      const isLong = lengthOf(content) > longLength
      return isLong ? putLong(place, content, options) : gather(lineOf(place, content), options)
    })

  const remove = (namespace: string, key: string, options: WriteOptions = {}): Promise<Receipt> =>
    taken(() => gather({ ...namesOf({ namespace, key }), delete: true }, options))

  const batch = (writes: ReadonlyArray<Write>, options: WriteOptions = {}): Promise<ReadonlyArray<BatchResult>> =>
    Promise.all(
      writes.map(async (write): Promise<BatchResult> => {
        try {
          const { contentType, key, namespace } = known(write)
          const receipt =
            write.delete === true
              ? await remove(namespace, key, options)
              : await put(namespace, key, write.value, { ...options, contentType })
          return { ok: true, receipt }
        } catch (error) {
          return { ok: false, error }
        }
      })
    )

  const commit = (writes: ReadonlyArray<Write>, options: WriteOptions = {}): Promise<Receipt> =>
    taken(() => {
      const lines = writes.map((write) => {
        const { contentType, key, namespace } = known(write)
        if (write.delete === true) return { ...namesOf(write), delete: true }
        return lineOf(placeOf(namespace, key), contentOf(write.value, contentType))
      })
      const body = lines.map((line) => `${JSON.stringify(line)}\n`).join("")
      return stamped(lines, body.length, options, (stamp, limits) => {
        const headers = { "content-type": "application/x-ndjson", "quorum-stamp": stamp }
        const query = { atomic: true, w: options.w }
        const request = () => ({ method: "POST", path: "/v1/batch", query, headers, body }) as const
        return calls.call({ request, read: readAtomic, stamp }, limits)
      })
    })

  return { put, delete: remove, batch, commit, stamp }
}

// ---------------------------------------------------------------------------------------------------------------------

/** From how many characters or bytes on a value travels by itself. */
const longLength = 64 * 1024

/** The most bytes of long values that are under way. One value that is longer is sent by itself. */
const maxBytes = 4 * 1024 * 1024

/**
 * How many are under way that are not long, and not gathered either: each is two requests, and of very many at once none
 * would be written in time if the stamps of all were drawn first.
 */
const maxShort = 128

/** The place of a delete: a name that nobody can read by has one too. */
const namesOf = ({ key, namespace }: Place): Place => {
  for (const [field, name] of Object.entries({ namespace, key })) {
    if (typeof name === "string" && name !== "") continue
    throw invalid(field, "it is text, and not empty")
  }
  return { namespace, key }
}

/** One of several writes, if it says one thing, and nothing stands in it at which nobody would look. */
const known = (write: Write): Write => {
  if (typeof write !== "object" || write === null) throw invalid("writes", "each is an object with namespace and key")
  const other = otherThan(["namespace", "key", "value", "contentType", "delete"], write)
  if (other !== undefined) throw invalid(...other)
  const { contentType, delete: deleted, value } = write as { readonly [Field in keyof Write]?: unknown }
  if (deleted !== undefined && typeof deleted !== "boolean") throw invalid("delete", "it is true, or not given")
  if (deleted === true && value !== undefined) throw invalid("delete", "there is a value too; give one of them")
  if (deleted === true && contentType !== undefined) throw invalid("contentType", "a delete has none")
  return write
}

/** A stamp, if one is given. */
const stampOf = ({ stamp }: { readonly stamp?: string | undefined }): string | undefined => {
  if (stamp !== undefined && typeof stamp !== "string") throw invalid("stamp", "it is text, as it was answered")
  return stamp
}

const lineOf = (place: Place, content: Content): Group.Line => {
  const { contentType } = content
  return contentType === undefined ? { ...place, ...saidOf(content) } : { ...place, ...saidOf(content), contentType }
}

const readStamp: Read<string> = async (answered, url) => {
  const { stamp } = ((await jsonOf(answered, url)) ?? {}) as { readonly stamp?: unknown }
  if (typeof stamp === "string") return stamp
  throw unexpected(answered.status, url, "it has no stamp")
}

/** The one line that an atomic batch is answered with. */
const readAtomic: Read<Receipt> = async (answered, url, learn) => {
  let outcome: Receipt | QuorumError | undefined
  await readAnswers(answered, url, learn, ({ problem, receipt, status }) => {
    outcome = receipt === undefined ? errorOf(status, problem, url) : receiptOf(receipt, answered, url)
  })
  if (outcome === undefined) throw unexpected(answered.status, url, "it has no line")
  if (outcome instanceof Error) throw outcome
  return outcome
}
